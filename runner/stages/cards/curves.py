"""Points of a plot file, as the lines of a small drawing."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from runner.errors import InputError
from runner.stages.cards.figures import finite, shown
from runner.stages.cards.parts import Curves, Part, Text
from runner.stages.tables import read_table

_CLASS, _FEATURE = "class", "feature"
"""The columns by which the library tells whose points they are."""
_WIDTH, _HEIGHT, _EDGE = 100, 60, 2
_MOST_LINES, _MOST_POINTS = 20, 5_000


def curves_of(plot: Mapping[str, Any], hidden: Collection[str], target: str) -> tuple[Part, ...]:
    """The lines of a plot: `y` over `x`, one line for each value of `by`.

    Points about a hidden feature are left out, and classes of a hidden target have no names.
    Raises InputError where the file holds no such points.
    """
    path, x, y, by = plot["file"], plot["x"], plot["y"], plot.get("by", _CLASS)
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in _rows(path)[:_MOST_POINTS]:
        if str(row.get(_FEATURE)) in hidden or {x, y} & set(hidden):
            continue
        across, up = finite(row.get(x)), finite(row.get(y))  # None is a gap: a threshold without bounds
        if across is not None and up is not None:
            lines.setdefault("" if row.get(by) is None else str(row[by]), []).append((across, up))
    if not lines and hidden:
        return (Text("What it shows is about hidden columns."),)
    if not lines:
        raise InputError(f"{path}: it has no points with numbers in `{x}` and `{y}`", "name its columns in `x` and `y`")
    points = [point for line in lines.values() for point in line]
    low_x, high_x, low_y, high_y = (pick(point[axis] for point in points) for axis in (0, 1) for pick in (min, max))

    def placed(point: tuple[float, float]) -> str:
        across = _EDGE + (_WIDTH - 2 * _EDGE) * (point[0] - low_x) / ((high_x - low_x) or 1)
        up = _HEIGHT - _EDGE - (_HEIGHT - 2 * _EDGE) * (point[1] - low_y) / ((high_y - low_y) or 1)
        return f"{across:.2f},{up:.2f}"

    nameless = by in hidden or (by == _CLASS and target in hidden)
    drawn = tuple(
        ("" if nameless else name, " ".join(map(placed, line))) for name, line in list(lines.items())[:_MOST_LINES]
    )
    told = f"{y} from {shown(low_y)} to {shown(high_y)}, over {x} from {shown(low_x)} to {shown(high_x)}."
    return Text(told), Curves(drawn, str(x), str(y))


def _rows(path: str) -> list[Mapping[str, Any]]:
    if not path.lower().endswith(".json"):
        return [{str(key): value for key, value in row.items()} for row in read_table(path).to_dict("records")]
    try:
        value = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: it is no JSON", "name a plot that a stage wrote") from error
    if not isinstance(value, list):
        raise InputError(f"{path}: it is no list of points", "name a plot that a stage wrote")
    return [row for row in value if isinstance(row, Mapping)]
