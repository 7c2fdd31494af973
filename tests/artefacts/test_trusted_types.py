"""Which types of scikit-learn are made without being named: the same whether skops lists them or they are looked up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy
import pandas
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import all_estimators

from runner import artefacts
from runner.artefacts.skops_file import estimators_among

LIGHTLY = """
import sys
from pathlib import Path
from runner.artefacts import skops_file
skops_file.import_lightly()
assert "sklearn.ensemble" not in sys.modules
assert "sklearn.gaussian_process" not in sys.modules
from runner import artefacts
print(artefacts.read(Path(sys.argv[1])).model)
"""
FORGED = {
    "sklearn.utils._testing.os.system", "sklearn.base.BaseEstimator", "sklearn.linear_model._base.LinearModel",
    "sklearn.linear_model._logistic.Ridge", "sklearn..x", "sklearn.", "sklearn.tests.test_base.MyEstimator",
    "sklearn.linear_model.LogisticRegression", "os.system", "sklearn.nowhere.Thing", "sklearn.utils._pprint.os",
}  # fmt: skip


def test_every_estimator_is_known_and_nothing_else() -> None:
    names = {f"{kind.__module__}.{kind.__name__}" for _, kind in all_estimators()}
    assert len(names) > 150
    assert estimators_among(names | FORGED) == names


def test_a_model_is_read_where_skops_was_imported_without_the_list(tmp_path: Path) -> None:
    table = pandas.DataFrame({"x": numpy.linspace(0, 1, 60)})
    outputs = pandas.Series(numpy.where(table["x"] > 0.4, "yes", "no"))
    model = make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=3)).fit(table, outputs)
    said = {"target": "y", "outputs": outputs, "task": "classification", "seed": 1}
    artefacts.write(tmp_path / "m", model, features=table, **said)  # type: ignore[arg-type]
    done = subprocess.run(
        [sys.executable, "-c", LIGHTLY, str(tmp_path / "m")], check=True, text=True, stdout=subprocess.PIPE
    )
    assert "HistGradientBoostingClassifier" in done.stdout
