"""What the training data looked like, small enough to travel with the model: what drift is measured against.

Of numbers: quantiles and a histogram. Of categories: counts. Of all: a sample of rows, chosen by the seed, for tests
that need rows. The sample holds rows as they are; data that may not leave its place must not be trained from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner.artefacts import columns

if TYPE_CHECKING:
    import numpy
    import pandas

SAMPLE_ROWS = 1_000
MOST_COUNTED = 100
"""Categories that are counted by name, the most frequent first; the rest is one number."""
_BINS = 20
_QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


def reference_of(features: pandas.DataFrame, outputs: pandas.DataFrame, seed: int) -> dict[str, Any]:
    """The sketch of a training table and of what the model was to say of it."""
    import numpy

    rows = len(features)
    chosen = numpy.sort(numpy.random.default_rng(seed).permutation(rows)[:SAMPLE_ROWS])
    return {
        "version": 1,
        "rows": rows,
        "features": {str(name): _sketch(features[name]) for name in features.columns},
        "outputs": {str(name): _sketch(outputs[name]) for name in outputs.columns},
        "sample": {"features": rows_of(features.iloc[chosen]), "outputs": rows_of(outputs.iloc[chosen])},
    }


def rows_of(table: pandas.DataFrame) -> dict[str, Any]:
    """Rows as pandas calls it `split`: names, and a list of lists."""
    lists = [[columns.plain(value) for value in table[name]] for name in table.columns]
    return {"columns": [str(name) for name in table.columns], "data": [list(row) for row in zip(*lists, strict=True)]}


def _sketch(values: pandas.Series) -> dict[str, Any]:
    kind = columns.kind_of(values)
    told: dict[str, Any] = {"type": kind, "count": len(values), "missing": int(values.isna().sum())}
    present = values.dropna()
    if kind in (columns.NUMBER, columns.INTEGER):
        return told | _of_numbers(present.to_numpy(dtype=float))
    counts = present.map(lambda value: str(value)).value_counts()
    ranked = sorted(counts.items(), key=lambda item: (-int(item[1]), str(item[0])))
    named = {str(name): int(count) for name, count in ranked[:MOST_COUNTED]}
    return told | {"distinct": len(ranked), "counts": named, "others": int(counts.sum()) - sum(named.values())}


def _of_numbers(values: numpy.ndarray[Any, Any]) -> dict[str, Any]:
    import numpy

    values = values[numpy.isfinite(values)]
    if not len(values):
        return {}
    quantiles = numpy.quantile(values, _QUANTILES)
    # Edges at quantiles: as many bins as the values can fill, each with its share, however long the tails are.
    edges = numpy.unique(numpy.quantile(values, numpy.linspace(0, 1, _BINS + 1)))
    counts = numpy.histogram(values, edges)[0] if len(edges) > 1 else numpy.array([len(values)])
    return {
        "mean": columns.plain(values.mean()),
        "std": columns.plain(values.std()),
        "quantiles": {f"{share:g}": columns.plain(value) for share, value in zip(_QUANTILES, quantiles, strict=True)},
        "histogram": {"edges": [columns.plain(edge) for edge in edges], "counts": [int(count) for count in counts]},
    }
