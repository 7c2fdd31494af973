"""Runs, or everything that stands recorded for commits, side by side where they differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.core.leaves import difference, leaves
from runner.core.runkey import shown, shown_apart
from runner.report.experiments_view import csv_text
from runner.report.style import Style, change, table
from runner.values import dataclass, field

_SECTIONS = (
    ("metric", "metrics", True),
    ("param", "parameters", False),
    ("cmd", "commands", False),
    ("env", "environment variables", False),
    ("dep", "inputs", False),
    ("out", "outputs", False),
    ("run", "runs", False),
)
"""Kind, title, and whether what is alike is shown too."""


@dataclass(frozen=True, slots=True)
class Result:
    """What is recorded of one stage."""

    record: int | None
    """Number of the record; None for evidence."""
    provenance: str
    material: Mapping[str, Any]
    outs: Mapping[str, str]
    """Path to digest."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = "ok"
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One of those that are compared."""

    name: str
    """As it was asked for: `HEAD~1`, `record 3`."""
    commit: str
    subject: str
    """What else people know it by: the stage, the first line of the commit's message."""
    results: Mapping[str, Result]
    """By stage; of runs of different stages all stand under one name."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Stages of the commit of which nothing is recorded, and why not."""


@dataclass(frozen=True, slots=True)
class Row:
    """One value on all sides."""

    stage: str
    kind: str
    name: str
    values: tuple[Any, ...]

    @property
    def differs(self) -> bool:
        """Whether it is not the same everywhere."""
        return any(value != self.values[0] for value in self.values)

    @property
    def delta(self) -> float | None:
        """The difference of two numbers, the last and the first."""
        return difference(self.values[0], self.values[-1])

    @property
    def percent(self) -> float | None:
        """The same in hundredths of the first one; None where that is zero."""
        return _percent(self.values[0], self.delta)


def compare_json(sides: Sequence[Side]) -> dict[str, Any]:
    """What differs, and every metric, as plain JSON; `from` and `to` are the first side and the last."""
    rows = list(_rows(sides))
    return {
        "schema": 1,
        "from": _side_json(sides[0]),
        "to": _side_json(sides[-1]),
        "sides": [_side_json(side) for side in sides],
        "metrics": [_row_json(row) for row in rows if row.kind == "metric"],
        "differences": [_row_json(row) for row in rows if row.differs],
    }


def compare_csv(sides: Sequence[Side]) -> str:
    """Every metric and what else differs as CSV, a line each."""
    rows = [row for row in _rows(sides) if row.kind == "metric" or row.differs]
    header = ["stage", "kind", "name", *(side.name for side in sides), "delta", "percent"]
    return csv_text(header, ([row.stage, row.kind, row.name, *row.values, row.delta, row.percent] for row in rows))


def compare_text(sides: Sequence[Side], style: Style) -> str:
    """The same as tables."""
    names = [_short(side) for side in sides]
    titles = ["from", *[""] * (len(sides) - 2), "to"]
    lines = [_head(side, title, style) for side, title in zip(sides, titles, strict=True)]
    rows = list(_rows(sides))
    several = len({row.stage for row in rows}) > 1
    for kind, title, every in _SECTIONS:
        found = [row for row in rows if row.kind == kind and (every or row.differs)]
        if found:
            lines += ["", _section(title, found, names, several, style)]
    if not any(row.differs for row in rows):
        lines += ["", "Nothing differs."]
    lines += list(_notes(sides, style))
    return "\n".join(lines) + "\n"


def _section(title: str, rows: list[Row], names: Sequence[str], several: bool, style: Style) -> str:
    has_change = len(names) == 2 and any(row.delta is not None for row in rows)
    header = [title, *(["stage"] if several else []), *names, *(["change"] if has_change else [])]
    cells = []
    for row in rows:
        values = _cells(row)
        changed = [_change(row)] if has_change else []
        cells.append([row.name or row.kind, *([row.stage] if several else []), *values, *changed])
    first = 2 if several else 1
    numbers = range(first, first + len(names) + 1) if rows[0].kind == "metric" else ()
    return table(header, cells, style, numbers=tuple(numbers))


