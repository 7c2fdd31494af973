"""The compiled way of a pipeline says what scikit-learn says, and what is not known is left to scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, OrdinalEncoder, RobustScaler
from sklearn.tree import DecisionTreeClassifier

from runner import artefacts
from runner.errors import InputError
from runner.serve.checks import arrays_of
from runner.serve.compiled import CompiledPredictor, Surprise
from runner.serve.loading import load
from runner.serve.refusals import Refused
from runner.serve.settings import Served, Settings
from runner.stages import preparation
from runner.stages.train import pipeline_of
from tests.serve.models import ROW, customers, labels, pipeline, write_model


def loaded(folder: Path, **options: Any) -> Any:
    """A model as a worker loads it."""
    return load(Settings(Served(str(folder), "m", **options)))


THREE = customers()["city"]
CASES = [
    (pipeline(LogisticRegression()), "classification", "arrays"),
    (pipeline(LogisticRegression(), encoder=OneHotEncoder(drop="first"), scaler=MinMaxScaler()), "three", "arrays"),
    (pipeline(Ridge(), encoder=OrdinalEncoder(), scaler=RobustScaler()), "regression", "arrays"),
    (pipeline(DecisionTreeClassifier(random_state=0), encoder=OrdinalEncoder()), "classification", "matrix"),
    (pipeline(GaussianNB(), encoder=OneHotEncoder(sparse_output=False)), "classification", "matrix"),
    (pipeline(LogisticRegression(), scaler=FunctionTransformer()), "classification", "arrays"),
    (pipeline(LogisticRegression(), scaler=FunctionTransformer(numpy.tanh)), "classification", "table"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "task", "way"), CASES, ids=[f"{way}-{n}" for n, (_, _, way) in enumerate(CASES)])
def test_every_way_says_what_the_model_says(tmp_path: Path, model: Any, task: str, way: str) -> None:
    table = customers()
    outputs = {"classification": labels(table), "three": THREE, "regression": table["age"] * 2.5}[task]
    kind = "regression" if task == "regression" else "classification"
    folder = write_model(tmp_path / "m", model, outputs, kind, format="joblib" if way == "table" else "skops")
    found = loaded(folder, formats=("skops", "joblib"))
    assert found.predictor.way == way, found.notes
    rows = table.assign(age=table["age"].iloc[::-1].to_numpy() * 3)
    checked = found.checks.rows([dict(row) for row in rows.replace({numpy.nan: None}).to_dict("records")])
    said = found.predictor.predict(arrays_of(found.checks.columns, checked.few), True)
    told = artefacts.read(folder, allow_pickle=True)
    if kind == "regression":
        numpy.testing.assert_allclose(said.predictions, told.predict(rows), rtol=1e-9)
    else:
        assert said.predictions.tolist() == told.predict(rows).tolist()
        numpy.testing.assert_allclose(said.probabilities, told.predict_proba(rows), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("most", [50, 2], ids=["none-rare", "rare-ones-together"])
def test_a_model_as_the_stage_train_prepares_it_needs_no_table(tmp_path: Path, most: int) -> None:
    table = customers()
    kinds = artefacts.columns.kinds_of(table)
    stated, estimator = {"city": {"as": "onehot", "most": most}}, LogisticRegression()
    plan = preparation.columns_of(table, kinds, stated, estimator, reduced=False, filled=False)
    model = pipeline_of(plan, estimator, None, "classification", 0)
    folder = write_model(tmp_path / "m", model, labels(table), "classification")
    found = loaded(folder)
    assert (found.predictor.way, found.notes) == ("arrays", ())
    rows = table.assign(city=["Bonn", "Ulm", "Trier", "Rome"] * (len(table) // 4))
    checked = found.checks.rows(rows.replace({numpy.nan: None}).to_dict("records"))
    said = found.predictor.predict(arrays_of(found.checks.columns, checked.few), True)
    told = artefacts.read(folder)
    assert said.predictions.tolist() == told.predict(rows).tolist()
    numpy.testing.assert_allclose(said.probabilities, told.predict_proba(rows), rtol=1e-12)


TEXTS = numpy.array(["Bonn"] * 9 + ["Ulm"] * 6 + ["Trier"] * 2 + ["Jena"] + [numpy.nan] * 3, dtype=object)
NUMBERS = numpy.array([7.0] * 9 + [-1.5] * 6 + [0.0] * 2 + [3.0] + [numpy.nan] * 3)
ENCODERS = [
    {"max_categories": 50},
    {"max_categories": 3},
    {"max_categories": 1},
    {"max_categories": 3, "drop": "first"},
    {"max_categories": 2, "drop": "if_binary"},
    {"min_frequency": 4},
    {"min_frequency": 4, "handle_unknown": "ignore"},
    {"min_frequency": 4, "drop": ["Ulm", -1.5], "handle_unknown": "ignore"},
    {"min_frequency": 8, "handle_unknown": "error"},
]


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("options", ENCODERS, ids=str)
def test_categories_set_the_places_that_scikit_learn_sets_also_where_rare_ones_share_one(
    options: dict[str, Any],
) -> None:
    """The regression behind it is made to hand over what it gets."""
    seen = pandas.DataFrame({"city": TEXTS, "code": NUMBERS})
    encoder = OneHotEncoder(**{"handle_unknown": "infrequent_if_exist", "sparse_output": False} | options)
    model = make_pipeline(make_column_transformer((encoder, ["city", "code"])), LinearRegression())
    model.fit(seen, NUMBERS == 7.0)
    width = len(model[-1].coef_)
    model[-1].coef_, model[-1].intercept_ = numpy.eye(width), numpy.zeros(width)
    compiled = CompiledPredictor(model, ["string", "number"], ["city", "code"])
    for city in [*dict.fromkeys(TEXTS[:-2].tolist()), "Rome", ""]:
        for code in [*dict.fromkeys(NUMBERS[:-2].tolist()), 99.0]:
            row = pandas.DataFrame({"city": numpy.array([city], dtype=object), "code": [code]})
            columns = [row[name].to_numpy() for name in row]
            try:
                wanted = model.predict(row)
            except ValueError:
                with pytest.raises(Surprise):
                    compiled.predict(columns, False)
                continue
            assert compiled.predict(columns, False).predictions.tobytes() == wanted.tobytes(), (city, code)


def test_a_graph_is_asked_without_a_table_and_says_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model, table = pipeline(LogisticRegression()), customers()
    folder = write_model(tmp_path / "m", model, labels(table), "classification", format="onnx")
    found = loaded(folder, formats=("onnx",))
    assert found.predictor.way == "onnx", found.notes
    checked = found.checks.rows(table.replace({numpy.nan: None}).to_dict("records"))
    said = found.predictor.predict(arrays_of(found.checks.columns, checked.few), True)
    told = artefacts.read(folder)
    assert said.predictions.tolist() == told.predict(table).tolist()
    numpy.testing.assert_array_equal(said.probabilities, told.predict_proba(table))


@pytest.mark.parametrize(
    ("form", "about", "hint"),
    [
        ("onnx", {}, "say `--allow-format onnx` where you know who made the model"),
        ("joblib", {"deployment": "churn"}, "name `joblib` in the `formats` of its Deployment where you know"),
        ("pickle", {}, "known are: skops, onnx, joblib"),
    ],
)
def test_a_format_that_is_not_allowed_is_refused_with_how_to_allow_it(
    tmp_path: Path, form: str, about: dict[str, str], hint: str
) -> None:
    folder = write_model(tmp_path / "m", pipeline(LogisticRegression()), labels(customers()), "classification")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"skops"', f'"{form}"'))
    with pytest.raises(InputError, match=f"it is in the format {form}, and allowed are: skops") as refused:
        loaded(folder, about=about)
    assert hint in refused.value.line


def test_a_row_that_the_compiled_way_cannot_judge_goes_to_the_model(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", pipeline(Ridge(), encoder=OneHotEncoder()), customers()["age"], "regression")
    found = loaded(folder)
    assert found.predictor.way == "arrays"
    unknown = arrays_of(found.checks.columns, [found.checks.record({**ROW, "city": "Rome"}, 0)])
    with pytest.raises(ValueError, match="Found unknown categories"):
        found.predictor.predict(unknown, False)


def test_what_was_seen_binds_where_the_server_is_strict(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", pipeline(LogisticRegression()), labels(customers()), "classification")
    found = loaded(folder, strict=True, extra=True)
    assert found.checks.record({**ROW, "more": 1}, 0)[3] == "Ulm"
    for name, value in (("city", "Rome"), ("orders", 99), ("age", -1.0)):
        with pytest.raises(Refused, match=f"column `{name}`, row 2: expected"):
            found.checks.record({**ROW, name: value}, 2)


def test_arrays_are_checked_as_rows_are(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", pipeline(LogisticRegression()), labels(customers()), "classification")
    checks = loaded(folder).checks
    table = pandas.concat([customers()] * 2)
    good = {name: table[name].to_numpy() for name in table.columns}
    assert [values.dtype.kind for values in checks.by_column(good).many] == ["f", "f", "i", "O", "f"]
    for name, value in (("age", numpy.nan), ("age", numpy.inf), ("orders", 0.5), ("paid", 2.0)):
        bad = good[name].astype(float)
        bad[170] = value
        with pytest.raises(Refused, match=f"column `{name}`, row 170: expected") as refused:
            checks.by_column({**good, name: bad})
        assert (refused.value.column, refused.value.row) == (name, 170)
