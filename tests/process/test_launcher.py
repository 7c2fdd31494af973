"""What happens to stages when the runner, or the program that starts them, is killed; and who may run it."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from runner.process.isolation import Isolation, available_isolation, prepare_supervisors
from runner.process.launcher import KEEPER, launcher
from runner.process.stage_run import StageRun, run_stage, upper_layer
from tests.process.conftest import Run, is_running, wait_for
from tests.process.test_stage_run import daemon

ROOT = Path(__file__).parents[2]
RUNNER = """
import os, sys, threading
from pathlib import Path
from runner.process.isolation import LevelRefused, Levels
from runner.process.stage_run import StageRun, run_stage
here = Path(sys.argv[1])
(here / "worktree").mkdir()
levels = Levels(here)
outcome = None
while outcome is None:
    try:
        outcome = run_stage(StageRun(
            commands=tuple(sys.argv[2:]), shell="/bin/sh", worktree=here / "worktree", wdir=".",
            env={"PATH": os.defpath}, timeout_seconds=None, log_path=here / "log", redact={}, outs=("out",),
            private_dir=here / "private", isolation=levels.current,
        ), threading.Event())
    except LevelRefused as refused:
        levels.lower(refused)
print(outcome.reason, outcome.isolation, outcome.log_tail, *outcome.undeclared, sep="|")
"""


def test_when_the_runner_is_killed_its_stages_die_with_it(level: str, tmp_path: Path) -> None:
    command, marker = daemon(tmp_path)
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(tmp_path), f"trap '' TERM; {command}; sleep 1000"], cwd=ROOT
    )
    assert wait_for(Path(marker).exists)
    assert is_running(marker)
    runner.kill()
    runner.wait()
    assert wait_for(lambda: not is_running(str(tmp_path)))


def test_supervisors_that_were_prepared_take_the_first_stages(level: str, run: Run, tmp_path: Path) -> None:
    code = available_isolation(tmp_path).code
    launcher.close()
    for _ in range(2):
        prepare_supervisors(tmp_path, 3, overlay=True)
        prepared = list(launcher._free[code])
        assert len(prepared) == 3
        assert (run("echo one").log_tail, run("echo two").log_tail) == ("one", "two")
        assert launcher._free[code] == prepared
    assert launcher._keeper is not None
    launcher._keeper.kill()
    launcher._keeper.wait()
    prepare_supervisors(tmp_path, 1, overlay=True)
    assert len(launcher._free[code]) == 1
    assert run("echo three").log_tail == "three"


def test_when_the_keeper_is_killed_the_next_stage_gets_a_new_one(run: Run) -> None:
    assert run("true").reason == "ok"
    keeper = launcher._keeper
    assert keeper is not None
    keeper.kill()
    assert wait_for(lambda: keeper.poll() is not None)
    assert run("echo again").log_tail == "again"


def test_stages_one_after_the_other_have_one_supervisor(run: Run) -> None:
    group = {"isolation": Isolation.GROUP}  # at the others each has a process 1 of its own
    first = run("echo $PPID", **group).log_tail
    assert run("echo $PPID", **group).log_tail == first


def test_a_supervisor_that_is_killed_while_it_waits_is_replaced(run: Run) -> None:
    supervisor = int(run("echo $PPID", isolation=Isolation.GROUP).log_tail)
    os.kill(supervisor, signal.SIGKILL)
    assert wait_for(lambda: not Path(f"/proc/{supervisor}").exists())
    outcome = run("echo $PPID", isolation=Isolation.GROUP)
    assert outcome.reason == "ok"
    assert int(outcome.log_tail) != supervisor


def test_what_a_stage_used_is_not_counted_for_the_next_one(level: str, run: Run) -> None:
    large = run(f"{sys.executable} -S -c 'bytearray(b\"x\") * (200 << 20)'")
    assert large.max_rss_bytes > 200 << 20
    small = run("true")
    assert 0 < small.max_rss_bytes < 100 << 20
    assert 0 < small.cpu_seconds < large.cpu_seconds


def test_an_order_to_stop_that_comes_too_late_does_not_stop_the_next_stage(level: str, run: Run) -> None:
    def stop(line: str) -> None:
        cancel.set()

    for _ in range(5):
        cancel = threading.Event()
        assert run("echo up; sleep 0.2", on_line=stop, cancel=cancel).reason in ("cancelled", "ok")
        assert run("sleep 0.01; echo fine").log_tail == "fine"


def test_where_the_number_of_the_system_call_is_not_known_namespaces_are_made_by_two_forks(
    level: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "keeper.py"
    table = next(line for line in KEEPER.read_text().splitlines() if line.startswith("CLONE_CALLS = "))
    elsewhere.write_text(KEEPER.read_text().replace(table, "CLONE_CALLS = {}"))
    launcher.close()
    monkeypatch.setattr("runner.process.launcher.KEEPER", elsewhere)
    try:
        command, marker = daemon(tmp_path)
        assert run(f"{command}; echo here").log_tail == "here"
        assert run("echo again").log_tail == "again"
        assert not is_running(marker)
    finally:
        launcher.close()


def test_when_the_keeper_is_killed_running_stages_go_on(level: str, run: Run, tmp_path: Path) -> None:
    def kill_keeper(line: str) -> None:
        assert launcher._keeper is not None
        launcher._keeper.kill()
        (tmp_path / "go").touch()

    command, marker = daemon(tmp_path)
    outcome = run(f"{command}; echo up; until [ -e {tmp_path}/go ]; do sleep 0.01; done", on_line=kill_keeper)
    assert (outcome.reason, outcome.log_tail) == ("ok", "up")
    assert not is_running(marker)


def test_a_fork_of_the_runner_starts_a_keeper_of_its_own(run: Run, stage: StageRun, tmp_path: Path) -> None:
    assert run("true").reason == "ok"
    child = os.fork()
    if child == 0:
        own = replace(stage, commands=("true",), private_dir=tmp_path / "child", log_path=tmp_path / "child.log")
        good = run_stage(own, threading.Event()).reason == "ok"
        launcher.close()
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert run("true").reason == "ok"


def test_no_descriptor_is_left_after_many_stages(stage: StageRun, tmp_path: Path) -> None:
    def go(number: int) -> str:
        own = replace(stage, private_dir=tmp_path / f"p{number}", log_path=tmp_path / f"{number}.log")
        return run_stage(replace(own, commands=("ls -l /proc/self/fd | wc -l",)), threading.Event()).log_tail

    seen = go(0)
    assert seen == "5"  # a line of heading, 0 to 2, and the folder that ls reads
    gc.collect()  # what tests before this one left would be closed in between
    before = len(os.listdir("/proc/self/fd"))
    at_once = 8
    with ThreadPoolExecutor(at_once) as pool:
        assert set(pool.map(go, range(1, 60))) == {seen}
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + at_once  # the sockets of supervisors that wait for a stage


NOBODY = 65534
BECOME_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


def python_of_nobody() -> str:
    """An interpreter that an unprivileged user can run on this checkout; the test is skipped where there is none."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become somebody else, by setpriv")
    program = (
        "import os, sys, runner.errors; sys.exit(sys.version_info < (3, 11) or not os.access(sys.executable, os.X_OK))"
    )
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([*BECOME_NOBODY, python, "-c", program], cwd=ROOT, capture_output=True).returncode == 0:
            return python
    pytest.skip("an unprivileged user cannot read this checkout or any Python")


