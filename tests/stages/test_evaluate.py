"""`evaluate`: its numbers are scikit-learn's, its intervals cover, and what is wrong is told before a file is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve
from sklearn.svm import LinearSVC

from runner import artefacts
from runner.core.measures import MetricName, found
from runner.stages import scoring
from runner.stages.evaluate import main
from runner.stages.judging import Answers
from tests.stages.models import caller, told, write_model

evaluate = caller(main)
FAST: dict[str, Any] = {"samples": 0}


@pytest.fixture(autouse=True)
def table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> pandas.DataFrame:
    monkeypatch.chdir(folder)
    for name in ("m.json", "p.csv", "roc.json"):
        Path(name).unlink(missing_ok=True)
    return pandas.read_csv("t.csv")


def of_two(truth: Any, said: Any, share: Any) -> dict[str, float]:
    """What scikit-learn says of two classes, of which `yes` is looked for."""
    hit = truth == "yes"
    observed, predicted = calibration_curve(hit, share, n_bins=10)
    counts = numpy.histogram(share, bins=numpy.linspace(0, 1, 11))[0]
    return {
        "accuracy": metrics.accuracy_score(truth, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, said),
        "precision": metrics.precision_score(truth, said, pos_label="yes"),
        "recall": metrics.recall_score(truth, said, pos_label="yes"),
        "f1": metrics.f1_score(truth, said, pos_label="yes"),
        "mcc": metrics.matthews_corrcoef(truth, said),
        "roc_auc": metrics.roc_auc_score(hit, share),
        "average_precision": metrics.average_precision_score(hit, share),
        "log_loss": metrics.log_loss(hit, share),
        "brier": metrics.brier_score_loss(hit, share),
        "ece": float((counts[counts > 0] * abs(observed - predicted)).sum() / len(truth)),
    }


def test_measures_of_two_classes_and_of_their_slices_are_those_of_scikit_learn(table: pandas.DataFrame) -> None:
    young = {"name": "young", "where": {"age": {"max": 40}, "city": ["Bonn", "Ulm"]}}
    assert evaluate({"model": "two", "slices": ["city", young, "paid"]} | FAST) == 0
    model = artefacts.read(Path("two"))
    said, share = model.predict(table), model.predict_proba(table)[:, 1]
    result = told()
    wanted = of_two(table["left"].to_numpy(), said, share)
    assert {name: result[name] for name in wanted} == pytest.approx(wanted)
    counts = metrics.confusion_matrix(table["left"], said, labels=["no", "yes"]).tolist()
    assert [list(line.values()) for line in result["confusion"].values()] == counts
    masks = {("city", name): table["city"] == name for name in ("Bonn", "Köln", "Ulm")}
    masks |= {("city", "(missing)"): table["city"].isna(), ("paid", "true"): table["paid"]}
    masks["where", "young"] = (table["age"] <= 40) & table["city"].isin(["Bonn", "Ulm"])
    for (group, name), mask in masks.items():
        part = result["slices"][group][name]
        assert part["support"] == mask.sum()
        if name != "(missing)":
            wanted = of_two(table["left"][mask].to_numpy(), said[mask], share[mask])
            assert {key: part[key] for key in wanted} == pytest.approx(wanted)


def test_measures_of_three_classes_are_those_of_scikit_learn(table: pandas.DataFrame) -> None:
    assert evaluate({"model": "three"} | FAST) == 0
    model = artefacts.read(Path("three"))
    truth, said, shares = table["kind"], model.predict(table), model.predict_proba(table)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, said, average="macro", zero_division=0)
    wanted = {
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, said),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "mcc": metrics.matthews_corrcoef(truth, said),
        "roc_auc": metrics.roc_auc_score(truth, shares, multi_class="ovr"),
        "average_precision": metrics.average_precision_score(truth, shares),
        "log_loss": metrics.log_loss(truth, shares),
        "brier": metrics.brier_score_loss(truth, shares),
    }
    result = told()
    assert {name: result[name] for name in wanted} == pytest.approx(wanted)
    report = metrics.classification_report(truth, said, output_dict=True, zero_division=0)
    assert result["classes"]["b"]["f1"] == pytest.approx(report["b"]["f1-score"])


def test_a_threshold_decides_in_place_of_the_model(table: pandas.DataFrame) -> None:
    assert evaluate({"model": "two", "threshold": 0.2, "positive": "no"} | FAST) == 0
    share = artefacts.read(Path("two")).predict_proba(table)[:, 0]
    wanted = metrics.recall_score(table["left"] == "no", share >= 0.2)
    assert (told()["recall"], told()["positive"]) == (pytest.approx(wanted), "no")


def test_measures_of_numbers_are_those_of_scikit_learn_and_no_share_is_taken_of_zero(table: pandas.DataFrame) -> None:
    assert evaluate({"model": "number", "quantile": 0.8} | FAST) == 0
    truth, said = table["debt"], artefacts.read(Path("number")).predict(table)
    some = truth != 0
    wanted = {
        "mae": metrics.mean_absolute_error(truth, said),
        "rmse": metrics.root_mean_squared_error(truth, said),
        "r2": metrics.r2_score(truth, said),
        "mape": metrics.mean_absolute_percentage_error(truth[some], said[some]),
        "median_ae": metrics.median_absolute_error(truth, said),
        "max_error": metrics.max_error(truth, said),
        "pinball": metrics.mean_pinball_loss(truth, said, alpha=0.8),
    }
    result = told()
    assert {name: result[name] for name in wanted} == pytest.approx(wanted)
    assert result["mape_rows"] == some.sum() < len(table)


def test_a_ranking_is_measured_within_its_groups(table: pandas.DataFrame) -> None:
    assert evaluate({"model": "number", "task": "ranking", "groups": "owner", "top": 3} | FAST) == 0
    scored = table.assign(said=artefacts.read(Path("number")).predict(table))
    parts = [part for _, part in scored.groupby("owner") if (part["debt"] > 0).any()]
    gains = [metrics.ndcg_score([part["debt"]], [part["said"]], k=3) for part in parts if len(part) > 1]
    precisions = [metrics.average_precision_score(part["debt"] > 0, part["said"]) for part in parts]
    result = told()
    assert (result["ndcg"], result["map"]) == pytest.approx((numpy.mean(gains), numpy.mean(precisions)))


def test_a_weight_counts_as_so_many_rows() -> None:
    """What the bootstrap builds on: the same as scikit-learn with `sample_weight`."""
    chance = numpy.random.default_rng(3)
    weights = chance.integers(0, 4, 80).astype(float)
    truth, said = chance.integers(0, 2, 80), chance.integers(0, 2, 80)
    share = chance.integers(0, 9, 80) / 8
    shares = numpy.column_stack([1 - share, share])
    found = scoring.of_classes(scoring.Rows(truth, Answers(said, shares, shares), 2, 1))(weights)
    assert (found["roc_auc"], found["average_precision"], found["mcc"], found["log_loss"]) == pytest.approx(
        (
            metrics.roc_auc_score(truth, share, sample_weight=weights),
            metrics.average_precision_score(truth, share, sample_weight=weights),
            metrics.matthews_corrcoef(truth, said, sample_weight=weights),
            metrics.log_loss(truth, share, sample_weight=weights),
        )
    )
    numbers, guesses = chance.normal(size=80), chance.normal(size=80)
    repeated = numpy.repeat(numpy.arange(80), weights.astype(int))
    found = scoring.of_numbers(scoring.Rows(numbers, Answers(guesses)))(weights)
    assert (found["median_ae"], found["r2"], found["max_error"]) == pytest.approx(
        (
            metrics.median_absolute_error(numbers[repeated], guesses[repeated]),
            metrics.r2_score(numbers[repeated], guesses[repeated]),
            metrics.max_error(numbers[repeated], guesses[repeated]),
        )
    )


def test_an_interval_is_as_wide_as_theory_says_and_the_same_for_the_same_seed(table: pandas.DataFrame) -> None:
    assert evaluate({"model": "two"}, seed=4) == 0
    first, result = Path("m.json").read_bytes(), told()
    share, interval = result["accuracy"], result["intervals"]["accuracy"]
    reach = 1.96 * (share * (1 - share) / len(table)) ** 0.5
    assert (interval["low"], interval["high"]) == pytest.approx((share - reach, share + reach), abs=0.01)
    assert all(row["low"] <= row["value"] <= row["high"] for row in result["intervals"].values() if row["value"] > 0.2)
    assert evaluate({"model": "two"}, seed=4) == 0
    assert Path("m.json").read_bytes() == first
    assert evaluate({"model": "two"}, seed=5) == 0
    assert Path("m.json").read_bytes() != first


def test_gates_find_values_intervals_and_slices_where_they_look_for_them() -> None:
    assert evaluate({"model": "two", "samples": 50, "slices": ["paid"]}) == 0
    recorded = {"m.json": told()}
    (one,) = found(recorded, MetricName("m.json", ("roc_auc",))).values()
    (own,) = found(recorded, MetricName("m.json", ("intervals", "roc_auc"))).values()
    interval = told()["intervals"]["roc_auc"]
    for measure in (one, own):
        assert measure.interval(0.95) == (interval["low"], interval["high"])  # type: ignore[union-attr]
    slices = found(recorded, MetricName("m.json", ("slices", "paid", "*", "recall")))
    assert set(slices) == {"true", "false"}
    assert sum(row.support for row in slices.values()) == told()["support"]  # type: ignore[misc, union-attr]


def test_curves_end_where_they_have_to_and_predictions_are_row_by_row(table: pandas.DataFrame) -> None:
    plots = [f"--plots={name}" for name in ("roc.json", "pr.csv", "bins.json")]
    assert evaluate({"model": "two"} | FAST, *plots, "--out=p.csv") == 0
    curve = json.loads(Path("roc.json").read_text())
    area = metrics.auc([row["fpr"] for row in curve], [row["tpr"] for row in curve])
    assert area == pytest.approx(told()["roc_auc"])
    assert {"recall", "precision"} <= set(pandas.read_csv("pr.csv").columns)
    assert sum(row["rows"] for row in json.loads(Path("bins.json").read_text())) == len(table)
    rows = pandas.read_csv("p.csv")
    assert rows["actual"].tolist() == table["left"].tolist()
    assert metrics.accuracy_score(rows["actual"], rows["predicted"]) == pytest.approx(told()["accuracy"])


def test_a_model_without_probabilities_is_judged_by_what_it_decides(table: pandas.DataFrame) -> None:
    write_model("svm", "left", "classification", LinearSVC(random_state=0))
    assert evaluate({"model": "svm"} | FAST) == 0
    model = artefacts.read(Path("svm"))
    score = model.model.decision_function(model.aligned(table))
    assert told()["roc_auc"] == pytest.approx(metrics.roc_auc_score(table["left"], score))
    assert "log_loss" not in told()


def test_what_rows_do_not_define_is_null_and_says_why() -> None:
    leaver = {"name": "leavers", "where": {"left": "yes"}}
    assert evaluate({"model": "two", "slices": [leaver], "samples": 20}) == 0
    part = told()["slices"]["where"]["leavers"]
    assert (part["roc_auc"], part["undefined"]["roc_auc"]) == (None, "the rows lack a class")
    assert "roc_auc" not in part["intervals"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "nowhere"}, "nowhere"),
        ({"model": "two", "data": "untold.csv"}, "untold.csv: there is no column `left`"),
        ({"model": "two", "data": "other.csv"}, "is `maybe`, a class that the model lacks\n  it knows: no, yes"),
        ({"model": "two", "data": "gaps.csv"}, "gaps.csv: the target `left` is missing in 1 rows, first in row 2"),
        ({"model": "two", "data": "empty.csv"}, "empty.csv: the table has no rows"),
        ({"model": "two", "slices": ["town"]}, "t.csv: there is no column `town`"),
        ({"model": "two", "slices": ["spent"]}, "too many for slices"),
        ({"model": "two", "slices": [{"name": "x", "where": {"age": {"min": 900}}}]}, "the slice `x` has no rows"),
        (
            {"model": "two", "slices": [{"name": "x", "where": {"age": {"min": "a"}}}]},
            "the slice's bound `a` cannot be",
        ),
        ({"model": "two", "positive": "perhaps"}, "`positive` is `perhaps`, which is no class"),
        ({"model": "three", "threshold": 0.5}, "`threshold` is for two classes"),
        ({"model": "number", "threshold": 0.5}, "`threshold` is for classes"),
        ({"model": "number", "task": "classification"}, "`task` is classification, and the model is one of regression"),
        ({"model": "number", "task": "ranking"}, "a ranking is judged within groups"),
        ({"model": "number", "bins": 5}, "`bins` means nothing for a regression"),
        ({"model": "two", "trusted": "x"}, "`trusted` must be a list"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    given: dict[str, Any], message: str, table: pandas.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    table.drop(columns="left").to_csv("untold.csv", index=False)
    table.assign(left="maybe").to_csv("other.csv", index=False)
    table.assign(left=table["left"].where(table.index != 1)).to_csv("gaps.csv", index=False)
    table.head(0).to_csv("empty.csv", index=False)
    assert evaluate({"model": "two"} | given) == 1
    assert message in capsys.readouterr().err
    assert not Path("m.json").exists()


def test_more_plots_than_there_are_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate({"model": "number"} | FAST, "--plots=a.json", "--plots=b.json") == 1
    assert "2 plots are named, and there are 1 of this model" in capsys.readouterr().err
