"""A data contract as the stage `validate` reads it: a YAML file, checked against `schemas/contract.schema.json`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.errors import InputError, SpecError
from runner.specs import schemas, yaml12
from runner.specs.builtin_stages import plain
from runner.specs.guesses import nearest
from runner.specs.places import Locator
from runner.values import dataclass

NUMBERS = ("integer", "number")
TIMES = ("date", "datetime")
OF_ROWS = frozenset(
    [
        *("type", "nullable", "range", "categories", "pattern", "length", "text", "unique", "increasing", "past"),
        *("duplicates", "primary_key"),
    ]
)
"""The checks that say of each row whether it is good; the others are about the table as a whole."""

_FITTING = {
    "min": (*NUMBERS, *TIMES),
    "max": (*NUMBERS, *TIMES),
    "pattern": ("text",),
    "length": ("text",),
    "text": ("text",),
    "format": TIMES,
    "increasing": (*NUMBERS, *TIMES),
    "past": TIMES,
}
"""Which types a field makes sense for, where not for all."""


@dataclass(frozen=True, slots=True)
class Column:
    """What a contract says of one column."""

    name: str
    given: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Its type."""
        return str(self.given["type"])

    def get(self, field: str, default: Any = None) -> Any:
        """A field, or the default where it is not given."""
        return self.given.get(field, default)


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract."""

    file: str
    given: Mapping[str, Any]
    columns: tuple[Column, ...]

    def get(self, field: str, default: Any = None) -> Any:
        """A field of the contract as a whole, or the default where it is not given."""
        return self.given.get(field, default)

    @property
    def missing_values(self) -> list[str]:
        """What stands for no value in a text file."""
        return list(self.get("missing_values", [""]))

    def severity(self, check: str, column: Column | None = None) -> str:
        """What a broken check does: `fail`, `quarantine` or `warn`; the column's word counts before the contract's."""
        for said in (column.get("severity") if column else None, self.get("severity")):
            word = said.get(check) if isinstance(said, Mapping) else said
            if word is not None:
                return "fail" if word == "quarantine" and check not in OF_ROWS else str(word)
        return "fail"


def read_contract(path: str | Path) -> Contract:
    """The contract in a file.

    Raises InputError where there is no such file, and SpecError with each finding in its place where it is no contract.
    """
    try:
        text = Path(path).read_bytes()
    except FileNotFoundError:
        hint = "`runner contract infer DATA --out FILE` writes one"
        raise InputError(f"{path}: there is no such file", hint) from None
    except OSError as error:
        raise InputError(f"{path}: it cannot be read: {error.strerror}", "name a YAML file") from error
    given = plain(yaml12.load(text, file=str(path)))
    locator = Locator(str(path), lambda: text)
    findings = [problem.finding for problem in schemas.check("contract", given, locator)]
    if not findings:
        findings = [locator.finding(where, message, hint) for where, message, hint in _contradictions(given)]
    if findings:
        raise SpecError(findings, "the contract")
    return Contract(str(path), given, tuple(Column(name, said) for name, said in given["columns"].items()))


def _contradictions(given: Mapping[str, Any]) -> Iterator[tuple[yaml12.Path, str, str]]:
    """What no schema can say: names that are no columns, and fields that do not fit each other."""
    columns = given["columns"]
    for where, name in _named(given):
        if name not in columns:
            close = nearest(name, list(columns))
            hint = f"did you mean `{close}`?" if close else "name one of `columns`"
            yield where, f"`{name}` is no column of the contract", hint
    fresh = given.get("freshness")
    if fresh and columns.get(fresh["column"], {}).get("type") not in (*TIMES, None):
        yield ("freshness", "column"), f"`{fresh['column']}` is no column of times", "name a `date` or `datetime`"
    yield from _bounds(("rows",), given.get("rows", {}), "min", "max")
    for name, column in columns.items():
        yield from _contradictions_of(("columns", name), column)


def _named(given: Mapping[str, Any]) -> Iterator[tuple[yaml12.Path, str]]:
    groups: list[tuple[yaml12.Path, Sequence[str]]] = [(("primary_key",), given.get("primary_key", ()))]
    groups += [(("unique", number), group) for number, group in enumerate(given.get("unique", ()))]
    leakage, fresh = given.get("leakage", {}), given.get("freshness", {})
    groups += [(("leakage", "except"), leakage.get("except", ()))]
    for where, names in groups:
        yield from (((*where, number), name) for number, name in enumerate(names))
    if "target" in leakage:
        yield ("leakage", "target"), leakage["target"]
    if "column" in fresh:
        yield ("freshness", "column"), fresh["column"]


def _contradictions_of(where: yaml12.Path, column: Mapping[str, Any]) -> Iterator[tuple[yaml12.Path, str, str]]:
    kind = column["type"]
    for field in column.keys() & _FITTING.keys():
        if kind not in _FITTING[field]:
            hint = f"it is for the types {', '.join(_FITTING[field])}"
            yield (*where, field), f"`{field}` says nothing of the type `{kind}`", hint
    for field in ("min", "max"):
        value = column.get(field)
        if kind in NUMBERS and isinstance(value, str):
            yield (*where, field), f"`{field}` of numbers must be a number, not `{value}`", "write it without quotes"
        if kind in TIMES and value is not None and time_of(value) is None:
            yield (*where, field), f"`{field}` is no time: `{value}`", "write 2026-01-31, or with a time of day"
    if kind in NUMBERS and not any(isinstance(column.get(field), str) for field in ("min", "max")):
        yield from _bounds(where, column, "min", "max")
    if kind == "text" and not all(isinstance(value, str) for value in column.get("categories", ())):
        yield (*where, "categories"), "`categories` of texts must be texts", 'write numbers and truths in quotes: "1"'
    for field in ("length", "distinct"):
        yield from _bounds((*where, field), column.get(field, {}), "min", "max")
    try:
        re.compile(column.get("pattern", ""))
    except re.error as error:
        yield (*where, "pattern"), f"`pattern` is no regular expression: {error}", "see the module re of Python"
    yield from _of_distribution((*where, "distribution"), column.get("distribution", {}), kind)


def _of_distribution(
    where: yaml12.Path, distribution: Mapping[str, Any], kind: str
) -> Iterator[tuple[yaml12.Path, str, str]]:
    edges, shares = distribution.get("edges"), distribution.get("shares")
    if kind in NUMBERS:
        if edges is not None and edges != sorted(set(edges)):
            yield (*where, "edges"), "`edges` do not rise", "write each edge once, the smallest first"
        wanted = len(edges) + 1 if edges is not None else None
        if shares is not None and (not isinstance(shares, list) or len(shares) != wanted):
            yield (*where, "shares"), "`shares` do not fit `edges`", "write one share more than there are edges"
    elif isinstance(shares, list) or edges is not None:
        yield (*where, "shares"), "classes of numbers say nothing of categories", "write a share for each category"


def _bounds(
    where: yaml12.Path, given: Mapping[str, Any], low: str, high: str
) -> Iterator[tuple[yaml12.Path, str, str]]:
    if low in given and high in given and given[low] > given[high]:
        yield (*where, low), f"`{low}` is above `{high}`", "exchange them"


def time_of(text: Any) -> Any:
    """A moment in UTC, as pandas has it, of a text in ISO 8601; None where it is none."""
    import pandas

    moment = pandas.to_datetime(text, utc=True, format="ISO8601", errors="coerce") if isinstance(text, str) else None
    return None if moment is None or pandas.isna(moment) else moment
