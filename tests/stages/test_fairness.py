"""`fairness`: its numbers are fairlearn's, and small groups are named and never counted as fair."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fairlearn.metrics
import pandas
import pytest
from sklearn import metrics

from runner import artefacts
from runner.core.measures import MetricName, found
from runner.stages.fairness import main
from tests.repositories import GitRepo
from tests.specs.readings import DVC_PROJECT, desired_of, findings_of
from tests.stages.models import caller, told

fairness = caller(main)


@pytest.fixture(autouse=True)
def table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> pandas.DataFrame:
    """`region` is a column of the data that no model knows."""
    monkeypatch.chdir(folder)
    Path("m.json").unlink(missing_ok=True)
    made = pandas.read_csv("t.csv").assign(region=lambda rows: rows["owner"] % 3)
    made.to_csv("t.csv", index=False)
    return made


MEASURES = [
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
    "equal_opportunity_difference",
    "recall_difference",
    "accuracy_ratio",
    "precision_group_min",
    "false_positive_rate_group_max",
]


def test_measures_of_two_classes_are_those_of_fairlearn(table: pandas.DataFrame) -> None:
    custom = {"jaccard": "sklearn.metrics.jaccard_score"}
    given = {"model": "two", "sensitive": ["region"], "measures": MEASURES, "custom": custom}
    assert fairness(given, "--plots=groups.json") == 0
    said = (artefacts.read(Path("two")).predict(table) == "yes").astype(int)
    truth = (table["left"] == "yes").astype(int)
    named = {"sensitive_features": table["region"]}
    wanted = {name: getattr(fairlearn.metrics, name)(truth, said, **named) for name in MEASURES[:5]}
    frame = fairlearn.metrics.MetricFrame(
        metrics={
            "recall": metrics.recall_score,
            "accuracy": metrics.accuracy_score,
            "precision": metrics.precision_score,
            "fpr": fairlearn.metrics.false_positive_rate,
            "jaccard": metrics.jaccard_score,
        },
        y_true=truth,
        y_pred=said,
        **named,
    )
    wanted |= {
        "recall_difference": frame.difference()["recall"],
        "accuracy_ratio": frame.ratio()["accuracy"],
        "precision_group_min": frame.group_min()["precision"],
        "false_positive_rate_group_max": frame.group_max()["fpr"],
        "jaccard_difference": frame.difference()["jaccard"],
    }
    result = told()
    assert {name: result[name] for name in wanted} == pytest.approx(wanted)
    assert result["groups"]["2"]["recall"] == pytest.approx(frame.by_group.loc[2, "recall"])
    assert result["support"] == table["region"].value_counts().min()
    assert [row["group"] for row in json.loads(Path("groups.json").read_text())] == ["0", "1", "2"]


def test_numbers_and_combinations_of_columns_are_compared_too(table: pandas.DataFrame) -> None:
    assert fairness({"model": "number", "sensitive": ["paid", "region"]}) == 0
    said = artefacts.read(Path("number")).predict(table)
    frame = fairlearn.metrics.MetricFrame(
        metrics=metrics.mean_absolute_error,
        y_true=table["debt"],
        y_pred=said,
        sensitive_features=table[["paid", "region"]],
    )
    assert told()["mae_difference"] == pytest.approx(frame.difference())
    assert told()["groups"]["true, 1"]["mae"] == pytest.approx(frame.by_group[True, 1])
    assert fairness({"model": "three", "sensitive": ["region"], "measures": ["accuracy_difference"]}) == 0


def test_a_small_group_is_named_left_out_and_seen_by_a_gate(table: pandas.DataFrame) -> None:
    most = int(table["city"].isna().sum())
    assert fairness({"model": "two", "sensitive": ["city"], "min_group": most + 1}) == 0
    rest = table[table["city"].notna()]
    said = artefacts.read(Path("two")).predict(rest)
    wanted = fairlearn.metrics.demographic_parity_difference(
        rest["left"] == "yes", said == "yes", sensitive_features=rest["city"]
    )
    result = told()
    assert result["demographic_parity_difference"] == pytest.approx(wanted)
    assert (result["left_out"], result["support"]) == ({"(missing)": most}, most)
    (measure,) = found({"m.json": result}, MetricName("m.json", ("demographic_parity_difference",))).values()
    assert measure.support == most  # type: ignore[union-attr]
    assert fairness({"model": "two", "sensitive": ["city"], "min_group": 1000}) == 0
    assert told()["demographic_parity_difference"] is None
    assert "fewer than two groups" in told()["undefined"]["demographic_parity_difference"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sensitive": ["regoin"]}, "t.csv: there is no column `regoin`\n  did you mean `region`?"),
        ({"sensitive": ["spent"]}, "groups, too many to compare"),
        ({"sensitive": ["same"], "data": "same.csv"}, "same.csv: `same` make one group, `1`"),
        ({"model": "three", "measures": ["equalized_odds_ratio"]}, "`equalized_odds_ratio` is not for 3 classes"),
        ({"model": "number", "measures": ["recall_ratio"]}, "`recall_ratio` is not for a regression\n  compare: mae_"),
        ({"measures": ["recal_ratio"]}, "recal_ratio"),
        ({"custom": {"x": "math.pi"}}, "`custom`: x is no function"),
        ({"custom": {"x": "math.sqrt"}}, "the groups cannot be compared: TypeError"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    given: dict[str, Any], message: str, table: pandas.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    table.assign(same=1).to_csv("same.csv", index=False)
    assert fairness({"model": "two", "sensitive": ["region"]} | given) == 1
    assert message in capsys.readouterr().err
    assert not Path("m.json").exists()


def test_a_gate_on_fairness_plans_the_stage_and_its_arguments_are_right(git_repo: Callable[..., GitRepo]) -> None:
    gate = "{fairness: equalized_odds_difference, sensitive: [region], minGroup: 30, max: 0.1}"
    files = {
        "runner.yaml": f"""\
apiVersion: runner/v1
kind: Pipeline
metadata: {{name: churn}}
spec:
  holdout: {{data: h.csv}}
  stages: {{train: {{cmd: train, outs: [model]}}}}
---
apiVersion: runner/v1
kind: Deployment
metadata: {{name: api}}
spec:
  model: {{pipeline: churn, out: model}}
  gates:
    - {gate}
""",
        "h.csv": "a\n1\n",
    }
    repo = git_repo({**DVC_PROJECT, **files})
    assert findings_of(repo) == []
    (stage,) = [stage for stage in desired_of(repo).stages() if stage.uses == "fairness@1"]
    assert set(stage.deps) == {"model", "h.csv"}
    assert "--min_group=30" in stage.cmd[0]
