"""Models that the tests of the judging stages share: small ones, in folders, with tables they were not trained with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from runner import artefacts
from tests.stages.data import customers, words_of

FEATURES = ["age", "orders", "city", "paid"]


def judged_table(rows: int = 300) -> pandas.DataFrame:
    """Rows that no model below was trained with; `age` in whole years, so that some scores are equal."""
    table = customers(rows, seed=1)
    table["kind"] = numpy.where(table["spent"] > 14, "c", numpy.where(table["spent"] > 8, "b", "a"))
    table["debt"] = (table["spent"] - 10).clip(lower=0)
    table["age"] = table["age"].round()
    return table


def write_model(folder: str, target: str, task: str, estimator: BaseEstimator | None = None) -> None:
    """A model of some columns, as a folder; linear unless told otherwise."""
    table = judged_table(200).assign(age=lambda made: made["age"] + 0.5)
    inner = estimator or (LogisticRegression() if task == "classification" else LinearRegression())
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["city"]),
            (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "orders", "paid"]),
        ),
        inner,
    )
    features = table[FEATURES]
    kinds = {"age": "number", "orders": "integer", "city": "string", "paid": "boolean"}
    model.fit(artefacts.columns.aligned(features, kinds), table[target].to_numpy())
    artefacts.write(Path(folder), model, features=features, target=target, outputs=table[target], task=task, seed=0)


def made_models(folder: Path) -> pandas.DataFrame:
    """Two classes, three classes and numbers as model folders `two`, `three` and `number`, and the table t.csv."""
    for name, target, task in (
        ("two", "left", "classification"),
        ("three", "kind", "classification"),
        ("number", "debt", "regression"),
    ):
        write_model(str(folder / name), target, task)
    table = judged_table()
    table.to_csv(folder / "t.csv", index=False)
    return pandas.read_csv(folder / "t.csv")


def caller(main: Callable[..., int]) -> Callable[..., int]:
    """A function that calls a stage with what `with` says, a seed and its outputs."""

    def call(given: dict[str, Any], *outputs: str, seed: int = 0) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RUNNER_SEED", str(seed))
            return main(["--data=t.csv", *words_of(given), "--metrics=m.json", *outputs])

    return call


def told() -> Any:
    """What the stage wrote to its metrics."""
    return json.loads(Path("m.json").read_text())
