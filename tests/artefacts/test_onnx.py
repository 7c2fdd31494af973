"""Models as ONNX: the same answers or none, the same bytes, and nothing that reads files or goes on for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from runner import artefacts
from runner.artefacts import onnx_file
from runner.errors import InputError
from runner.stages import evaluate, explain, train
from tests.artefacts.test_folder import put
from tests.stages.data import customers

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
DROPPED, NO_CV = {"owner": "drop", "month": "drop"}, '--cv={"kind": "none"}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, and models of it as skops and as ONNX."""
    path = tmp_path_factory.mktemp("onnx")
    customers(200).to_csv(path / "t.csv", index=False)
    return path


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def trained(estimator: str, target: str, form: str, out: str, params: str = "{}") -> int:
    filled = {"as": "number", "impute": "median"}
    dropped = {name: "drop" for name in (*DROPPED, "left", "spent") if name != target}
    numbers = {name: filled for name in ("age", "orders", "paid") if name != target}
    columns = f"--columns={json.dumps(dropped | numbers)}"
    words = [f"--target={target}", f"--estimator=sklearn.{estimator}", f"--params={params}", columns, NO_CV]
    return train.main(["--data=t.csv", *words, f"--format={form}", f"--out={out}"])


@pytest.mark.parametrize(
    ("estimator", "target", "params"),
    [
        ("linear_model.LogisticRegression", "left", "{}"),
        ("ensemble.RandomForestClassifier", "paid", '{"n_estimators": 21}'),
        ("ensemble.HistGradientBoostingClassifier", "left", '{"max_iter": 20}'),
        ("linear_model.Ridge", "spent", "{}"),
        ("ensemble.GradientBoostingRegressor", "spent", '{"n_estimators": 20}'),
    ],
)
def test_a_model_says_the_same_as_onnx(estimator: str, target: str, params: str) -> None:
    assert trained(estimator, target, "skops", "skops", params) == 0
    assert trained(estimator, target, "onnx", "onnx", params) == 0
    assert {path.name for path in Path("onnx").iterdir()} >= {"model.onnx", "manifest.json", "MLmodel"}
    assert "onnxruntime==" in Path("onnx/environment.txt").read_text()
    one, other = artefacts.read(Path("skops")), artefacts.read(Path("onnx"))
    odd = pandas.DataFrame([{"age": None, "orders": 1, "city": "Rom", "paid": None}, {"age": 1e6, "orders": 2}])
    for table in (customers(300, seed=9), odd):
        if target == "spent":
            assert other.predict(table) == pytest.approx(one.predict(table), rel=1e-5)
        else:
            assert other.predict(table).tolist() == one.predict(table).tolist()
            numpy.testing.assert_allclose(other.predict_proba(table), one.predict_proba(table), atol=1e-5)
    assert (one.classes, one.signature) == (other.classes, other.signature)


def test_it_is_judged_and_explained_like_any_other_and_equal_models_are_equal_bytes() -> None:
    assert trained("linear_model.LogisticRegression", "left", "onnx", "line") == 0
    first = {path.name: path.read_bytes() for path in Path("line").iterdir()}
    program = "import sys; from runner.stages.train import main; sys.exit(main(sys.argv[1:]))"
    words = ["--data=t.csv", "--target=left", "--estimator=sklearn.linear_model.LogisticRegression"]
    columns = '--columns={"owner": "drop", "month": "drop", "spent": "drop"}'
    environ = {**os.environ, "PYTHONHASHSEED": "20", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, *words, "--params={}", columns, NO_CV, "--format=onnx", "--out=again"]
    subprocess.run(command, check=True, env=environ)
    assert {path.name: path.read_bytes() for path in Path("again").iterdir()} == first
    assert evaluate.main(["--model=line", "--data=t.csv", "--samples=0", "--metrics=m.json"]) == 0
    told = json.loads(Path("m.json").read_text())
    assert told["roc_auc"] > 0.7
    assert told["log_loss"] < 0.7
    assert explain.main(["--model=line", "--data=t.csv", "--repeats=2", "--out=e.json"]) == 0


def test_a_model_that_has_no_graph_is_refused_before_anything_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    table = customers()
    model = make_pipeline(FunctionTransformer(numpy.sin), LogisticRegression()).fit(table[["orders"]], table["left"])
    given = {"features": table[["orders"]], "target": "left", "outputs": table["left"], "task": "classification"}
    with pytest.raises(InputError, match=r"(?s)the model cannot be kept as ONNX: .*skops keeps it"):
        artefacts.write(Path("none"), model, **given, seed=0, format="onnx")
    assert not Path("none").exists()


class Wrong(LogisticRegression):
    """What is converted as its parent is, and says otherwise."""

    def predict(self, table: Any) -> Any:
        said = super().predict(table)
        said[0] = self.classes_[0] if said[0] == self.classes_[1] else self.classes_[1]
        return said


def test_a_graph_that_says_otherwise_is_refused() -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    from skl2onnx.operator_converters.linear_classifier import convert_sklearn_linear_classifier

    options = {
        "zipmap": [True, False, "columns"],
        "nocl": [True, False],
        "output_class_labels": [False, True],
        "raw_scores": [True, False],
    }
    update_registered_converter(
        Wrong, "WrongOne", calculate_linear_classifier_output_shapes, convert_sklearn_linear_classifier, options=options
    )
    table = customers()[["orders"]]
    with pytest.raises(InputError, match="as ONNX it says otherwise in 1 of 150 rows of the training"):
        onnx_file.dump(Wrong().fit(table, customers()["left"]), table)


def _custom_domain(proto: Any) -> None:
    proto.graph.node[0].domain = "com.evil"
    proto.opset_import.add(domain="com.evil", version=1)


def _loop(proto: Any) -> None:
    proto.graph.node[0].op_type = "Loop"


def _outside(proto: Any) -> None:
    tensor = proto.graph.initializer.add(name="x", data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value="/etc/passwd")


def _no_facts(proto: Any) -> None:
    del proto.metadata_props[:]


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (_custom_domain, "holds the operator com.evil"),
        (_loop, "holds the operator ai.onnx.Loop, which nobody allowed"),
        (_outside, "reads a file beside it"),
        (_no_facts, "model.onnx: it cannot be loaded: StopIteration"),
    ],
)
def test_a_forged_graph_is_refused_before_it_is_opened(forge: Callable[[Any], None], told: str) -> None:
    assert trained("linear_model.LogisticRegression", "left", "onnx", "forged") == 0
    proto = onnx.load_model_from_string(Path("forged/model.onnx").read_bytes())
    forge(proto)
    put(Path("forged"), "model.onnx", proto.SerializeToString())
    with pytest.raises(InputError, match=told):
        artefacts.read(Path("forged"))
