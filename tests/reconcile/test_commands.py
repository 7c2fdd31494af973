"""The ways in: replay, apply, the daemon, repositories without a remote, commits that are elsewhere."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World, until
from tests.repositories import git

STAGES = """\
stages:
  fixed:
    cmd: echo fixed >> @TRACE@; cp in fixed
    deps: [in]
    outs: [fixed]
  random:
    cmd: echo random >> @TRACE@; date +%N > random; cat fixed >> random
    deps: [fixed]
    outs: [random]
  fails:
    cmd: echo fails >> @TRACE@; exit 2
    deps: [in]
    outs: [fails]
"""
FILES = {"dvc.yaml": STAGES, "in": "1\n"}
GOOD = {**FILES, "dvc.yaml": STAGES[: STAGES.index("  fails")]}


pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Reconciled once."""
    world = World.create(tmp_path_factory.mktemp("world"), GOOD)
    world.reconcile()
    world.trace()
    return world


def test_a_replay_runs_a_record_again_and_compares(world: World) -> None:
    numbers = {run["stage"]: number for number, run in enumerate(world.runs(), 1)}
    tip = world.tip()
    same = json.loads(world.runner("replay", str(numbers["fixed"]), "--json").stdout)
    assert same["same"] is True
    done = world.runner("replay", str(numbers["random"]), "--json", ok=(3,))
    value = json.loads(done.stdout)
    assert value["same"] is False
    assert "random" in done.stdout
    assert "results stay on this host" not in done.stderr  # it leaves none
    assert world.trace() == ["fixed", "random"]
    assert world.tip() == tip
    assert world.reconcile().commit is None
    world.runner("replay", "99", ok=(1,))
    world.edit({"in": "2\n"})
    world.reconcile()
    world.trace()
    assert json.loads(world.runner("replay", str(numbers["fixed"]), "--json").stdout)["same"] is True
    assert world.reconcile().commit is None


def test_a_summary_that_cannot_be_written_is_told_before_anything_runs(world: World) -> None:
    world.edit({"in": "summary\n"})
    done = world.runner("reconcile", "--markdown", "no/such/folder/summary.md", ok=(1,))
    assert "No such file or directory\n  choose another place for the summary" in done.stderr
    assert (world.trace(), done.stdout) == ([], "")


def test_what_was_recorded_is_told_although_the_summary_is_lost(world: World) -> None:
    world.edit({"in": "full\n"})
    done = world.runner("reconcile", "--json", "--markdown", "/dev/full", ok=(4,))
    assert json.loads(done.stdout)["exitCode"] == 0
    assert "Recorded 2 runs in " in done.stderr
    assert "/dev/full: No space left on device" in done.stderr
    assert world.trace() == ["fixed", "random"]


def test_an_empty_url_is_not_taken_for_this_folder(world: World) -> None:
    for words in (["reconcile"], ["daemon", "--once"], ["claims", "list"]):
        assert "--repo: the URL is empty" in world.runner(*words, "--repo", "", ok=(1,)).stderr


def test_a_relative_path_of_a_repository_is_seen_from_the_folder_of_the_command(world: World) -> None:
    place = os.path.relpath(world.remote, world.repo.path)
    world.runner("-C", str(world.repo.path), "claims", "list", "--repo", place, cwd=Path("/"))


def test_a_plan_is_applied_once_and_only_where_nothing_moved(world: World) -> None:
    world.edit({"in": "3\n"})
    world.runner("plan", "--out", "../p1", ok=(2,))
    world.trace()
    world.runner("apply", "../p1")
    assert world.trace() == ["fixed", "random"]
    world.runner("apply", "../p1", ok=(5,))
    assert world.trace() == []
    world.edit({"in": "4\n"})
    world.runner("plan", "--out", "../p2", ok=(2,))
    world.edit({"in": "5\n"})
    assert "desired now" in world.runner("apply", "../p2", ok=(5,)).stderr
    assert world.trace() == []
    world.runner("apply", "../p3", ok=(1,))
    (world.folder / "p4").write_text("{}")
    world.runner("apply", "../p4", ok=(1,))
    world.reconcile()
    world.trace()


def test_a_plan_of_a_proposal_is_applied_to_the_proposal(world: World) -> None:
    world.repo.git("switch", "--quiet", "--create", "side")
    world.edit({"in": "6\n"})
    world.repo.git("switch", "--quiet", "main")
    world.runner("plan", "origin/side", "--out", "../p5", ok=(2,))
    before = world.tip()
    world.runner("apply", "../p5")
    assert world.trace() == ["fixed", "random"]
    assert world.tip() == before
    assert world.tip("runner/proposed/side") is not None


