"""Stages as real processes, at every level of isolation that this system allows."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import HostError, InputError
from runner.process import isolation, memory_kills
from runner.process.isolation import Isolation, LevelRefused, Levels
from runner.process.private_folder import discard
from runner.process.stage_run import StageRun, base_environment, run_stage, upper_layer
from tests.process.conftest import Run, is_running, wait_for

STUBBORN = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(sys.argv[1], "w").close()
        time.sleep(1000)
    os._exit(0)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
"""
"""A daemon: its own session, forked twice, deaf to SIGTERM; argument 1 is the file that it makes and names it by."""


def daemon(tmp_path: Path) -> tuple[str, str]:
    """A command that leaves a daemon behind, and the marker to find it by."""
    program, marker = tmp_path / "daemon.py", str(tmp_path / "daemon-is-up")
    program.write_text(STUBBORN)
    return f"{sys.executable} -S {program} {marker}", marker


def test_a_command_that_succeeds_is_ok_and_its_output_is_logged(level: str, run: Run, stage: StageRun) -> None:
    outcome = run("echo out; echo err >&2")
    assert (outcome.reason, outcome.exit_code, outcome.signal) == ("ok", 0, None)
    assert outcome.isolation == {"overlay": "overlay+pid"}.get(level, level)
    assert stage.log_path.read_bytes() == b"out\nerr\n"
    assert outcome.log_bytes == 8
    assert outcome.log_sha256 == hashlib.sha256(b"out\nerr\n").hexdigest()
    assert outcome.log_tail == "out\nerr"


def test_the_list_stops_at_the_first_command_that_fails(level: str, run: Run) -> None:
    outcome = run("echo one", "echo two; exit 3", "echo three")
    assert (outcome.reason, outcome.exit_code, outcome.log_tail) == ("failed", 3, "one\ntwo")


def test_commands_run_in_the_folder_asked_for_with_the_environment_given_and_no_input(
    level: str, run: Run, stage: StageRun
) -> None:
    (stage.worktree / "sub").mkdir()
    command = 'pwd; echo "$GREETING [$SECRET_OF_RUNNER]"; cat; env | cut -d= -f1 | tr "\\n" " "'
    outcome = run(command, wdir="sub", env={"GREETING": "hello", "PATH": os.defpath})
    place, greeting, names = outcome.log_tail.split("\n")
    assert place == str(stage.worktree / "sub")
    assert greeting == "hello []"
    assert set(names.split()) == {"GREETING", "PATH", "PWD", "PYTHONDONTWRITEBYTECODE", "TMPDIR"}


def test_temporary_files_go_to_the_private_folder_and_no_byte_code_is_written(
    level: str, run: Run, stage: StageRun
) -> None:
    (stage.worktree / "module.py").write_text("")
    outcome = run(f"{sys.executable} -S -c 'import module'; mktemp")
    assert Path(outcome.log_tail).parent == stage.private_dir / "tmp"
    assert outcome.undeclared == ()
    assert os.listdir(stage.worktree) == ["module.py"]


def test_a_stage_runs_as_the_real_user_and_its_files_are_theirs(level: str, run: Run) -> None:
    outcome = run("id -u; id -g; echo x > out", outs=("out",))
    assert outcome.log_tail == f"{os.getuid()}\n{os.getgid()}"
    assert (outcome.output_root / "out").stat().st_uid == os.getuid()


