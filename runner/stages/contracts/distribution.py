"""How far values are spread otherwise than they were: classes and their shares, PSI, Kolmogorov-Smirnov, and ties.

Definitions: the population stability index sums (a - e) ln(a / e) over the shares of classes; the Kolmogorov-Smirnov
distance is the greatest one of two distribution functions; Cramér's V is corrected for chance (Bergsma, 2013).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.values import dataclass

if TYPE_CHECKING:
    import numpy
    import pandas

    Numbers = numpy.ndarray[Any, Any]

CLASSES = 10
_LEAST_SHARE = 1e-4
"""An empty class counts as this, since the logarithm of nothing is infinite."""
_SAMPLED = 20_000
"""Rows that ties are looked for in, evenly spaced: a copy shows in fewer."""
_MOST_VALUES = 20
"""A column with more different values is cut into classes before ties are looked for."""


@dataclass(frozen=True, slots=True)
class Classes:
    """Numbers in classes: where each ends, and the share of each."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]


def classes_of(values: Numbers, count: int = CLASSES) -> Classes:
    """Numbers cut where as many lie in each class, as far as equal ones allow."""
    import numpy

    quantiles = numpy.quantile(values, [number / count for number in range(1, count)], method="inverted_cdf")
    edges = numpy.unique(quantiles)
    edges = edges[edges < values.max()]
    if not len(edges):  # a constant: what is above it is the other class
        edges = numpy.array([values.max()])
    return Classes(tuple(edges.tolist()), tuple(shares_within(values, edges.tolist()).tolist()))


def shares_within(values: Numbers, edges: Sequence[float]) -> Numbers:
    """The share of the values in each class."""
    import numpy

    places = numpy.searchsorted(numpy.asarray(edges), values, side="left")
    return numpy.bincount(places, minlength=len(edges) + 1) / max(len(values), 1)


def psi(actual: Numbers, expected: Numbers) -> float:
    """The population stability index of shares of the same classes."""
    import numpy

    one, other = (numpy.clip(shares, _LEAST_SHARE, None) for shares in (actual, expected))
    return float(numpy.sum((one - other) * numpy.log(one / other)))


def ks_of_classes(actual: Numbers, expected: Numbers) -> float:
    """The greatest distance of two distribution functions where classes end."""
    import numpy

    return float(numpy.abs(numpy.cumsum(actual) - numpy.cumsum(expected)).max())


def ks(values: Numbers, reference: Numbers) -> float:
    """The Kolmogorov-Smirnov distance of two samples."""
    import numpy

    one, other = numpy.sort(values), numpy.sort(reference)
    every = numpy.concatenate([one, other])
    below = [numpy.searchsorted(sample, every, side="right") / len(sample) for sample in (one, other)]
    return float(numpy.abs(below[0] - below[1]).max())


def category_shares(values: pandas.Series) -> dict[str, float]:
    """The share of each category among the values that are there, sorted by name."""
    shares = values.dropna().astype(str).value_counts(normalize=True)
    return {str(name): float(shares[name]) for name in sorted(shares.index)}


def aligned(actual: Mapping[str, float], expected: Mapping[str, float]) -> tuple[Numbers, Numbers, list[str]]:
    """Shares of categories side by side, and the names."""
    import numpy

    names = sorted(actual.keys() | expected.keys())
    one, other = (numpy.array([shares.get(name, 0.0) for name in names]) for shares in (actual, expected))
    return one, other, names


def tie(column: pandas.Series, target: pandas.Series) -> float:
    """How well one column alone tells another, from 0 to 1: Cramér's V of both in classes, or the rank correlation."""
    import numpy

    step = max(1, len(column) // _SAMPLED)
    one, other = column.iloc[::step], target.iloc[::step]
    both = (one.notna() & other.notna()).to_numpy()
    one, other = one[both], other[both]
    if len(one) < 2 or one.nunique() < 2 or other.nunique() < 2:
        return 0.0
    strongest = _cramers_v(_in_classes(one), _in_classes(other))
    if one.dtype.kind in "iufM" and other.dtype.kind in "iufM":
        ranks = [values.rank().to_numpy() for values in (one, other)]
        strongest = max(strongest, abs(float(numpy.corrcoef(ranks[0], ranks[1])[0, 1])))
    return strongest


def _in_classes(values: pandas.Series) -> Numbers:
    import numpy
    import pandas

    codes: Numbers = pandas.factorize(values, sort=True)[0]
    if codes.max() < _MOST_VALUES:
        return codes
    if values.dtype.kind not in "iufM" and codes.max() > len(codes) // 2:
        return numpy.zeros(len(codes), dtype=int)  # names of rows, which tell nothing of others
    ranks = pandas.Series(codes).rank(method="first").to_numpy() - 1 if values.dtype.kind in "iufM" else codes
    classes: Numbers = numpy.minimum((ranks * _MOST_VALUES // (ranks.max() + 1)).astype(int), _MOST_VALUES - 1)
    return classes


def _cramers_v(one: Numbers, other: Numbers) -> float:
    import numpy

    width = int(other.max()) + 1
    table = numpy.bincount(one * width + other, minlength=(int(one.max()) + 1) * width).reshape(-1, width)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(float)
    total, (rows, columns) = table.sum(), table.shape
    if min(rows, columns) < 2:
        return 0.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / total
    phi = ((table - expected) ** 2 / expected).sum() / total
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (total - 1))
    corrected = [size - (size - 1) ** 2 / (total - 1) for size in (rows, columns)]
    return float(min(1.0, numpy.sqrt(phi / (min(corrected) - 1)))) if min(corrected) > 1 else 0.0