def _notes(sides: Sequence[Side], style: Style) -> Iterable[str]:
    for side in sides:
        rows = [f"{name} ({why})" for name, why in side.missing.items()]
        if rows:
            more = f" and {len(rows) - 4} more" if len(rows) > 4 else ""
            yield style.dim(f"Not recorded for {style.safe(_short(side))}: {style.safe(', '.join(rows[:4]))}{more}.")


def _head(side: Side, title: str, style: Style) -> str:
    return (
        f"{style.dim(title.ljust(4))}  {style.bold(side.commit[:12])}  "
        + style.safe(" · ".join(text for text in (side.name, side.subject) if text))
    ).rstrip()


def _short(side: Side) -> str:
    return side.name if len(side.name) <= 20 else f"{side.name[:19]}…"


def _rows(sides: Sequence[Side]) -> Iterable[Row]:
    for stage in dict.fromkeys(stage for side in sides for stage in side.results):
        facts = [_facts(side.results.get(stage)) for side in sides]
        for kind, name in dict.fromkeys(fact for found in facts for fact in found):
            yield Row(stage, kind, name, tuple(found.get((kind, name)) for found in facts))


def _facts(result: Result | None) -> dict[tuple[str, str], Any]:
    if result is None:
        return {}
    facts: dict[tuple[str, str], Any] = {("cmd", ""): result.material.get("cmd")}
    for file, values in result.metrics.items():
        facts |= {("metric", name): value for name, value in leaves(file, values, ":")}
    for name, value in result.material.get("param", {}).items():
        facts |= {("param", leaf): item for leaf, item in leaves(name, value, "." if ":" in name else ":")}
    facts |= {("env", name): value for name, value in result.material.get("env", {}).items()}
    facts |= {("dep", name): value for name, value in result.material.get("dep", {}).items()}
    facts |= {("out", path): digest for path, digest in result.outs.items()}
    facts["run", "outcome"] = result.outcome
    if result.seconds is not None:
        facts["run", "seconds"] = round(result.seconds, 1)
    return facts


def _row_json(row: Row) -> dict[str, Any]:
    ends = {"from": row.values[0], "to": row.values[-1], "delta": row.delta, "percent": row.percent}
    return {"stage": row.stage, "kind": row.kind, "name": row.name, **ends, "values": list(row.values)}


def _side_json(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "commit": side.commit,
        "records": {stage: result.record for stage, result in side.results.items()},
        "missing": dict(side.missing),
    }


def _cells(row: Row) -> list[str]:
    """The values; of more than two sides each number with how far it is from the first one."""
    cells = [_cell(value) for value in row.values]
    first = row.values[0]
    if len(cells) > 2:
        deltas = [difference(first, value) for value in row.values]
        return [f"{cell} ({change(delta)})" if delta else cell for cell, delta in zip(cells, deltas, strict=True)]
    if cells[0] != cells[1] or not row.differs or isinstance(first, float):
        return cells
    return list(shown_apart(first, row.values[1]))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str) and len(value) >= 32 and all(letter in "0123456789abcdef" for letter in value[:32]):
        return value[:12] + (" (folder)" if value.endswith(".dir") else "")
    return f"{value:.6g}" if isinstance(value, float) else shown(value)


def _change(row: Row) -> str:
    if not row.delta:
        return ""
    return change(row.delta) + (f" ({row.percent:+.3g} %)" if row.percent is not None else "")


def _percent(before: Any, delta: float | None) -> float | None:
    """How much of a number a difference is, in hundredths; None where that says nothing."""
    if delta is None or not before or not math.isfinite(before) or not math.isfinite(delta):
        return None
    return round(100 * float(delta) / abs(float(before)), 6)
