"""Whatever turns checked columns into predictions: one protocol, and the general way through a pandas table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from runner.values import dataclass

if TYPE_CHECKING:
    import numpy

    from runner.artefacts import Artefact


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said of some rows."""

    predictions: numpy.ndarray[Any, Any]
    probabilities: numpy.ndarray[Any, Any] | None
    """A column for each class; None where nobody asked, or the model gives none."""


class Predictor(Protocol):
    """A model, as the server calls it, from one thread at a time."""

    @property
    def way(self) -> str:
        """How it predicts, for `/status`: `table`, `matrix`, `arrays` or `onnx`."""
        ...

    def predict(self, columns: Sequence[numpy.ndarray[Any, Any]], probabilities: bool) -> Said:
        """What the model says of rows, given by column in the order of the signature.

        Columns of numbers and truth values are float64, of whole numbers that cannot be missing int64, of texts objects
        (not a number where one is missing). Raises whatever the model raises.
        """
        ...


class OnnxPredictor:
    """A model in ONNX: columns go to the graph as they are, without a table."""

    way = "onnx"

    def __init__(self, artefact: Artefact) -> None:
        session = artefact.model.session
        places = {name: place for place, name in enumerate(artefact.features)}
        self._inputs = [(one.name, places[one.name], one.type == "tensor(string)") for one in session.get_inputs()]
        self._run = session.run
        self._labels = getattr(artefact.model, "classes_", None)
        self._probable = artefact.classes is not None and hasattr(artefact.model, "predict_proba")

    def predict(self, columns: Sequence[numpy.ndarray[Any, Any]], probabilities: bool) -> Said:
        """See `Predictor`."""
        import numpy

        fed = {}
        for name, place, is_text in self._inputs:
            values = columns[place]
            if is_text:
                fed[name] = numpy.array([[text if text == text else "nan"] for text in values.tolist()], dtype=object)
            else:
                fed[name] = values.astype(numpy.float32).reshape(-1, 1)
        told = self._run(None, fed)
        first = numpy.asarray(told[0]).reshape(-1)
        if self._labels is None:
            return Said(first.astype(float), None)
        shares = numpy.asarray(told[1], dtype=float) if probabilities and self._probable else None
        return Said(first.astype(self._labels.dtype), shares)


class TablePredictor:
    """Any model: rows become a pandas table, which the model gets as it got one in training."""

    way = "table"

    def __init__(self, artefact: Artefact) -> None:
        self._model = artefact.model
        self._names = list(artefact.features)
        self._probable = artefact.classes is not None and hasattr(artefact.model, "predict_proba")

    def predict(self, columns: Sequence[numpy.ndarray[Any, Any]], probabilities: bool) -> Said:
        """See `Predictor`."""
        import numpy
        import pandas

        table = pandas.DataFrame(dict(zip(self._names, columns, strict=True)), columns=self._names)
        shares = self._model.predict_proba(table) if probabilities and self._probable else None
        return Said(numpy.asarray(self._model.predict(table)), None if shares is None else numpy.asarray(shares))
