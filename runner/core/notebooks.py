"""A notebook by its source: a digest that outputs and most metadata do not change, and its imports."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runner.core.canonical import plain_bytes
from runner.core.syntax import Import, NotPython, imports_of, parsed
from runner.values import dataclass

CELLS = "cells:"
"""What the digest of a notebook's cells begins with."""
_PARAMETERS = "parameters"
"""The tag by which papermill finds the cell that it puts parameters after."""
_MAGIC = re.compile(r"^([ \t]*)(?:[%!?].*|[\w.]+\?{1,2}[ \t]*)$", re.MULTILINE)
_CELL_MAGIC = re.compile(r"\s*%%([\w!]+).*")
_NOT_PYTHON = frozenset(
    [
        *("!", "bash", "cmd", "file", "html", "HTML", "javascript", "js", "latex", "markdown", "perl", "R", "ruby"),
        *("script", "sh", "sql", "svg", "SVG", "sx", "system", "writefile"),
    ]
)
"""Magics of whole cells that do not run them as Python; `%%time`, `%%capture` and the like do."""
_RUN = re.compile(r"^[ \t]*%run[ \t]+(?:-\w+[ \t]+)*+(?:\./)?([\w/]+)(?:\.py)?[ \t\r]*(?:$|[ \t])", re.MULTILINE)
_MOST_CODE = 1 << 20
"""Characters of all code cells together."""
_IMPORT = re.compile(r"[ \t]*(?:import|from)[ \t]")


class NotNotebook(ValueError):
    """Bytes that are no notebook of the format 4."""


@dataclass(frozen=True, slots=True)
class Notebook:
    """What a notebook says."""

    digest: str
    imports: tuple[Import, ...] = ()
    """Of the code cells that are Python."""
    code_size: int = 0
    """Characters of the code cells."""


def read_notebook(data: bytes) -> Notebook:
    """What the bytes of a notebook say; raises NotNotebook."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise NotNotebook("it is no JSON") from None
    cells = value.get("cells") if isinstance(value, dict) and value.get("nbformat") == 4 else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise NotNotebook("it is no notebook of the format 4")
    sources = [_source(cell) for cell in cells]
    try:
        said = [_language(value), *map(_said, cells, sources)]
        digest = hashlib.sha256(plain_bytes(said)).hexdigest()
    except (ValueError, TypeError, RecursionError):
        raise NotNotebook("it holds what no notebook holds") from None
    codes = [text for cell, text in zip(cells, sources, strict=True) if cell.get("cell_type") == "code"]
    code_size = sum(map(len, codes))
    if code_size > _MOST_CODE:
        raise NotNotebook(f"its code cells have more than {_MOST_CODE:,} characters")
    found = dict.fromkeys(one for text in codes for one in _imports(text))
    return Notebook(CELLS + digest, tuple(found), code_size)


def _language(notebook: Mapping[str, Any]) -> list[Any]:
    """The kernel that runs it and the language, without versions."""
    metadata = notebook.get("metadata")
    sections = [_mapping(_mapping(metadata).get(name)).get("name") for name in ("kernelspec", "language_info")]
    return [section if isinstance(section, str) else None for section in sections]


def _said(cell: Mapping[str, Any], source: str) -> list[Any]:
    """What counts of a cell: its type, source, pictures that its text shows, and whether parameters go behind it."""
    tags = _mapping(cell.get("metadata")).get("tags")
    is_tagged = isinstance(tags, list) and _PARAMETERS in tags
    kind = cell.get("cell_type")
    return [kind if isinstance(kind, str) else None, source, cell.get("attachments") or None, is_tagged]


def _source(cell: Mapping[str, Any]) -> str:
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    if isinstance(source, str):
        return source
    raise NotNotebook("a cell has no source")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _imports(source: str) -> Iterator[Import]:
    """The imports of a cell, and what it takes with `%run`; none where it is of another language."""
    magic = _CELL_MAGIC.match(source)
    if magic is not None:
        if magic[1] in _NOT_PYTHON:
            return
        source = source[magic.end() :]
    for file in _RUN.findall(source):
        yield Import(0, file.replace("/", "."))
    # Not every line that looks like a magic is one: `% b` may go on with an expression.
    for text in dict.fromkeys([source, _MAGIC.sub(r"\1pass", source)]):
        try:
            yield from imports_of(parsed(text))
        except NotPython:
            continue
        return
    for statement in _statements(source):
        try:
            yield from imports_of(parsed(statement))
        except NotPython:
            continue  # the kernel says what is wrong with it


def _statements(source: str) -> Iterator[str]:
    """The lines of a cell that import, for one that only IPython understands, such as `files = !ls`."""
    lines = iter(source.replace("\\\n", " ").splitlines())
    for line in lines:
        if _IMPORT.match(line) is None:
            continue
        parts = [line.strip()]
        while "(" in parts[0] and ")" not in parts[-1]:
            more = next(lines, None)
            if more is None:
                break
            parts.append(more)
        statement = "\n".join(parts)
        yield statement
        if ";" in statement:
            yield statement.partition(";")[0]
