"""Gates on a real model: evidence is planned and run as stages, noise is measured by seeds, hold-outs are counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import call
from tests.repositories import new_bare_remote, new_repository
from tests.stages.data import customers

SPEC = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: churn}
spec:
  holdout: {data: h.csv, maxUses: 4}
  stages:
    train:
      uses: train
      with:
        data: t.csv
        target: left
        estimator: sklearn.linear_model.LogisticRegression
        params: {C: 1.0}
        columns: {spent: drop, owner: drop, month: drop}
        cv: {folds: 3}
        scoring: [roc_auc]
        seeds: 5
      outs: [models/churn]
      metrics: [train.json: {cache: false}]
---
apiVersion: runner/v1
kind: Deployment
metadata: {name: api}
spec:
  model: {pipeline: churn, out: models/churn}
  gates:
    - {name: good, metric: 'train.json:cv.roc_auc', min: 0.4, confidence: 0.9}
    - {name: no worse, metric: 'train.json:cv.roc_auc.mean', vs: base, minDelta: 0, noise: 'train.json:seeds.roc_auc'}
    - {name: robust, robustness: {noise: {size: 0.1}}, max: 0.05, confidence: 0.9}
    - {name: fair, fairness: selection_rate_difference, sensitive: [paid], minGroup: 20, max: 1, confidence: 0.9}
    - {name: small, fairness: selection_rate_difference, sensitive: [city], minGroup: 20, max: 1}
"""


def test_evidence_is_made_with_the_model_and_judged_with_its_intervals(tmp_path: Path) -> None:
    data = {"t.csv": customers(200).to_csv(index=False), "h.csv": customers(200, seed=3).to_csv(index=False)}
    repo = new_repository(tmp_path / "repo", {"runner.yaml": SPEC, **data})
    new_bare_remote(tmp_path / "remote.git", repo)
    planned = call(repo.path, "plan", "--json").json
    assert {"robust", "fair", "small"} < {step["stage"] for step in planned["stages"]}
    assert call(repo.path, "reconcile", "--jobs", "2").code == 6  # all ran, and a gate holds the release
    held = call(repo.path, "gate", "--json")
    rows = {row["name"]: row for row in held.json["deployments"][0]["gates"]}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "good": "pass",
        "no worse": "pass",
        "robust": "pass",
        "fair": "pass",
        "small": "inconclusive",
    }
    assert held.code == 6
    assert "rows are too few to judge, 20 are needed" in rows["small"]["message"]
    for name in ("good", "robust", "fair"):
        assert rows[name]["lower"] < rows[name]["value"] < rows[name]["upper"], name
    assert held.json["holdouts"][0]["uses"] == 3
    # A parameter that matters no more than the seed does: a little worse, and borne.
    repo.commit({"runner.yaml": SPEC.replace("C: 1.0", "C: 1.5")}, "Try another strength")
    repo.push()
    assert call(repo.path, "reconcile", "--jobs", "2").code == 6
    second = call(repo.path, "gate", "--json").json["deployments"][0]["gates"][1]
    assert second["verdict"] == "pass"
    assert second["delta"] != 0
    assert second["delta"] == pytest.approx(0, abs=0.02)
    if second["delta"] < 0:
        assert "noise" in second["message"]
