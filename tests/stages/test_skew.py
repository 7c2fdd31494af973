"""`skew`: no row differs where serving reads what training read; what would differ is counted and named."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from runner import artefacts
from runner.core.measures import MetricName, found
from runner.serve.checks import Rows
from runner.serve.parquet_log import as_parquet
from runner.serve.prediction_log import PredictionLog
from runner.serve.predictors import Said
from runner.serve.settings import LogSettings
from runner.stages.drift import psi
from runner.stages.skew import main, rows_of
from tests.stages.models import FEATURES, caller, told

skew = caller(main)


@pytest.fixture(autouse=True)
def table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> pandas.DataFrame:
    monkeypatch.chdir(folder)
    Path("m.json").unlink(missing_ok=True)
    return pandas.read_csv("t.csv")


@pytest.mark.parametrize("model", ["two", "three", "number"])
def test_a_model_answers_one_row_as_it_answers_many(model: str, table: pandas.DataFrame) -> None:
    assert skew({"model": model, "rows": 60}) == 0
    assert (told()["mismatches"], told()["differing"], told()["columns"]) == (0, 0, {})
    assert told()["support"] == 60 < len(table)
    (measure,) = found({"m.json": told()}, MetricName("m.json", ("mismatches",))).values()
    assert measure.value == 0  # type: ignore[union-attr]


def test_texts_that_a_table_reads_as_numbers_are_found_with_their_column() -> None:
    """Half of the codes begin with a zero; the table of the last month has none that is no number."""
    codes = numpy.array(["07", "12", "x1", "07"] * 30)
    features, target = pandas.DataFrame({"code": codes}), pandas.Series(codes == "07", name="left")
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["code"])), LogisticRegression()
    ).fit(features, target)
    artefacts.write(
        Path("codes"), model, features=features, target="left", outputs=target, task="classification", seed=0
    )
    Path("codes.csv").write_text("code\n07\n12\n07\n", encoding="utf-8")
    assert skew({"model": "codes", "data": "codes.csv"}) == 0
    assert told()["mismatches"] == told()["differing"] == 2
    assert told()["share"] == pytest.approx(2 / 3)
    assert told()["greatest"] > 0.1
    assert told()["columns"] == {"code": {"signature": "string", "table": "integer", "differing": 2}}
    Path("codes.csv").write_text("code\n07\nx1\n\n07\n", encoding="utf-8")
    assert skew({"model": "codes", "data": "codes.csv"}) == 0
    assert told()["mismatches"] == 0


def test_a_model_that_looks_at_other_rows_is_found() -> None:
    code = """\
from sklearn.base import BaseEstimator, RegressorMixin


