"""Runs, or everything that stands recorded for commits, side by side where they differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.core.experiments import arguments
from runner.core.leaves import difference, leaves
from runner.core.runkey import shown, shown_apart
from runner.report.experiments_view import csv_text
from runner.report.style import Style, change, plural, table
from runner.values import dataclass, field

_SECTIONS = (
    ("metric", "metrics"),
    ("param", "parameters"),
    ("cmd", "commands"),
    ("env", "environment variables"),
    ("dep", "inputs"),
    ("out", "outputs"),
    ("run", "runs"),
)
"""Kind and title."""
_MOST_METRICS = 40
"""Of a stage that are shown where not all are asked for."""
_LARGEST_PERCENT = 1_000_000
"""A change by more than this many hundredths says nothing that the numbers do not say."""


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


def compare_text(sides: Sequence[Side], style: Style, *, everything: bool = False) -> str:
    """What differs as tables, of many metrics some; `everything`: also what does not, and all metrics."""
    names = [_short(side) for side in sides]
    titles = ["from", *[""] * (len(sides) - 2), "to"]
    lines = [_head(side, title, style) for side, title in zip(sides, titles, strict=True)]
    rows = list(_rows(sides))
    several = len({row.stage for row in rows}) > 1
    for kind, title in _SECTIONS:
        found = [row for row in rows if row.kind == kind and (everything or row.differs)]
        kept, more = (found, {}) if everything or kind != "metric" else _some(found)
        if kept:
            lines += ["", _section(title, kept, names, several, style)]
        lines += [style.dim(f"and {count} more{Style.safe(f' of {of}' if of else '')}") for of, count in more.items()]
    if not any(row.differs for row in rows):
        lines += ["", "Nothing differs."]
    lines += [] if everything else _left_out(rows, style)
    lines += list(_notes(sides, style))
    return "\n".join(lines) + "\n"


def _some(rows: Sequence[Row]) -> tuple[list[Row], dict[str, int]]:
    """As many rows of each stage as are read, plain ones before those inside others, and how many more there are."""
    kept: set[tuple[str, str]] = set()
    more: dict[str, int] = {}
    for stage in dict.fromkeys(row.stage for row in rows):
        of_stage = sorted((row for row in rows if row.stage == stage), key=_depth)
        kept |= {(row.stage, row.name) for row in of_stage[:_MOST_METRICS]}
        if len(of_stage) > _MOST_METRICS:
            more[stage] = len(of_stage) - _MOST_METRICS
    return [row for row in rows if (row.stage, row.name) in kept], more


def _depth(row: Row) -> int:
    return row.name.rpartition(":")[2].count(".")


def _left_out(rows: Sequence[Row], style: Style) -> list[str]:
    """How many of what one compares are the same."""
    alike = {kind: sum(row.kind == kind and not row.differs for row in rows) for kind in ("metric", "param")}
    told = [plural(alike[kind], word) for kind, word in (("metric", "metric"), ("param", "parameter")) if alike[kind]]
    if not told:
        return []
    verb = "is" if sum(alike.values()) == 1 else "are"
    return ["", style.dim(f"{' and '.join(told)} {verb} the same; `--all` shows everything.")]


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
        kinds = dict.fromkeys(fact for found in facts for fact in found)
        rows = [Row(stage, kind, name, tuple(found.get((kind, name)) for found in facts)) for kind, name in kinds]
        # What `with` says stands in the command, too, and is told better by itself.
        is_told = any(row.differs and row.name.startswith("with.") for row in rows if row.kind == "param")
        yield from (row for row in rows if not (is_told and row.kind == "cmd"))


def _facts(result: Result | None) -> dict[tuple[str, str], Any]:
    if result is None:
        return {}
    facts: dict[tuple[str, str], Any] = {("cmd", ""): result.material.get("cmd")}
    facts |= {("param", name): value for name, value in arguments(result.material).items()}
    if "seed" in result.material:
        facts["param", "seed"] = result.material["seed"]
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
    if row.percent is None or abs(row.percent) > _LARGEST_PERCENT:
        return change(row.delta)
    percent = f"{row.percent:+,.0f}" if abs(row.percent) >= 100 else f"{row.percent:+.3g}"
    return f"{change(row.delta)} ({percent} %)"


def _percent(before: Any, delta: float | None) -> float | None:
    """How much of a number a difference is, in hundredths; None where that says nothing."""
    if delta is None or not before or not math.isfinite(before) or not math.isfinite(delta):
        return None
    return round(100 * float(delta) / abs(float(before)), 6)
