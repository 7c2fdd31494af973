"""Two runs, or everything that stands recorded for two commits, side by side where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runner.core.leaves import difference, leaves
from runner.core.runkey import shown, shown_apart
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
    """One of the two that are compared."""

    name: str
    """As it was asked for: `HEAD~1`, `record 3`."""
    commit: str
    subject: str
    """What else people know it by: the stage, the first line of the commit's message."""
    results: Mapping[str, Result]
    """By stage; of two runs of different stages both stand under one name."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Stages of the commit of which nothing is recorded, and why not."""


@dataclass(frozen=True, slots=True)
class Row:
    """One value on both sides."""

    stage: str
    kind: str
    name: str
    before: Any
    after: Any

    @property
    def delta(self) -> float | None:
        """The difference of two numbers."""
        return difference(self.before, self.after)


def compare_json(one: Side, other: Side) -> dict[str, Any]:
    """What differs, and every metric, as plain JSON."""
    rows = list(_rows(one, other))
    return {
        "schema": 1,
        "from": _side_json(one),
        "to": _side_json(other),
        "metrics": [_row_json(row) for row in rows if row.kind == "metric"],
        "differences": [_row_json(row) for row in rows if row.before != row.after],
    }


def compare_text(one: Side, other: Side, style: Style) -> str:
    """The same as tables."""
    names = _short(one), _short(other)
    lines = [_head(side, title, style) for side, title in ((one, "from"), (other, "to"))]
    rows = list(_rows(one, other))
    several = len({row.stage for row in rows}) > 1
    for kind, title, every in _SECTIONS:
        found = [row for row in rows if row.kind == kind and (every or row.before != row.after)]
        if found:
            lines += ["", _section(title, found, names, several, style)]
    if not any(row.before != row.after for row in rows):
        lines += ["", "Nothing differs."]
    lines += list(_notes(one, other, style))
    return "\n".join(lines) + "\n"


def _section(title: str, rows: list[Row], names: tuple[str, str], several: bool, style: Style) -> str:
    has_change = any(row.delta is not None for row in rows)
    header = [title, *(["stage"] if several else []), *names, *(["change"] if has_change else [])]
    cells = []
    for row in rows:
        values = _cells(row)
        changed = [_change(row)] if has_change else []
        cells.append([row.name or row.kind, *([row.stage] if several else []), *values, *changed])
    first = 2 if several else 1
    numbers = range(first, first + 3) if rows[0].kind == "metric" else ()
    return table(header, cells, style, numbers=tuple(numbers))


def _notes(one: Side, other: Side, style: Style) -> Iterable[str]:
    for side in (one, other):
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


def _rows(one: Side, other: Side) -> Iterable[Row]:
    for stage in dict.fromkeys([*one.results, *other.results]):
        left, right = _facts(one.results.get(stage)), _facts(other.results.get(stage))
        for kind, name in dict.fromkeys([*left, *right]):
            yield Row(stage, kind, name, left.get((kind, name)), right.get((kind, name)))


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
    both = {"from": row.before, "to": row.after, "delta": row.delta}
    return {"stage": row.stage, "kind": row.kind, "name": row.name} | both


def _side_json(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "commit": side.commit,
        "records": {stage: result.record for stage, result in side.results.items()},
        "missing": dict(side.missing),
    }


def _cells(row: Row) -> list[str]:
    cells = [_cell(row.before), _cell(row.after)]
    if cells[0] != cells[1] or row.before == row.after or isinstance(row.before, float):
        return cells
    return list(shown_apart(row.before, row.after))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str) and len(value) >= 32 and all(letter in "0123456789abcdef" for letter in value[:32]):
        return value[:12] + (" (folder)" if value.endswith(".dir") else "")
    return f"{value:.6g}" if isinstance(value, float) else shown(value)


def _change(row: Row) -> str:
    return change(row.delta) if row.delta else ""
