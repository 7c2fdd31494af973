"""`split`: a table cut into parts, at random, within strata, whole groups, or by time.

The parts are a partition of the rows: each row is in exactly one of them, and within a part the rows keep the order
that they had.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.stages.program import Call, program
from runner.stages.rows import Rows, is_of_rows, read_rows
from runner.stages.tables import column, read_table, sortable, write_table

if TYPE_CHECKING:
    import numpy
    import pandas

_WAYS = ("stratify", "groups", "time")


def run(call: Call) -> None:
    """Cut the table `data` into `parts`; raises InputError where that cannot be."""
    fractions = [float(part) for part in call.given["parts"]]
    path = Path(call.given["data"])
    source: Rows | _Frame = read_rows(path) if is_of_rows(path) else _Frame(path, read_table(path))
    count = len(source.rows)
    number_of = _numbers(call, source, count, fractions)
    parts = [[row for row in range(count) if number_of[row] == number] for number in range(len(fractions))]
    for number, part in enumerate(parts, 1):
        if not part:
            text = f"{path}: of its {count} rows part {number} would have none"
            raise InputError(text, "give more rows, fewer parts, or a larger share")
    for part, out in zip(parts, call.outs, strict=True):
        source.write(out, part)


class _Frame:
    """A table of a kind that is no text."""

    def __init__(self, path: Path, rows: pandas.DataFrame) -> None:
        self._path = path
        self.rows = rows

    def column(self, name: str) -> pandas.Series:
        return column(self.rows, name, self._path)

    def write(self, path: Path, numbers: Sequence[int]) -> None:
        write_table(self.rows.iloc[list(numbers)], path)


def _numbers(call: Call, source: Rows | _Frame, count: int, fractions: Sequence[float]) -> numpy.ndarray[Any, Any]:
    """The number of the part of each row."""
    import numpy
    import pandas

    path, shuffled = call.given["data"], numpy.random.default_rng(call.seed).permutation(count)
    way = next((way for way in _WAYS if way in call.given), None)
    if way is None or count == 0:
        return _cut(shuffled, fractions, count)
    name = call.given[way]
    values = pandas.Series(source.column(name), dtype=None if isinstance(source, _Frame) else object)
    if way == "time":
        return _cut(numpy.argsort(sortable(values, name, path), kind="stable"), fractions, count)
    if way == "stratify":
        _tell_small(call, values, fractions)
    return (_by_groups if way == "groups" else _by_strata)(values, shuffled, fractions)


def _tell_small(call: Call, strata: pandas.Series, fractions: Sequence[float]) -> None:
    """Tell of strata that have less than one row for some part: these are in no part by their share."""
    sizes = strata.value_counts(dropna=False)
    small = int((sizes * min(fractions) < 1).sum())
    if small:
        told = f"{small} of {len(sizes)} values of `{call.given['stratify']}` have too few rows to be in every part"
        sys.stderr.write(f"{call.name}: notice: {told}\n")


def _cut(order: numpy.ndarray[Any, Any], fractions: Sequence[float], rows: int) -> numpy.ndarray[Any, Any]:
    """Part numbers by row, the rows of `order` dealt out one part after the other; `rows` is how many there are."""
    import numpy

    ends = [round(end * len(order)) for end in accumulate(fractions)]
    numbers = numpy.empty(rows, dtype=int)
    start = 0
    for number, end in enumerate([*ends[:-1], len(order)]):
        numbers[order[start:end]] = number
        start = end
    return numbers


def _by_strata(
    strata: pandas.Series, shuffled: numpy.ndarray[Any, Any], fractions: Sequence[float]
) -> numpy.ndarray[Any, Any]:
    """Rows sorted by stratum and, within it, at random; dealt out so that each stretch of them has its shares."""
    import numpy
    import pandas

    codes = pandas.factorize(strata, sort=True, use_na_sentinel=False)[0][shuffled]
    order = shuffled[numpy.argsort(codes, kind="stable")]
    # The k-th row of the sorted ones goes to the part that is furthest behind its share after k rows.
    dealt, numbers = numpy.zeros(len(fractions)), numpy.empty(len(order), dtype=int)
    shares = numpy.array(fractions)
    for count, row in enumerate(order, 1):
        number = int(numpy.argmax(shares * count - dealt))
        dealt[number] += 1
        numbers[row] = number
    return numbers


def _by_groups(
    groups: pandas.Series, shuffled: numpy.ndarray[Any, Any], fractions: Sequence[float]
) -> numpy.ndarray[Any, Any]:
    """Groups in random order, the largest first among equals of chance, each to the part with the most room left."""
    import numpy
    import pandas

    codes = pandas.factorize(groups, use_na_sentinel=False)[0]
    sizes = numpy.bincount(codes)
    if len(sizes) < len(fractions):
        raise InputError(
            f"{len(sizes)} groups cannot fill {len(fractions)} parts", "group by a column with more values"
        )
    met = pandas.unique(codes[shuffled])
    order = met[numpy.argsort(-sizes[met], kind="stable")]
    room = numpy.array(fractions) * len(codes)
    part_of = numpy.empty(len(sizes), dtype=int)
    for group in order:
        number = int(numpy.argmax(room))
        part_of[group] = number
        room[number] -= sizes[group]
    return part_of[codes]


main = program("split", run)

if __name__ == "__main__":
    raise SystemExit(main())
