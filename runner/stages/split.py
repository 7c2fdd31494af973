"""`split`: a table cut into parts, at random, within strata, whole groups, or by time.

The parts are a partition of the rows: each row is in exactly one of them, and within a part the rows keep the order
that they had.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.stages.program import Call, program
from runner.stages.tables import column, read_table, sortable, write_table

if TYPE_CHECKING:
    import numpy
    import pandas

_TOLERANCE = 1e-9


def run(call: Call) -> None:
    """Cut the table `data` into `parts`; raises InputError where that cannot be."""
    fractions = [float(part) for part in call.given["parts"]]
    _check(call, fractions)
    path = call.given["data"]
    table = read_table(path, as_text=True)
    if len(table) < len(fractions):
        raise InputError(
            f"{path}: {len(table)} rows cannot fill {len(fractions)} parts", "give more rows or fewer parts"
        )
    number_of = _numbers(call, table, fractions)
    for number, out in enumerate(call.outs):
        write_table(table[number_of == number], out)


def _check(call: Call, fractions: Sequence[float]) -> None:
    if abs(sum(fractions) - 1) > _TOLERANCE:
        raise InputError(f"the parts add up to {sum(fractions):g}, not to 1", "give each row to one part")
    if len(fractions) != len(call.outs):
        raise InputError(
            f"there are {len(fractions)} parts and {len(call.outs)} outputs", "name an output for each part"
        )
    ways = [way for way in ("stratify", "groups", "time") if way in call.given]
    if len(ways) > 1:
        raise InputError(f"{' and '.join(f'`{way}`' for way in ways)} exclude each other", "choose one way to cut")


def _numbers(call: Call, table: pandas.DataFrame, fractions: Sequence[float]) -> numpy.ndarray[Any, Any]:
    """The number of the part of each row."""
    import numpy

    path, shuffled = call.given["data"], numpy.random.default_rng(call.seed).permutation(len(table))
    if "time" in call.given:
        times = sortable(column(table, call.given["time"], path), call.given["time"], path)
        return _cut(numpy.argsort(times, kind="stable"), fractions, len(table))
    if "groups" in call.given:
        return _by_groups(column(table, call.given["groups"], path), shuffled, fractions)
    if "stratify" in call.given:
        return _by_strata(column(table, call.given["stratify"], path), shuffled, fractions)
    return _cut(shuffled, fractions, len(table))


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
