"""`fairness`: its numbers are fairlearn's, and small groups are named and never counted as fair."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fairlearn.metrics
import numpy
import pandas
import pytest
from sklearn import metrics

from runner import artefacts
from runner.core.measures import MetricName, found
from runner.specs.builtin_stages import schema_of
from runner.stages.fairness import _coded, main
from runner.stages.judging import judged
from runner.stages.parity import Grouped, compared
from runner.stages.program import call_of
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


_ALL = schema_of("fairness")["$defs"]["measure"]["enum"]


@pytest.mark.parametrize("model", ["two", "three", "number"])
def test_what_intervals_are_made_of_are_the_values_of_fairlearn(model: str) -> None:
    fitting = {"two": lambda name: not name.startswith(("mae", "rmse", "r2", "mean_")), "three": _of_three}
    measures = [name for name in _ALL if fitting.get(model, _of_numbers)(name)]
    custom = {"share": "sklearn.metrics.accuracy_score"} if model != "number" else {}
    given = {"model": model, "sensitive": ["region", "paid"], "measures": measures, "custom": custom, "samples": 60}
    assert fairness(given) == 0
    result = told()
    for name in measures:
        interval = result["intervals"][name]
        assert interval["low"] <= interval["value"] == result[name] <= interval["high"]
        assert interval["low"] < interval["high"] or "ratio" in name
    # The very function that samples go through, with every row once.
    known = judged(
        call_of("fairness", [f"--model={model}", "--data=t.csv", '--sensitive=["region"]', "--metrics=m"], {})
    )
    rows = known.table
    names = rows["region"].map(str) + ", " + rows["paid"].map({True: "true", False: "false"})
    truth, said = _coded(known)
    grouped = Grouped(truth, said, pandas.factorize(names, sort=True)[0], len(known.names), known.positive >= 0)
    found = compared(grouped, measures)(numpy.ones(len(rows)))
    assert found == pytest.approx({name: result[name] for name in measures}, abs=1e-12)


def _of_three(name: str) -> bool:
    return name.startswith(("accuracy", "balanced_accuracy"))


def _of_numbers(name: str) -> bool:
    return name.startswith(("mae", "rmse", "r2", "mean_"))


def test_an_interval_is_as_wide_as_theory_says_the_same_for_a_seed_and_of_the_level_that_a_gate_asks_for(
    table: pandas.DataFrame,
) -> None:
    table.assign(region=(table["age"] > 40).map({True: "old", False: "young"})).to_csv("t.csv", index=False)
    given = {"model": "two", "sensitive": ["region"], "measures": ["selection_rate_group_min"], "confidence": 0.9}
    assert fairness(given, seed=1) == 0
    first, result = Path("m.json").read_bytes(), told()
    share, interval = result["selection_rate_group_min"], result["intervals"]["selection_rate_group_min"]
    (rows,) = (row["support"] for row in result["groups"].values() if row["selection_rate"] == share)
    reach = 1.645 * (share * (1 - share) / rows) ** 0.5
    assert (interval["low"], interval["high"]) == pytest.approx((share - reach, share + reach), abs=0.012)
    (measure,) = found({"m.json": result}, MetricName("m.json", ("selection_rate_group_min",))).values()
    assert measure.interval(0.9) == (interval["low"], interval["high"])  # type: ignore[union-attr]
    assert "its interval is of level 0.9" in measure.interval(0.95)  # type: ignore[operator, union-attr]
    assert fairness(given, seed=1) == 0
    assert Path("m.json").read_bytes() == first
    assert fairness(given | {"measures": ["f1_ratio"]}, seed=1) == 0
    first = Path("m.json").read_bytes()
    assert fairness(given | {"measures": ["f1_ratio"]}, seed=2) == 0
    assert Path("m.json").read_bytes() != first


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
    gate = "{fairness: equalized_odds_difference, sensitive: [region], minGroup: 30, max: 0.1, confidence: 0.9}"
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
    assert "--confidence=0.9 " in stage.cmd[0]
    assert "--min_group=30" in stage.cmd[0]
