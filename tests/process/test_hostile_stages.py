"""Stages that mean harm, or have gone mad: each ends in time, is told from the others, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.process.launcher import launcher
from runner.process.stage_log import HEAD_BYTES, LINE_CHARACTERS, SEGMENT_BYTES, SEGMENTS
from runner.process.stage_run import StageRun
from tests.process.conftest import Run, is_running
from tests.process.test_launcher import ROOT, RUNNER
from tests.process.test_stage_run import daemon

MOST_LOG_BYTES = HEAD_BYTES + SEGMENTS * SEGMENT_BYTES + 1000


def test_output_without_end_is_bounded_on_disk(level: str, run: Run, stage: StageRun) -> None:
    outcome = run("yes 'a line of the log' | head -c 200000000; echo; echo the end")
    assert outcome.reason == "ok"
    assert outcome.log_left_out_bytes > 100_000_000
    assert stage.log_path.stat().st_size == outcome.log_bytes < MOST_LOG_BYTES
    assert outcome.log_tail.endswith("the end")
    assert os.listdir(stage.log_path.parent) == ["stage.log"]


@pytest.mark.parametrize("separator", ["", r"\r"])
def test_output_without_a_newline_is_told_in_bounded_lines(level: str, run: Run, separator: str) -> None:
    told: list[int] = []
    program = f"import sys\nfor _ in range(40): sys.stdout.write(('progress' + '{separator}') * 50_000)"
    outcome = run(f'{sys.executable} -S -c "{program}"', on_line=lambda line: told.append(len(line)))
    assert outcome.reason == "ok"
    assert outcome.log_bytes == 40 * 50_000 * (8 + len(separator) // 2)
    assert max(told) <= LINE_CHARACTERS
    assert len(told) == (40 * 50_000 if separator else 1)
    assert len(outcome.log_tail) <= LINE_CHARACTERS


def test_memory_that_is_refused_fails_the_stage_with_its_own_words(level: str, run: Run) -> None:
    outcome = run(f"ulimit -v 1000000; exec {sys.executable} -S -c 'bytearray(4 << 30)'")
    assert (outcome.reason, outcome.exit_code) == ("failed", 1)
    assert outcome.log_tail.endswith("MemoryError")


def test_a_stage_that_closes_its_output_is_heard_to_its_end(level: str, run: Run) -> None:
    outcome = run("echo before; exec 0<&- 1>&- 2>&-; sleep 0.3; : > out", outs=("out",))
    assert (outcome.reason, outcome.log_tail) == ("ok", "before")
    assert (outcome.output_root / "out").exists()


def test_a_stage_that_closes_its_output_and_hangs_ends_at_its_timeout(level: str, run: Run, tmp_path: Path) -> None:
    command, marker = daemon(tmp_path)
    outcome = run(f"{command}; trap '' TERM; exec 1>&- 2>&-; while :; do sleep 0.05; done", timeout_seconds=3,
                  grace_seconds=0.2)  # fmt: skip
    assert outcome.reason == "timeout"
    assert not is_running(marker)


def test_a_stage_that_goes_elsewhere_takes_no_other_command_with_it(level: str, run: Run, stage: StageRun) -> None:
    assert run("cd /; pwd", "pwd").log_tail == f"/\n{stage.worktree}"


def test_nothing_outlives_a_stage_that_kills_its_supervisor_and_the_keeper(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNNER_ISOLATION", "group")  # with a PID namespace it sees neither of them
    assert run("true").reason == "ok"
    keeper = launcher._keeper
    assert keeper is not None
    command, marker = daemon(tmp_path)
    outcome = run(f"{command}; kill -KILL {keeper.pid} $PPID; echo still here > {tmp_path}/alive; sleep 1000")
    assert (outcome.reason, outcome.signal) == ("killed", signal.SIGKILL)
    assert outcome.supervisor_lost
    assert not outcome.leftovers
    assert Path(marker).exists()
    assert not is_running(marker)
    assert run("echo again").log_tail == "again"


def test_mounts_of_a_stage_end_with_it(level: str, run: Run, stage: StageRun) -> None:
    if level == "group":
        pytest.skip("only root could mount there, and then for the whole host; tests of the reconcile see to that")
    before = Path("/proc/self/mountinfo").read_text()
    outcome = run("mkdir m; mount -t tmpfs none m 2> /dev/null; mount -t tmpfs none /mnt 2> /dev/null; :")
    assert outcome.reason == "ok"
    assert Path("/proc/self/mountinfo").read_text() == before


def test_a_stage_that_fills_the_disk_fails_and_says_so(level: str, tmp_path: Path) -> None:
    """On a file system of its own with 40 MB, in a mount namespace of the test."""
    place = tmp_path / "small"
    place.mkdir()
    fill = "head -c 100000000 /dev/zero > $TMPDIR/big; echo the log has room"
    within = 'mount -t tmpfs -o size=40m none "$0" && exec "$@"'
    command = ["unshare", "-m" if os.getuid() == 0 else "-Urm", "sh", "-c", within, str(place)]
    env = {**os.environ, "RUNNER_ISOLATION": level, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, sys.executable, "-c", RUNNER, str(place), f"{fill}; exit 1"], cwd=ROOT, capture_output=True,
        text=True, env=env,
    )  # fmt: skip
    if done.stderr.startswith(("unshare:", "mount:")) or "does not work here" in done.stderr:
        pytest.skip("this system does not let us mount a small file system for ourselves")
    said = done.stdout + done.stderr
    assert "No space left on device" in said
    assert done.stdout.startswith("failed|") or "HostError" in done.stderr
