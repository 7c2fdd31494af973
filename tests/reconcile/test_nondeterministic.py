"""What is not deterministic, declared or found out, is taken over as policy says and not otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("untraced")]  # DVC's own warnings

RANDOM = "head -c 16 /dev/urandom | od -An -tx1"
PROJECT = "apiVersion: runner/v1\nkind: Project\nspec:\n  trust: {nondeterministic: sameBranch}\n"
LUCK = f"""\
stages:
  luck:
    cmd: echo luck >> @TRACE@; {RANDOM} > luck
    deps: [in]
    outs: [luck]
    meta: {{runner: {{deterministic: false}}}}
  sober: {{cmd: "echo sober >> @TRACE@; cp in sober", deps: [in], outs: [sober]}}
"""


def test_a_branch_makes_its_own_results_of_what_is_not_deterministic_once(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": LUCK, "in": "1\n", "runner.yaml": PROJECT})
    world.reconcile()
    world.repo.git("checkout", "--quiet", "-b", "feature")
    accepting = PROJECT.replace("sameBranch", "accept")  # a pull request cannot change what decides about itself
    world.edit({"in": "2\n", "runner.yaml": accepting})
    world.reconcile("feature")
    world.edit({"runner.yaml": PROJECT})
    world.reconcile("feature")
    lucky = world.runs("runner/proposed/feature")[-2:]
    world.trace()
    world.repo.git("checkout", "--quiet", "main")
    world.repo.git("merge", "--quiet", "--ff-only", "feature")
    world.repo.push()
    [row] = [row for row in world.plan_rows("--fetch") if row["stage"] == "luck"]
    assert row["action"] == "run"
    assert "not taken over: it is not deterministic" in row["reasons"][-1]
    told = world.reconcile()
    assert (told.ran, world.trace()) == (["luck"], ["luck"])  # `sober` is taken over
    standing = json.loads(world.file(".runner/recorded/dvc.yaml/luck.json"))
    assert standing["outs"][0]["md5"] not in [run["outs"][0]["md5"] for run in lucky]
    for host in ("a", "b"):
        told = world.reconcile(host=host, elsewhere=True)
        assert (told.commit, set(told.actions.values())) == (None, {"keep"})
    world.edit({"in": "1\n"})  # back to what ran here before
    assert world.reconcile().actions == {"luck": "reuse", "sober": "reuse"}
    check_ledger(world.remote)


def test_what_was_found_counts_like_what_is_declared(tmp_path: Path) -> None:
    stages = LUCK.replace("    meta: {runner: {deterministic: false}}\n", "")
    world = World.create(tmp_path, {"dvc.yaml": stages, "in": "1\n", "runner.yaml": PROJECT})
    world.reconcile()
    world.repo.git("checkout", "--quiet", "-b", "other")
    world.edit({"in": "9\n"})
    assert world.reconcile("--branch", "other").ran == ["luck", "sober"]
    world.repo.git("checkout", "--quiet", "main")
    world.edit({"in": "2\n"})
    world.reconcile()
    world.runner("verify", "luck", ok=(3,))
    world.trace()
    world.repo.git("checkout", "--quiet", "other")
    world.edit({"in": "2\n"})
    assert world.reconcile("--branch", "other").ran == ["luck"]
    assert world.trace() == ["luck"]
    assert world.reconcile("--branch", "other").commit is None
    check_ledger(world.remote, "runner/state-of/other")


def test_what_was_found_of_what_stands_counts_for_the_next_key(tmp_path: Path) -> None:
    stages = LUCK.replace("    meta: {runner: {deterministic: false}}\n", "")
    world = World.create(tmp_path, {"dvc.yaml": stages, "in": "1\n", "runner.yaml": PROJECT})
    world.reconcile()
    world.runner("verify", "luck", ok=(3,))
    world.repo.git("checkout", "--quiet", "-b", "feature")
    world.edit({"in": "2\n"})
    assert world.reconcile("feature").ran == ["luck", "sober"]
    world.repo.git("checkout", "--quiet", "main")
    world.repo.git("merge", "--quiet", "--ff-only", "feature")
    world.repo.push()
    assert world.plan("--fetch") == {"luck": "run", "sober": "reuse"}
    assert world.reconcile().ran == ["luck"]
    assert world.reconcile().commit is None


def test_others_evidence_does_not_count_where_only_own_runs_do(tmp_path: Path) -> None:
    one = World.create(tmp_path / "one", {"dvc.yaml": LUCK, "in": "1\n"})
    one.reconcile()
    lock = {"dvc.lock": one.file("dvc.lock")}
    two = World.create(tmp_path / "two", {"dvc.yaml": one.text(LUCK), "in": "1\n", "runner.yaml": PROJECT, **lock})
    assert two.plan() == {"luck": "run", "sober": "keep"}
    assert two.reconcile().ran == ["luck"]
    assert two.reconcile().commit is None
    check_ledger(two.remote)
