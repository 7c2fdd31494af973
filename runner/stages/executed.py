"""A notebook by what counts of it, and executed: without what changes from run to run, and as a page."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from typing import Any

from runner.stages.pages import rendered

_INJECTED, _PARAMETERS = "injected-parameters", "parameters"
_OF_A_RUN = ("papermill", "execution", "widgets")
"""Metadata that tell times, paths and states of one run."""
_ACTIVE = re.compile(r"<(script|style)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
"""Elements whose text is none for people; what this misses has its tags taken away."""
_TAGS = frozenset(
    [
        *("a", "abbr", "b", "blockquote", "br", "caption", "code", "dd", "del", "details", "div", "dl", "dt", "em"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "li", "ol", "p", "pre", "small", "span", "strong"),
        *("sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul"),
    ]
)
_ATTRIBUTES = {"*": ["class"], "a": ["href"], "img": ["src", "alt"], "td": ["colspan", "rowspan"], "th": ["colspan"]}


def counting(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """What counts of a notebook, as one that can be run: its cells without outputs, and the language.

    Of tags that of the parameters alone is left: others would change what runs, and stand in no run key.
    """
    metadata = notebook.get("metadata")
    told = metadata.get("language_info") if isinstance(metadata, Mapping) else None
    language = told.get("name") if isinstance(told, Mapping) else None
    language = language if isinstance(language, str) else "python"
    return {
        "cells": [_bare(cell, number) for number, cell in enumerate(notebook["cells"], 1)],
        "metadata": {"kernelspec": {"name": language, "display_name": language, "language": language}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _bare(cell: Mapping[str, Any], number: int) -> dict[str, Any]:
    metadata = cell.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, Mapping) else None
    marked = isinstance(tags, list) and _PARAMETERS in tags
    kind = cell.get("cell_type")
    made = {
        "cell_type": kind,
        "id": f"cell-{number}",
        "metadata": {"tags": [_PARAMETERS]} if marked else {},
        "source": _text(cell["source"]),
    }
    if kind == "code":
        return {**made, "outputs": [], "execution_count": None}
    return {**made, "attachments": cell["attachments"]} if cell.get("attachments") else made


def settled(executed: Mapping[str, Any]) -> dict[str, Any]:
    """The executed notebook with nothing in it that the same run would make otherwise.

    Times, paths and random ids go, and what was printed in pieces is one. What the cells themselves print of times or
    addresses stays.
    """
    return {
        "cells": [_cell(cell) for cell in executed["cells"]],
        "metadata": _without(executed["metadata"]),
        "nbformat": 4,
        "nbformat_minor": max(5, executed["nbformat_minor"]),
    }


def _without(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata but for that of a run; papermill gives every cell a list of tags, also an empty one."""
    return {key: value for key, value in metadata.items() if key not in _OF_A_RUN and (key != "tags" or value)}


def _cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    made = {**cell, "metadata": _without(cell["metadata"])}
    if _INJECTED in cell["metadata"].get("tags", ()):
        made["id"] = _INJECTED
    if "outputs" in cell:
        made["outputs"] = [_output(output) for output in _joined(cell["outputs"])]
    return made


def _joined(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Outputs, of which a stream that came in pieces is one: where it is cut, the clock decides."""
    made: list[dict[str, Any]] = []
    for output in outputs:
        before = made[-1] if made else {}
        if output.get("output_type") == "stream" and before.get("name") == output.get("name"):
            made[-1] = {**before, "text": _text(before["text"]) + _text(output["text"])}
        else:
            made.append(output)
    return made


def _output(output: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in output.items() if key != "transient"}
    if "text" in kept:
        kept["text"] = _anywhere(_text(kept["text"]))
    return kept


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "".join(value)


def _anywhere(text: str) -> str:
    """Text without the place of the kernel's temporary files, which warnings name."""
    place = re.escape(os.path.join(tempfile.gettempdir(), "ipykernel_"))
    return re.sub(rf"{place}\d+/", "ipykernel/", text)


def page_of(document: Mapping[str, Any], path: str) -> str:
    """A notebook as a page: one file without scripts, and with nothing from elsewhere."""
    import bleach  # imported late, as all of these: an extra brings them
    import nbformat
    from markupsafe import Markup
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    make: Any = HTMLExporter
    read: Any = nbformat.reads
    body, _ = make(template_name="basic").from_notebook_node(read(json.dumps(document), 4))
    kept = bleach.clean(_ACTIVE.sub("", body), _TAGS, _ATTRIBUTES, ["http", "https", "mailto", "data"], strip=True)
    style = HtmlFormatter().get_style_defs(".highlight")
    return rendered("notebook.html.j2", {"path": path, "body": Markup(kept), "style": Markup(style)})
