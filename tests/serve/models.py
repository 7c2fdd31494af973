"""Model folders that the tests of the server share, made once in a module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pandas
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from runner import artefacts

ROWS = 160


def customers() -> pandas.DataFrame:
    """Columns of every kind; `income` has gaps."""
    chance = numpy.random.default_rng(0)
    table = pandas.DataFrame(
        {
            "age": chance.normal(40, 10, ROWS).round(1),
            "income": chance.normal(3, 1, ROWS).round(2),
            "orders": chance.integers(0, 9, ROWS),
            "city": chance.choice(["Bonn", "Ulm", "Trier"], ROWS),
            "paid": chance.choice([True, False], ROWS),
        }
    )
    table.loc[3, "income"] = numpy.nan
    return table


def labels(table: pandas.DataFrame) -> pandas.Series:
    """What the classifiers learn."""
    return pandas.Series(numpy.where(table["age"] + 3 * table["orders"] > 50, "yes", "no"))


def numbers() -> list[str]:
    """Columns of `customers()` that are scaled."""
    return ["age", "income", "orders", "paid"]


def pipeline(last: Any, *, encoder: Any = None, scaler: Any = None) -> Any:
    """Preprocessing inside of the model, as the stage `train` makes it."""
    columns = make_column_transformer(
        (encoder or OneHotEncoder(handle_unknown="ignore"), ["city"]),
        (make_pipeline(SimpleImputer(), scaler or StandardScaler()), numbers()),
    )
    return make_pipeline(columns, last)


def write_model(folder: Path, model: Any, outputs: pandas.Series, task: str, **options: Any) -> Path:
    """Fit a model of `customers()` and write its folder."""
    table = customers()
    model.fit(artefacts.columns.aligned(table, artefacts.columns.kinds_of(table)), outputs.to_numpy())
    artefacts.write(folder, model, features=table, target="left", outputs=outputs, task=task, seed=1, **options)
    return folder


def churn(folder: Path) -> Path:
    """A logistic regression over preprocessing."""
    return write_model(folder, pipeline(LogisticRegression()), labels(customers()), "classification")


ROW = {"age": 41.5, "income": 3.2, "orders": 4, "city": "Ulm", "paid": True}
"""A row that the model takes."""
