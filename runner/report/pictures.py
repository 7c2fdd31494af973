"""Pictures of recorded runs: which values of a table, or of files that runs recorded, go to which axes."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

from runner.core.experiments import PARAMS, Columns, Ran, dotted
from runner.errors import InputError
from runner.report.charts import Chart, Parallel, Point, Series, Way, is_number
from runner.report.experiments_view import cell_text
from runner.values import dataclass

MOST_PICTURES = 12
_MOST_AXES = 8
_MOST_POINTS = 2_000
"""Of one curve; more of them are thinned out evenly."""
_MOST_GROUPS = 12
TIME = "time"
PLACES = {"record": "record", "commit": "commit", TIME: "started (UTC)"}
"""What x may be beside a parameter or a metric."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A table that a run recorded."""

    run: str
    """The name of its record."""
    rows: Sequence[Mapping[str, Any]]


def history_pictures(rows: Sequence[Ran], columns: Columns, y: Sequence[str], x: str) -> list[Chart]:
    """A picture for each metric: over time, record or commit as lines, against a parameter or a metric as points.

    A line is of one branch, and of one stage where several have the same metric.
    """
    placed = sorted(rows, key=lambda row: (row.run.started_at, row.record))
    labels = columns.labels([*y, x] if dotted(x) else y)
    is_place = x in PLACES
    found = []
    for column, label in zip(y, labels, strict=False):
        having = [row for row in placed if is_number(row.cell(column))]
        series: dict[str, list[Point]] = {}
        for row in having:
            at = _x_of(row, x)
            if at is not None:
                point = Point(at, float(row.cell(column)), _title(row, column, label, x))
                series.setdefault(_line_of(row, having), []).append(point)
        found.append(
            Chart(
                title=label,
                x_label=PLACES[x] if is_place else labels[-1],
                y_label=label,
                series=tuple(Series(name, tuple(points)) for name, points in series.items()),
                lines=is_place,
                is_time=x == TIME,
            )
        )
    return found


def parallel_picture(rows: Sequence[Ran], columns: Columns, y: Sequence[str]) -> tuple[Parallel, int]:
    """A line for each run through the parameters that differ and the metrics, and how many of these there is room for.

    Raises InputError where no parameter differs.
    """
    params = columns.varying(PARAMS)
    if not params:
        raise InputError("no parameter differs in these runs", "leave --parallel out, or ask for other runs")
    metrics = list(y)[: max(1, _MOST_AXES - len(params))]
    axes = [*params[: _MOST_AXES - len(metrics)], *metrics]
    labels = columns.labels(axes)
    ways = []
    for row in rows:
        values = tuple(_drawn(row.cell(column)) for column in axes)
        if all(is_number(row.cell(column)) for column in metrics[-1:]):
            said = ", ".join(
                f"{label} {cell_text(row, column)}" for label, column in zip(labels, axes, strict=True) if column
            )
            ways.append(Way(values, f"record {row.name}: {said}"))
    return Parallel(f"{len(ways)} runs", tuple(labels), tuple(ways)), len(metrics)


def usual_metrics(rows: Sequence[Ran], columns: Columns) -> list[str]:
    """The metrics to draw where nobody names any, as far as there is room: those that differ first; numbers alone."""
    return [name for name in columns.metrics() if any(is_number(row.cell(name)) for row in rows)]


def curves_picture(curves: Sequence[Curve], path: str, x: str | None, y: str | None) -> Chart:
    """The curves of several runs in one picture; columns that nobody names are guessed.

    Rows with a few different texts in a column (classes, slices) are curves of their own. Raises InputError for a
    column that is not there, and where there is nothing to draw.
    """
    first = next((curve.rows[0] for curve in curves if curve.rows), {})
    known = list(first)
    for name in (x, y):
        if name is not None and name not in known:
            raise InputError(f"{path} has no column {name}", f"there are: {', '.join(map(str, known)) or 'none'}")
    numbers = [name for name in known if any(is_number(_number(row.get(name))) for row in curves[0].rows[:100])]
    if y is None:
        rest = [name for name in numbers if name != x]
        if not rest:
            raise InputError(f"{path} has no column of numbers to draw", "name one with --y")
        x = x or (rest[0] if len(rest) > 1 else None)
        y = next((name for name in rest if name != x), rest[-1])
    kinds = _kinds(curves, [name for name in known if name not in (x, y, *numbers)])
    series = []
    for curve in curves:
        groups: dict[str, list[tuple[Any, float, Mapping[str, Any]]]] = {}
        for number, row in enumerate(curve.rows):
            at = number if x is None else _number(row.get(x))
            value = _number(row.get(y))
            if at not in (None, "") and is_number(value):
                name = " · ".join([f"record {curve.run}", *(str(row.get(kind, "")) for kind in kinds)])
                groups.setdefault(name, []).append((at, float(value), row))
        for name, points in groups.items():
            chosen = points[:: max(1, math.ceil(len(points) / _MOST_POINTS))]
            chosen += [] if chosen[-1] is points[-1] else [points[-1]]
            told = tuple(
                Point(at, value, f"{name}: {x or 'row'} {_short(at)}, {y} {value:.6g}") for at, value, _ in chosen
            )
            series.append(Series(name, told))
    most = max((len(one.points) for one in series), default=0)
    return Chart(path, x or "row", y, tuple(series), lines=True, marks=most <= 40)


def _kinds(curves: Sequence[Curve], names: Sequence[str]) -> list[str]:
    """Columns of texts with few different ones."""
    found = []
    for name in names:
        texts = {str(row.get(name)) for curve in curves for row in curve.rows}
        if 1 < len(texts) <= _MOST_GROUPS:
            found.append(name)
    return found


def _number(value: Any) -> Any:
    """A text of a CSV file as the number that it is."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _x_of(row: Ran, x: str) -> Any:
    if x == "record":
        return row.name
    if x == "commit":
        return row.run.desired[:8]
    if x == TIME:
        try:
            return datetime.datetime.fromisoformat(row.run.started_at).timestamp()
        except ValueError:
            return None
    return _drawn(row.cell(x))


def _drawn(value: Any) -> Any:
    """A value for an axis: a number that can be drawn, or a text."""
    if value is None or is_number(value):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _line_of(row: Ran, among: Sequence[Ran]) -> str:
    stages = {str(other.run.address) for other in among}
    branches = {other.branch for other in among}
    name = row.run.address.stage if len({other.run.address.pipeline for other in among}) == 1 else str(row.run.address)
    parts = [*([row.branch] if len(branches) > 1 else []), *([name] if len(stages) > 1 else [])]
    return " · ".join(parts) or row.branch


def _title(row: Ran, column: str, label: str, x: str) -> str:
    parts = [f"record {row.name}", f"{row.run.address.stage} of {row.branch}", f"{label} {cell_text(row, column)}"]
    if dotted(x):
        parts.append(f"{x.partition('.')[2].rpartition(':')[2]} {cell_text(row, x)}")
    parts += [cell_text(row, "started"), f"{row.run.desired[:8]} {row.subject}".strip()]
    return ", ".join(parts)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
