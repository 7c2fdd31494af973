"""A model folder held against a table with known answers: what every stage that judges a model begins with.

Answers of a classifier are numbers of its classes, in the model's order, so that a column read as `1`, `true` or text
is compared with what the model means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import artefacts
from runner.errors import InputError
from runner.stages import estimators
from runner.stages.program import Call
from runner.stages.tables import column, read_table
from runner.values import dataclass

if TYPE_CHECKING:
    import pandas

Array = Any
"""A numpy array, one value or line for each row."""
_MANY_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model says of a table."""

    predicted: Array
    """Numbers of classes, or floats."""
    shares: Array | None = None
    """The probability of each class, where the model gives them."""
    ranks: Array | None = None
    """By how much it takes a row for each class; probabilities, or else what it decides by."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A model and a table whose answers are known."""

    path: str
    table: pandas.DataFrame
    artefact: artefacts.Artefact
    truth: Array
    """Numbers of classes, or floats."""
    names: tuple[str, ...]
    """Of the classes, in their order; none in a regression."""
    values: tuple[Any, ...]
    """The classes as the model has them."""
    positive: int
    """Of two classes the one that is looked for; -1 where there are not two."""
    threshold: float | None

    @property
    def classifies(self) -> bool:
        """Whether the answers are classes."""
        return bool(self.names)

    def answers(self, table: pandas.DataFrame) -> Answers:
        """What the model says of a table; raises InputError where it cannot say it."""
        import numpy

        seen = self.artefact.aligned(table, self.path)
        if not self.classifies:
            return Answers(_finite(numpy.asarray(_asked(self.artefact.model.predict, seen), dtype=float), "prediction"))
        shares = ranks = None
        if hasattr(self.artefact.model, "predict_proba"):
            ranks = shares = _finite(numpy.asarray(_asked(self.artefact.model.predict_proba, seen)), "probability")
        elif hasattr(self.artefact.model, "decision_function"):
            ranks = numpy.asarray(_asked(self.artefact.model.decision_function, seen), dtype=float)
            ranks = numpy.column_stack([-ranks, ranks]) if ranks.ndim == 1 else ranks
        if ranks is not None and ranks.shape[1] != len(self.names):
            ranks = shares = None  # one against one: a column for each pair, and none for a class
        if self.threshold is None:
            return Answers(self._predicted(seen), shares, ranks)
        if shares is None:
            raise InputError("`threshold` needs probabilities, and the model gives none", "leave `threshold` out")
        chosen = shares[:, self.positive] >= self.threshold
        return Answers(numpy.where(chosen, self.positive, 1 - self.positive), shares, ranks)

    def _predicted(self, seen: pandas.DataFrame) -> Array:
        import pandas

        told = pandas.Series(_asked(self.artefact.model.predict, seen))
        return _codes(told, self.values, "the model's predictions", "prediction")


def model_of(call: Call) -> artefacts.Artefact:
    """The model that a call names, read by what the call allows; raises InputError where it cannot be."""
    estimators.import_code(call.get("code", ()))
    return artefacts.read(
        Path(call.given["model"]), trusted=call.get("trusted", ()), allow_pickle=call.get("allow_pickle", False)
    )


def judged(call: Call) -> Judged:
    """The model and the table that a call names; raises InputError where they do not go together."""
    import numpy

    artefact = model_of(call)
    path = call.given["data"]
    table = read_table(path)
    if not len(table):
        raise InputError(f"{path}: the table has no rows", "give rows to judge the model by")
    target = column(table, artefact.target, path)
    _check_missing(target, artefact.target, path)
    if artefact.task != "classification":
        for name in ("positive", "threshold"):
            if name in call.given:
                raise InputError(f"`{name}` is for classes, and the model predicts numbers", "leave it out")
        from runner.artefacts.columns import aligned

        truth = aligned(target.to_frame(artefact.target), {artefact.target: "number"}, path)[artefact.target]
        return Judged(path, table, artefact, _finite(truth.to_numpy(dtype=float), "target"), (), (), -1, None)
    classes = artefact.classes
    if classes is None or len(classes) < 2:
        raise InputError(f"{call.given['model']}: the model does not say its classes", "give it `classes_`")
    truth = _codes(target, classes, path, f"target `{artefact.target}`")
    names = tuple(text_of(value) for value in classes)
    positive = _positive(call, names)
    threshold = call.get("threshold")
    if threshold is not None and positive < 0:
        raise InputError("`threshold` is for two classes", "leave it out")
    return Judged(path, table, artefact, numpy.asarray(truth), names, classes, positive, threshold)


def bootstrap_of(call: Call, rows: int) -> dict[str, Any]:
    """How many samples intervals are made of, and their level."""
    return {
        "samples": call.get("samples", 1000 if rows <= _MANY_ROWS else 200),
        "level": call.get("confidence", 0.95),
    }


def text_of(value: Any) -> str:
    """A value of a column as the name of a class, slice or group: `true`, `3` and `Bonn`, whatever their types."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def texts_of(values: pandas.Series) -> pandas.Series:
    """The values of a column as text; a missing one is `(missing)`."""
    return values.astype(object).map(text_of).where(values.notna(), "(missing)")


def _positive(call: Call, names: Sequence[str]) -> int:
    stated = call.get("positive")
    if len(names) != 2:
        if stated is not None:
            raise InputError(f"`positive` is for two classes, and the model has {len(names)}", "leave it out")
        return -1
    if stated is None:
        return 1
    if text_of(stated) not in names:
        raise InputError(f"`positive` is `{stated}`, which is no class", f"the classes are: {', '.join(names)}")
    return list(names).index(text_of(stated))


def _check_missing(target: pandas.Series, name: str, path: str) -> None:
    missing = target.isna()
    if missing.any():
        row = int(missing.to_numpy().argmax()) + 1
        text = f"{path}: the target `{name}` is missing in {int(missing.sum())} rows, first in row {row}"
        raise InputError(text, "leave such rows out in a stage before")


def _codes(values: pandas.Series, classes: Sequence[Any], where: str, what: str) -> Array:
    """The number of the class of each value; raises InputError for one that the model does not know."""
    known: Mapping[str, int] = {text_of(value): code for code, value in enumerate(classes)}
    if all(isinstance(value, bool) for value in classes):
        known = {**known, "True": known.get("true", -1), "False": known.get("false", -1)}
        known |= {"TRUE": known["True"], "FALSE": known["False"], "1": known["True"], "0": known["False"]}
    codes = values.astype(object).map(text_of).map(known)
    if codes.isna().any():
        row = int(codes.isna().to_numpy().argmax())
        text = f"{where}: the {what} of row {row + 1} is `{str(values.iloc[row])[:60]}`, a class that the model lacks"
        raise InputError(text, f"it knows: {', '.join(map(text_of, classes[:20]))}")
    return codes.to_numpy(dtype="int64")


def _asked(predict: Any, seen: pandas.DataFrame) -> Any:
    try:
        return predict(seen)
    except Exception as error:
        text = f"the model cannot predict: {type(error).__name__}: {str(error)[:300]}"
        raise InputError(text, "see whether the table is like the one it was trained with") from error


def _finite(values: Array, what: str) -> Array:
    import numpy

    wrong = ~numpy.isfinite(values)
    if wrong.any():
        row = int(wrong.reshape(len(values), -1).any(axis=1).argmax()) + 1
        raise InputError(f"a {what} is no finite number, first in row {row}", "see what the model does with that row")
    return values
