"""What one more commit of the state branch costs after a long history, and how large the history and its tip are.

    python benchmarks/history.py                     10,000 reconciles of 100 stages, one of them changes each time
    python benchmarks/history.py --changing 100      all of them change each time
    python benchmarks/history.py --reconciles 500 --every 100

The history is made by the runner's own publisher in real git, without running a stage: each reconcile records results
with keys that nobody has seen before. Its commits stay in the runner's own copy, without a push and without waiting for
the disk, which says nothing about the publisher and would take hours. Every so often some commits are made as they
really are, pushed to a bare repository and synced, and these are measured: CPU seconds of the runner itself, those of
git, and wall seconds.
"""

from __future__ import annotations

import hashlib
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from contenders import ROOT
from generate import IDENTITY, Shape, generate, git
from measure import machine
from script import at_least_1, parser_of, run_script, working_folder

sys.path.insert(0, str(ROOT))

from runner.core.nouns import Stage
from runner.core.recorded import OutFact
from runner.core.records import RunFacts
from runner.git.commit import CommitRequest, fast_import_stream
from runner.git.mirror import Mirror
from runner.git.push import PushResult, PushStatus
from runner.ledger.state import State
from runner.parts import Request
from runner.record.publish import Publisher
from runner.record.standing import Standing, entry_of
from runner.wiring.parts import Settings
from runner.wiring.repository import open_repository

STAGES = 100
MEASURED = 10
"""Commits that are measured each time, beside one to warm up."""
REPACKED_EVERY = 40


@dataclass
class InPlace:
    """A mirror whose pushes only move its own branch: for making a history, not for measuring it."""

    real: Mirror

    @property
    def reader(self) -> object:
        """What the mirror holds."""
        return self.real.reader

    def fetch(self) -> None:
        """Nobody else writes."""

    def tip(self, branch: str) -> str | None:
        """The commit of a branch."""
        return self.real.tip(branch)

    def write_commit(self, request: CommitRequest) -> str:
        """Make a commit, as the mirror does it, but for the disk."""
        command = ["git", f"--git-dir={self.real.path}", "-c", "core.fsync=none", "-c", "fastimport.unpackLimit=0"]
        done = subprocess.run(
            [*command, "fast-import", "--quiet", "--date-format=raw"],
            input=fast_import_stream(request),
            stdout=subprocess.PIPE,
            check=True,
        )
        return done.stdout.decode().strip()

    def push(self, sha: str, branch: str, expected: str | None, *, drop: Sequence[str] = ()) -> PushResult:
        """Move the mirror's branch."""
        git(self.real.path, "update-ref", f"refs/heads/{branch}", sha)
        return PushResult(PushStatus.ACCEPTED)


def run_of(stage: Stage, number: int, desired: str) -> RunFacts:
    """A result for a stage that no other reconcile has."""
    key = hashlib.sha256(f"{stage.address} {number}".encode()).hexdigest()
    md5 = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest
    deps = {path: md5() for path in stage.deps}
    material = {"version": 1, "cmd": stage.cmd[0], "wdir": ".", "shell": "bash", "dep": deps}
    material["out"] = {out.path: {"cache": True, "persist": False} for out in stage.outs}
    started = time.strftime("%Y-%m-%dT%H:%M:%S.000+00:00", time.gmtime())
    outs = tuple(OutFact(out.path, md5(), 7) for out in stage.outs)
    return RunFacts(
        run_id=key[:32], address=stage.address, key=key, material=material, succeeded=True, reason="ok", message="",
        desired=desired, started_at=started, seconds=0.5, outs=outs, exit_code=0, cpu_seconds=0.4, isolation="group",
        log_sha256=hashlib.sha256(b"").hexdigest(), max_rss_bytes=10_000_000, actor="ada", location="this host",
        host={"name": "host", "platform": "Linux", "python": "3.11", "cores": 2.0},
    )  # fmt: skip


def with_runs(base: State | None, runs: Sequence[RunFacts]) -> Standing:
    """What stands after some runs, without asking what is desired."""
    entries = base.entries() if base is not None else {}
    return Standing({**entries, **{run.address: entry_of(run) for run in runs}}, {}, (), ())


