"""Killed anywhere, the next reconcile goes on: nothing that finished runs twice, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World, until
from tests.repositories import git

SLEEP = f"sleep 4{os.getpid()}"
"""How this process's stages sleep, so that those of tests beside it are told apart."""

STAGES = f"""\
stages:
  quick:
    cmd: echo quick >> @TRACE@; cp in quick
    deps: [in]
    outs: [quick]
  slow:
    cmd: echo slow >> @TRACE@; test -e @TRACE@.go || {SLEEP}; cp quick slow
    deps: [quick]
    outs: [slow]
"""
PROJECT = "apiVersion: runner/v1\nkind: Project\nmetadata: {name: x}\nspec: {record: {every: 1h}}\n"


def sleepers() -> int:
    done = subprocess.run(["pgrep", "-fc", f"^{SLEEP}$"], capture_output=True, text=True, check=False)
    return int(done.stdout or 0)


def started(world: World, *options: str) -> subprocess.Popen[str]:
    """A reconcile whose slow stage is under way and whose quick one has finished."""
    process = world.start("reconcile", "--json", *options)
    until(lambda: (world.folder / "trace").read_text().split() == ["quick", "slow"])
    return process


@pytest.mark.parametrize("isolation", [(), ("--no-isolation",)])
def test_a_killed_runner_leaves_no_stage_behind_and_loses_no_result(tmp_path: Path, isolation: tuple[str, ...]) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "1\n", "runner.yaml": PROJECT})
    before = sleepers()
    process = started(world, *isolation)
    until(lambda: sleepers() == before + 1)
    process.kill()
    process.communicate()
    until(lambda: sleepers() == before)
    assert world.tip() is None
    (world.folder / "trace.go").touch()
    world.trace()
    done = world.runner("reconcile", "--json")
    assert "finished here before and not published yet; trying that now: dvc.yaml:quick" in done.stderr
    assert ([run["stage"] for run in json.loads(done.stdout)["runs"]], world.trace()) == (["slow"], ["slow"])
    assert set(world.plan().values()) == {"keep"}
    assert world.reconcile().commit is None
    assert [run["stage"] for run in world.runs()] == ["quick", "slow"]
    check_ledger(world.remote)
    assert list(world.home("a").glob("r/*/journal/**/*.jsonl")) == []
    places = [path for place in world.home("a").glob("r/*/w/*") for path in place.iterdir() if path.name != "lock"]
    assert places == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stop_publishes_what_has_finished(tmp_path: Path, number: signal.Signals, code: int) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "1\n", "runner.yaml": PROJECT})
    before = sleepers()
    process = started(world)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert sleepers() == before
    value = json.loads(out)
    assert [run["stage"] for run in value["runs"]] == ["quick"]
    assert (value["commit"], value["exitCode"]) == (world.tip(), code)
    assert world.plan() == {"quick": "keep", "slow": "run"}
    check_ledger(world.remote)


def test_results_that_the_remote_refuses_are_kept_and_published_later(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "1\n"})
    (world.folder / "trace.go").touch()
    hook = world.remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not on a Friday >&2\nexit 1\n")
    hook.chmod(0o755)
    told = world.runner("reconcile", ok=(4,))
    [claims] = [line for line in told.stderr.splitlines() if "the remote takes no claims" in line]
    assert "not on a Friday" in claims
    assert "it may refuse the results, too" in claims
    assert "not on a Friday" in told.stderr.partition("error: ")[2]
    assert world.tip() is None
    assert world.trace() == ["quick", "slow"]
    world.runner("reconcile", ok=(4,))
    hook.unlink()
    done = world.reconcile()
    assert (world.trace(), done.actions) == ([], {"quick": "keep", "slow": "keep"})
    assert [run["stage"] for run in world.runs()] == ["quick", "slow"]
    assert world.reconcile().commit is None
    check_ledger(world.remote)


CHAIN = "stages:\n" + "".join(
    f"  s{n}:\n    cmd: sleep 0.35; cp {source} s{n}\n    deps: [{source}]\n    outs: [s{n}]\n"
    for n, source in enumerate(["in", "s0", "s1", "s2"])
)


