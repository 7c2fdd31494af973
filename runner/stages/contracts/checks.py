"""The checks of a contract on a table: what each came to, with the rows that break it.

What one value has to be is asked of pandera's checks, once for each different value of a text; what a table has to be,
of pandas. Every check answers for all rows, so that rows can be put aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runner.core.units import seconds_of
from runner.specs.guesses import nearest
from runner.stages.contracts import distribution as spread
from runner.stages.contracts.contract import NUMBERS, TIMES, Column, Contract, time_of
from runner.stages.contracts.reading import Typed, typed
from runner.values import dataclass

if TYPE_CHECKING:
    import numpy
    import pandas

    Mask = numpy.ndarray[Any, Any]

EXAMPLES = 3
_ROWS_TOLD = 5
UNCLEAN = (
    r"^\s|\s$|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]"
    # What UTF-8 looks like that was read as Latin-1 or Windows-1252: `Ã¼`, `â€™`.
    r"|[\xc2\xc3][\x80-\xbf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013\u2014\u2018-\u201e"
    r"\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]|\u00e2\u20ac"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check of a column, or of the table where `column` is empty, came to."""

    check: str
    column: str
    result: str
    """`passed`, `broken` or `skipped`."""
    message: str = ""
    """What is wrong, or why it was not asked, in a sentence without the name of the column."""
    bad: Mask | None = None
    """The rows that break it, where it is about rows."""
    value: float | None = None
    """What was measured, where it is a number."""

    @property
    def name(self) -> str:
        """`age.range`, or `rows` of a table."""
        return f"{self.column}.{self.check}" if self.column else self.check

    @property
    def rows(self) -> int:
        """How many rows break it."""
        return int(self.bad.sum()) if self.bad is not None else 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: a table, what it is compared with, and the moment that counts as now."""

    contract: Contract
    table: pandas.DataFrame
    reference: pandas.DataFrame | None = None
    as_of: Any = None
    newline: bool = True
    """Whether the file ends with a line break."""


def outcomes(asked: Asked) -> list[Outcome]:
    """What every check of the contract came to: those of the table first, then column by column."""
    shape = [*_shape(asked)]
    there = [column for column in asked.contract.columns if column.name in asked.table.columns]
    values = {column.name: typed(asked.table[column.name], column) for column in there}
    return [*shape, *_of_table(asked, values), *(one for column in there for one in _column(asked, column, values))]


def _passed(check: str, column: str, holds: bool, message: str, value: float | None = None) -> Outcome:
    return Outcome(check, column, "passed" if holds else "broken", "" if holds else message, None, value)


def _rows(check: str, column: str, bad: Mask, message: str) -> Outcome:
    if not bad.any():
        return Outcome(check, column, "passed")
    return Outcome(check, column, "broken", f"{message}, {_places(bad)}", bad)


def _places(bad: Mask) -> str:
    """The first rows that break a check, counted from 1 without the line of names."""
    import numpy

    rows = numpy.flatnonzero(bad)
    told = ", ".join(str(row + 1) for row in rows[:_ROWS_TOLD]) + (", ..." if len(rows) > _ROWS_TOLD else "")
    return f"row{'s' if len(rows) > 1 else ''} {told}"


# ---------------------------------------------------------------------------------------------------------------
# The table


def _shape(asked: Asked) -> Iterator[Outcome]:
    """Names and order of columns, number of rows, end of the file."""
    contract, found = asked.contract, [str(name) for name in asked.table.columns]
    known = [column.name for column in contract.columns]
    missing = [one.name for one in contract.columns if one.name not in found and not one.get("optional", False)]
    yield _passed("columns", "", not missing, f"missing: {_listed(missing)}{_why_missing(found, known, missing)}")
    if not contract.get("extra", False):
        more = [name for name in found if name not in known]
        yield _passed("extra", "", not more, f"not in the contract: {_listed(more)}")
    if contract.get("order", False):
        order = [name for name in found if name in known]
        wanted = [name for name in known if name in found]
        yield _passed("order", "", order == wanted, f"the order is {_listed(order)}, and not {_listed(wanted)}")
    if "rows" in contract.given:
        least, most = contract.get("rows").get("min", 0), contract.get("rows").get("max")
        count = len(asked.table)
        holds = least <= count and (most is None or count <= most)
        wanted_rows = f"at least {least}" if count < least else f"at most {most}"
        yield _passed("rows", "", holds, f"there are {count} rows, and not {wanted_rows}", count)
    if contract.get("final_newline", False):
        message = "the last line has no end: the file may have been cut off"
        yield _passed("final_newline", "", asked.newline, message)


def _why_missing(found: list[str], known: list[str], missing: list[str]) -> str:
    if len(found) == 1 and len(known) > 1:
        signs = [sign for sign in (";", ",", "\t", "|") if sign in found[0]]
        return f"; the only column holds {signs[0]!r}: are values separated by it?" if signs else ""
    close = [(name, nearest(name, [one for one in found if one not in known])) for name in missing]
    return "".join(f"; `{other}` is there in place of `{name}`?" for name, other in close if other)


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:10]) + (" ..." if len(names) > 10 else "")


def _of_table(asked: Asked, values: dict[str, Typed]) -> Iterator[Outcome]:
    """What is about several columns."""
    contract, table = asked.contract, asked.table
    key = [name for name in contract.get("primary_key", ()) if name in table]
    again = table.duplicated(subset=key).to_numpy() if key else None
    if not contract.get("duplicates", True):
        # Where the key is another one the row is, and to compare a few columns is much faster.
        bad = again if again is not None and not again.any() else table.duplicated().to_numpy()
        yield _rows("duplicates", "", bad, "the same as one before")
    if again is not None and len(key) == len(contract.get("primary_key")):
        bad = table[key].isna().any(axis=1).to_numpy() | again
        yield _rows("primary_key", "", bad, f"{_listed(key)} missing, or the same as before")
    for group in contract.get("unique", []):
        if all(name in table for name in group):
            bad = (table.duplicated(subset=group) & table[group].notna().all(axis=1)).to_numpy()
            yield _rows("unique", "", bad, f"{_listed(group)} together as before")
    yield from _leakage(contract, values)
    yield from _freshness(asked, values)


def _leakage(contract: Contract, values: dict[str, Typed]) -> Iterator[Outcome]:
    said = contract.get("leakage")
    if not said or said["target"] not in values:
        return
    target, most = said["target"], said.get("max", 0.98)
    others = [name for name in values if name not in (target, *said.get("except", ()))]
    ties = {name: spread.tie(values[name].values, values[target].values) for name in others}
    told = [f"`{name}` ({strength:.3f})" for name, strength in ties.items() if strength > most]
    message = f"{', '.join(told)} tell `{target}`, each alone, with more than {most:g}"
    yield _passed("leakage", "", not told, message, round(max(ties.values(), default=0.0), 6))


def _freshness(asked: Asked, values: dict[str, Typed]) -> Iterator[Outcome]:
    said = asked.contract.get("freshness")
    if not said or said["column"] not in values:
        return
    if asked.as_of is None:
        yield Outcome("freshness", "", "skipped", "the stage has no `as_of`")
        return
    newest = values[said["column"]].values.max()
    age = (asked.as_of - newest).total_seconds() if newest == newest else float("inf")
    limit = seconds_of(said["max_age"]) or 0.0
    message = f"the newest `{said['column']}` is {newest}, more than {said['max_age']} before {asked.as_of}"
    yield _passed("freshness", "", age <= limit, message)


# ---------------------------------------------------------------------------------------------------------------
# One column


def _column(asked: Asked, column: Column, values: dict[str, Typed]) -> Iterator[Outcome]:
    import numpy

    name, read = column.name, values[column.name]
    raw, missing = asked.table[name], asked.table[name].isna().to_numpy()
    yield _rows("type", name, read.wrong, f"no {column.kind}{_such_as(column, raw, read.wrong)}")
    if not column.get("nullable", True):
        yield _rows("nullable", name, missing, "no value")
    yield from _missing(asked, column, missing)
    if column.get("unique", False):
        bad = (read.values.duplicated() & read.values.notna()).to_numpy()
        yield _rows("unique", name, bad, f"the same as before{_such_as(column, raw, bad)}")
    for check, message, bad in _values(column, read.values):
        yield _rows(check, name, bad, f"{message}{_such_as(column, raw, bad)}")
    if column.get("increasing", False):
        bad = numpy.zeros(len(raw), dtype=bool)
        there = read.values.dropna()
        bad[read.values.notna().to_numpy()] = (there < there.shift()).to_numpy(dtype=bool)
        yield _rows("increasing", name, bad, f"smaller than the one before{_such_as(column, raw, bad)}")
    if column.get("past", False):
        if asked.as_of is None:
            yield Outcome("past", name, "skipped", "the stage has no `as_of`")
        else:
            bad = (read.values > asked.as_of).to_numpy()
            yield _rows("past", name, bad, f"later than {asked.as_of}{_such_as(column, raw, bad)}")
    if "distinct" in column.given:
        least, most = column.get("distinct").get("min", 0), column.get("distinct").get("max")
        count = _distinct(read.values, least if most is None else None)
        holds = least <= count and (most is None or count <= most)
        wanted = f"at least {least}" if count < least else f"at most {most}"
        yield _passed("distinct", name, holds, f"{count} different values, and not {wanted}")
    if "distribution" in column.given:
        yield _distribution(asked, column, read.values)


def _distinct(values: pandas.Series, enough: int | None) -> int:
    """How many different values there are; where so many are enough, no more than the first rows are looked at."""
    if enough is not None:
        some = int(values.iloc[: 100 * enough].nunique())
        if some >= enough:
            return some
    return int(values.nunique())


def _such_as(column: Column, raw: pandas.Series, bad: Mask) -> str:
    """A few of the values that are wrong; of a personal column none."""
    if column.get("personal", False) or not bad.any():
        return ""
    import numpy

    rows = numpy.flatnonzero(bad)
    told = list(dict.fromkeys(str(value)[:60] for value in raw.iloc[rows[:1000]]))[:EXAMPLES]
    more = " ..." if len(rows) > len(told) else ""
    return f": {', '.join(f'`{value}`' for value in told)}{more}"


def _missing(asked: Asked, column: Column, missing: Mask) -> Iterator[Outcome]:
    said = column.get("missing")
    if not said or not len(missing):
        return
    share, wrong = float(missing.mean()), []
    if share > said.get("max", 1):
        wrong.append(f"{share:.1%} of the values are missing, and not at most {said['max']:.1%}")
    if "run" in said:
        longest = longest_run(missing)
        if longest > said["run"]:
            wrong.append(f"{longest} rows that follow each other have no value, and not at most {said['run']}")
    if "change" in said and asked.reference is not None and column.name in asked.reference:
        before = float(asked.reference[column.name].isna().mean())
        if abs(share - before) > said["change"]:
            wrong.append(f"{share:.1%} of the values are missing, and {before:.1%} were in the reference")
    yield _passed("missing", column.name, not wrong, "; ".join(wrong), round(share, 6))


def longest_run(mask: Mask) -> int:
    """The most rows that follow each other in a mask."""
    import numpy

    bounded = numpy.concatenate([[False], mask, [False]]).astype(numpy.int8)
    changes = numpy.flatnonzero(numpy.diff(bounded))
    return int((changes[1::2] - changes[::2]).max()) if len(changes) else 0


def _values(column: Column, values: pandas.Series) -> Iterator[tuple[str, str, Mask]]:
    """The checks of single values: name, what is wrong, which rows."""
    checks = [*_pandera_checks(column)]
    if not checks:
        return
    import numpy
    import pandas

    there = values.notna().to_numpy()
    asked, codes = values[there], numpy.arange(int(there.sum()))
    if column.kind == "text":
        codes, uniques = pandas.factorize(asked)
        asked = pandas.Series(uniques, dtype="str")
    for name, message, check in checks:
        bad = numpy.zeros(len(values), dtype=bool)
        if len(asked):
            bad[there] = ~numpy.asarray(check(asked).check_output, dtype=bool)[codes]
        yield name, message, bad


def _pandera_checks(column: Column) -> Iterator[tuple[str, str, Any]]:
    from pandera.pandas import Check

    low, high = (column.get(field) for field in ("min", "max"))
    if low is not None or high is not None:
        below, above = (time_of(end) if column.kind in TIMES else end for end in (low, high))
        limits = " to ".join(str(end) if end is not None else "..." for end in (low, high))
        if below is not None and above is not None:
            yield "range", f"outside of {limits}", Check.in_range(below, above)
        else:
            one = Check.ge(below) if below is not None else Check.le(above)
            yield "range", f"outside of {limits}", one
    if "categories" in column.given:
        known = list(column.get("categories"))
        yield "categories", "none of the categories", Check.isin(known)
    if "pattern" in column.given:
        whole = rf"(?:{column.get('pattern')})\Z"
        yield "pattern", f"not like `{column.get('pattern')}`", Check.str_matches(whole)
    if "length" in column.given:
        least, most = column.get("length").get("min", 0), column.get("length").get("max")
        limits = f"{least} to {most if most is not None else '...'} letters"
        yield "length", f"not {limits} long", Check.str_length(least, most)
    if column.get("text", "any") == "clean":
        clean = Check(lambda texts: ~texts.str.contains(UNCLEAN, regex=True))
        yield "text", "spaces at an end, control characters or letters of a wrong encoding", clean


def _distribution(asked: Asked, column: Column, values: pandas.Series) -> Outcome:
    import numpy
    import pandas

    said, name = column.get("distribution"), column.name
    there = values.dropna()
    before = None
    if asked.reference is not None and name in asked.reference:
        before = typed(asked.reference[name], column).values.dropna()
    least = said.get("rows", 200)
    if min(len(there), len(before) if before is not None else len(there)) < least:
        return Outcome("distribution", name, "skipped", f"fewer than {least} values")
    if column.kind in (*NUMBERS, *TIMES):
        if column.kind in TIMES:
            if before is None:
                return Outcome("distribution", name, "skipped", "times are compared with a reference alone")
            there, before = (pandas.Series(one.astype("int64"), dtype=float) for one in (there, before))
        numbers = there.to_numpy(dtype=float)
        if before is not None:
            classes = spread.classes_of(before.to_numpy(dtype=float))
            edges, wanted = classes.edges, numpy.array(classes.shares)
        elif "edges" in said and "shares" in said:
            edges, wanted = said["edges"], numpy.array(said["shares"])
        else:
            return Outcome("distribution", name, "skipped", "no reference, and no `edges` and `shares`")
        actual = spread.shares_within(numbers, edges)
        measured = {"psi": spread.psi(actual, wanted)}
        if before is not None:
            measured["ks"] = spread.ks(numbers, before.to_numpy(dtype=float))
        else:
            measured["ks"] = spread.ks_of_classes(actual, wanted)
    else:
        shares = spread.category_shares(before) if before is not None else said.get("shares")
        if shares is None:
            return Outcome("distribution", name, "skipped", "no reference, and no `shares`")
        actual, wanted, _ = spread.aligned(spread.category_shares(there), shares)
        measured = {"psi": spread.psi(actual, wanted), "share": float(numpy.abs(actual - wanted).max())}
    wrong = [
        f"{word} is {value:.3f}, and not at most {said[word]:g}"
        for word, value in measured.items()
        if word in said and value > said[word]
    ]
    message = f"spread otherwise than before: {'; '.join(wrong)}"
    return _passed("distribution", name, not wrong, message, round(measured["psi"], 6))