class History:
    """One state branch that grows."""

    def __init__(self, publisher: Publisher, mirror: Mirror, stages: Sequence[Stage], changing: int) -> None:
        self.publisher = publisher
        self.mirror = mirror
        self.stages = stages
        self.changing = changing
        self.made = 0

    def grow(self, reconciles: int) -> None:
        """So many reconciles more, as cheaply as they can be made."""
        self.publisher.mirror = InPlace(self.mirror)  # type: ignore[assignment]
        for _ in range(reconciles):
            self._one()
            if self.made % REPACKED_EVERY == 0:
                git(self.mirror.path, "repack", "-q", "-d", "--geometric=2")
                self.mirror.close()
        git(self.mirror.path, "push", "-q", self.mirror.url, self.publisher.branch)

    def measure(self) -> tuple[float, float, float]:
        """Medians for a commit as it really is: CPU ms of the runner itself, of git, and wall ms."""
        self.publisher.mirror = self.mirror
        self._one()
        costs = [self._measured() for _ in range(MEASURED)]
        own, children, wall = (1000 * statistics.median(column) for column in zip(*costs, strict=True))
        return own, children, wall

    def _measured(self) -> tuple[float, float, float]:
        began, before = time.monotonic(), _used()
        self._one()
        after = _used()
        return after[0] - before[0], after[1] - before[1], time.monotonic() - began

    def _one(self) -> None:
        number, self.made = self.made, self.made + 1
        first = number * self.changing
        chosen = [self.stages[(first + index) % len(self.stages)] for index in range(self.changing)]
        self.publisher.facts = {**self.publisher.facts, "id": hashlib.sha256(str(number).encode()).hexdigest()[:32]}
        self.publisher.publish([run_of(stage, number, self.publisher.desired.commit) for stage in chosen])


def _used() -> tuple[float, float]:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def packed_bytes(mirror: Path) -> int:
    """The size of all that git keeps, packed once more."""
    subprocess.run(["git", "-C", str(mirror), "gc", "--quiet"], check=True)
    return sum(file.stat().st_size for file in (mirror / "objects").rglob("*") if file.is_file())


def main() -> None:
    """Make, measure, print."""
    parser = parser_of(__doc__)
    parser.add_argument("--reconciles", type=at_least_1, default=10_000, help="how many to make at the least")
    parser.add_argument("--changing", type=at_least_1, default=1, help="how many of the 100 stages change each time")
    parser.add_argument("--every", type=at_least_1, default=1_000, help="measure after so many reconciles")
    options = parser.parse_args()
    if options.changing > STAGES:
        parser.error(f"argument --changing: there are {STAGES} stages, of which {options.changing} cannot change")
    os.environ.update({name: value for name, value in IDENTITY.items() if "DATE" not in name})
    with working_folder() as folder:
        print(machine(folder))
        repository = open_repository(
            generate(folder / "repo", Shape(STAGES, remote=True)), None, {**os.environ, "RUNNER_HOME": f"{folder}/home"}
        )
        parts = repository.parts(Settings(claims=False), os.environ, lambda event: None, lambda plan, seen: None)
        observation = parts.observe(Request())
        publisher = parts.publisher(observation, threading.Event())
        assert isinstance(publisher, Publisher)
        publisher = replace(publisher, standing=with_runs, push_bytes=lambda wanted: None)
        mirror = repository.mirror
        history = History(publisher, mirror, observation.desired.stages(), options.changing)
        print("| reconciles | runner's own CPU ms | git's CPU ms | wall ms | files at the tip | MiB, packed |")
        print("|---:|---:|---:|---:|---:|---:|")
        while history.made < options.reconciles:
            history.grow(min(options.every, options.reconciles - history.made))
            own, children, wall = history.measure()
            files = len(git(mirror.path, "ls-tree", "-r", "--name-only", publisher.branch).splitlines())
            size_mib = packed_bytes(mirror.path) / 2**20
            print(
                f"| {history.made} | {own:.0f} | {children:.0f} | {wall:.0f} | {files} | {size_mib:.1f} |", flush=True
            )
        parts.close()


if __name__ == "__main__":
    run_script(main)
