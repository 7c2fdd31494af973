"""A first contract for people to review: what a table is, with room for what it will be, and what was seen beside it.

The text depends on the table alone. New rows are never quite the old ones: what is written holds for another table of
the same kind as well, and what too few rows speak for is left out.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.stages.contracts import distribution as spread
from runner.stages.contracts.checks import UNCLEAN, longest_run
from runner.stages.contracts.contract import Column
from runner.stages.contracts.reading import as_written, ends_with_newline, is_text, read_typed, typed

if TYPE_CHECKING:
    import pandas

_MISSING_WORDS = ("NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
"""What people write for no value; taken for one only where the column is of numbers without it."""
_MOST_CATEGORIES = 30
_ROWS_EACH = 10
"""A text is a category where each of its values comes so many times, on average."""
_FEW_ROWS = 200
_SEEN_OFTEN = 3
"""Where each category was seen so many times, there is hardly one that was not seen at all (Good and Turing)."""
_SECOND = 20
"""A column is not constant by chance where its second value comes so many times: half as many rows have some of it."""
_FEW_IN_ORDER = 20
"""Fewer rows are in order by chance, or by the habit of whoever wrote them."""
_TWICE = 5
"""Numbers drawn at random would be twice there so many times; none that is says that they are names."""
_TAIL = 10
"""How many of the outermost values tell how far a tail reaches."""
_UNKNOWN_TAIL = 2.0
_PSI, _ONCE_IN_A_MILLION = 0.25, 4.75
_LARGEST = sys.float_info.max
_MOST_PLACES = 300
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORDS_OF_YAML = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def inferred(path: str | Path) -> str:
    """The text of a contract for a table; raises InputError where the table cannot be read."""
    return "\n".join(_lines(Path(path))) + "\n"


def _lines(path: Path) -> Iterator[str]:
    written = as_written(path)
    if not len(written.columns):
        raise InputError(f"{path}: it has no columns", "name a table that has some")
    kinds = {str(name): kind_of(written[name], is_text=is_text(path)) for name in written.columns}
    empties = sorted({"", *(word for name, kind in kinds.items() for word in empties_of(written[name], kind))})
    # Read again as the contract will be: what is equal there has to be equal here.
    columns = tuple(Column(name, {"type": kind}) for name, kind in kinds.items())
    table = read_typed(path, columns, empties)
    yield "# A data contract: what each table of this kind has to be. Written by `runner contract infer`."
    yield "# Review every line: it holds what was seen once, not what is right. Fields: `runner schema contract`."
    yield "contract: 1"
    yield "# What a broken check does: fail, quarantine or warn. `severity: {range: warn}` says it for one check,"
    yield "# also in a column."
    yield "severity: fail"
    if is_text(path):
        yield f"missing_values: {_flow(empties)}"
    if path.suffix.lower() != ".parquet":
        yield f"final_newline: {_flow(ends_with_newline(path))}"
    rows = len(table)
    yield f"rows: {{min: {min(rows, _rounded_down(rows / 2))}, max: {_rounded_up(rows * 10)}}}  # seen: {rows}"
    yield "order: true"
    yield "extra: false"
    yield f"duplicates: {_flow(bool(table.duplicated().any()))}"
    key = next((name for name, kind in kinds.items() if _is_key(table[name], kind)), None)
    if key is not None:
        yield f"primary_key: [{_flow(key)}]  # the first column without a value that is missing or comes twice"
    yield "# leakage: {target: NAME}  # say which column is to be predicted, and none that tells it gets in"
    yield "columns:"
    for column in columns:
        yield f"  {_name(column.name)}:"
        values = typed(table[column.name], column).values
        yield from (f"    {line}" for line in _column(values, column.kind, is_key=column.name == key))


def kind_of(values: pandas.Series, *, is_text: bool) -> str:
    """The narrowest type that all values fit; in text files with words for no value aside."""
    import pandas

    if values.dtype.kind in "iuf" and not values.isna().all():
        there = values.dropna()
        return "integer" if (there == there.round()).all() else "number"
    if values.dtype.kind in "bM":
        return "boolean" if values.dtype.kind == "b" else "datetime"
    seen = pandas.Series(values.dropna().unique())
    if not is_text:
        return _kind_of_values(seen)
    texts = seen[~seen.isin(["", *_MISSING_WORDS])].astype("str")
    if texts.empty:
        return "text"
    if texts.str.fullmatch(_NUMBER.pattern).all() and not texts.str.match(r"[+-]?0[0-9]").any():
        numbers = pandas.to_numeric(texts)
        if texts.str.fullmatch(r"[+-]?[0-9]+").all():
            # Longer ones are no numbers that one counts with, and would lose digits.
            return "integer" if numbers.abs().max() < 2**53 else "text"
        return "number"
    if texts.isin(["true", "false", "True", "False", "TRUE", "FALSE"]).all():
        return "boolean"
    return _kind_of_times(texts) or "text"


def _kind_of_values(seen: pandas.Series) -> str:
    """The type of different values that have types themselves."""
    kinds = {type(value) for value in seen}
    if kinds <= {str}:
        return (_kind_of_times(seen.astype("str")) if len(seen) else None) or "text"
    if kinds == {bool}:
        return "boolean"
    return "integer" if kinds == {int} else "number" if kinds <= {int, float} else "any"


def _kind_of_times(texts: pandas.Series) -> str | None:
    import pandas

    if texts.str.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").all():
        for kind, form in (("date", "%Y-%m-%d"), ("datetime", "ISO8601")):
            if pandas.to_datetime(texts, format=form, utc=True, errors="coerce").notna().all():
                return kind
    return None


def empties_of(values: pandas.Series, kind: str) -> list[str]:
    """The words for no value that a column of this type holds."""
    return [] if kind in ("text", "any") else sorted(set(_MISSING_WORDS).intersection(values.unique()))


def _is_key(values: pandas.Series, kind: str) -> bool:
    return bool(values.notna().all()) and _is_unique(values, kind)


def _is_unique(values: pandas.Series, kind: str) -> bool:
    """Whether values are names of rows, in contrast to ones of which none came twice by chance."""
    if len(values) < 2 or kind not in ("integer", "text") or not values.is_unique:
        return False
    if kind == "text":
        return not values.astype("str").str.contains(r"\s").any()
    wide = float(values.max()) - float(values.min()) + 1
    return len(values) ** 2 / (2 * wide) >= _TWICE or wide <= 2 * len(values)


def _column(values: pandas.Series, kind: str, *, is_key: bool) -> Iterator[str]:
    yield f"type: {kind}"
    there, missing = values.dropna(), values.isna()
    if not missing.any():
        yield "nullable: false"
    elif len(there):
        share, run = float(missing.mean()), longest_run(missing.to_numpy())
        most = min(1.0, round(max(share * 1.5, share + 0.05), 2))
        yield f"missing: {{max: {most:g}, run: {run * 2 + 10}}}  # seen: {share:.1%}, {run} in a row"
    if there.empty:
        yield "# no value was seen"
        return
    if _is_unique(there, kind) and not is_key:
        yield "unique: true" if kind == "integer" else "# unique: true  # so it is here; say so if it has to be"
    counts = there.value_counts()
    if len(counts) > 1 and (len(there) < _SECOND or len(there) - int(counts.iloc[0]) >= _SECOND):
        yield f"distinct: {{min: 2}}  # seen: {len(counts)}"
    writers = {"integer": _numbers, "number": _numbers, "text": _text, "date": _times, "datetime": _times}
    if kind in writers:
        yield from writers[kind](there, kind)


def _numbers(there: pandas.Series, kind: str) -> Iterator[str]:
    numbers = there.astype(float)
    low, high = float(numbers.min()), float(numbers.max())
    before, behind = (_reach(one) for one in (-numbers, numbers))
    least, most = _below(max(-before, -_LARGEST)), _above(min(behind, _LARGEST))
    least = 0.0 if low >= 0 > least else least  # most of what is never below zero cannot be
    if kind == "integer":
        least, most = math.floor(least), math.ceil(most)
    is_name = _is_unique(there, kind)  # of a row: new ones go on where these end
    if is_name:
        yield f"min: {_number(min(0.0, low))}  # seen: {_number(low)} to {_number(high)}"
    else:
        half = f"half of them up to {numbers.median():g}"
        yield f"min: {_number(least)}  # seen: {_number(low)} to {_number(high)}, {half}"
        yield f"max: {_number(most)}"
    if len(there) > 1 and numbers.is_monotonic_increasing:
        yield "# increasing: true  # so it is here; say so if it has to be"
    if len(there) >= _FEW_ROWS and not is_name and numbers.nunique() > 1:
        classes = spread.classes_of(numbers.to_numpy())
        edges = ", ".join(_number(edge) for edge in classes.edges)
        shares = ", ".join(f"{share:.4g}" for share in classes.shares)
        rows = _rows_to_compare(len(there), len(classes.shares))
        if rows is None:
            return
        yield "distribution:"
        yield f"  psi: {_PSI}"
        yield "  ks: 0.2"
        yield from rows
        yield f"  edges: [{edges}]"
        yield f"  shares: [{shares}]"


def _reach(numbers: pandas.Series) -> float:
    """The greatest number that may come: half as wide again, and as much further as the tail suggests.

    How far the outermost of n values lies from the middle, in relation to the tenth, tells how heavy a tail is: for one
    that falls as a power, n more values go beyond the cube of it once in a thousand times.
    """
    high, low, middle = float(numbers.max()), float(numbers.min()), float(numbers.median())
    inner = float(numbers.quantile(1 - min(_TAIL / len(numbers), 0.1))) - middle
    ratio = (high - middle) / inner if inner > 0 else _UNKNOWN_TAIL
    return max(high + (high - low) / 2, middle + (high - middle) * ratio * ratio * ratio)


def _rows_to_compare(seen: int, classes: int) -> list[str] | None:
    """From how many rows on the stability index of equal tables stays below its bound; None where these are too few.

    Of n rows and m the index is about chi-square with as many degrees of freedom as there are classes but one, divided
    by nm / (n + m); it goes beyond the bound once in a million times (the quantile by Wilson and Hilferty).
    """
    free = max(classes - 1, 1)
    quantile = free * (1 - 2 / (9 * free) + _ONCE_IN_A_MILLION * math.sqrt(2 / (9 * free))) ** 3
    needed = quantile / _PSI
    if needed >= seen:
        return None
    rows = math.ceil(1 / (1 / needed - 1 / seen))
    return [] if rows <= _FEW_ROWS else [f"  rows: {_rounded_up(rows)}"]


def _text(there: pandas.Series, kind: str) -> Iterator[str]:
    texts = there.astype("str")
    seen = sorted(texts.unique().tolist())
    if any(re.search(UNCLEAN, text) for text in seen):
        yield "# text: clean  # some values have spaces at an end, control characters or letters of a wrong encoding"
    else:
        yield "text: clean"
    if len(seen) <= _MOST_CATEGORIES and len(texts) >= _ROWS_EACH * len(seen):
        if int(texts.value_counts().min()) >= _SEEN_OFTEN:
            yield f"categories: {_flow(seen)}"
        else:
            yield f"# categories: {_flow(seen)}  # some were seen once or twice, so there may be others"
        rows = _rows_to_compare(len(texts), len(seen)) if len(texts) >= _FEW_ROWS and len(seen) > 1 else None
        if rows is not None:
            shares = ", ".join(f"{_name(name)}: {share:.4g}" for name, share in spread.category_shares(texts).items())
            yield "distribution:"
            yield f"  psi: {_PSI}"
            yield "  share: 0.15"
            yield from rows
            yield f"  shares: {{{shares}}}"
        return
    shapes = {_shape(text) for text in seen}
    if len(shapes) == 1 and len(seen) > 1:
        yield f"pattern: {_flow(shapes.pop())}"
    lengths = texts.str.len()
    most = _rounded_up(int(lengths.max()) * 2)
    yield f"length: {{min: {int(lengths.min() > 0)}, max: {most}}}  # seen: {lengths.min()} to {lengths.max()}"


def _shape(text: str) -> str:
    """A regular expression for texts that look alike: `C-00123` is `C-[0-9]+`."""
    parts = re.findall(r"[0-9]+|[a-z]+|[A-Z]+|.", text, re.DOTALL)
    classes = (("[0-9]+", str.isdigit), ("[a-z]+", str.islower), ("[A-Z]+", str.isupper))
    return "".join(
        next(
            (name for name, fits in classes if part.isascii() and fits(part)),
            re.sub(r"([][\\.^$*+?{}|()])", r"\\\1", part),
        )
        for part in parts
    )


def _times(there: pandas.Series, kind: str) -> Iterator[str]:
    text = "%Y-%m-%d" if kind == "date" else "%Y-%m-%dT%H:%M:%SZ"
    low, high = there.min(), there.max()
    earliest = low - (high - low) / 2
    yield f'min: "{earliest.year}-01-01"  # seen: {low.strftime(text)} to {high.strftime(text)}'
    yield "past: true  # asked where the stage has `as_of`"
    if len(there) >= _FEW_IN_ORDER and there.is_monotonic_increasing:
        yield "increasing: true"


# ---------------------------------------------------------------------------------------------------------------
# Numbers and texts


def _below(value: float) -> float:
    """A number of two digits that is not above."""
    return _two_digits(value, math.floor)


def _above(value: float) -> float:
    return _two_digits(value, math.ceil)


def _two_digits(value: float, cut: Any) -> float:
    places = 1 - math.floor(math.log10(abs(value))) if value else 0
    if abs(places) > _MOST_PLACES:
        return value
    return float(f"{cut(value * 10.0**places) / 10.0**places:.12g}")


def _rounded_down(value: float) -> int:
    return max(1, int(_below(value)))


def _rounded_up(value: float) -> int:
    return max(1, int(_above(value)))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


def _flow(value: Any) -> str:
    """A value in YAML, in a line: JSON, which YAML 1.2 reads as it is."""
    return json.dumps(value, ensure_ascii=False)


def _name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name.lower() not in _WORDS_OF_YAML else _flow(name)
