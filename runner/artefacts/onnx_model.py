"""A model that onnxruntime computes, with the methods of scikit-learn; imported late, as it imports both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy
import onnxruntime
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if

from runner.errors import InputError

if TYPE_CHECKING:
    import pandas

_MISSING = "nan"
"""What a missing text is to a graph, which knows no missing texts: skl2onnx writes missing categories so."""


class _Graph(BaseEstimator):  # type: ignore[misc]
    """What classifiers and regressors have in common."""

    def __init__(self, data: bytes, facts: Mapping[str, Any]) -> None:
        self.data = data
        self.facts = facts
        options = onnxruntime.SessionOptions()
        # One thread, so that sums come in one order; servers have a process for each core.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it says stands in its errors as well
        self.session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, *_: Any) -> Any:
        """It is fitted already; raises NotImplementedError."""
        raise NotImplementedError("a model in ONNX cannot be trained")

    def _run(self, table: pandas.DataFrame) -> list[Any]:
        fed = {one.name: _fed(table[one.name], one.type) for one in self.session.get_inputs()}
        try:
            return list(self.session.run(None, fed))
        except Exception as error:
            text = f"the graph cannot take these rows: {' '.join(str(error).split())[:200]}"
            raise InputError(text, "see whether the table is like the one that the model was trained with") from error


def _fed(values: pandas.Series, kind: str) -> Any:
    if kind == "tensor(string)":
        return values.where(values.notna(), _MISSING).to_numpy(dtype=object).reshape(-1, 1)
    return values.to_numpy(dtype=numpy.float32).reshape(-1, 1)


class OnnxClassifier(ClassifierMixin, _Graph):  # type: ignore[misc]
    """A classifier."""

    def __init__(self, data: bytes, facts: Mapping[str, Any]) -> None:
        super().__init__(data, facts)
        self.classes_ = numpy.asarray(facts["classes"])

    def predict(self, table: pandas.DataFrame) -> Any:
        """The class of each row."""
        return numpy.asarray(self._run(table)[0]).reshape(-1).astype(self.classes_.dtype)

    @available_if(lambda self: bool(self.facts["probabilities"]))  # type: ignore[untyped-decorator]
    def predict_proba(self, table: pandas.DataFrame) -> Any:
        """The probability of each class for each row."""
        return numpy.asarray(self._run(table)[1], dtype=float)


class OnnxRegressor(RegressorMixin, _Graph):  # type: ignore[misc]
    """A regression."""

    def predict(self, table: pandas.DataFrame) -> Any:
        """The number for each row."""
        return numpy.asarray(self._run(table)[0], dtype=float).reshape(-1)
