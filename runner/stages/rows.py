"""Rows of a table as they are written: for stages that pass rows on and must not change a byte of them.

A reader of tables changes what it reads: numbers, dates, empty values, doubled names, line ends in texts. So rows are
kept as text here, and only the column that decides is looked into.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runner.errors import InputError
from runner.stages.tables import no_such_column, no_such_file
from runner.values import dataclass

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
csv.field_size_limit(1 << 30)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a file."""

    path: Path
    header: str
    """The first line of .csv and .tsv with its line end; empty for .jsonl."""
    rows: Sequence[str]
    """Each with its line end."""

    def column(self, name: str) -> list[Any]:
        """The values of a column: as text for .csv and .tsv, as JSON has them for .jsonl (None where there is none).

        Raises InputError where there is no such column, or where two have its name.
        """
        if not self.header:
            return self._of_objects(name)
        names = self._fields(self.header)
        if name not in names:
            raise no_such_column(self.path, name, names)
        if names.count(name) > 1:
            raise InputError(f"{self.path}: there are two columns `{name}`", f"it has: {', '.join(names[:20])}")
        place = names.index(name)
        values = self._parsed("".join(self.rows))
        return [fields[place] if place < len(fields) else "" for fields in values]

    def _of_objects(self, name: str) -> list[Any]:
        objects = [json.loads(row) for row in self.rows]
        if not any(name in found for found in objects):
            names = list(dict.fromkeys(key for found in objects[:100] for key in found))
            raise no_such_column(self.path, name, names)
        return [found.get(name) for found in objects]

    def _fields(self, row: str) -> list[str]:
        return next(self._parsed(row.removeprefix("\ufeff")), [])

    def _parsed(self, text: str) -> Iterator[list[str]]:
        return csv.reader(io.StringIO(text, newline=""), delimiter=_SEPARATORS[self.path.suffix.lower()])

    def write(self, path: Path, numbers: Sequence[int]) -> None:
        """Write the rows of these numbers, below the header if there is one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(self.header)
            file.writelines(self.rows[number] for number in numbers)


def is_of_rows(path: Path) -> bool:
    """Whether a file is one of lines, by its ending."""
    return path.suffix.lower() in (*_SEPARATORS, ".jsonl")


def read_rows(path: Path) -> Rows:
    """The rows of a .csv, .tsv or .jsonl file.

    Raises InputError: it is missing, not UTF-8, has no header, a row with more values than the header has names, or a
    line that is no JSON object.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = file.readlines()
    except FileNotFoundError:
        raise no_such_file(path) from None
    except UnicodeDecodeError as error:
        text = f"{path}: it cannot be read as a table: byte {error.start} is not UTF-8"
        raise InputError(text, "save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: it cannot be read: {error.strerror}", "name a file") from None
    if lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += "\n"
    if path.suffix.lower() == ".jsonl":
        return Rows(path, "", _objects(path, lines))
    header, *rows = _records(path, lines)
    return Rows(path, header, rows)


def _objects(path: Path, lines: Sequence[str]) -> list[str]:
    rows = [line for line in lines if line.strip()]
    for number, row in enumerate(rows, 1):
        try:
            is_object = isinstance(json.loads(row), dict)
        except (ValueError, RecursionError):
            is_object = False
        if not is_object:
            text = f"{path}: it cannot be read as a table: row {number} is no JSON object"
            raise InputError(text, "write one object on each line")
    return rows


def _records(path: Path, lines: Sequence[str]) -> list[str]:
    """The header and the rows as text; a line that a quoted value goes on in belongs to the row before."""
    taken: list[str] = []

    def tapped() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    records: list[str] = []
    width = 0
    reader = csv.reader(tapped(), delimiter=_SEPARATORS[path.suffix.lower()])
    try:
        for fields in reader:
            text = "".join(taken)
            taken.clear()
            width = width or max(len(fields), 1)
            if not fields and width > 1:
                continue  # an empty line: no row, unless empty values of one column stand on lines of their own
            if len(fields) > width:
                message = f"row {len(records)} has {len(fields)} values, and the header {width} names"
                raise InputError(f"{path}: it cannot be read as a table: {message}", "give each row as many values")
            records.append(text)
    except csv.Error as error:
        raise InputError(f"{path}: it cannot be read as a table: {error}", "check its quotes") from None
    if not records:
        raise InputError(f"{path}: it cannot be read as a table: it is empty", "its first line names the columns")
    return records