def test_results_are_published_while_other_stages_run(tmp_path: Path) -> None:
    project = PROJECT.replace("1h", "300ms")
    world = World.create(tmp_path, {"dvc.yaml": CHAIN, "in": "1\n", "runner.yaml": project}, dvc=True)
    hook = world.remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    once = f"test -e {tmp_path}/once && exit 0\ntouch {tmp_path}/once\necho later >&2\nexit 1\n"
    hook.write_text(f"#!/bin/sh\ngrep -q runner/state || exit 0\n{once}")
    hook.chmod(0o755)
    told = world.reconcile()
    assert "later; " in told.err.replace("\n", " ")
    assert "kept here and tried again" in told.err
    assert told.ran == ["s0", "s1", "s2", "s3"]
    assert len(told.value["commits"]) >= 2
    reconciles = {record["reconcile"]["id"] for record in world.records() if "reconcile" in record}
    assert len(reconciles) == 1
    assert world.reconcile().commit is None
    check_ledger(world.remote)


def test_an_acknowledgement_that_is_lost_makes_no_second_record(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES.replace("cp quick slow", "exit 1"), "in": "1\n"})
    (world.folder / "trace.go").touch()
    hook = world.remote / "hooks/post-receive"
    hook.parent.mkdir(exist_ok=True)
    once = f"test -e {world.folder}/once && exit 0\ntouch {world.folder}/once\nkill -9 $PPID\n"
    hook.write_text(f"#!/bin/sh\ngrep -q runner/state || exit 0\n{once}")
    hook.chmod(0o755)
    told = world.reconcile(ok=(3,))
    assert (world.folder / "once").exists()
    assert told.commit is not None or told.code == 3
    assert world.reconcile(ok=(3,)).commit is None
    assert [run["stage"] for run in world.runs()] == ["quick", "slow"]
    check_ledger(world.remote)


def test_a_crash_after_the_push_makes_no_second_record(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES.replace("cp quick slow", "exit 1"), "in": "1\n"})
    (world.folder / "trace.go").touch()
    hook = world.remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nsleep 0.5\n")
    hook.chmod(0o755)
    process = world.start("reconcile", "--json")
    journal: dict[Path, bytes] = {}

    def seen() -> bool:
        for path in world.home("a").glob("r/*/journal/**/*.jsonl"):
            text = path.read_bytes()
            if text.count(b"\n") == 2 and b"published" not in text:
                journal[path] = text
        return process.poll() is not None

    until(seen)
    process.communicate()
    assert journal, "the journal was not seen before it was published"
    for path, text in journal.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    told = world.reconcile(ok=(3,))
    assert (told.ran, told.commit) == ([], None)
    assert [run["stage"] for run in world.runs()] == ["quick", "slow"]
    assert list(world.home("a").glob("r/*/journal/**/*.jsonl")) == []
    check_ledger(world.remote)


def test_a_state_branch_that_somebody_rewrote_is_held_until_a_person_accepts_it(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "1\n"})
    (world.folder / "trace.go").touch()
    first = world.reconcile().commit
    world.edit({"in": "2\n"})
    second = world.reconcile().commit
    world.trace()
    git(world.remote, "update-ref", "refs/heads/runner/state", first or "")
    told = world.reconcile(ok=(6,))
    assert "--accept-state" in told.err
    assert (world.trace(), world.tip()) == ([], first)
    assert "--accept-state" in world.reconcile(ok=(6,)).err
    world.reconcile("--accept-state", str(second), ok=(1,))
    told = world.reconcile("--accept-state", str(first))
    assert told.ran == ["quick", "slow"]
    fork = world.tip()
    git(world.remote, "update-ref", "refs/heads/runner/state", second or "")
    world.reconcile(ok=(6,))
    said = world.reconcile("--accept-state", str(second)).err
    assert f"runner/state does not go on from {str(fork)[:12]}" in said
    assert f"at {str(second)[:12]} has records that are new to this host: 4 to 6; they count from now on\n" in said
    assert os.path.exists(world.remote)
    assert world.reconcile().commit is None
    check_ledger(world.remote)
