"""Why a model said what it said of a row: how far each column moved its output away from the usual one.

These are Shapley values, by the definition that the library shap calls interventional: a column that is not known takes
the values that it has in a sample of the training data, whatever the others are. They add up: the base and all
attributions of a row are the output of the model for it. `linear` and `exact` are those values themselves; `sampling`
estimates them, with an error that it tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.serve.checks import arrays_of
from runner.serve.compiled import CompiledPredictor, NotCompiled, Surprise
from runner.serve.loading import Model
from runner.serve.predictors import Said
from runner.serve.refusals import Refused
from runner.serve.settings import ExplainSettings
from runner.values import dataclass

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

Columns = Sequence[Any]
"""Arrays of one dimension, one for each column."""
Ask = Callable[[Columns], "Array"]
"""The model's outputs of rows: a row for each, a column for each output."""
_BLOCK_ROWS = 2048
"""Rows that are put together at a time."""
_MOST_EXACT_COLUMNS = 16
_ADDS_UP = 1e-6


@dataclass(frozen=True, slots=True)
class Explained:
    """The explanation of one row; arrays are of one dimension for each output, or a row for each column."""

    method: str
    scale: str
    """What the outputs are: `log-odds`, `score`, `probability` or `value`."""
    names: tuple[str, ...]
    """Of the outputs: classes, or the target."""
    base: Array
    values: Array
    """The model's outputs of the row."""
    attributions: Array
    errors: Array | None
    """Standard errors of the attributions, where they are estimates."""
    background: int
    evaluations: int


