"""Releases where something comes between: a race, lost bytes, a rollback elsewhere, what cannot be taken away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.reconcile.audits import findings
from tests.reconcile.test_releases import DEPLOYMENT, PIPELINE, files, release
from tests.reconcile.test_targets import COMMAND, calls, edited, forged, sound, standing, target
from tests.reconcile.test_targets import deployed as deployed
from tests.reconcile.worlds import STATE, World
from tests.repositories import git
from tests.saved import Saved

STAGES = "  environments: [{name: staging}, {name: production, from: staging}]\n"
OVERTAKES = """\
#!/bin/sh
test -e overtaken && exit 0
touch overtaken
unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
git update-ref refs/heads/main MAIN && git update-ref refs/heads/runner/state STATE
"""
"""Has another runner be faster, with a newer commit, just before git looks."""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Saved[World]:
    """Two versions are released in two environments, one after the other."""
    world = World.create(tmp_path_factory.mktemp("released") / "world", files(0.8, "one", STAGES), dvc=True)
    world.reconcile()
    world.edit(files(0.9, "two", STAGES))
    world.reconcile()
    return Saved.of(world, world.folder)


def rows(told: Any) -> dict[str, tuple[str, int | None]]:
    """Outcome and version by environment."""
    return {row["environment"]: (row["outcome"], row["version"]) for row in told.value["releases"]}


def why(told: Any, name: str) -> str:
    [found] = [row["why"] for row in told.value["releases"] if name in (row["environment"], row["deployment"])]
    return str(found)


def overtaken(world: World, *, before: tuple[str, str]) -> None:
    """The remote goes back to these commits of both branches, and forth again at the next push."""
    hook = world.remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    main, state = world.tip("main"), world.tip()
    hook.write_text(OVERTAKES.replace("MAIN", str(main)).replace("STATE", str(state)))
    hook.chmod(0o755)
    for branch, commit in zip(("main", STATE), before, strict=True):
        git(world.remote, "update-ref", f"refs/heads/{branch}", commit)


def tips(world: World) -> tuple[str, str]:
    return str(world.tip("main")), str(world.tip())


def test_a_rollback_that_was_overtaken_says_that_nothing_was_rolled_back(released: Saved[World]) -> None:
    world = released.again()
    before = tips(world)
    world.edit({"measured.json": '{"auc": 0.91}'})
    world.reconcile(host="b")
    overtaken(world, before=before)
    words = ("rollback", "churn-api", "--environment", "production", "--reason", "slow")
    done = world.runner(*words, ok=(5,))
    assert (world.remote / "overtaken").exists()
    assert "a newer commit was recorded meanwhile, and v2 still stands" in done.stderr
    assert release(world)["version"] == 2
    assert json.loads(world.runner(*words, "--json").stdout)["version"] == 3


def test_a_release_that_was_overtaken_is_not_told_as_made(released: Saved[World]) -> None:
    world = released.again()
    world.edit(files(0.95, "three", STAGES + "  freeze: [{from: '2026-01-01', until: '9999-12-31'}]\n"))
    world.reconcile(ok=(6,))
    world.edit(files(0.95, "three", STAGES))
    before = tips(world)
    world.edit({"measured.json": '{"auc": 0.96}'})
    assert rows(world.reconcile(host="b"))["staging"] == ("release", 3)
    count = len(world.records())
    overtaken(world, before=before)
    told = world.reconcile()
    assert (world.remote / "overtaken").exists()
    assert (told.value["releases"], told.commit, len(world.records())) == ([], None, count)


def test_a_rollback_in_staging_leaves_production_to_a_person(released: Saved[World]) -> None:
    world = released.again()
    world.runner("rollback", "churn-api", "--environment", "staging", "--reason", "slow")
    told = world.reconcile(ok=(6,))
    assert (told.commit, rows(told)) == (None, {"staging": ("held", 3), "production": ("keep", 2)})
    assert "staging went back to this model, which was replaced here" in why(told, "production")
    other = STAGES + "  limits: {rows: 9}\n  model: {pipeline: churn, out: model, version: 3}\n"
    world.edit({"runner.yaml": (PIPELINE + DEPLOYMENT + other).replace("  model: {pipeline: churn, out: model}\n", "")})
    told = world.reconcile(ok=(6,))
    assert "version 3 was never released here" in why(told, "production")
    world.edit(files(0.95, "three", STAGES))
    assert rows(world.reconcile()) == {"staging": ("release", 5), "production": ("release", 3)}
    assert findings(world.remote, STATE) == ()
    world.edit(files(0.96, "four", STAGES.replace("from: staging", "from: staging, requires: {soak: 900000w}")))
    assert "v6 of staging has to stand there until 9999-12-31" in why(world.reconcile(ok=(6,)), "production")


def test_lost_bytes_of_one_model_hold_that_deployment_alone(tmp_path: Path) -> None:
    swaps = [
        ("name: churn", "name: other"),
        ("weights.txt", "others.txt"),
        ("model", "second"),
        ("metrics.json", "m.json"),
    ]
    other, deployment = PIPELINE, DEPLOYMENT.replace("churn-api", "z-api").replace("pipeline: churn", "pipeline: other")
    for old, new in swaps:
        other, deployment = other.replace(old, new), deployment.replace(old, new)
    deployment = deployment.replace("second:", "model:")
    world = World.create(tmp_path / "world", {**files(0.8, "one", "---\n" + other), "others.txt": "two"}, dvc=True)
    world.edit({"runner.yaml": PIPELINE + "---\n" + other})
    world.reconcile()
    [md5] = {out["md5"] for run in world.runs() for out in run["outs"] if out["path"] == "model"}
    (world.store / "files/md5" / md5[:2] / md5[2:]).unlink()
    world.forget_cache()
    world.edit({"runner.yaml": PIPELINE + DEPLOYMENT + "---\n" + other + deployment})
    told = world.reconcile(ok=(4,))
    assert {row["deployment"]: row["outcome"] for row in told.value["releases"]} == {
        "churn-api": "held",
        "z-api": "release",
    }
    assert "model cannot be released" in why(told, "churn-api")
    assert release(world, ".runner/releases/z-api/production.json")["version"] == 1
    assert world.reconcile(ok=(4,)).commit is None


def test_what_cannot_be_taken_away_is_a_failure_once_and_told_from_then_on(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    spec = target(there, f", undeploy: echo >> {there}/tries; exit 7", "sh deploy.sh")
    world = World.create(tmp_path / "world", {**files(0.8, "one", spec), "deploy.sh": COMMAND}, dvc=True)
    world.reconcile()
    world.edit({"runner.yaml": PIPELINE})
    for option, code, attempts in (((), 3, 1), ((), 0, 1), (("--retry",), 3, 2)):
        told = world.reconcile(*option, ok=(code,))
        assert told.value["releases"][0]["target"]["why"].startswith("not taken away: exit code")
        assert (there / "tries").read_text() == "\n" * attempts
        assert "nothing to try again" not in told.err


def test_a_file_that_the_model_does_not_have_is_laid_out_nowhere(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    world = World.create(
        tmp_path / "world", {**files(0.8, "one", target(there, "", "sh deploy.sh")), "deploy.sh": COMMAND}, dvc=True
    )
    world.reconcile()
    forged(world, lambda row: row["model"]["files"][1].update(path=f"../../../../../../../../../..{tmp_path}/planted"))
    told = world.reconcile(ok=(4,))
    assert "is no file of the model" in told.value["releases"][0]["target"]["why"]
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize("point", ["pushed=kill@2", "deploy-begun=kill", "pushed=kill@3", "released=kill"])
def test_killed_between_any_two_steps_of_a_release_the_next_reconcile_ends_it(
    point: str, deployed: Saved[World]
) -> None:
    world = deployed.again()
    edited(world, 0.9, "two")
    world.environ["RUNNER_FAILPOINTS"] = point
    assert world.start("reconcile").wait(120) == -9
    del world.environ["RUNNER_FAILPOINTS"]
    assert standing(world.reconcile()) == ("deployed", 2)
    assert world.reconcile().commit is None
    assert len(calls(world.folder / "there")) == 2, "the command had not begun, or its outcome was recorded"
    assert release(world)["version"] == 2
    assert "refs/tags/churn-api#production#2" in world.refs()
    sound(world)
