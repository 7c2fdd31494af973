"""Eight runners write to one state branch at once: is every record there exactly once, and how long does a commit take?

    python benchmarks/writers.py                    8 writers with 100 records each
    python benchmarks/writers.py --writers 4 --records 10
    python benchmarks/writers.py --slow 0.5         every try of the first writer takes half a second longer

Each writer reconciles a commit of its own, whose stages nobody else has, and publishes after every run, so that the
writers meet all the time. What is timed is a publication, from the bytes to the acknowledgement, lost races included.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from generate import IDENTITY
from measure import machine
from script import at_least_1, not_below_0, parser_of, run_script, working_folder

_WRITER = """
import json, os, sys, time
from runner.record.publish import Publisher
published = Publisher.publish
composed = Publisher._compose
def slowly(self, runs):
    time.sleep(float(os.environ["SLOW_SECONDS"]))
    return composed(self, runs)
Publisher._compose = slowly
seconds = []
def timed(self, runs):
    began = time.monotonic()
    try:
        return published(self, runs)
    finally:
        if runs:
            seconds.append(time.monotonic() - began)
Publisher.publish = timed
from runner.cli.main import main
code = main(sys.argv[1:])
with open(os.environ["SECONDS_FILE"], "w") as file:
    json.dump(seconds, file)
sys.exit(code)
"""


def git(folder: Path, *arguments: str) -> str:
    """Run git and return its words."""
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env={**os.environ, **IDENTITY},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def world(folder: Path, writers: int, records: int) -> list[str]:
    """A remote, and one pushed commit for each writer."""
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    git(folder, "init", "--quiet", "--initial-branch=main", "repo")
    repo = folder / "repo"
    git(repo, "remote", "add", "origin", str(folder / "remote.git"))
    (repo / "runner.yaml").write_text(
        "apiVersion: runner/v1\nkind: Project\nspec: {specs: [dvc.yaml], record: {every: 1ms}}\n"
    )
    items = ", ".join(str(number) for number in range(records))
    (repo / "dvc.yaml").write_text(
        f"stages:\n  s:\n    foreach: [{items}]\n    do:\n      cmd: cp in o${{item}}\n      deps: [in]\n"
        "      outs: ['o${item}']\n"
    )
    commits = []
    for number in range(writers):
        (repo / "in").write_text(f"{number}\n")
        git(repo, "add", "-A")
        git(repo, "commit", "--quiet", "-m", f"Writer {number}")
        commits.append(git(repo, "rev-parse", "HEAD"))
    git(repo, "push", "--quiet", "origin", "main")
    return commits


def race(folder: Path, commits: list[str], slow_seconds: float) -> tuple[list[list[float]], float]:
    """Have all writers at it; returns by writer the seconds of each publication, and those of the whole."""
    began = time.monotonic()
    running = []
    for number, commit in enumerate(commits):
        environ = {**os.environ, "RUNNER_HOME": str(folder / f"home{number}")}
        environ["SECONDS_FILE"] = str(folder / f"seconds{number}")
        environ["SLOW_SECONDS"] = str(0.0 if number else slow_seconds)
        command = [
            sys.executable,
            "-c",
            _WRITER,
            "reconcile",
            commit,
            "--repo",
            str(folder / "remote.git"),
            "--jobs",
            "1",
        ]
        running.append(
            subprocess.Popen(
                command,
                cwd=folder,
                env=environ,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # no Ctrl-C comes there: the folder's end ends them
            )
        )
    for process in running:
        _, err = process.communicate()
        if process.returncode:
            raise SystemExit(f"a writer ended with {process.returncode}: {err.decode()[-2000:]}")
    seconds = [json.loads((folder / f"seconds{number}").read_text()) for number in range(len(commits))]
    return seconds, time.monotonic() - began


def main() -> None:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--writers", type=at_least_1, default=8, help="how many write at once")
    parser.add_argument("--records", type=at_least_1, default=100, help="how many records each of them makes")
    parser.add_argument(
        "--slow", type=not_below_0, default=0.0, metavar="SECONDS", help="how much longer the first one's tries take"
    )
    arguments = parser.parse_args()
    with working_folder() as folder:
        commits_wanted = world(folder, arguments.writers, arguments.records)
        before = cpu_seconds()
        seconds, whole = race(folder, commits_wanted, arguments.slow)
        cpu = cpu_seconds() - before
        index = git(
            folder / "remote.git", "grep", "-h", " ok$", "runner/state", "--", ".runner/keys", ".runner/keys-sealed"
        )
        keys = [line.split()[0] for line in index.splitlines()]
        state = json.loads(git(folder / "remote.git", "show", "runner/state:.runner/state.json"))
        commits = int(git(folder / "remote.git", "rev-list", "--count", "--first-parent", "runner/state"))
    wanted = arguments.writers * arguments.records
    print(machine(Path(tempfile.gettempdir())))
    print(
        f"{arguments.writers} writers with {arguments.records} records each: {len(keys)} of {wanted} keys are recorded,"
    )
    print(f"{len(set(keys))} different ones; {state['sequence']} records in {commits} commits,")
    print(f"{whole:.0f} s in all, {cpu:.0f} s of CPU")
    told("a publication", [second for rows in seconds for second in rows])
    if arguments.slow:
        told("of the slow writer", seconds[0])


def cpu_seconds() -> float:
    """What processes that have ended used, and their own."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def told(what: str, seconds: list[float]) -> None:
    """Say how long it took."""
    ranked = sorted(seconds)
    high = ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))]
    print(f"{what}: median {statistics.median(ranked):.2f} s, 99th percentile {high:.2f} s,")
    print(f"longest {ranked[-1]:.2f} s, {len(ranked)} in all")


if __name__ == "__main__":
    run_script(main)
