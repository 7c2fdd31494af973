"""Pictures of recorded runs as one file: an SVG, or a page with the table that they are drawn from.

The page needs nothing from elsewhere. Its one script, which sorts the table, is named by its digest in the page's
content security policy, so that no other one runs; without scripts all is there but the sorting.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from runner.core.experiments import Columns, Ran, dotted
from runner.report.charts import STYLE, WIDTH, Chart, Parallel, is_number, svg
from runner.report.experiments_view import cell_text

_GAP = 12
_SORT = """\
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.parentElement, body = head.closest("table").tBodies[0], at = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = (row) => row.cells[at].dataset.v ?? row.cells[at].textContent;
  const order = (one, other) => {
    const a = value(one), b = value(other);
    if (!a || !b) return !a - !b;
    const both = [Number(a), Number(b)];
    const sign = both.some(Number.isNaN) ? a.localeCompare(b) : both[0] - both[1];
    return down ? -sign : sign;
  };
  body.append(...[...body.rows].sort(order));
});
"""


def pictures_svg(pictures: Sequence[Chart | Parallel]) -> str:
    """The pictures as one SVG, one below the other."""
    if len(pictures) == 1:
        return svg(pictures[0])
    parts, top = [], 0.0
    for picture in pictures:
        text = svg(picture, alone=False)
        height = float(text.partition('viewBox="0 0 ')[2].partition('"')[0].split()[1])
        parts.append(text.replace("<svg ", f'<svg y="{top:g}" width="{WIDTH}" height="{height:g}" ', 1))
        top += height + _GAP
    size = f'viewBox="0 0 {WIDTH} {top:g}" width="{WIDTH * 2}" height="{top * 2:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="max-width:100%;height:auto">'
    return f"{head}\n<style>{STYLE}</style>\n{''.join(parts)}</svg>\n"


def page_html(
    pictures: Sequence[Chart | Parallel],
    rows: Sequence[Ran],
    columns: Columns,
    chosen: Sequence[str],
    title: str,
    notes: Sequence[str] = (),
) -> str:
    """The page with the pictures, and the runs as a table."""
    from markupsafe import Markup  # imported late: start-up

    from runner.stages.pages import rendered

    digest = base64.b64encode(hashlib.sha256(_SORT.encode()).digest()).decode()
    document: dict[str, Any] = {
        "title": title,
        "notes": list(notes),
        "style": Markup(STYLE),
        "script": Markup(_SORT),
        "policy": Markup(f"; script-src 'sha256-{digest}'"),
        "pictures": [Markup(svg(picture, alone=False)) for picture in pictures],
        "columns": [{"name": name, "label": label} for name, label in zip(chosen, columns.labels(chosen), strict=True)],
        "rows": [[_cell(row, column) for column in chosen] for row in rows],
    }
    return rendered("runs.html.j2", document)


def _cell(row: Ran, column: str) -> dict[str, Any]:
    """What a cell says, and by what it is sorted."""
    value = row.cell(column)
    is_word = column == "status"
    return {
        "text": cell_text(row, column),
        "value": "" if value is None else value,
        "number": is_number(value) and (dotted(column) or column in ("record", "duration")),
        "kind": ("passed" if row.run.succeeded else "fail") if is_word else "",
    }
