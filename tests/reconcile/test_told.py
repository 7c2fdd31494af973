"""What a reconcile says at its end is true: of stops, of failures that stand, of races, of bytes that moved."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from runner.process import stage_log
from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import STATE, World, until

STAGES = """\
stages:
  good:
    cmd: cp in good
    deps: [in]
    outs: [good]
  bad:
    cmd: test $(cat in) != 1 && cp in bad
    deps: [in]
    outs: [bad]
  after:
    cmd: cp bad after
    deps: [bad]
    outs: [after]
"""
SLOW = """\
stages:
  slow:
    cmd: echo slow >> @TRACE@; until test -e @TRACE@.go; do sleep 0.05; done; cp in slow
    deps: [in]
    outs: [slow]
"""


def test_failures_that_stand_are_said_when_there_is_nothing_new(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "1\n"})
    world.reconcile(ok=(3,))
    said = world.runner("reconcile", ok=(3,)).stderr
    assert "Nothing new to record: 1 stage stands failed, 1 waits." in said
    world.edit({"in": "2\n"})
    world.reconcile()
    assert "Nothing to record: the state branch says it all." in world.runner("reconcile").stderr


def test_of_a_commit_that_is_older_than_what_stands_it_is_said_that_this_counts(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": "stages:\n  a: {cmd: cp in a, deps: [in], outs: [a]}\n", "in": "1\n"})
    older = world.repo.head
    world.reconcile()
    newer = world.edit({"in": "2\n"})
    tip = world.reconcile().commit
    said = world.runner("reconcile", older)
    assert f"Nothing to record: {older[:12]} is older than {newer[:12]}, which is what counts now." in said.stderr
    assert world.tip() == tip
    assert "Nothing to record: the state branch says it all." in world.runner("reconcile").stderr


def test_a_retry_of_what_did_not_fail_is_said_and_no_error(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "1\n"})
    world.reconcile(ok=(3,))
    told = world.reconcile("--retry", "good", "after", "bad", ok=(3,))
    assert told.ran == ["bad"]
    assert [row["message"] for row in told.value["notices"]] == [
        "dvc.yaml:after did not fail, so it was not tried again: it waits for an input",
        "dvc.yaml:good did not fail, so it was not tried again: it is up to date",
    ]
    world.edit({"in": "2\n"})
    assert world.reconcile("--retry", "good").value["notices"] == []  # it ran anyway
    done = world.runner("reconcile", "--retry", "good")
    assert "notice: dvc.yaml:good did not fail, so it was not tried again: it is up to date" in done.stderr
    assert "no stage stands failed, so there was nothing to try again" in world.runner("reconcile", "--retry").stderr


def test_a_stop_before_anything_finished_is_not_called_done(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": SLOW, "in": "1\n"})
    summary = tmp_path / "summary.md"
    process = world.start("reconcile", "--markdown", str(summary))
    until(lambda: written(world) == ["slow"])
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Stopped: nothing was recorded; what did not finish runs the next time." in err
    assert "says it all" not in err
    assert "Stopped before anything ran." in summary.read_text()


def test_a_stop_in_the_middle_says_what_was_recorded(tmp_path: Path) -> None:
    quick = "  quick: {cmd: echo quick >> @TRACE@; cp in quick, deps: [in], outs: [quick]}\n"
    after = "  after: {cmd: 'sleep 600 & echo after >> @TRACE@; wait', deps: [quick], outs: [after]}\n"
    world = World.create(tmp_path, {"dvc.yaml": f"stages:\n{quick}{after}", "in": "1\n"})
    process = world.start("reconcile")
    until(lambda: "after" in written(world))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"Stopped: recorded 1 run in {str(world.tip())[:12]}, not signed; the next reconcile does the rest." in err


def test_a_run_that_lost_a_race_is_said_to_be_dropped(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": SLOW, "in": "1\n"})
    hook = world.remote / "hooks/update"
    hook.write_text('#!/bin/sh\ncase "$1" in *claims*) exit 1;; esac\n')  # so that neither knows of the other
    hook.chmod(0o755)
    both = [world.start("reconcile", "--json", "--repo", str(world.remote), host=host, cwd=tmp_path) for host in "ab"]
    until(lambda: len(written(world)) == 2)
    (tmp_path / "trace.go").touch()
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    values = [json.loads(out) for out, _ in said]
    (lost,) = [number for number, value in enumerate(values) if value["dropped"]]
    (row,) = values[lost]["dropped"]
    (run,) = values[lost]["runs"]
    assert row == {"stage": "dvc.yaml:slow", "key": run["key"], "runId": run["runId"], "acceptedRecord": 1}
    assert "1 run was dropped, since another runner recorded the same work first" in said[lost][1]
    assert "dropped" not in said[1 - lost][1]
    check_ledger(world.remote)


def test_bytes_that_move_to_a_new_remote_are_counted(tmp_path: Path) -> None:
    stages = "stages:\n  a: {cmd: cp in a; mkdir d; cp in d/x; echo 2 > d/y, deps: [in], outs: [a, d]}\n"
    world = World.create(tmp_path, {"dvc.yaml": stages, "in": "1\n"})
    assert world.reconcile().value["sent"] == []
    config = f"[core]\n    remote = store\n['remote \"store\"']\n    url = {world.store}\n"
    world.edit({".dvc/config": config}, "Add a DVC remote")
    done = world.runner("reconcile")
    objects = [path for path in world.store.rglob("*") if path.is_file()]
    assert f"sent     {len(objects)} objects (" in done.stdout
    assert "to the DVC remote store" in done.stdout
    assert "Recorded what stands now in" in done.stderr
    world.edit({"in": "7\n"})
    told = world.reconcile()
    fresh = [path for path in world.store.rglob("*") if path.is_file() and path not in objects]
    assert told.value["sent"] == [
        {"remote": "store", "objects": len(fresh), "sizeBytes": sum(path.stat().st_size for path in fresh)}
    ]
    assert world.runner("reconcile").stdout == ""


def test_runs_of_a_killed_reconcile_that_are_recorded_late_are_said(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "2\n"})
    hook = world.remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    world.runner("reconcile", ok=(4,))
    hook.unlink()
    done = world.runner("reconcile")
    assert f"Recorded what stands now in {str(world.tip())[:12]}, not signed; nothing had to run." in done.stderr


def test_missing_secrets_are_all_named_with_the_stages_that_need_them(tmp_path: Path) -> None:
    spec = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
    one: {cmd: cp in one, deps: [in], outs: [one], secrets: [TOKEN]}
    two: {cmd: cp in two, deps: [in], outs: [two], secrets: [TOKEN, PASSWORD]}
    free: {cmd: cp in free, deps: [in], outs: [free]}
"""
    world = World.create(tmp_path, {"runner.yaml": spec, "in": "1\n"})
    error = world.reconcile(ok=(1,)).value["error"]
    assert error["message"] == "2 secrets are missing: PASSWORD (needed by p:two), TOKEN (needed by p:one, p:two)"
    assert "`PASSWORD=...`" in error["hint"]
    assert "RUNNER_SECRETS_DIR" in error["hint"]
    assert world.reconcile("--only", "free").ran == ["free"]


