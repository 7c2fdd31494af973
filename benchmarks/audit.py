"""Times `runner audit verify` of a ledger of 10,000 signed records in real git, as one process from start to end.

    python benchmarks/audit.py [RECORDS] [RUNS IN EACH RECONCILE]

Prints wall and CPU seconds of three calls. The ledger is made by the runner's own functions, without running a stage.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from runner.core.dsse import ssh_line  # noqa: E402 - after the path
from tests.audit.ledgers import KEY, Story, run_of  # noqa: E402 - as above
from tests.repositories import git, new_repository  # noqa: E402 - as above

PINNED_BEFORE = 10
"""State commits that came after the checkpoint that is pinned."""


def make_ledger(folder: Path, records: int, runs_each: int) -> Path:
    """A repository whose `runner/state` has so many records, `runs_each` runs and a reconcile in every commit."""
    repo = new_repository(folder / "repo", {"a": "1"})
    stream = subprocess.Popen(
        ["git", "-C", str(repo.path), "fast-import", "--quiet", "--date-format=raw"], stdin=subprocess.PIPE
    )
    assert stream.stdin is not None
    write, story, before, number = stream.stdin.write, Story(), dict[str, bytes](), 0
    write(b"feature done\n")
    for commit in range(records // (runs_each + 1)):
        story.commit([run_of(number + at, stage=f"s{(number + at) % 200}") for at in range(1, runs_each + 1)])
        number += runs_each
        message = f"Reconcile\n\nReconcile-Id: {commit}\nDesired: {repo.head}\n".encode()
        write(b"commit refs/heads/runner/state\ncommitter r <r@r> 1 +0000\ndata %d\n" % len(message) + message)
        write(b"" if before else f"from {repo.head}\n".encode())
        for path in before.keys() - story.tip.keys():
            write(f"D {path}\n".encode())
        for path, data in story.tip.items():
            if before.get(path) != data:
                write(f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n")
        before, story.snapshots = story.tip, [story.tip]
    write(b"done\n")
    stream.stdin.close()
    stream.wait()
    git(repo.path, "gc", "--quiet")
    return repo.path


def main() -> None:
    """Make, measure, print."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    runs_each = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    names = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    os.environ.update({f"GIT_{name}": "runner@localhost" for name in names})
    with tempfile.TemporaryDirectory() as folder:
        place = make_ledger(Path(folder), records, runs_each)
        trust = Path(folder) / "trust.yaml"
        trust.write_text(f"apiVersion: runner/v1\nkind: Trust\nkeys:\n  - key: {ssh_line(KEY.public_key)}\n")
        environ = {**os.environ, "RUNNER_HOME": str(Path(folder) / "home"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "runner", "audit", "verify", "runner/state", "--trust", str(trust)]
        pinned = Path(folder) / "pinned"
        pinned.write_text(git(place, "show", f"runner/state~{PINNED_BEFORE}:.runner/ledger/checkpoint") + "\n")
        for more in 3 * [[]] + 3 * [["--pinned", str(pinned)]]:
            wall, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            said = subprocess.run(
                [*command, *more], cwd=place, env=environ, capture_output=True, text=True, check=True
            ).stdout
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(
                f"{time.monotonic() - wall:.2f} s wall, {cpu:.2f} s CPU, {after.ru_maxrss >> 10} MiB; {said.split()[3]}"
                + (" from a pinned checkpoint on" if more else "")
            )


if __name__ == "__main__":
    main()
