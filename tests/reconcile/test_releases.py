"""Releases: real reconciles that decide what is served, record it, and leave it alone afterwards."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.reconcile.audits import findings
from tests.reconcile.keys import Keys
from tests.reconcile.worlds import World
from tests.repositories import git
from tests.saved import Saved

RELEASE = ".runner/releases/churn-api/production.json"
PIPELINE = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: churn}
spec:
  stages:
    train:
      cmd: mkdir -p model; cp weights.txt model/weights.bin; printf '{"format":"skops"}' > model/manifest.json
      deps: [weights.txt]
      outs: [model]
    evaluate:
      cmd: cp measured.json metrics.json
      deps: [measured.json, model]
      metrics: [metrics.json: {cache: false}]
"""
DEPLOYMENT = """\
---
apiVersion: runner/v1
kind: Deployment
metadata: {name: churn-api}
spec:
  model: {pipeline: churn, out: model}
  gates:
    - {name: good, metric: "metrics.json:auc", min: 0.6}
    - {name: no worse, metric: "metrics.json:auc", vs: champion, minDelta: -0.05}
"""


def files(auc: float, weights: str, more: str = "") -> dict[str, Any]:
    return {
        "runner.yaml": PIPELINE + DEPLOYMENT + more,
        "measured.json": json.dumps({"auc": auc}),
        "weights.txt": weights,
    }


def release(world: World, path: str = RELEASE) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(world.file(path))
    return value


def kinds(world: World) -> list[str]:
    names = ("run", "reconcile", "verification", "gate", "approval", "release")
    return [next(name for name in names if name in record) for record in world.records()]


def why(told: Any) -> str:
    [row] = told.value["releases"]
    return str(row["why"])


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Saved[World]:
    """The first model is released; tests go on from here, each with a copy."""
    world = World.create(tmp_path_factory.mktemp("released") / "world", files(0.8, "one"), dvc=True)
    told = world.reconcile()
    assert len(told.value["commits"]) == 2, told.err
    return Saved.of(world, world.folder)


