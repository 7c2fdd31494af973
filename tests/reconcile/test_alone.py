"""Repositories without a remote: which branch is watched there, and what becomes of the results when one is added."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.reconcile.worlds import STATE, World

FILES = {"dvc.yaml": "stages:\n  copy:\n    cmd: cp in out\n    deps: [in]\n    outs: [out]\n", "in": "1\n"}
PROPOSED = "runner/proposed/experiment"


def alone(folder: Path, branch: str = "main") -> World:
    """A repository whose only branch has this name, and that has no remote."""
    world = World.create(folder, FILES)
    world.repo.git("remote", "remove", "origin")
    world.repo.git("branch", "--quiet", "--move", branch)
    return world


def branches(world: World) -> set[str]:
    """Branches of the repository itself."""
    return set(world.repo.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").split())


@pytest.mark.parametrize("branch", ["main", "trunk"])
def test_an_experiment_without_a_remote_is_a_proposal(tmp_path: Path, branch: str) -> None:
    world = alone(tmp_path, branch)
    if branch == "trunk":
        world.reconcile()  # what is recorded tells the watched branch where no usual name does
    before = branches(world)
    world.repo.git("checkout", "--quiet", "-b", "experiment")
    world.repo.commit({"in": "2\n"})
    plan = json.loads(world.runner("plan", "--json", ok=(2,)).stdout)
    assert plan["rev"] == "experiment"
    told = world.reconcile()
    assert told.value["desired"] == world.repo.git("rev-parse", branch)
    assert "was left out; name it: `runner reconcile HEAD`" in told.err
    assert branches(world) - before == {"experiment", *([STATE] if branch == "main" else [])}
    state = world.repo.git("rev-parse", STATE)
    assert world.reconcile("HEAD").ran == ["copy"]
    assert world.repo.git("rev-parse", STATE) == state
    assert PROPOSED in branches(world)
    assert world.plan() == {"copy": "keep"}
    status = json.loads(world.runner("status", "--json", ok=(0, 2, 3)).stdout)
    assert status["state"] == world.repo.git("rev-parse", PROPOSED)


def test_the_recorded_state_tells_the_watched_branch_where_the_host_forgot_it(tmp_path: Path) -> None:
    world = alone(tmp_path, "trunk")
    first = world.repo.head
    world.repo.commit({"in": "2\n"})
    world.reconcile()
    world.repo.git("branch", "main", first)
    world.forget_host()
    world.repo.git("checkout", "--quiet", "main")
    assert world.reconcile().value["desired"] == world.repo.git("rev-parse", "trunk")


def test_what_was_recorded_before_there_was_a_remote_goes_on_there(tmp_path: Path) -> None:
    world = alone(tmp_path)
    before = world.reconcile().commit
    world.repo.git("remote", "add", "origin", str(world.remote))
    assert world.plan() == {"copy": "keep"}
    told = world.reconcile()
    assert (told.ran, told.commit, world.tip()) == ([], None, before)
    assert "recorded before there was a remote, was pushed to it" in told.err
    assert world.output("out") == "1\n"
    assert world.reconcile().err.count("was pushed to it") == 0


def test_a_state_of_another_branch_is_not_taken_over_by_a_remote(tmp_path: Path) -> None:
    world = alone(tmp_path)
    world.repo.commit({"in": "never pushed\n"})
    world.reconcile()
    world.repo.git("remote", "add", "origin", str(world.remote))
    world.repo.git("fetch", "--quiet")
    planned = world.runner("plan", ok=(0, 2))
    assert "a reconcile holds (exit code 6)" in planned.stdout + planned.stderr
    told = world.reconcile(ok=(6,))
    assert f"`git push origin {STATE}`" in told.err
    assert f"`git branch -D {STATE}`" in told.err
    assert world.tip() is None
    world.repo.git("branch", "-D", STATE)
    assert world.reconcile().ran == ["copy"]