def test_an_unprivileged_user_gets_isolation_too(level: str) -> None:
    python = python_of_nobody()
    stage = (
        "id -u; echo x > out; echo y > other; stat -c %u out; grep CapEff /proc/self/status; touch /etc/x || echo no"
    )
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        os.chown(here, NOBODY, NOBODY)
        done = subprocess.run(
            [*BECOME_NOBODY, python, "-c", RUNNER, name, stage],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "RUNNER_ISOLATION": level},
        )
        if "does not work here" in done.stderr:
            pytest.skip("this system does not allow it to unprivileged users")
        assert not done.stderr, done.stderr
        reason, reached, tail, *undeclared = done.stdout.strip().split("|")
        assert (reason, reached.split("+")[0]) == ("ok", level)
        assert tail.split("\n")[:3] == [str(NOBODY), str(NOBODY), "CapEff:\t" + "0" * 16]
        assert tail.endswith("no")
        assert undeclared == (["other"] if level == "overlay" else [])
        out = upper_layer(here / "private") / "out" if level == "overlay" else here / "worktree" / "out"
        assert out.stat().st_uid == NOBODY


@pytest.mark.parametrize("limit", ["user", "mnt", "pid"])
def test_where_namespaces_are_forbidden_stages_run_all_the_same(tmp_path: Path, limit: str) -> None:
    forbid = f'echo 0 > /proc/sys/user/max_{limit}_namespaces 2> /dev/null || exit 77; exec "$@"'
    command = ["unshare", "-Ur", "sh", "-c", forbid, "-", sys.executable, "-c", RUNNER, str(tmp_path)]
    leftover, marker = daemon(tmp_path)
    done = subprocess.run([*command, f"{leftover}; echo fine"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip("this system does not let us forbid namespaces for ourselves")
    assert done.stdout.strip() == "ok|group|fine", done.stderr
    assert not is_running(marker)
