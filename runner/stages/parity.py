"""How far groups of rows are apart, as a function of the weights of rows: what intervals of fairness are made of.

With equal weights the values are fairlearn's. A measure that a sample does not define is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from runner.stages.judging import Array
from runner.stages.scoring import NAN, Measure
from runner.values import dataclass, field

OF_FAIRLEARN: Mapping[str, Sequence[str]] = {
    "demographic_parity": ("selection_rate",),
    "equal_opportunity": ("true_positive_rate",),
    "equalized_odds": ("true_positive_rate", "false_positive_rate"),
}
"""The metrics that fairlearn's own measures are made of, the worst of them counts."""
WAYS = ("difference", "ratio", "group_min", "group_max")


@dataclass(frozen=True, slots=True)
class Grouped:
    """Rows whose groups are compared."""

    truth: Array
    """Numbers of classes, or floats; of two classes 1 is the one that is looked for."""
    said: Array
    groups: Array
    """The number of the group of each row, from 0 on."""
    size: int = 0
    """How many classes there are; 0 in a regression."""
    has_positive: bool = False
    custom: Mapping[str, Callable[..., float]] = field(default_factory=dict)


def base_of(measure: str) -> str:
    """What is compared: `recall` of `recall_group_min`."""
    way = next(way for way in WAYS if measure.endswith(f"_{way}"))
    return measure.removesuffix(f"_{way}")


def compared(rows: Grouped, measures: Sequence[str]) -> Measure:
    """Measures of groups, by their names."""
    by_group = _of_classes(rows) if rows.size else _of_numbers(rows)

    def measure(weights: Array) -> dict[str, float]:
        found = {**by_group(weights), **_custom(rows, weights)}
        return {name: _measured(name, found) for name in measures}

    return measure


def _measured(name: str, found: Mapping[str, Array]) -> float:
    base = base_of(name)
    way = name.removeprefix(f"{base}_")
    values = [_way(found[part], way) for part in OF_FAIRLEARN.get(base, (base,))]
    if any(math.isnan(value) for value in values):
        return NAN
    return min(values) if way == "ratio" else max(values)


def _way(values: Array, way: str) -> float:
    low, high = float(values.min()), float(values.max())
    if way == "difference":
        return high - low
    if way == "ratio":
        return low / high if high else NAN
    return low if way == "group_min" else high


def _of_classes(rows: Grouped) -> Callable[[Array], dict[str, Array]]:
    """Metrics of each group, from its table of counts."""
    import numpy

    count, size = int(rows.groups.max()) + 1, rows.size
    cells = (rows.groups * size + rows.truth) * size + rows.said

    def measure(weights: Array) -> dict[str, Array]:
        tables = numpy.bincount(cells, weights, count * size * size).reshape(count, size, size)
        actual, right, total = tables.sum(2), numpy.diagonal(tables, axis1=1, axis2=2), tables.sum((1, 2))
        found = {
            "accuracy": right.sum(1) / total,
            "balanced_accuracy": _share(right, actual).sum(1) / (actual > 0).sum(1),
        }
        if not rows.has_positive:
            return found
        no_no, no_yes, yes_no, yes_yes = (tables[:, truth, said] for truth in (0, 1) for said in (0, 1))
        hits = _share(yes_yes, yes_yes + yes_no)
        return found | {
            "f1": _share(2 * yes_yes, 2 * yes_yes + no_yes + yes_no),
            "false_negative_rate": _share(yes_no, yes_yes + yes_no),
            "false_positive_rate": _share(no_yes, no_yes + no_no),
            "precision": _share(yes_yes, yes_yes + no_yes),
            "recall": hits,
            "selection_rate": (yes_yes + no_yes) / total,
            "true_negative_rate": _share(no_no, no_yes + no_no),
            "true_positive_rate": hits,
        }

    return measure


def _share(part: Array, whole: Array) -> Array:
    """0 where nothing is divided by nothing, as fairlearn has it."""
    import numpy

    return numpy.divide(part, whole, out=numpy.zeros(part.shape), where=whole > 0)


def _of_numbers(rows: Grouped) -> Callable[[Array], dict[str, Array]]:
    import numpy

    count, errors = int(rows.groups.max()) + 1, rows.said - rows.truth

    def measure(weights: Array) -> dict[str, Array]:
        total = numpy.bincount(rows.groups, weights, count)

        def mean(values: Array) -> Array:
            return numpy.bincount(rows.groups, weights * values, count) / total

        spread = mean((rows.truth - mean(rows.truth)[rows.groups]) ** 2)
        squares = mean(errors**2)
        missing = numpy.full(count, NAN)
        return {
            "mae": mean(numpy.abs(errors)),
            "mean_prediction": mean(rows.said),
            "r2": 1 - numpy.divide(squares, spread, out=missing, where=spread > 0),
            "rmse": numpy.sqrt(squares),
        }

    return measure


def _custom(rows: Grouped, weights: Array) -> dict[str, Array]:
    """Metrics of the user's own, which know no weights: rows come as often as they weigh."""
    import numpy

    if not rows.custom:
        return {}
    drawn = numpy.repeat(numpy.arange(len(weights)), weights.astype(int))
    parts = [drawn[rows.groups[drawn] == group] for group in range(int(rows.groups.max()) + 1)]
    return {
        name: numpy.array([_asked(metric, rows.truth[part], rows.said[part]) for part in parts])
        for name, metric in rows.custom.items()
    }


def _asked(metric: Callable[..., float], truth: Array, said: Array) -> float:
    try:
        return float(metric(truth, said))
    except (ArithmeticError, ValueError):  # the rows themselves were measured before: this sample lacks something
        return NAN
