"""A reconcile of a reconciled repository does nothing at all, and what is late never turns the clock back."""

from __future__ import annotations

import json

import pytest

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World, snapshot
from tests.repositories import git

STAGES = """\
stages:
  prepare:
    cmd: echo prepare >> @TRACE@; cat data.txt > made.txt; mkdir d; cp data.txt d/x
    deps: [data.txt]
    outs: [made.txt, d]
  train:
    cmd: echo train >> @TRACE@; cat made.txt > model.txt; echo "{\\"rate\\":${rate}}" > m.json
    deps: [made.txt, d/x]
    params: [rate]
    outs: [model.txt]
    metrics: [m.json: {cache: false}]
"""
FILES = {"dvc.yaml": STAGES, "data.txt": "1\n", "params.yaml": "rate: 1\n", "README": "words\n"}


pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Reconciled once, with a DVC remote; each test leaves it reconciled."""
    world = World.create(tmp_path_factory.mktemp("world"), FILES, dvc=True)
    assert world.reconcile().ran == ["prepare", "train"]
    world.trace()
    return world


def test_a_second_reconcile_writes_nothing_anywhere(world: World) -> None:
    remote, store, refs = snapshot(world.remote), snapshot(world.store), world.refs()
    for _ in range(2):
        told = world.reconcile()
        assert (told.commit, told.ran, set(told.actions.values())) == (None, [], {"keep"})
    assert world.reconcile(host="new", elsewhere=True).commit is None
    assert snapshot(world.remote) == remote
    assert snapshot(world.store) == store
    assert world.refs() == refs
    assert world.trace() == []
    assert world.runner("plan", ok=(0,)).returncode == 0


def test_two_edits_that_cancel_out_plan_to_nothing(world: World) -> None:
    before = world.tip()
    world.edit({"data.txt": "2\n", "params.yaml": "rate: 5\n"})
    assert world.plan() == {"prepare": "run", "train": "wait"}
    world.edit({"data.txt": "1\n", "params.yaml": "rate: 1\n"})
    assert set(world.plan().values()) == {"keep"}
    assert world.reconcile().commit is None
    assert world.tip() == before


def test_a_commit_that_changes_no_stage_makes_no_state_commit(world: World) -> None:
    before = world.tip()
    world.edit({"README": "other words\n", "params.yaml": "# a comment\nrate: 1\nother: 2\n", "src/new.py": ""})
    told = world.reconcile()
    assert (told.commit, told.ran, world.tip()) == (None, [], before)


def test_an_output_that_comes_out_the_same_stops_the_change(world: World) -> None:
    world.edit({"dvc.yaml": STAGES.replace("cat data.txt > made.txt", "cat < data.txt > made.txt")})
    assert world.plan() == {"prepare": "run", "train": "wait"}
    told = world.reconcile()
    assert (told.ran, told.actions) == (["prepare"], {"prepare": "run", "train": "keep"})
    assert world.trace() == ["prepare"]
    assert set(world.plan().values()) == {"keep"}


def test_results_for_an_older_commit_enter_as_records_only(world: World) -> None:
    old = world.edit({"params.yaml": "rate: 7\n"}, "Older")
    new = world.edit({"params.yaml": "rate: 8\n"}, "Newer")
    assert world.reconcile().ran == ["train"]
    tree = {path: world.file(path) for path in ("dvc.lock", "m.json", ".runner/recorded/dvc.yaml/train.json")}
    told = world.reconcile(old)
    assert told.ran == ["train"]
    assert {path: world.file(path) for path in tree} == tree
    assert json.loads(world.file(".runner/state.json"))["desired"] == new
    assert git(world.remote, "rev-list", "--parents", "-1", "runner/state").split()[2:] == []
    assert world.reconcile(old).commit is None
    assert world.reconcile().commit is None
    assert world.trace() == ["train", "train"]
    world.edit({"params.yaml": "rate: 7\n"}, "Older again")
    assert world.plan()["train"] == "reuse"
    assert world.reconcile().ran == []
    assert world.file("m.json") == '{"rate":7}\n'
    check_ledger(world.remote)


def test_a_stage_that_is_no_longer_asked_for_leaves_the_state(world: World) -> None:
    world.edit({"params.yaml": "rate: 8\n"})
    world.reconcile()
    world.edit({"dvc.yaml": STAGES[: STAGES.index("  train:")]})
    assert world.plan()["train"] == "remove"
    told = world.reconcile()
    assert told.commit is not None
    assert ".runner/recorded/dvc.yaml/train.json" not in world.files()
    assert "m.json" not in world.files()
    assert "train" not in world.file("dvc.lock")
    assert world.reconcile().commit is None
    world.edit({"dvc.yaml": STAGES, "params.yaml": "rate: 8\n"})
    told = world.reconcile()
    assert (told.ran, told.actions["train"]) == ([], "reuse")
    assert world.file("m.json") == '{"rate":8}\n'
    check_ledger(world.remote)


def test_a_watched_branch_that_was_rewound_is_followed(world: World) -> None:
    world.edit({"params.yaml": "rate: 11\n"})
    world.reconcile()
    world.repo.git("reset", "--quiet", "--hard", "HEAD~1")
    world.repo.git("push", "--quiet", "--force", "origin", "HEAD")
    told = world.reconcile()
    assert told.ran == []
    assert set(world.plan().values()) == {"keep"}
    assert world.reconcile().commit is None
    check_ledger(world.remote)
