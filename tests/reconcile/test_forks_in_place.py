"""Results on the watched branch itself, and a merge that brings what a fork's own runner recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reconcile.keys import Keys
from tests.reconcile.ledgers import check_ledger
from tests.reconcile.merges import forked, merged, pulled
from tests.reconcile.worlds import World

SPEC = """\
apiVersion: runner/v1
kind: Project
spec:
  record: {branch: main}
---
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
    make: {cmd: "echo make >> @TRACE@; cat seed > out", deps: [seed], outs: [out]}
    other: {cmd: "echo other >> @TRACE@; cat more > copy", deps: [more], outs: [copy]}
"""
FILES = {"runner.yaml": SPEC, "seed": "1\n", "more": "1\n"}


def test_records_of_a_fork_that_parted_do_not_count_however_many_they_are(tmp_path: Path) -> None:
    world = World.create(tmp_path / "world", FILES, dvc=True)
    world.reconcile()
    fork = forked(world, tmp_path / "fork", ["2\n", "3\n", "4\n"])
    pulled(world)
    world.edit({"more": "2\n"})
    world.reconcile()
    own = world.records("main")
    assert len(fork.records("main")) > len(own)
    merged(world, fork)

    assert world.plan(host="fresh") == {"make": "run", "other": "keep"}
    for host in ("fresh", "a"):
        told = world.reconcile(host=host)
        assert told.ran == (["make"] if host == "fresh" else [])
    assert world.records("main")[: len(own)] == own
    check_ledger(world.remote, "main")
    command = [sys.executable, str(Path(__file__).parents[2] / "examples/verify/verify.py"), str(world.remote), "main"]
    assert subprocess.run(command, check=False).returncode == 0


def test_what_a_person_merged_the_other_way_round_is_found(tmp_path: Path) -> None:
    world = World.create(tmp_path / "world", FILES, dvc=True)
    world.reconcile()
    pulled(world)
    world.edit({"seed": "2\n"})
    world.repo.commit({"README": "words\n"}, "Made before the results were pulled")
    world.reconcile()
    pulled(world)  # a merge whose first parent is the person's own commit
    world.repo.push()
    world.trace()

    told = world.reconcile(host="fresh")
    assert (told.commit, told.ran, set(told.actions.values())) == (None, [], {"keep"})
    assert world.trace() == []


@pytest.mark.parametrize("name", ["mallory", None])
def test_with_a_trust_file_records_of_a_fork_that_goes_on_from_ours_do_not_count(
    tmp_path: Path, name: str | None
) -> None:
    world = World.create(tmp_path / "world", FILES, dvc=True)
    keys = Keys.begun(world)
    world.reconcile()
    own = world.records("main")
    fork = forked(world, tmp_path / "fork", [])
    keys.signs(fork, name)
    fork.edit({"seed": "2\n"})
    fork.reconcile(host="fork")
    merged(world, fork)

    told = world.reconcile(host="fresh")
    assert told.ran == ["make"]
    assert world.records("main")[: len(own)] == own
    assert world.reconcile().commit is None
    assert world.reconcile(host="fresh").commit is None
    check_ledger(world.remote, "main")


def test_verifications_after_a_merge_that_kept_a_forks_records_are_found_one_after_the_other(tmp_path: Path) -> None:
    world = World.create(tmp_path / "world", FILES, dvc=True)
    world.reconcile()
    fork = forked(world, tmp_path / "fork", ["2\n", "3\n", "1\n"])  # in the end what it began with
    pulled(world)
    world.edit({"more": "2\n"})
    world.reconcile()
    own = world.records("main")
    assert len(fork.records("main")) > len(own) + 2  # so that both verifications have fewer records than the merge
    merged(world, fork, keep="theirs")

    assert set(world.plan().values()) == {"keep"}
    for number in (len(own) + 1, len(own) + 2):
        value = json.loads(world.runner("verify", "--json", "make").stdout)
        assert (value["record"], value["commit"]) == (number, world.tip("main"))
    kinds = [("verification" in record, record["sequence"]) for record in world.records("main")[len(own) :]]
    assert kinds == [(True, len(own) + 1), (True, len(own) + 2)]
    assert world.records("main")[: len(own)] == own
    assert set(world.plan(host="fresh").values()) == {"keep"}
    for host in ("a", "fresh"):
        told = world.reconcile(host=host)
        assert (told.commit, told.ran) == (None, [])
    check_ledger(world.remote, "main")
    assert json.loads(world.runner("audit", "verify", "main", "--json").stdout)["records"] == len(own) + 2
    command = [sys.executable, str(Path(__file__).parents[2] / "examples/verify/verify.py"), str(world.remote), "main"]
    assert subprocess.run(command, check=False).returncode == 0
