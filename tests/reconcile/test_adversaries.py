"""Situations that a critical reader made up: shared producers, errors in the middle, hostile names, odd sums."""

from __future__ import annotations

from pathlib import Path

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World

SHARED = """\
stages:
  a:
    cmd: echo a >> @TRACE@; cp in o1; cp in o2
    deps: [in]
    outs: [o1, o2]
  c:
    cmd: sleep 1; cat o1 p1 > c
    deps: [o1, p1]
    outs: [c]
  d:
    cmd: cat o2 p2 > d
    deps: [o2, p2]
    outs: [d]
"""
BROKEN = """\
stages:
  a:
    cmd: "printf 'x: [' > made.yaml"
    deps: [in]
    outs: [made.yaml]
  b:
    cmd: touch b
    params: [made.yaml: [x]]
    outs: [b]
  c:
    cmd: sleep 1; cp in c
    deps: [in]
    outs: [c]
"""
CPU = """\
stages:
  x: {cmd: touch x, deps: [in], outs: [x], meta: {runner: {resources: {cpu: 0.1}}}}
  y: {cmd: touch y, deps: [in], outs: [y], meta: {runner: {resources: {cpu: 0.7}}}}
  z: {cmd: touch z, deps: [in], outs: [z], meta: {runner: {resources: {cpu: 0.3}}}}
  all: {cmd: touch all, deps: [x, y, z], outs: [all], meta: {runner: {resources: {cpu: 1}}}}
"""


def test_a_stage_that_runs_again_takes_nothing_from_one_that_runs(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": SHARED, "in": "1\n", "p1": "1\n", "p2": "1\n"})
    world.reconcile()
    world.edit({"p1": "2\n", "p2": "2\n", "in": "1\n"})
    world.forget_cache()
    told = world.reconcile("--jobs", "4")
    assert told.actions == {"a": "run", "c": "run", "d": "run"}
    assert all(run["succeeded"] for run in told.value["runs"])
    check_ledger(world.remote)


def test_parameters_that_a_stage_made_badly_block_nothing_but_their_reader(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": BROKEN, "in": "1\n"})
    told = world.reconcile("--jobs", "2")
    assert told.ran == ["a", "c"]
    assert told.actions["b"] == "unknown"
    assert world.plan() == {"a": "keep", "b": "unknown", "c": "keep"}


def test_fractions_of_cores_come_out_even(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": CPU, "in": "1\n"})
    assert world.reconcile("--jobs", "3").ran == ["all", "x", "y", "z"]


def test_a_mended_mode_is_reason_for_another_try(tmp_path: Path) -> None:
    text = "stages:\n  a:\n    cmd: ./run.sh > a\n    deps: [run.sh]\n    outs: [a]\n"
    world = World.create(tmp_path, {"dvc.yaml": text, "run.sh": "#!/bin/sh\necho 1\n"})
    world.reconcile(ok=(3,))
    (world.repo.path / "run.sh").chmod(0o755)
    world.edit()
    assert world.plan() == {"a": "run"}
    assert world.reconcile().actions == {"a": "run"}


def test_an_ignore_file_that_moves_changes_what_a_folder_holds(tmp_path: Path) -> None:
    text = "stages:\n  a:\n    cmd: ls data > a\n    deps: [data]\n    outs: [a]\n"
    files = {"dvc.yaml": text, "data/x.csv": "1", "data/x.log": "2", ".dvcignore": "*.log\n"}
    world = World.create(tmp_path, files)
    world.reconcile()
    world.edit({"other/.dvcignore": "*.log\n"}, delete=(".dvcignore",))
    assert world.plan() == {"a": "run"}


def test_a_proposal_is_not_in_the_way_of_one_below_its_name(tmp_path: Path) -> None:
    text = "stages:\n  a:\n    cmd: cp in a\n    deps: [in]\n    outs: [a]\n"
    world = World.create(tmp_path, {"dvc.yaml": text, "in": "1"})
    for branch in ("fix", "fix/login"):
        world.repo.git("checkout", "-q", "-b", branch, "main")
        world.edit({"in": branch})
        world.reconcile(branch)
        world.repo.git("checkout", "-q", "main")
        world.repo.git("branch", "-q", "-D", branch)
        world.repo.git("push", "-q", "origin", f":{branch}")
    assert world.tip("runner/proposed/fix") is not None
    assert world.tip("runner/proposed/fix%2Flogin") is not None


def test_what_must_not_travel_does_not_travel_when_a_remote_comes_later(tmp_path: Path) -> None:
    text = "stages:\n  a:\n    cmd: cp in a; cp in b\n    deps: [in]\n    outs: [a, b: {push: false}]\n"
    world = World.create(tmp_path, {"dvc.yaml": text.replace("cp in b", "echo private > b"), "in": "1"})
    world.reconcile()
    world.edit({".dvc/config": f"[core]\n    remote = store\n['remote \"store\"']\n    url = {world.store}\n"})
    world.reconcile()
    assert [file.read_text() for file in world.store.rglob("*") if file.is_file()] == ["1"]


def test_a_plan_runs_no_filter_of_the_clone(tmp_path: Path) -> None:
    text = "stages:\n  a:\n    cmd: cp in a\n    deps: [in]\n    outs: [a]\n"
    world = World.create(tmp_path, {"dvc.yaml": text, "in": "1", ".gitattributes": "* filter=evil\n"})
    world.repo.git("config", "filter.evil.clean", f"touch {tmp_path}/owned; cat")
    (world.repo.path / "in").write_text("2")
    world.plan()
    world.reconcile()
    assert not (tmp_path / "owned").exists()
