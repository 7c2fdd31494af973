"""`runner gate` on real repositories: what is recorded, whose gates count, and what CI systems are given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.cli.command import Answer, call
from tests.repositories import GitRepo, new_bare_remote, new_repository

PIPELINE = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: churn}
spec:
  holdout: {data: data/holdout.csv, maxUses: 4}
  stages:
    train:
      cmd: mkdir -p models; cat data/train.csv > models/churn
      deps: [data/train.csv]
      outs: [models/churn]
    evaluate:
      cmd: cp measured.json metrics.json
      deps: [measured.json, models/churn, data/holdout.csv]
      metrics: [metrics.json: {cache: false}]
"""
GATES = """\
    - {name: accuracy, metric: "metrics.json:auc", min: 0.8, confidence: 0.95}
    - {name: no worse, metric: "metrics.json:auc", vs: base, minDelta: -0.01}
    - {name: released, metric: "metrics.json:auc", vs: champion, minDelta: 0}
    - {name: groups, metric: "metrics.json:auc", slice: sex, min: 0.7, minSupport: 50}
"""
DEPLOYMENT = """\
---
apiVersion: runner/v1
kind: Deployment
metadata: {name: churn-api}
spec:
  model: {pipeline: churn, out: models/churn}
  gates:
"""


def measured(auc: float, **more: Any) -> str:
    slices = {"f": {"auc": auc - 0.1, "support": 90}, "m": {"auc": auc, "support": 110}}
    interval = {"auc_lower": auc - 0.04, "auc_upper": auc + 0.04}
    return json.dumps({"auc": auc, **interval, "slices": {"sex": slices}, **more})


@dataclass(frozen=True)
class World:
    """`first` is the good model, `second` a worse one on the watched branch, and `feature` a proposal after it."""

    repo: GitRepo
    first: str
    second: str

    def gate(self, *words: str) -> Answer:
        return call(self.repo.path, "gate", *words)

    def rows(self, *words: str) -> tuple[int, Mapping[str, Mapping[str, Any]], Mapping[str, Any]]:
        answer = self.gate("--json", *words)
        return answer.code, {row["name"]: row for row in answer.json["deployments"][0]["gates"]}, answer.json


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("gates")
    data = {"data/train.csv": "1\n", "data/holdout.csv": "2\n", "measured.json": measured(0.9)}
    repo = new_repository(folder / "repo", {"runner.yaml": PIPELINE + DEPLOYMENT + GATES, **data})
    new_bare_remote(folder / "remote.git", repo)
    _reconcile(repo)
    first = repo.head
    second = repo.commit({"measured.json": measured(0.82)}, "Measure less")
    repo.push()
    _reconcile(repo)
    repo.git("checkout", "--quiet", "-b", "feature")
    weaker = GATES.replace("min: 0.8,", "min: 0.1,")
    unsealed = PIPELINE.replace("  holdout: {data: data/holdout.csv, maxUses: 4}\n", "")
    unsealed = unsealed.replace("deps: [data/train.csv]", "deps: [data/train.csv, data/holdout.csv]")
    repo.commit({"measured.json": measured(0.7), "runner.yaml": unsealed + DEPLOYMENT + weaker}, "Ask for less")
    repo.push()
    _reconcile(repo, "feature")
    repo.git("checkout", "--quiet", "main")
    return World(repo, first, second)


def _reconcile(repo: GitRepo, *words: str) -> None:
    answer = call(repo.path, "reconcile", "--jobs", "1", *words)
    assert answer.code in (0, 3, 6), answer.err  # what the gates refuse or hold is recorded all the same


def test_all_gates_of_the_first_model_pass(world: World) -> None:
    code, rows, document = world.rows("churn-api", world.first)
    assert (code, document["exitCode"], {row["verdict"] for row in rows.values()}) == (0, 0, {"pass"})
    assert rows["no worse"]["message"] == "0.9; there is no commit before this one, so this is the first and passes"
    assert rows["released"]["message"] == "0.9; as much as the champion v1 (0.9); at least 0 is asked for"
    assert (rows["groups"]["slice"], rows["groups"]["value"]) == ("f", 0.8)
    (deployment,) = document["deployments"]
    assert deployment["model"]["stage"] == "churn:train"
    assert deployment["model"]["provenance"] == "runner"


