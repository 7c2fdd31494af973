"""`explain`: importance and dependence are scikit-learn's, and the page needs nothing from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas
import pytest
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


@pytest.mark.parametrize("model", ["three", "number"])
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(model: str) -> None:
    def written(seed: int) -> list[bytes]:
        assert explain({"model": model, "rows": 150} | FAST, *OUTS, seed=seed) == 0
        return [Path(name).read_bytes() for name in ("m.json", "e.json", "e.html", "i.json", "d.csv")]

    first, again, other = written(1), written(1), written(2)
    assert first == again
    assert first[0] != other[0]
    page = first[2].decode()
    assert page.count("<polyline") == 4 * (3 if model == "three" else 1)
    assert not [word for word in ("<script", "http:", "src=") if word in page]


@pytest.mark.parametrize(
    ("given", "outs", "message"),
    [
        ({"features": ["aeg"]}, ["--out=e.json"], "there is no column `aeg`\n  did you mean `age`?"),
        ({"features": ["spent"]}, ["--out=e.json"], "the model's columns: there is no column `spent`"),
        ({"scoring": "neg_mean_poisson_deviance"}, ["--out=e.json"], "cannot be scored by neg_mean_poisson_deviance"),
        ({}, ["--out=e.svg"], "e.svg: an explanation is written as .json or .html"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    given: dict[str, Any], outs: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain({"model": "two"} | FAST | given, *outs) == 1
    assert message in capsys.readouterr().err
    assert not Path("e.json").exists()