class Centred(RegressorMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return (X["age"] - X["age"].mean()).to_numpy()
"""
    Path("centred.py").write_text(code, encoding="utf-8")
    from runner.stages import estimators

    estimators.import_code(["centred.py"])
    kind: Any = estimators.imported("centred.Centred")
    features = pandas.DataFrame({"age": [1.0, 2.0, 6.0]})
    model = kind().fit(features)
    artefacts.write(
        Path("centred"), model, features=features, target="t", outputs=features["age"], task="regression", seed=0
    )
    Path("few.csv").write_text("age\n1\n2\n6\n", encoding="utf-8")
    given = {"model": "centred", "data": "few.csv", "code": ["centred.py"], "trusted": ["centred.Centred"]}
    assert skew(given) == 0
    assert (told()["mismatches"], told()["columns"]["age"]["differing"]) == (3, 0)
    assert skew(given | {"batch": 3}) == 0
    assert told()["mismatches"] == 0


def test_rows_that_a_server_refuses_are_counted() -> None:
    Path("gap.csv").write_text("age,orders,city,paid\n40,,Bonn,True\n,3,Ulm,False\n41,2,,True\n", encoding="utf-8")
    assert skew({"model": "two", "data": "gap.csv"}) == 0
    assert (told()["refused"], told()["differing"], told()["mismatches"]) == (1, 0, 1)
    assert told()["columns"]["orders"]["table"] == "number"


def test_what_was_served_is_held_against_the_training_data(table: pandas.DataFrame) -> None:
    sample = table.sample(200, random_state=0)
    sample.to_csv("same.csv", index=False)
    sample.assign(age=sample["age"] + 30, city="Ulm", paid=None).to_csv("other.csv", index=False)
    found = {}
    for name in ("same", "other"):
        assert skew({"model": "two", "served": f"{name}.csv", "rows": 1}) == 0
        found[name] = told()
    assert found["same"]["psi"] < 0.4 < found["other"]["psi"]
    assert found["other"]["features"]["age"]["psi"] > 1 < found["other"]["features"]["city"]["psi"]
    assert found["other"]["features"]["paid"] == {"psi": None, "missing_trained": 0.0, "missing_served": 1.0}
    assert found["same"]["served_rows"] == 200
    assert psi([50, 50], [75, 25]) == pytest.approx(0.25 * math.log(1.5) - 0.25 * math.log(0.5))
    assert psi([1, 0], [0, 0]) is None


def logged(rows: pandas.DataFrame, folder: Path) -> None:
    """The files `log.jsonl` and `log.parquet`, written as a server writes them."""
    kinds = {"age": "number", "orders": "integer", "city": "string", "paid": "boolean", "": "string"}
    settings = LogSettings(str(folder), to="elsewhere")
    log = PredictionLog(settings, FEATURES, ["no", "yes"], {"model": "two", "digest": "d"}, kinds=kinds)
    few = [[row.age, row.orders, row.city, row.paid] for row in rows[FEATURES].astype({"paid": float}).itertuples()]
    shares = numpy.full((len(few), 2), 0.5)
    log.offer("r", Rows(len(few), few=few), Said(numpy.array(["no"] * len(few)), shares))
    log.close()
    (lines,) = folder.glob("*.jsonl")
    as_parquet(lines, Path("log.parquet"))
    lines.rename("log.jsonl")


def test_a_prediction_log_of_a_server_is_read_as_it_is(table: pandas.DataFrame, tmp_path: Path) -> None:
    rows = table.sample(50, random_state=0).assign(city=lambda made: made["city"].where(made["age"] < 50))
    rows.to_csv("same.csv", index=False)
    logged(rows, tmp_path)
    found = []
    for name in ("same.csv", "log.jsonl", "log.parquet"):
        assert skew({"model": "two", "served": name, "rows": 1}) == 0
        found.append(told())
    assert found[0] == found[1] == found[2]
    assert found[0]["served_rows"] == 50
    assert 0 < found[0]["features"]["city"]["missing_served"] < 1


def test_a_table_with_all_columns_of_the_model_is_no_log_whatever_they_are_called() -> None:
    one = pandas.DataFrame({"inputs": [{"age": 1}], "prediction": [1]})
    assert rows_of(one, ["age"]).columns.tolist() == ["age"]
    assert rows_of(one.assign(model="m"), ["age", "model"]).columns.tolist() == ["age"]
    assert rows_of(one, ["inputs"]) is one
    plain = one.drop(columns="prediction")
    assert rows_of(plain, ["age"]) is plain
    flat = pandas.DataFrame({"inputs.age": [1], "prediction": [1]})
    assert rows_of(flat, ["inputs.age"]) is flat
    texts = pandas.DataFrame({"inputs": ["age"], "prediction": [1]})
    assert rows_of(texts, ["age"]) is texts


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": "none.csv"}, "none.csv: there is no such file"),
        ({"data": "empty.csv"}, "empty.csv: the table has no rows"),
        ({"served": "lacking.csv"}, "lacking.csv: there is no column `orders`"),
        ({"rows": 0}, "rows"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    given: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty.csv").write_text("age,orders,city,paid\n", encoding="utf-8")
    Path("lacking.csv").write_text("age\n1\n", encoding="utf-8")
    assert skew({"model": "two"} | given) == 1
    assert message in capsys.readouterr().err
    assert not Path("m.json").exists()