def test_a_worse_model_fails_and_one_that_is_too_uncertain_is_held(world: World) -> None:
    code, rows, _ = world.rows()
    assert code == 3
    assert {name: (row["verdict"], row["effect"]) for name, row in rows.items()} == {
        "accuracy": ("inconclusive", "hold"),
        "no worse": ("fail", "fail"),
        "released": ("fail", "fail"),
        "groups": ("pass", "pass"),
    }
    assert rows["no worse"]["against"] == f"the commit before ({world.first[:12]})"
    assert (rows["no worse"]["other"], rows["no worse"]["delta"]) == (0.9, -0.08)
    assert rows["accuracy"]["message"].startswith("0.82 (0.78 to 0.86 at 95 %); at least 0.8 is asked for")


def test_a_clone_without_the_commit_before_says_that_it_cannot_compare(world: World, tmp_path: Path) -> None:
    remote = f"file://{world.repo.path.parent / 'remote.git'}"
    world.repo.git("clone", "--quiet", "--depth", "1", "--no-single-branch", remote, str(tmp_path / "shallow"))
    answer = call(tmp_path / "shallow", "gate", "--json")
    row = next(row for row in answer.json["deployments"][0]["gates"] if row["name"] == "no worse")
    assert (answer.code, row["effect"]) == (3, "hold")  # the champion is known, and better
    assert row["against"] == f"the commit before ({world.first[:12]}), which this clone does not have"


def test_the_champion_is_the_standing_release_or_a_commit_that_is_named(world: World) -> None:
    _, rows, _ = world.rows()
    assert (rows["released"]["against"], rows["released"]["other"]) == ("the champion v1", 0.9)
    _, rows, _ = world.rows("--champion", world.first)
    assert (rows["released"]["verdict"], rows["released"]["against"]) == ("fail", f"the champion {world.first}")


def test_a_proposal_is_judged_by_the_gates_and_the_seal_of_the_watched_branch(world: World) -> None:
    code, rows, document = world.rows("churn-api", "feature")
    assert code == 3
    assert document["policyCommit"] == world.second
    assert rows["accuracy"]["bounds"] == {"min": 0.8}
    assert rows["accuracy"]["verdict"] == "fail"
    assert rows["no worse"]["against"] == f"main at {world.second[:12]}"
    assert document["notes"] == [
        f"this commit changes the Deployment churn-api; what main at {world.second[:12]} says of it counts"
    ]
    assert document["deployments"][0]["blockers"] == [
        "`train` reads the sealed hold-out (`data/holdout.csv`), and makes the model of the Deployment churn-api",
    ]


def test_the_uses_of_a_hold_out_are_counted_over_all_branches(world: World) -> None:
    _, _, document = world.rows("churn-api", world.first)
    answer = call(world.repo.path, "status", "--json")
    assert document["holdouts"] == answer.json["holdouts"]
    expected = {"pipeline": "churn", "paths": ["data/holdout.csv"], "uses": 4, "maxUses": 4}
    assert document["holdouts"] == [expected]
    assert "The hold-out data/holdout.csv was read by 4 runs of 4 that may." in call(world.repo.path, "status").out


def test_ci_systems_and_people_are_given_the_same(world: World, tmp_path: Path) -> None:
    xml, markdown = tmp_path / "gates.xml", tmp_path / "summary.md"
    answer = world.gate("--junit", str(xml), "--markdown", str(markdown))
    assert answer.code == 3
    assert "churn-api fails" in answer.out
    (suite,) = ElementTree.parse(xml).getroot()
    assert suite.attrib == {"name": "churn-api", "tests": "4", "failures": "2", "errors": "1", "skipped": "0"}
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases["no worse"] == ["failure"]
    assert cases["accuracy"] == ["error"]
    assert cases["groups"] == ["system-out"]
    assert "❌ fail | no worse" in markdown.read_text()


