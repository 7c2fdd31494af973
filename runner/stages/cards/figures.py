"""Figures out of metrics files, whichever stage or code of a team wrote them, as rows for people.

The shapes that the library writes are known: values with intervals, slices, classes, groups. Of any other file every
number is a row under the keys that lead to it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from runner.stages.cards.parts import Part, Table, Text, table
from runner.values import dataclass

_BY_NAME = ("classes", "groups", "slices", "confusion")
"""Keys whose values are tables of their own, since their names are values of the data."""
_NO_FIGURES = (*_BY_NAME, "intervals", "undefined", "left_out", "bootstrap", "folds")
_OF_INTERVAL = ("value", "mean", "low", "high", "level", "std")
_TELLING = ("roc_auc", "f1", "recall", "accuracy", "rmse", "mae", "r2", "bias", "ndcg", "map", "mrr")
_MOST_COLUMNS = 4
_DEEPEST = 8
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Figure:
    """A number by its name, with its interval where there is one."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    level: float | None = None


def shown(value: Any) -> str:
    """A value as people read it: numbers with six digits, whole ones with all of theirs."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    return str(value)


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def finite(value: Any) -> float | None:
    """A value of JSON as a float; None where it is no number, or none that a float holds."""
    try:
        return float(value) if is_number(value) and math.isfinite(value) else None
    except OverflowError:  # JSON has whole numbers of any length
        return None


def share(value: Any) -> str:
    """A part of 1 as hundredths."""
    number = finite(value)
    return "none" if number is None else f"{100 * number:.3g} %"


def figures_of(told: Mapping[str, Any], before: str = "", deep: int = _DEEPEST) -> Iterator[Figure]:
    """The figures of a mapping and of those inside it, in their order."""
    known = told.get("intervals")
    intervals: Mapping[str, Any] = known if isinstance(known, Mapping) else {}
    for key, value in told.items():
        if key in _NO_FIGURES:
            continue
        name = f"{before}{key}"
        if value is None or is_number(value):
            yield Figure(name, value, *_interval(intervals.get(key)))
        elif isinstance(value, Mapping) and deep:
            middle = value.get("value", value.get("mean"))
            if is_number(middle) and is_number(value.get("low")) and is_number(value.get("high")):
                yield Figure(name, middle, *_interval(value))
                value = {key: inner for key, inner in value.items() if key not in _OF_INTERVAL}
            yield from figures_of(value, f"{name}.", deep - 1)


def _interval(told: Any) -> tuple[float | None, float | None, float | None]:
    if not isinstance(told, Mapping):
        return None, None, None
    low, high, level = (value if is_number(value := told.get(name)) else None for name in ("low", "high", "level"))
    return low, high, level


def has_intervals(told: Mapping[str, Any]) -> bool:
    """Whether some figure has an interval."""
    return any(figure.low is not None for figure in figures_of(told))


def has_slices(told: Mapping[str, Any]) -> bool:
    """Whether parts of the rows were measured by themselves."""
    return bool(told.get("slices"))


def figure_table(told: Mapping[str, Any]) -> list[Part]:
    """The figures of a metrics file, and why some are not defined."""
    rows = []
    for one in figures_of(told):
        interval = "" if one.low is None or one.high is None else f"{shown(one.low)} to {shown(one.high)}"
        interval += f" ({share(one.level)})" if interval and one.level is not None else ""
        rows.append((one.name, "not defined" if one.value is None else shown(one.value), interval))
    parts: list[Part] = [table(("measure", "value", "interval"), rows)] if rows else []
    reasons = told.get("undefined")
    if isinstance(reasons, Mapping) and reasons:
        parts.append(Text("Not defined: " + "; ".join(f"{name}, since {why}" for name, why in reasons.items()) + "."))
    return parts


def named_table(what: str, told: Mapping[str, Any], *, hides: bool, columns: Sequence[str] = ()) -> Table | None:
    """A row for each name in a mapping to mappings of numbers.

    hides: whether the names are values that nobody is to see; they are counted then.
    columns: what is shown of each; all that is a number in one of them where nothing is named.
    """
    inner = {str(name): row for name, row in told.items() if isinstance(row, Mapping)}
    heads = list(columns) or list(dict.fromkeys(key for row in inner.values() for key in row if is_number(row[key])))
    if not inner or not heads:
        return None
    rows = [
        (f"{what} {count}" if hides else name, *(_cell(row.get(key)) for key in heads))
        for count, (name, row) in enumerate(inner.items(), 1)
    ]
    return table((what, *map(str, heads)), rows)


def _cell(value: Any) -> str:
    return shown(value) if is_number(value) else "" if value is None else "..."


def slice_table(told: Mapping[str, Any], hidden: Collection[str]) -> Table | None:
    """A row for each slice, with its most telling measures and how many rows it has."""
    found = told.get("slices")
    slices: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    first = [key for key, value in told.items() if is_number(value) and key != "support"]
    heads = [name for name in _TELLING if name in first][:_MOST_COLUMNS] or first[:_MOST_COLUMNS]
    rows = []
    for column, values in slices.items():
        for count, (value, row) in enumerate(values.items() if isinstance(values, Mapping) else (), 1):
            if isinstance(row, Mapping):
                name = f"value {count}" if column in hidden else str(value)
                rows.append((str(column), name, *(_cell(row.get(head)) for head in [*heads, "support"])))
    return table(("column", "value", *heads, "rows"), rows) if rows else None


def tables_by_name(told: Mapping[str, Any], *, hides: bool) -> list[Part]:
    """What is told of each class, and which classes were taken for which; nothing where classes are hidden."""
    if hides:
        return []
    parts: list[Part] = []
    for key, what in (("classes", "class"), ("confusion", "actual, then predicted")):
        rows = told.get(key)
        found = named_table(what, rows, hides=False) if isinstance(rows, Mapping) else None
        parts += [found] if found is not None else []
    return parts
