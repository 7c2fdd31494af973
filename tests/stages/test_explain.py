"""`explain`: importance and dependence are scikit-learn's, and the page needs nothing from elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from scipy import stats
from sklearn.inspection import partial_dependence, permutation_importance

from runner import artefacts
from runner.stages.explain import main
from tests.stages.models import FEATURES, caller, told

explain = caller(main)
OUTS = ("--out=e.json", "--out=e.html", "--plots=i.json", "--plots=d.csv")
FAST: dict[str, Any] = {"repeats": 3, "grid": 5}


@pytest.fixture(autouse=True)
def table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> pandas.DataFrame:
    monkeypatch.chdir(folder)
    Path("e.json").unlink(missing_ok=True)
    return pandas.read_csv("t.csv")


def test_importance_and_dependence_are_those_of_scikit_learn(table: pandas.DataFrame) -> None:
    assert explain({"model": "two", "features": ["age", "city"]} | FAST, *OUTS, seed=2) == 0
    model = artefacts.read(Path("two"))
    seen = model.aligned(table)
    wanted = permutation_importance(model.model, seen, table["left"], scoring="roc_auc", n_repeats=3, random_state=2)
    found = json.loads(Path("e.json").read_text())
    assert {name: row["mean"] for name, row in found["importance"].items()} == pytest.approx(
        dict(zip(FEATURES, wanted["importances_mean"], strict=True))
    )
    assert told()["importance"] == found["importance"]
    assert all(row["low"] <= row["mean"] <= row["high"] for row in found["importance"].values())
    points = found["dependence"]["age"]
    grid = {"age": [point["value"] for point in points]}
    curve = partial_dependence(model.model, seen, ["age"], custom_values=grid, kind="average")["average"][0]
    assert [point["prediction"] for point in points] == pytest.approx(curve.tolist())
    assert [point["value"] for point in found["dependence"]["city"]] == ["Bonn", "Köln", "Ulm"]


@pytest.mark.parametrize("model", ["two", "three", "number"])
def test_shapley_values_are_those_of_shap(table: pandas.DataFrame, model: str) -> None:
    shap = pytest.importorskip("shap", reason="shap is not installed; pip install 'gitops-runner[shap]'")
    small: dict[str, Any] = {"method": "shap", "repeats": 2, "grid": 2}
    assert explain({"model": model, **small, "rows": 12}, *OUTS, seed=2) == 0
    assert "Shapley value" in Path("e.html").read_text()
    assert explain({"model": model, **small, "rows": 12}, "--out=again.json", seed=2) == 0
    assert Path("again.json").read_bytes() == Path("e.json").read_bytes()

    artefact = artefacts.read(Path(model))
    seen = artefact.aligned(table)
    rows = numpy.sort(numpy.random.default_rng(2).choice(len(seen), 12, replace=False))
    seen = seen.iloc[rows].reset_index(drop=True)
    cities = sorted(set(seen["city"]))
    numbers = seen.assign(city=seen["city"].map(cities.index)).astype(float)

    def asked(values: Any) -> Any:  # numbers alone go through shap
        asks = pandas.DataFrame(values, columns=FEATURES)
        asks = asks.assign(city=[cities[int(code)] for code in asks["city"]], paid=asks["paid"].astype(bool))
        asks = artefact.aligned(asks.astype({"orders": "int64"}))
        shares = artefact.model.predict(asks) if model == "number" else artefact.model.predict_proba(asks)
        return shares[:, 1] if model == "two" else shares

    masker = shap.maskers.Independent(numbers.to_numpy(), max_samples=100)
    direct = shap.explainers.PermutationExplainer(asked, masker, seed=2)
    values = abs(direct(numbers.to_numpy(), max_evals=2 * 9, silent=True).values).reshape(12, 4, -1).mean(axis=2)
    found = told()["importance"]
    assert {name: row["mean"] for name, row in found.items()} == pytest.approx(
        dict(zip(FEATURES, values.mean(axis=0), strict=True))
    )
    for name, column in zip(FEATURES, values.T, strict=True):
        low, high = stats.t.interval(0.95, 11, loc=column.mean(), scale=stats.sem(column))
        assert (found[name]["low"], found[name]["high"]) == pytest.approx((low, high))


def test_without_shap_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    assert explain({"model": "two", "method": "shap"}, "--out=e.json") == 1
    assert "pip install 'gitops-runner[shap]'" in capsys.readouterr().err
    assert not Path("e.json").exists()


@pytest.mark.parametrize("model", ["three", "number"])
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(model: str) -> None:
    def written(seed: int) -> list[bytes]:
        assert explain({"model": model, "rows": 150} | FAST, *OUTS, seed=seed) == 0
        return [Path(name).read_bytes() for name in ("m.json", "e.json", "e.html", "i.json", "d.csv")]

    first, again, other = written(1), written(1), written(2)
    assert first == again
    assert first[0] != other[0]
    page = first[2].decode()
    classes = 3 if model == "three" else 1
    assert page.count("<polyline") == 3 * classes
    assert page.count("<title>Bonn") == classes
    assert not [word for word in ("<script", "http:", "src=") if word in page]


@pytest.mark.parametrize(
    ("given", "outs", "message"),
    [
        ({"features": ["aeg"]}, ["--out=e.json"], "there is no column `aeg`\n  did you mean `age`?"),
        ({"features": ["spent"]}, ["--out=e.json"], "the model's columns: there is no column `spent`"),
        ({"scoring": "neg_mean_poisson_deviance"}, ["--out=e.json"], "cannot be scored by neg_mean_poisson_deviance"),
        ({"background": 5}, ["--out=e.json"], "`background` means nothing for `method: permutation`"),
        ({"method": "shap", "scoring": "r2"}, ["--out=e.json"], "`scoring` means nothing for `method: shap`"),
        ({}, ["--out=e.svg"], "e.svg: an explanation is written as .json or .html"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    given: dict[str, Any], outs: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain({"model": "two"} | FAST | given, *outs) == 1
    assert message in capsys.readouterr().err
    assert not Path("e.json").exists()