def test_only_some_stages(world: World) -> None:
    world.edit({"in": "7\n"})
    assert world.reconcile("--only", "fixed").ran == ["fixed"]
    assert world.plan() == {"fixed": "keep", "random": "run"}
    assert world.reconcile().ran == ["random"]
    assert world.reconcile("--only", "nothing", ok=(1,)).value["error"]["exitCode"] == 1
    world.trace()
    check_ledger(world.remote)


def test_the_daemon_does_one_round(world: World) -> None:
    world.edit({"in": "8\n"})
    world.runner("daemon", "--once")
    assert world.trace() == ["fixed", "random"]
    world.runner("daemon", "--once", "--repo", str(world.remote), host="b", cwd=world.folder)
    assert world.trace() == []


def test_the_daemon_follows_the_branch_until_it_is_told_to_stop(world: World) -> None:
    options = ("--repo", str(world.remote), "--interval", "0.2s")
    log = world.folder / "daemon.log"
    process = world.start("daemon", *options, host="d", cwd=world.folder, log=log)
    until(lambda: bool(list(world.home("d").glob("r/*/seen/*"))))
    world.edit({"dvc.yaml": "stages: [\n"}, "Break")
    until(lambda: "dvc.yaml:" in log.read_text())
    broken = world.tip()
    world.edit({**GOOD, "in": "9\n"}, "Mend")
    until(lambda: world.tip() != broken)
    assert process.poll() is None
    files = [
        os.path.basename(os.readlink(entry)) for entry in Path(f"/proc/{process.pid}/fd").iterdir() if entry.exists()
    ]
    assert files.count("digests.sqlite") <= 1, "what a round opens it closes"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0, log.read_text()
    assert world.trace() == ["fixed", "random"]
    check_ledger(world.remote)


def test_a_repository_without_a_remote_is_its_own(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES)
    world.repo.git("remote", "remove", "origin")
    told = world.reconcile(ok=(3,))
    assert told.ran == ["fails", "fixed", "random"]
    assert world.repo.git("rev-parse", "refs/heads/runner/state") == told.commit
    assert world.reconcile(ok=(3,)).commit is None
    assert world.plan() == {"fixed": "keep", "random": "keep", "fails": "failed"}
    assert world.repo.git("status", "--porcelain") == ""
    world.repo.git("checkout", "--quiet", "--detach")
    assert world.plan()["fixed"] == "keep"


def test_what_the_remote_does_not_have_is_refused(world: World) -> None:
    before = world.tip()
    sha = world.repo.commit({"in": "unpushed\n"})
    assert "push it first" in world.runner("reconcile", sha, ok=(1,)).stderr
    assert world.reconcile().ran == []
    assert world.tip() == before
    world.repo.git("reset", "--quiet", "--hard", "origin/main")
    world.runner("reconcile", "no-such-branch", ok=(1,))
    world.runner("reconcile", "--branch", "no-such-branch", ok=(1,))


def test_a_shallow_clone_and_a_dirty_tree_change_nothing(world: World) -> None:
    before = world.tip()
    shallow = world.folder / "shallow"
    git(world.folder, "clone", "--quiet", "--depth", "1", f"file://{world.remote}", str(shallow))
    (shallow / "in").write_text("dirty\n")
    done = world.runner("reconcile", "--json", cwd=shallow, host="s")
    assert json.loads(done.stdout)["commit"] is None
    assert world.tip() == before
    assert (shallow / "in").read_text() == "dirty\n"
    assert world.trace() == []


def test_an_empty_remote_and_a_missing_one(tmp_path: Path) -> None:
    world = World.create(tmp_path, GOOD)
    empty = tmp_path / "empty.git"
    git(tmp_path, "init", "--quiet", "--bare", str(empty))
    assert "yet" in world.runner("reconcile", "--repo", str(empty), ok=(1,)).stderr
    assert world.runner("reconcile", "--repo", str(tmp_path / "gone.git"), ok=(1, 4)).stderr
    world.repo.git("remote", "set-url", "origin", str(tmp_path / "gone.git"))
    assert "gone.git" in world.runner("reconcile", ok=(4,)).stderr


def test_another_branch_has_a_state_of_its_own(world: World) -> None:
    before = world.tip()
    world.repo.git("switch", "--quiet", "--create", "release", "main")
    world.edit({"in": "release\n"})
    world.repo.git("switch", "--quiet", "main")
    world.trace()
    assert world.reconcile("--branch", "release").ran == ["fixed", "random"]
    assert world.reconcile("--branch", "release").commit is None
    assert (world.tip(), world.trace()) == (before, ["fixed", "random"])
    assert world.tip("runner/state-of/release") is not None
    check_ledger(world.remote, "runner/state-of/release")
    world.edit({"in": "release\n"})
    assert world.reconcile().ran == ["fixed", "random"], "results of another watched branch are its own"