def test_a_shell_may_be_named_and_bash_reads_no_startup_files(level: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("echo startup file\n")
    outcome = run("[[ a == a ]] && echo $BASH_VERSION", shell="bash", env={"PATH": os.defpath, "HOME": str(tmp_path)})
    assert outcome.reason == "ok"
    assert "startup" not in outcome.log_tail


def test_a_shell_that_is_missing_is_named(run: Run) -> None:
    with pytest.raises(InputError, match="'/no/such/shell' is not on this host"):
        run("true", shell="/no/such/shell")


def test_a_folder_to_run_in_that_is_missing_fails_the_stage_and_says_so(level: str, run: Run) -> None:
    outcome = run("true", wdir="gone")
    assert (outcome.reason, outcome.exit_code) == ("failed", 127)
    assert "the working folder gone cannot be entered: No such file or directory" in outcome.log_tail


def test_a_nul_byte_in_a_variable_is_bad_input(run: Run) -> None:
    with pytest.raises(InputError, match="NUL byte"):
        run("true", env={"A": "x\0y"})


def test_odd_bytes_pass_unharmed(level: str, run: Run, stage: StageRun) -> None:
    folder = stage.worktree.parent / "wörk, tree:\\x=1 \udcff"
    folder.mkdir()
    outcome = run('echo "$ODD" > out; pwd >> out', worktree=folder, env={"ODD": "ü\udcfe\n'"}, outs=("out",))
    expected = b"\xc3\xbc\xfe\n'\n" + os.fsencode(folder) + b"\n"
    assert (outcome.output_root / "out").read_bytes() == expected


def test_time_processor_and_memory_are_those_of_the_whole_tree(level: str, run: Run) -> None:
    hungry = "x = bytearray(90_000_000)\nwhile __import__('time').process_time() < 0.4: pass"
    outcome = run(f'(setsid {sys.executable} -S -c "{hungry}") & wait')
    assert outcome.reason == "ok"
    assert 0.4 <= outcome.cpu_seconds < 5
    assert 90_000_000 < outcome.max_rss_bytes < 200_000_000
    assert outcome.seconds >= 0.35


def test_lines_are_told_while_the_stage_runs(level: str, run: Run, tmp_path: Path) -> None:
    seen: list[str] = []

    def on_line(line: str) -> None:
        seen.append(line)
        (tmp_path / "go").touch()

    outcome = run(
        f"echo first; until [ -e {tmp_path}/go ]; do sleep 0.01; done; printf 'a\\rb\\nlast'", on_line=on_line
    )
    assert outcome.reason == "ok"
    assert seen == ["first", "a", "b", "last"]


def test_an_error_while_telling_lines_ends_the_stage(level: str, run: Run, tmp_path: Path) -> None:
    def on_line(line: str) -> None:
        raise ValueError(line)

    command, marker = daemon(tmp_path)
    with pytest.raises(ValueError, match="ready"):
        run(f"{command}; echo ready; sleep 1000", on_line=on_line)
    assert not is_running(marker)


def test_secrets_never_reach_the_log(level: str, run: Run, stage: StageRun) -> None:
    secret = "s3cr3t-value-of-some-length"
    outcome = run(
        "printf 's3cr3t-value-'; sleep 0.1; echo of-some-length; echo \"$TOKEN\" | fold -w 10",
        env={"TOKEN": secret, "PATH": os.defpath},
        redact={"TOKEN": secret},
    )
    assert stage.log_path.read_text() == "[TOKEN]\n[TOKEN]\n"
    assert outcome.log_tail == "[TOKEN]\n[TOKEN]"


# --- the end of a stage ---------------------------------------------------------------------------------------------


def test_a_timeout_ends_a_stage_by_sigterm(level: str, run: Run) -> None:
    begun = time.monotonic()
    outcome = run("trap 'echo bye; exit 5' TERM; echo up; sleep 1000 & wait", timeout_seconds=2)
    assert (outcome.reason, outcome.exit_code, outcome.log_tail) == ("timeout", 5, "up\nbye")
    assert 2 <= time.monotonic() - begun < 1000


def test_a_stage_deaf_to_sigterm_is_killed_after_the_grace(level: str, run: Run) -> None:
    begun = time.monotonic()
    outcome = run("trap '' TERM; while :; do sleep 0.05; done", "echo never", timeout_seconds=2, grace_seconds=0.3)
    assert (outcome.reason, outcome.exit_code, outcome.signal) == ("timeout", None, signal.SIGKILL)
    assert "never" not in outcome.log_tail
    assert time.monotonic() - begun >= 2.3


def test_a_cancelled_stage_ends_by_sigterm(level: str, run: Run, tmp_path: Path) -> None:
    cancel = threading.Event()
    up = tmp_path / "up"

    def cancels() -> None:
        if wait_for(up.exists):
            cancel.set()

    threading.Thread(target=cancels).start()
    outcome = run(f"touch {up}; sleep 1000", "echo never", cancel=cancel)
    assert (outcome.reason, outcome.signal, outcome.log_tail) == ("cancelled", signal.SIGTERM, "")


def test_a_stage_cancelled_beforehand_hardly_begins(level: str, run: Run) -> None:
    cancel = threading.Event()
    cancel.set()
    outcome = run("sleep 1000", cancel=cancel)
    assert outcome.reason == "cancelled"


def test_a_daemon_does_not_survive_a_stage_that_ends_well(level: str, run: Run, tmp_path: Path) -> None:
    command, marker = daemon(tmp_path)
    outcome = run(f"{command}; echo ready")
    assert (outcome.reason, outcome.log_tail, outcome.leftovers) == ("ok", "ready", False)
    assert Path(marker).exists()
    assert not is_running(marker)


def test_a_daemon_does_not_survive_a_timeout(level: str, run: Run, tmp_path: Path) -> None:
    command, marker = daemon(tmp_path)
    outcome = run(f"{command}; sleep 1000", timeout_seconds=3, grace_seconds=0.2)
    assert outcome.reason == "timeout"
    assert Path(marker).exists()
    assert not is_running(marker)


def test_what_is_started_in_the_background_lives_until_the_last_command(level: str, run: Run) -> None:
    outcome = run("(sleep 0.2; echo made) > late &", "until test -s late; do sleep 0.05; done; cat late")
    assert (outcome.reason, outcome.log_tail) == ("ok", "made")


@pytest.mark.parametrize(("command", "exit_code", "number"), [
    ("kill -KILL $$", None, signal.SIGKILL),
    ("kill -SEGV $$", None, signal.SIGSEGV),
    ("sh -c 'kill -ABRT $$'; exit $?", 134, signal.SIGABRT),
])  # fmt: skip
def test_a_stage_killed_by_a_signal_says_which(
    level: str, run: Run, command: str, exit_code: int | None, number: int
) -> None:
    outcome = run(command)
    assert (outcome.reason, outcome.exit_code, outcome.signal) == ("killed", exit_code, number)


def test_a_stage_killed_while_the_kernel_counts_a_kill_for_memory_ran_out_of_it(
    level: str, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counter = tmp_path / "memory.events"  # as the kernel writes it; a real one: tests/reconcile/test_out_of_memory.py
    counter.write_text("oom 0\noom_kill 3\n")
    monkeypatch.setattr(memory_kills, "_source", lambda: str(counter))
    assert run("sh -c 'kill -KILL $$'; exit $?").reason == "killed"
    outcome = run(f"echo oom_kill 4 > {counter}; kill -KILL $$")
    assert (outcome.reason, outcome.signal) == ("oom", signal.SIGKILL)


def test_a_stage_that_kills_its_own_supervisor_is_killed_whole(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNNER_ISOLATION", "group")
    command, marker = daemon(tmp_path)
    outcome = run(f"{command}; kill -KILL $PPID; sleep 1000")
    assert (outcome.reason, outcome.signal) == ("killed", signal.SIGKILL)
    assert wait_for(lambda: not is_running(marker))
    assert run("echo fine").log_tail == "fine"


def test_inside_a_namespace_nobody_else_is_seen_or_killed(run: Run, level: str) -> None:
    if level == "group":
        pytest.skip("processes of others are seen at this level")
    assert run("{ kill -KILL 1; kill -KILL -1; } 2> /dev/null; set -- /proc/[0-9]*; echo $# $$").log_tail == "2 2"


# --- the overlay ----------------------------------------------------------------------------------------------------


@pytest.fixture
def overlay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if isolation.available_isolation(tmp_path) is not Isolation.OVERLAY:
        pytest.skip("this system does not allow overlays")


@pytest.mark.usefixtures("overlay")
def test_outputs_are_found_in_the_layer_and_the_worktree_is_untouched(run: Run, stage: StageRun) -> None:
    (stage.worktree / "in.txt").write_text("in")
    outcome = run("mkdir -p models; cat in.txt in.txt > models/m; rm in.txt", outs=("models/m",))
    assert (outcome.output_root / "models" / "m").read_text() == "inin"
    assert outcome.undeclared == ("in.txt",)
    assert os.listdir(stage.worktree) == ["in.txt"]


@pytest.mark.usefixtures("overlay")
def test_undeclared_writes_are_named(run: Run, stage: StageRun) -> None:
    for name in ("kept", "changed", "deleted", "folder/deep/file", "emptied/a", "outs/.keep"):
        path = stage.worktree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("before")
    outcome = run(
        "echo after > changed; rm deleted; echo x > folder/deep/new; chmod +x kept",
        "mkdir -p made/it; echo x > made/it/file",
        "rm -r emptied; mkdir emptied; mkdir -p outs/a/b; echo x > outs/a/b/c; echo x > outs/a/beside",
        f"{sys.executable} -c \"open('folder/deep/file', 'r+').close()\"",
        outs=("outs/a/b",),
    )
    assert outcome.reason == "ok", outcome.log_tail
    assert outcome.undeclared == (
        "changed", "deleted", "emptied/", "folder/deep/new", "kept", "made/", "outs/a/beside",
    )  # fmt: skip


@pytest.mark.usefixtures("overlay")
def test_at_most_a_hundred_undeclared_writes_are_named(run: Run) -> None:
    assert len(run("for i in $(seq 150); do echo > f$i; done").undeclared) == 100


@pytest.mark.usefixtures("overlay")
def test_an_output_that_stood_in_the_layer_before_is_changed_in_place(run: Run, stage: StageRun) -> None:
    kept = upper_layer(stage.private_dir) / "deep" / "kept"
    kept.mkdir(parents=True)
    (kept / "old").write_text("old")
    (kept / "gone").write_text("gone")
    (stage.worktree / "deep").mkdir()
    (stage.worktree / "deep" / "beside").write_text("beside")
    outcome = run("cat deep/kept/old deep/beside > deep/kept/new; rm deep/kept/gone", outs=("deep/kept",))
    assert outcome.undeclared == ()
    out = outcome.output_root / "deep" / "kept"
    assert sorted(os.listdir(out)) == ["new", "old"]
    assert (out / "new").read_text() == "oldbeside"
    assert os.listdir(stage.worktree / "deep") == ["beside"]


@pytest.mark.usefixtures("overlay")
def test_parallel_stages_on_one_worktree_do_not_meet(stage: StageRun, tmp_path: Path) -> None:
    (stage.worktree / "shared").write_text("0")

    def go(number: int) -> str:
        own = replace(stage, commands=(f"echo {number} > shared; sleep 0.1; cat shared > out",), outs=("out",),
                      private_dir=tmp_path / f"p{number}", log_path=tmp_path / f"{number}.log",
                      isolation=Isolation.OVERLAY)  # fmt: skip
        return (run_stage(own, threading.Event()).output_root / "out").read_text().strip()

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(go, range(12))) == [str(number) for number in range(12)]
    assert (stage.worktree / "shared").read_text() == "0"


@pytest.mark.usefixtures("overlay")
def test_a_level_that_cannot_be_entered_is_refused_before_anything_starts(
    stage: StageRun, run: Run, tmp_path: Path
) -> None:
    with pytest.raises(LevelRefused, match="stage cannot be isolated by overlay") as caught:
        run(f"touch {tmp_path}/started", worktree=tmp_path / "gone")
    assert caught.value.level is Isolation.OVERLAY
    assert not (tmp_path / "started").exists()


@pytest.mark.usefixtures("overlay")
def test_a_private_folder_can_be_removed_whatever_is_in_it(run: Run, stage: StageRun) -> None:
    run("mkdir -p out/closed; echo x > out/closed/file; chmod 0 out/closed", outs=("out",))
    discard(stage.private_dir)
    assert not stage.private_dir.exists()
    discard(stage.private_dir)


# --- many at once, and the level ------------------------------------------------------------------------------------


def test_many_stages_run_at_once(level: str, stage: StageRun, tmp_path: Path) -> None:
    (tmp_path / "met").mkdir()
    meets = f"until test $(ls {tmp_path}/met | wc -l) = 16; do sleep 0.05; done"  # for ever, were they one by one

    def go(number: int) -> tuple[str, str]:
        own = replace(stage, commands=(f"touch {tmp_path}/met/{number}; {meets}; echo {number}",),
                      private_dir=tmp_path / f"p{number}",
                      log_path=tmp_path / f"{number}.log",
                      isolation=isolation.available_isolation(tmp_path))  # fmt: skip
        outcome = run_stage(own, threading.Event())
        return outcome.reason, outcome.log_tail

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(go, range(16))) == [("ok", str(number)) for number in range(16)]


def test_an_unknown_level_is_bad_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_ISOLATION", "jail")
    with pytest.raises(InputError, match="unknown level 'jail'"):
        run("true")


def test_a_level_that_does_not_work_here_is_said_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(isolation._found, tmp_path.stat().st_dev, (Isolation.GROUP, "pid: not allowed"))
    assert isolation.available_isolation(tmp_path) is Isolation.GROUP
    with pytest.raises(HostError, match="RUNNER_ISOLATION=pid does not work here: pid: not allowed"):
        isolation.available_isolation(tmp_path, {"RUNNER_ISOLATION": "pid"})


def test_levels_go_down_to_the_last_and_stay_where_somebody_else_was_faster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(isolation._found, tmp_path.stat().st_dev, (Isolation.OVERLAY, ""))
    levels = Levels(tmp_path)
    refused = LevelRefused(levels.current, "not today")
    levels.lower(refused)
    levels.lower(refused)
    assert levels.current is Isolation.PID
    levels.lower(LevelRefused(Isolation.PID, "neither"))
    assert levels.current is Isolation.GROUP
    with pytest.raises(HostError, match="isolated by group"):
        levels.lower(LevelRefused(Isolation.GROUP, "nothing"))
    assert Levels(tmp_path, overlay=False).current is Isolation.PID
    asked = Levels(tmp_path, environ={"RUNNER_ISOLATION": "overlay"})
    with pytest.raises(HostError, match="not today"):
        asked.lower(refused)


def test_a_private_folder_that_cannot_be_made_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match=r"file/private.*: Not a directory"):
        run("true", private_dir=tmp_path / "file" / "private")


def test_the_environment_of_stages_holds_no_credentials() -> None:
    environ = {
        "PATH": "/bin", "LC_ALL": "C", "https_proxy": "http://p", "AWS_SECRET_ACCESS_KEY": "x", "GITHUB_TOKEN": "x",
        "RUNNER_KEY": "x", "SSH_AUTH_SOCK": "x", "CUDA_VISIBLE_DEVICES": "0",
    }  # fmt: skip
    assert set(base_environment(environ)) == {"PATH", "LC_ALL", "https_proxy", "CUDA_VISIBLE_DEVICES"}
