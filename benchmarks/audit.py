"""Times `runner audit verify` of a ledger of 10,000 signed records in real git, as one process from start to end.

    python benchmarks/audit.py [RECORDS [RUNS]]

Prints wall and CPU seconds of three calls. The ledger is made by the runner's own publisher, without running a stage.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

from contenders import ROOT
from generate import IDENTITY, Shape, generate, git
from history import STAGES, History, with_runs
from measure import Command, measure

sys.path.insert(0, str(ROOT))

from runner.core.dsse import ssh_line
from runner.parts import Request
from runner.record.publish import Publisher
from runner.wiring.parts import Settings
from runner.wiring.repository import open_repository
from tests.audit.ledgers import KEY

PINNED_BEFORE = 10
"""State commits that came after the checkpoint that is pinned."""


def make_ledger(folder: Path, records: int, runs_each: int) -> Path:
    """A repository whose `runner/state` has so many records, `runs_each` runs and a reconcile in every commit."""
    place = generate(folder / "repo", Shape(STAGES, remote=True))
    repository = open_repository(place, None, {**os.environ, "RUNNER_HOME": str(folder / "made")})
    parts = repository.parts(Settings(claims=False), os.environ, lambda event: None, lambda plan, seen: None)
    try:
        observation = parts.observe(Request())
        publisher = parts.publisher(observation, threading.Event())
        assert isinstance(publisher, Publisher)
        publisher = replace(publisher, standing=with_runs, push_bytes=lambda wanted: None, signer=KEY)
        history = History(publisher, repository.mirror, observation.desired.stages(), runs_each)
        history.grow(records // (runs_each + 1))
    finally:
        parts.close()
    git(place, "fetch", "--quiet", "origin", "runner/state:runner/state")
    git(place, "gc", "--quiet")
    return place


def main() -> None:
    """Make, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("records", nargs="?", type=int, default=10_000, help="how many (10,000)")
    parser.add_argument("runs_each", nargs="?", type=int, default=3, help="runs in each reconcile (3)")
    options = parser.parse_args()
    records, runs_each = options.records, options.runs_each
    least = (PINNED_BEFORE + 1) * (runs_each + 1)
    if runs_each < 1 or records < least:
        parser.error(f"at least {least} records of at least one run each are needed to pin a checkpoint")
    os.environ.update({name: value for name, value in IDENTITY.items() if "DATE" not in name})
    with tempfile.TemporaryDirectory() as folder:
        place = make_ledger(Path(folder), records, runs_each)
        trust = Path(folder) / "trust.yaml"
        trust.write_text(f"apiVersion: runner/v1\nkind: Trust\nkeys:\n  - key: {ssh_line(KEY.public_key)}\n")
        environ = {**os.environ, "RUNNER_HOME": str(Path(folder) / "home"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "runner", "audit", "verify", "runner/state", "--trust", str(trust)]
        pinned = Path(folder) / "pinned"
        pinned.write_text(git(place, "show", f"runner/state~{PINNED_BEFORE}:.runner/ledger/checkpoint") + "\n")
        for more in 3 * [[]] + 3 * [["--pinned", str(pinned)]]:
            cost = measure(Command((*command, *more), place, environ))  # which fails where anything is found
            took = f"{cost.wall_seconds:.2f} s wall, {cost.cpu_seconds:.2f} s CPU, {cost.peak_bytes >> 20} MiB"
            print(took + (" from a pinned checkpoint on" if more else ""), flush=True)


if __name__ == "__main__":
    main()
