"""The scripts below `benchmarks/` end cleanly and take only what makes sense."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ENDLESS = """
import os, sys
from pathlib import Path
from measure import Command, measure
from script import run_script, working_folder
WRITES = "while :; do mkdir -p a/b; echo > a/b/c; done"
def main():
    with working_folder(Path(sys.argv[1])) as folder:
        measure(Command(("sh", "-c", f"setsid sh -c '{WRITES}' & {WRITES}"), folder, dict(os.environ)))
run_script(main)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_measurement_ends_what_it_measures_and_removes_its_folder(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_interrupts,
    )
    try:
        while not list(tmp_path.glob("bench-*/a/b/c")):
            time.sleep(0.02)
        os.killpg(process.pid, number)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()  # with which all below it ends
    assert (process.returncode, told) == (130, "interrupted\n")
    assert not list(tmp_path.iterdir())
    assert not [link for link in Path("/proc").glob("[0-9]*/cwd") if str(tmp_path) in _target(link)]


def _heed_interrupts() -> None:
    # Whoever started the tests in the background has them ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:  # it ended meanwhile, or is another user's
        return ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run.py", "--runs", "0"], "argument --runs: '0' is not a whole number of at least 1"),
        (["run.py", "--folder", "nowhere"], "argument --folder: nowhere: no such folder"),
        (["run.py", "--only", "tup"], "argument --only: there is no 'tup'; there are runner, DVC, "),
        (["growth.py", "nothing"], "no such question: nothing; there are plan, "),
        (["generate.py", "."], "is there already"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    script, *others = words
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *others], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