def written(world: World) -> list[str]:
    """What commands wrote so far, left where it is."""
    return (world.folder / "trace").read_text().split()


def test_what_is_waited_for_is_said_where_a_remote_does_not_answer(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"in": "1\n"})
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"git://127.0.0.1:{silent.getsockname()[1]}/models.git"
        world.environ["RUNNER_GIT_TIMEOUT"] = "5"
        done = world.runner("reconcile", "--repo", url, ok=(4,))
    waiting, gave_up = done.stderr.index(f"waiting for {url}"), done.stderr.index("did not answer within 5 s")
    assert waiting < gave_up


def test_a_level_of_isolation_that_does_not_exist_is_said_before_anything_is_asked_of_the_remote(
    tmp_path: Path,
) -> None:
    world = World.create(tmp_path, {"in": "1\n"})
    world.environ["RUNNER_ISOLATION"] = "submarine"
    done = world.runner("reconcile", "--repo", "git://127.0.0.1:9/models.git", ok=(1,))
    assert "RUNNER_ISOLATION: unknown level 'submarine'" in done.stderr


def test_of_a_stage_that_fails_after_a_flood_the_reason_says_that_its_log_is_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_log, "HEAD_BYTES", 1000)
    monkeypatch.setattr(stage_log, "SEGMENT_BYTES", 100)
    stages = "stages:\n  flood: {cmd: seq 5000; exit 3, deps: [in], outs: [flood]}\n"
    world = World.create(tmp_path, {"dvc.yaml": stages, "in": "1\n"})
    world.reconcile(ok=(3,))
    why = "exit code 3; it printed more than its log may hold, 2"
    assert world.runs()[0]["outcome"]["message"].startswith(why)
    for command in ("status", "explain"):
        words = [command] if command == "status" else [command, "flood"]
        assert why in world.runner(*words, ok=(0, 3)).stdout


def test_a_remote_that_takes_a_push_and_never_answers_is_told_as_one_and_not_as_a_lost_race(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "2\n"})
    hook = world.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexec sleep 600\n")
    hook.chmod(0o755)
    world.environ["RUNNER_GIT_TIMEOUT"] = "2"
    told = world.reconcile(ok=(4,))
    assert "2 pushes to runner/state got no answer and did not arrive" in told.err
    assert "the results are kept on this host" in told.err
    hook.unlink()
    assert world.reconcile().ran == []  # they were kept
    check_ledger(world.remote)


def test_a_rewritten_state_branch_is_restored_by_the_command_in_the_message(tmp_path: Path) -> None:
    world = World.create(
        tmp_path / "world", {"dvc.yaml": "stages:\n  a: {cmd: cp in a, deps: [in], outs: [a]}\n", "in": "1\n"}
    )
    first = world.reconcile().commit
    world.edit({"in": "2\n"})
    lost = world.reconcile().commit
    world.repo.git("push", "--force", "origin", f"{first}:refs/heads/{STATE}")
    told = world.reconcile(ok=(6,))
    command = told.err.partition("to restore it, run `")[2].partition("`")[0]
    subprocess.run(shlex.split(command), check=True)
    assert world.tip() == lost
    assert world.reconcile().actions == {"a": "keep"}