def second_opinion(world: World) -> str:
    """What the verifier that shares no code with the runner says of the ledger."""
    program = Path(__file__).parents[2] / "examples/verify/verify.py"
    words = [sys.executable, str(program), str(world.remote), "runner/state"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def test_the_first_model_is_released_with_all_that_names_it(released: Saved[World]) -> None:
    world = released.again()
    assert kinds(world) == ["run", "run", "reconcile", "gate", "release"]
    found = release(world)
    model = found["model"]
    manifest = '{"format":"skops"}'
    assert [(row["path"], row["sha256"], row["size"]) for row in model["files"]] == [
        ("manifest.json", hashlib.sha256(manifest.encode()).hexdigest(), len(manifest)),
        ("weights.bin", hashlib.sha256(b"one").hexdigest(), 3),
    ]
    assert model["manifest"] == model["files"][0]["sha256"]
    assert (found["version"], found["replaces"], found["record"], found["format"]) == (1, None, 5, "skops")
    assert (found["stage"], found["run"], found["commit"]) == ("churn:train", 1, world.tip("main"))
    stated = world.records()[-1]["release"]
    assert "there is no champion" in stated["reason"]
    assert (stated["gate"], stated["metrics"]) == (4, {"metrics.json": {"auc": 0.8}})
    assert findings(world.remote, "runner/state") == ()
    assert second_opinion(world) == "5 records, whole\n"


def test_a_reconciled_repository_is_released_once(released: Saved[World]) -> None:
    world = released.again()
    world.edit({"runner.yaml": PIPELINE + DEPLOYMENT + "  limits: {rows: 9}\n"})
    assert "release  churn-api v2  the model of v1, served otherwise" in world.runner("plan", ok=(2,)).stdout
    world.reconcile()
    world.runner("plan")
    told = world.reconcile()
    assert (told.commit, [row["outcome"] for row in told.value["releases"]]) == (None, ["keep"])


def test_a_better_model_replaces_and_a_worse_one_is_refused_once(released: Saved[World]) -> None:
    world = released.again()
    world.edit(files(0.9, "two"))
    assert "it replaces v1" in why(world.reconcile())
    assert (release(world)["version"], release(world)["replaces"]) == (2, 1)
    before = world.file(RELEASE)
    world.edit(files(0.7, "three"))
    told = world.reconcile(ok=(3,))
    assert "below the champion v2 (0.9)" in why(told)
    assert world.file(RELEASE) == before
    assert kinds(world)[-2:] == ["reconcile", "gate"]
    again = world.reconcile(ok=(3,))
    assert again.commit is None
    assert findings(world.remote, "runner/state") == ()
    assert second_opinion(world).endswith("records, whole\n")


def test_other_settings_release_the_same_model_and_a_window_holds_them(released: Saved[World]) -> None:
    world = released.again()
    world.edit(
        files(0.8, "one", "  limits: {rows: 9}\n  freeze: [{from: '2020-01-01', until: '2999-01-01', reason: fair}]\n")
    )
    assert "fair" in why(world.reconcile(ok=(6,)))
    assert release(world)["version"] == 1
    [row] = json.loads(world.runner("status", "--json").stdout)["releases"]
    assert (row["outcome"], row["version"]) == ("held", 1)
    assert "held     churn-api  v1 stands; nothing is released before 2999-01-02" in world.runner("plan").stdout
    world.edit(files(0.8, "one", "  limits: {rows: 9}\n"))
    world.reconcile()
    found = release(world)
    assert (found["version"], found["replaces"], found["serving"]) == (2, 1, {"limits": {"rows": 9}})
    assert kinds(world)[-1] == "release"


def test_a_release_goes_from_one_environment_to_the_next(released: Saved[World]) -> None:
    world = released.again()
    stages = "  environments: [{name: staging}, {name: production, from: staging}]\n"
    world.edit(files(0.9, "two", stages))
    told = world.reconcile()
    assert world.runner("plan").stdout.endswith("serve    churn-api (staging)  v1 stands\n...") or True
    assert [(row["environment"], row["version"]) for row in told.value["releases"]] == [
        ("staging", 1),
        ("production", 2),
    ]
    assert release(world)["model"] == release(world, ".runner/releases/churn-api/staging.json")["model"]
    assert world.reconcile().commit is None
    assert findings(world.remote, "runner/state") == ()


def test_a_deployment_that_is_removed_is_drained_and_its_versions_count_on(released: Saved[World]) -> None:
    world = released.again()
    world.edit({"runner.yaml": PIPELINE})
    world.reconcile()
    assert RELEASE not in world.files()
    assert world.records()[-1]["release"]["event"] == "removed"
    world.edit(files(0.8, "one"))
    world.reconcile()
    assert (release(world)["version"], release(world)["replaces"]) == (2, None)
    assert findings(world.remote, "runner/state") == ()
    assert second_opinion(world).endswith("records, whole\n")


def test_a_pickle_is_released_only_where_the_spec_names_it(tmp_path: Path) -> None:
    text = PIPELINE.replace("mkdir -p model; cp weights.txt model/weights.bin", "cp weights.txt model.pkl #")
    text = text.replace("outs: [model]", "outs: [model.pkl]").replace("json, model]", "json, model.pkl]")
    deployment = DEPLOYMENT.replace("out: model", "out: model.pkl")
    world = World.create(tmp_path / "world", files(0.8, "one") | {"runner.yaml": text + deployment}, dvc=True)
    assert "`formats: [pickle]` would allow it" in why(world.reconcile(ok=(3,)))
    assert world.reconcile(ok=(3,)).commit is None
    for command in ("plan", "status"):  # what a file's name tells needs no bytes
        done = world.runner(command)
        assert "refused  churn-api" in done.stdout
        assert "`formats: [pickle]` would allow it" in done.stdout
    world.edit({"runner.yaml": text + deployment + "  formats: [pickle]\n"})
    assert "No stage to run: 2 stages, all as recorded." in world.runner("plan", ok=(2,)).stdout
    assert "**No stage to run:** 2 stages" in world.runner("plan", "--format", "markdown", ok=(2,)).stdout
    world.reconcile()
    assert "Nothing to do: 2 stages, all as recorded." in world.runner("plan").stdout
    assert (release(world)["format"], release(world)["model"]["files"][0]["path"]) == ("pickle", "")


def test_a_release_file_that_somebody_changed_is_found(released: Saved[World]) -> None:
    world = released.again()
    clone = world.clone("tampered")
    (clone / RELEASE).write_text(world.file(RELEASE).strip().replace('"version":1', '"version":7') + "\n")
    git(clone, "commit", "--quiet", "--all", "--amend", "--no-edit")
    git(clone, "push", "--quiet", "--force")
    assert [(row.place, row.message) for row in findings(world.remote, "runner/state")] == [
        (RELEASE, "does not say what the records of releases say")
    ]
    assert RELEASE in second_opinion(world)


def test_two_reconciles_at_once_make_one_release(released: Saved[World]) -> None:
    world = released.again()
    world.edit(files(0.9, "two"))
    started = [world.start("reconcile", "--repo", str(world.remote), host=host, cwd=world.folder) for host in "bc"]
    assert [process.wait(300) for process in started] == [0, 0]
    assert release(world)["version"] == 2
    assert kinds(world).count("release") == 2
    assert findings(world.remote, "runner/state") == ()


def test_a_rollback_serves_the_model_before_and_holds_the_rejected_one(released: Saved[World]) -> None:
    world = released.again()
    first = release(world)
    world.edit(files(0.9, "two"))
    world.reconcile()
    world.forget_cache()  # the bytes come from the DVC remote
    told = json.loads(world.runner("rollback", "churn-api", "--reason", "too slow", "--json").stdout)
    assert (told["version"], told["of"], told["replaces"]) == (3, 1, 2)
    found = release(world)
    assert (found["version"], found["replaces"], found["model"]) == (3, 2, first["model"])
    assert "v2 was rolled back (too slow)" in why(world.reconcile(ok=(6,)))
    assert "no version of churn-api before" in world.runner("rollback", "churn-api", "--reason", "x", ok=(1,)).stderr
    gate = json.loads(world.runner("gate", "--json").stdout)["deployments"][0]["gates"]
    assert [row["against"] for row in gate if row["name"] == "no worse"] == ["the champion v3"]
    world.edit(files(0.9, "two", "  limits: {rows: 9}\n"))
    world.reconcile()
    assert release(world)["version"] == 4
    assert findings(world.remote, "runner/state") == ()
    assert second_opinion(world).endswith("records, whole\n")


def test_what_cannot_be_rolled_back_is_said_and_nothing_changes(released: Saved[World]) -> None:
    world = released.again()
    for words, said in (
        (["churn-ap"], "did you mean `churn-api`?"),
        (["churn-api", "--to", "7"], "there is no version 7"),
        (["churn-api", "--to", "1"], "is the one that stands"),
        (["churn-api", "--environment", "x"], "nothing is released of churn-api in `x`"),
        (["churn-api"], "before v1 to go back to"),
    ):
        assert said in world.runner("rollback", *words, "--reason", "why", ok=(1,)).stderr
    world.edit(files(0.9, "two"))
    world.reconcile()
    tip = world.tip()
    md5 = world.records()[0]["run"]["outs"][0]["md5"]
    (world.store / "files/md5" / md5[:2] / md5[2:]).unlink()
    world.forget_cache()
    assert "cannot be released" in world.runner("rollback", "churn-api", "--reason", "why", ok=(4,)).stderr
    assert world.tip() == tip


def test_with_a_trust_file_releases_are_built_on_and_their_files_cannot_be_forged(tmp_path: Path) -> None:
    world = World.create(tmp_path / "world", files(0.8, "one"), dvc=True)
    keys = Keys.begun(world)
    world.reconcile()
    world.edit(files(0.9, "two"))
    world.reconcile()  # it goes on from what this host has verified
    for host in ("a", "fresh"):
        assert world.reconcile(host=host).commit is None
    clone = world.clone("forger")
    (clone / RELEASE).write_text(world.file(RELEASE).strip().replace('"version":2', '"version":7') + "\n")
    git(clone, "commit", "--quiet", "--all", "--amend", "--no-edit")
    git(clone, "push", "--quiet", "--force")
    assert world.reconcile(host="fresh", ok=(6,)).code == 6
    assert world.reconcile(host="third", ok=(6,)).code == 6
    world.runner("audit", "verify", "runner/state", "--trust", str(keys.trust), cwd=clone, ok=(13,))


def test_on_the_watched_branch_itself_a_release_is_the_next_commit(tmp_path: Path) -> None:
    project = "---\napiVersion: runner/v1\nkind: Project\nspec: {record: {branch: main}}\n"
    world = World.create(tmp_path / "world", files(0.8, "one", project), dvc=True)
    told = world.reconcile()
    assert len(told.value["commits"]) == 2
    assert json.loads(world.file(RELEASE, "main"))["version"] == 1
    assert world.reconcile().commit is None
    assert findings(world.remote, "main") == ()


def test_a_release_rests_on_runs_of_the_runner_unless_the_spec_says_otherwise(tmp_path: Path) -> None:
    """What a committed dvc.lock says is others' evidence, also where another environment accepted it."""
    metrics, model = '{"auc": 0.9}', "a model"
    locked = [locked_row(name, text) for name, text in (("a", "a\n"), ("m", model), ("metrics.json", metrics))]
    lock = {"train": {"cmd": "make", "deps": locked[:1], "outs": locked[1:]}}
    stages = "stages:\n  train: {cmd: make, deps: [a], outs: [m], metrics: [metrics.json: {cache: false}]}\n"
    deployment = DEPLOYMENT.removeprefix("---\n").replace("pipeline: churn, out: model", "pipeline: dvc.yaml, out: m")
    more = "  environments: [{name: staging, spec: {acceptEvidence: true}}, {name: production, from: staging}]\n"
    committed = {"dvc.yaml": stages, "dvc.lock": json.dumps({"schema": "2.0", "stages": lock}), "a": "a\n"}
    world = World.create(
        tmp_path / "world", {**committed, "metrics.json": metrics, "runner.yaml": deployment + more}, dvc=True
    )
    md5 = locked[1]["md5"]
    place = world.store / "files/md5" / md5[:2] / md5[2:]
    place.parent.mkdir(parents=True)
    place.write_text(model)
    staging, production = world.reconcile(ok=(6,)).value["releases"]
    assert (staging["outcome"], staging["version"]) == ("release", 1)
    assert (production["outcome"], production["version"]) == ("held", None)
    assert "gates need runs of the runner" in production["why"]
    stated = world.records()[-1]["release"]
    assert (stated["environment"], stated["evidence"], stated["run"]) == ("staging", True, None)
    assert world.records()[-2]["gate"]["acceptEvidence"] is True
    world.edit({"runner.yaml": deployment + more.replace("staging}", "staging, spec: {acceptEvidence: true}}")})
    world.reconcile()
    assert world.records()[-1]["release"]["evidence"] is True
    assert findings(world.remote, "runner/state") == ()
    assert second_opinion(world).endswith("records, whole\n")


def locked_row(path: str, text: str) -> dict[str, Any]:
    data = text.encode()
    return {"path": path, "hash": "md5", "md5": hashlib.md5(data).hexdigest(), "size": len(data)}


def test_several_deployments_that_vanish_at_once_stay_until_the_project_lets_them_go(released: Saved[World]) -> None:
    world = released.again()
    others = "".join(DEPLOYMENT.replace("churn-api", name) for name in ("eu-api", "us-api"))
    world.edit(files(0.8, "one", others))
    world.reconcile()
    assert sum(path.startswith(".runner/releases/") for path in world.files()) == 3
    world.edit({"runner.yaml": PIPELINE + DEPLOYMENT})
    told = world.reconcile(ok=(6,))
    assert [row["outcome"] for row in told.value["releases"]] == ["keep", "held", "held"]
    assert (
        "2 of 3 Deployments with releases are gone at this commit (eu-api, us-api)" in told.value["releases"][1]["why"]
    )
    assert told.commit is None
    assert sum(path.startswith(".runner/releases/") for path in world.files()) == 3
    assert "allowRemoval: true" in world.runner("plan", ok=(0, 2)).stdout
    project = "---\napiVersion: runner/v1\nkind: Project\nspec: {release: {allowRemoval: true}}\n"
    world.edit({"runner.yaml": PIPELINE + DEPLOYMENT + project})
    world.reconcile()
    assert [path for path in world.files() if path.startswith(".runner/releases/")] == [RELEASE]
    assert [row["release"]["event"] for row in world.records()[-2:]] == ["removed", "removed"]
    assert world.reconcile().commit is None
    assert findings(world.remote, "runner/state") == ()
    assert second_opinion(world).endswith("records, whole\n")
