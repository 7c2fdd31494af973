"""Recorded runs as a table of parameters and metrics: for a terminal, as JSON, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from runner.core.experiments import METRICS, PARAMS, Columns, Ran, dotted
from runner.core.runkey import shown
from runner.report.style import Style, duration, plural, table, table_width, wrapped

_MOST_METRICS, _MOST_PARAMS = 8, 8
"""Columns that a terminal gets where nobody names any; files and programs get all."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def usual_columns(rows: Sequence[Ran], columns: Columns) -> tuple[list[str], int]:
    """The columns to show where nobody names any, and how many more there are.

    Of metrics the first ones that tell runs apart best; of parameters those count that differ.
    """
    several = len({row.run.address.pipeline for row in rows}) > 1
    facts = ["record", *(["pipeline"] if several else []), "stage", "status", "started", "duration", "commit"]
    metrics = columns.metrics()
    params = columns.varying(PARAMS)
    more = max(0, len(metrics) - _MOST_METRICS) + max(0, len(params) - _MOST_PARAMS)
    return [*facts, *metrics[:_MOST_METRICS], *params[:_MOST_PARAMS]], more


def fitting_columns(rows: Sequence[Ran], columns: Columns, chosen: Sequence[str], style: Style) -> list[str]:
    """The columns that stand side by side without one being cut, where that can be had by leaving some out.

    The last metric or parameter goes first, of whichever there are more. Of the facts only what can be told from others
    goes, and how long a run took.
    """
    kept = list(chosen)
    if style.width is None or not rows:
        return kept
    texts = {column: [cell_text(row, column) for row in rows] for column in kept}
    room = style.width

    def fits(names: Sequence[str]) -> bool:
        lines = list(zip(*(texts[column] for column in names), strict=True))
        return table_width(_titles(columns, names), lines) <= room

    stages = {row.run.address for row in rows}
    is_clear = len({address.stage for address in stages}) == len(stages)
    for spare in ("pipeline", "duration") if is_clear else ("duration",):
        if spare in kept and not fits([column for column in kept if not dotted(column)]):
            kept.remove(spare)
    while any(map(dotted, kept)) and not fits(kept):
        params = [column for column in kept if column.startswith(PARAMS)]
        metrics = [column for column in kept if column.startswith(METRICS)]
        kept.remove(metrics[-1] if len(metrics) >= len(params) else params[-1])
    return kept


def list_json(rows: Sequence[Ran], chosen: Sequence[str]) -> dict[str, Any]:
    """Runs as plain JSON, each as its record holds it, with where that is and all parameters behind it."""
    return {"schema": 1, "columns": list(chosen), "runs": [_row_json(row) for row in rows]}


def _row_json(row: Ran) -> dict[str, Any]:
    where = {"record": row.record, "ref": row.ref, "branch": row.branch, "name": row.name}
    said = {"author": row.author or None, "subject": row.subject or None}
    return {**where, **row.run.as_json(), **said, "params": dict(row.params)}


def list_csv(rows: Sequence[Ran], chosen: Sequence[str]) -> str:
    """Runs as CSV (RFC 4180), a line each; a text that a spreadsheet would take for a formula gets a `'`."""
    return csv_text(chosen, ([row.cell(column) for column in chosen] for row in rows))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as CSV; what is missing is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_csv_cell(name) for name in header])
    writer.writerows([_csv_cell(value) for value in row] for row in rows)
    return out.getvalue()


def list_text(
    rows: Sequence[Ran], columns: Columns, chosen: Sequence[str], style: Style, *, hidden: int = 0, more: int | None = 0
) -> str:
    """Runs as a table; `hidden` columns and `more` runs are counted below it, None for runs that nobody counted."""
    if not rows:
        return "There are no such recorded runs.\n"
    cells = [[cell_text(row, column) for column in chosen] for row in rows]
    labels = _titles(columns, chosen)
    colours: dict[tuple[int, int], str] = {}
    if "status" in chosen:
        at = list(chosen).index("status")
        colours = {(number, at): "green" if row.run.succeeded else "red" for number, row in enumerate(rows)}
    numbers = [at for at, column in enumerate(chosen) if _is_of_numbers(rows, column)]
    lines = [table(labels, cells, style, numbers=numbers, colours=colours)]
    if hidden:
        said = f"and {plural(hidden, 'more column')}; --columns NAMES chooses, --csv has all of them"
        lines += map(style.dim, wrapped(said, style, 0))
    if more:
        lines.append(style.dim(f"and {plural(more, 'more run')}; --limit says how many are shown"))
    return "\n".join(lines) + "\n"


def cell_text(row: Ran, column: str) -> str:
    """A cell for people: times to the minute, lengths of time in words, digests short; nothing where it is missing."""
    if column == "record":
        return row.name
    value = row.cell(column)
    if value is None:
        return ""
    if column == "started":
        return str(value)[:16].replace("T", " ")
    if column == "duration":
        return duration(value)
    if column in ("commit", "key"):
        return str(value)[:8]
    return f"{value:.6g}" if isinstance(value, float) else shown(value)


_TITLES = {"started": "started (UTC)", "duration": "took"}


def _titles(columns: Columns, chosen: Sequence[str]) -> list[str]:
    return [_TITLES.get(name, name) for name in columns.labels(chosen)]


def _is_of_numbers(rows: Sequence[Ran], column: str) -> bool:
    if column in ("record", "duration"):
        return True
    values = [value for row in rows if (value := row.cell(column)) is not None] if dotted(column) else []
    return bool(values) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if not isinstance(value, str):
        return Style.safe(shown(value))  # `-inf` is a number
    text = Style.safe(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