def test_waivers_warnings_and_the_bound_of_a_hold_out_decide_beside_the_numbers(world: World, tmp_path: Path) -> None:
    gates = [
        '{name: old, metric: "metrics.json:auc", min: 0.99, waiver: {by: ann, reason: drift, until: "2020-01-01"}}',
        '{name: new, metric: "metrics.json:auc", min: 0.99, waiver: {by: ann, reason: drift, until: "2999-01-01"}}',
        '{name: nan, metric: "metrics.json:nothing", min: 0, onInconclusive: pass}',
        '{name: told, metric: "metrics.json:auc", min: 0.99, severity: warn}',
    ]
    again = "    again: {cmd: wc data/holdout.csv > n, deps: [data/holdout.csv], outs: [n]}\n"
    text = (
        PIPELINE.replace("maxUses: 4", "maxUses: 1") + again + DEPLOYMENT + "".join(f"    - {gate}\n" for gate in gates)
    )
    repo = new_repository(tmp_path / "repo", {"runner.yaml": text, **_same_data(world)})
    new_bare_remote(tmp_path / "remote.git", repo)
    assert call(repo.path, "gate").code == 6  # nothing has run yet
    _reconcile(repo)
    answer = call(repo.path, "gate", "--json")
    rows = {row["name"]: (row["effect"], row["said"]) for row in answer.json["deployments"][0]["gates"]}
    assert rows == {
        "old": ("fail", "fail"),
        "new": ("pass", "waived"),
        "nan": ("hold", "held"),
        "told": ("pass", "warns"),
    }
    assert "the waiver by ann ended on 2020-01-01" in call(repo.path, "gate").out
    spent = "the hold-out data/holdout.csv was read by 2 runs, and 1 may"
    assert answer.json["deployments"][0]["blockers"] == [spent]


def _same_data(world: World) -> dict[str, str]:
    names = ("data/train.csv", "data/holdout.csv", "measured.json")
    return {name: world.repo.git("show", f"{world.first}:{name}") for name in names}


def test_what_the_runner_did_not_run_counts_only_where_the_deployment_says_so(tmp_path: Path) -> None:
    stages = "stages:\n  train: {cmd: make, deps: [a], outs: [m], metrics: [metrics.json: {cache: false}]}\n"
    metrics = '{"auc": 0.9}'
    lock = {"cmd": "make", "deps": [_locked("a", "a\n")], "outs": [_locked("m", "m"), _locked("metrics.json", metrics)]}
    deployment = DEPLOYMENT.replace("pipeline: churn, out: models/churn", "pipeline: dvc.yaml, out: m")
    text = deployment + '    - {metric: "metrics.json:auc", min: 0.8}\n'
    files = {"dvc.yaml": stages, "dvc.lock": json.dumps({"schema": "2.0", "stages": {"train": lock}}), "a": "a\n"}
    repo = new_repository(tmp_path / "repo", {**files, ".dvc/config": "", "metrics.json": metrics, "runner.yaml": text})

    held = call(repo.path, "gate")

    assert held.code == 6, held.out
    assert "dvc.yaml:train is known by dvc.lock@" in held.out
    repo.commit({"runner.yaml": text.replace("  gates:", "  acceptEvidence: true\n  gates:")}, "Accept it")
    assert call(repo.path, "gate").code == 0


def _locked(path: str, text: str) -> dict[str, Any]:
    data = text.encode()
    return {"path": path, "hash": "md5", "md5": hashlib.md5(data).hexdigest(), "size": len(data)}


def test_a_deployment_that_is_not_there_is_told_with_a_guess(world: World) -> None:
    answer = world.gate("churn-ap")
    assert (answer.code, answer.err.splitlines()[0]) == (1, "error: there is no Deployment `churn-ap`")
    assert "did you mean `churn-api`?" in answer.err