class Explainer:
    """Explains rows of one model."""

    def __init__(self, model: Model, settings: ExplainSettings) -> None:
        """Raises InputError: the model cannot be explained, or not in this way."""
        import numpy

        self._settings = settings
        self._model = model
        self._width = len(model.checks.columns)
        rows = _background(model)
        if not rows:
            text = "the model folder holds no rows of its training data, which explanations compare with"
            raise InputError(text, "train it again with a sample, or take `explain` away")
        chosen = numpy.random.default_rng(settings.seed).permutation(len(rows))[: settings.background]
        self._rows = arrays_of(model.checks.columns, [rows[place] for place in chosen.tolist()])
        self._count = len(chosen)
        self._linear = None if settings.method == "sampling" else _linear_of(model, self._rows)
        if settings.method == "linear" and self._linear is None:
            text = "explain.method is linear, and the model is none of linear steps that are known"
            raise InputError(text, "say `method: auto`")

    def outputs(self, said: Said) -> Array:
        """What is explained, of what the model said: probabilities where there are some, else numbers."""
        import numpy

        if said.probabilities is not None:
            return said.probabilities[:, 1:] if said.probabilities.shape[1] == 2 else said.probabilities
        classes = self._model.artefact.classes
        if classes is not None:
            return numpy.stack([said.predictions == one for one in classes], axis=1).astype(float)
        return numpy.asarray(said.predictions, dtype=float).reshape(len(said.predictions), -1)

    def explain(self, row: Columns, ask: Ask) -> Explained:
        """One row, given as columns of one value each. ask: the model. Raises whatever `ask` raises."""
        if self._linear is not None:
            found = self._linear.explain(row)
            if found is not None:
                return found
        if self._width <= _MOST_EXACT_COLUMNS and (self._count << self._width) <= self._settings.evaluations:
            return self._exact(row, ask)
        return self._sampled(row, ask)

    def _named(self, outputs: int) -> tuple[tuple[str, ...], str]:
        classes = self._model.artefact.classes
        if classes is None:
            target = self._model.artefact.target
            return ((target,) if outputs == 1 else tuple(f"{target}.{at}" for at in range(outputs))), "value"
        names = [str(one) for one in classes]
        return tuple(names[1:] if len(names) == 2 and outputs == 1 else names), "probability"

    def _mixed(self, row: Columns, known: Array, places: Array) -> list[Array]:
        """Rows of the background, with those columns of the row that are known."""
        import numpy

        return [
            numpy.where(known[:, at], value, column[places])
            for at, (value, column) in enumerate(zip(row, self._rows, strict=True))
        ]

    def _exact(self, row: Columns, ask: Ask) -> Explained:
        """By all subsets of the columns, each with every row of the background."""
        import numpy

        width, count = self._width, self._count
        subsets = numpy.arange(1 << width)
        known = (subsets[:, None] >> numpy.arange(width)) & 1 == 1
        means = []
        step = max(1, _BLOCK_ROWS // count)
        for at in range(0, len(subsets), step):
            part = known[at : at + step]
            told = ask(self._mixed(row, part.repeat(count, axis=0), numpy.tile(numpy.arange(count), len(part))))
            means.append(told.reshape(len(part), count, -1).mean(axis=1))
        worth = numpy.concatenate(means)
        sizes = known.sum(axis=1)
        share = numpy.array([1 / (width * math.comb(width - 1, size)) for size in range(width)])
        made = numpy.empty((width, worth.shape[1]))
        for at in range(width):
            without = subsets[~known[:, at]]
            gained = worth[without | (1 << at)] - worth[without]
            made[at] = (gained * share[sizes[without]][:, None]).sum(axis=0)
        names, scale = self._named(worth.shape[1])
        return Explained("exact", scale, names, worth[0], worth[-1], made, None, count, len(subsets) * count)

    def _sampled(self, row: Columns, ask: Ask) -> Explained:
        """By orders of the columns drawn by chance, each forwards and backwards, over a row of the background."""
        import numpy

        width = self._width
        inner = width - 1
        pairs = max(2, (self._settings.evaluations - 1) // (2 * inner + 1))
        used = min(self._count, pairs)
        pairs -= pairs % used
        chance = numpy.random.default_rng(self._settings.seed)
        value = ask(list(row))[0]
        total, squares = numpy.zeros((width, len(value))), numpy.zeros((width, len(value)))
        base = numpy.zeros(len(value))
        for at, step in _blocks(pairs, max(1, _BLOCK_ROWS // (2 * inner + 1))):
            places = numpy.arange(at, at + step) % used
            orders = chance.permuted(numpy.tile(numpy.arange(width), (step, 1)), axis=1)
            forwards, backwards = (_steps(way, width) for way in (orders, orders[:, ::-1]))
            none = numpy.zeros((step, 1, width), dtype=bool)
            known = numpy.concatenate([none, forwards, backwards], axis=1)
            told = ask(self._mixed(row, known.reshape(-1, width), places.repeat(known.shape[1])))
            told = told.reshape(step, known.shape[1], -1)
            gained = _gains(told[:, :1], told[:, 1 : 1 + inner], value, orders)
            gained = (gained + _gains(told[:, :1], told[:, 1 + inner :], value, orders[:, ::-1])) / 2
            total += gained.sum(axis=0)
            squares += (gained**2).sum(axis=0)
            base += told[:, 0].sum(axis=0)
        mean = total / pairs
        spread = numpy.sqrt(numpy.maximum(squares / pairs - mean**2, 0.0) / (pairs - 1))
        names, scale = self._named(len(value))
        asked = pairs * (2 * inner + 1) + 1
        return Explained("sampling", scale, names, base / pairs, value, mean, spread, used, asked)


def _blocks(count: int, most: int) -> Iterator[tuple[int, int]]:
    for at in range(0, count, most):
        yield at, min(most, count - at)


def _steps(orders: Array, width: int) -> Array:
    """For each order, which columns are known after its first step, its second one, up to the last but one."""
    import numpy

    ranks = orders.argsort(axis=1)
    return ranks[:, None, :] <= numpy.arange(width - 1)[None, :, None]


def _gains(first: Array, inner: Array, last: Array, orders: Array) -> Array:
    """What each column adds on the way from the first output to the last one, by column."""
    import numpy

    ends = numpy.broadcast_to(last, (len(inner), 1, len(last)))
    by_step = numpy.diff(numpy.concatenate([first, inner, ends], axis=1), axis=1)
    made = numpy.empty_like(by_step)
    numpy.put_along_axis(made, orders[:, :, None], by_step, axis=1)
    return made


def _background(model: Model) -> list[list[Any]]:
    sample = model.artefact.reference.get("sample", {}).get("features", {})
    for part in (sample, model.artefact.example):
        if isinstance(part, dict) and part.get("data"):
            try:
                return model.checks.split(part["columns"], part["data"], bounded=False).few or []
            except (KeyError, TypeError, Refused):
                continue  # a folder of another maker; the next part may do
    return []


class _Linear:
    """A model whose score is a sum of what each column gives by itself, whatever the others are."""

    def __init__(self, score: Callable[[Columns], Array], rows: Columns, names: tuple[str, ...], scale: str) -> None:
        """rows: the background. Raises Surprise."""
        import numpy

        self._score = score
        self._names = names
        self._scale = scale
        self._width, self._count = len(rows), len(rows[0])
        self._anchor = [column[:1] for column in rows]
        self._usual = numpy.stack([self._moved(at, column).mean(axis=0) for at, column in enumerate(rows)])
        self._base = score(rows).mean(axis=0)

    def _moved(self, at: int, values: Array) -> Array:
        """The score of the anchor with other values in one column."""
        rows = [column.repeat(len(values)) for column in self._anchor]
        rows[at] = values
        return self._score(rows)

    def explain(self, row: Columns) -> Explained | None:
        """None where it does not add up, or only the model itself can say what becomes of the row."""
        import numpy

        try:
            value = self._score(row)[0]
            made = numpy.stack([self._moved(at, column)[0] for at, column in enumerate(row)]) - self._usual
        except Surprise:
            return None
        if not numpy.allclose(self._base + made.sum(axis=0), value, rtol=_ADDS_UP, atol=_ADDS_UP):
            return None
        asked = self._width + 1
        return Explained("linear", self._scale, self._names, self._base, value, made, None, self._count, asked)


def _linear_of(model: Model, rows: Columns) -> _Linear | None:
    if model.predictor.way != "arrays":
        return None
    artefact = model.artefact
    try:
        compiled = CompiledPredictor(artefact.model, [one.kind for one in model.checks.columns], model.checks.names)
        if compiled.score is None:
            return None
        names: tuple[str, ...] = (artefact.target,)
        scale = "value"
        if artefact.classes is not None:
            classes = tuple(str(one) for one in artefact.classes)
            names, scale = (classes[1:], "log-odds") if len(classes) == 2 else (classes, "score")
        return _Linear(compiled.score, rows, names, scale)
    except (NotCompiled, Surprise):
        return None


def as_told(found: Explained, columns: Sequence[str], prediction: Any) -> dict[str, Any]:
    """One row of the answer."""

    def by_column(values: Array, output: int) -> dict[str, float]:
        return dict(zip(columns, values[:, output].tolist(), strict=True))

    outputs: list[dict[str, Any]] = []
    for at, name in enumerate(found.names):
        told: dict[str, Any] = {"of": name, "base": float(found.base[at]), "value": float(found.values[at])}
        told["attributions"] = by_column(found.attributions, at)
        if found.errors is not None:
            told["errors"] = by_column(found.errors, at)
        outputs.append(told)
    return {
        "prediction": prediction,
        "method": found.method,
        "scale": found.scale,
        "background": found.background,
        "evaluations": found.evaluations,
        "outputs": outputs,
    }
