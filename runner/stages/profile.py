"""`profile`: what a table holds, column by column, as JSON for programs and as a page for people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.stages.contracts.contract import NUMBERS, TIMES, Column
from runner.stages.contracts.infer import empties_of, kind_of
from runner.stages.contracts.reading import as_written, is_text, typed
from runner.stages.pages import write_page
from runner.stages.program import Call, program
from runner.stages.tables import column as column_of
from runner.stages.written import write_json

if TYPE_CHECKING:
    import numpy
    import pandas

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_MOST_CORRELATED = 100
"""Columns of numbers that are held against each other; their number counts squared."""
_SAMPLED = 100_000
"""Rows, evenly spaced, that ranks are taken of."""
_DIGITS = 10
_STRONG, _MOST_PAIRS = 0.5, 30
_LONGEST_VALUE = 100


def run(call: Call) -> None:
    """Describe the table `data`; raises InputError where it cannot be read or an output is of no known kind."""
    for out in call.outs:
        if out.suffix.lower() not in (".json", ".html"):
            raise InputError(f"{out}: a profile is written as .json or .html", "name it so")
    path = call.given["data"]
    table = as_written(Path(path))
    hidden = call.get("hidden", [])
    for name in hidden:
        column_of(table, name, path)
    profile = profile_of(
        table, is_text=is_text(Path(path)), bins=call.get("bins", 20), top=call.get("top", 10), hidden=hidden
    )
    for out in call.outs:
        if out.suffix.lower() == ".html":
            write_page("profile", _page(profile, path), out)
        else:
            write_json([out], profile)
    write_json(call.metrics, {name: profile[name] for name in ("rows", "duplicates", "missing_share")})


def profile_of(table: pandas.DataFrame, *, is_text: bool, bins: int, top: int, hidden: list[str]) -> dict[str, Any]:
    """The profile of a table whose values are as they are written."""
    columns: dict[str, Any] = {}
    numbers: dict[str, pandas.Series] = {}
    gaps = 0
    for name in map(str, table.columns):
        kind = kind_of(table[name], is_text=is_text)
        empty = ["", *empties_of(table[name], kind)]
        raw = table[name].mask(table[name].isin(empty)) if is_text else table[name]
        values = typed(raw, Column(name, {"type": kind})).values
        missing = int(values.isna().sum())
        gaps += missing
        columns[name] = {
            "kind": kind,
            "missing": missing,
            "missing_share": _number(missing / len(table)) if len(table) else None,
            "distinct": int(values.nunique()),
            **({} if name in hidden else _spread(values.dropna(), kind, bins, top)),
        }
        if kind in NUMBERS and name not in hidden:
            numbers[name] = values
    cells = table.shape[0] * table.shape[1]
    return {
        "rows": len(table),
        "duplicates": int(table.duplicated().sum()),
        "missing_share": _number(gaps / cells) if cells else None,
        "columns": columns,
        "correlations": _correlations(numbers),
    }


def _spread(there: pandas.Series, kind: str, bins: int, top: int) -> dict[str, Any]:
    """What the values of a column that are there look like."""
    if there.empty:
        return {}
    if kind in NUMBERS:
        return _of_numbers(there.to_numpy(dtype=float), bins)
    if kind in TIMES:
        seconds = there.map(lambda moment: moment.timestamp()).to_numpy(dtype=float)
        ends = {"min": there.min().isoformat(), "max": there.max().isoformat()}
        return {**ends, "histogram": _histogram(seconds, bins)}
    texts = there.astype(str)
    counts = [(str(value), int(count)) for value, count in texts.value_counts().to_dict().items()]
    found = sorted(counts, key=lambda item: (-item[1], item[0]))[:top]
    values = [{"value": value[:_LONGEST_VALUE], "count": count} for value, count in found]
    lengths = texts.str.len()
    sizes = {"shortest": int(lengths.min()), "longest": int(lengths.max())} if kind == "text" else {}
    return {**sizes, "top": values, "others": len(texts) - sum(count for _, count in found)}


def _of_numbers(numbers: numpy.ndarray[Any, Any], bins: int) -> dict[str, Any]:
    import numpy

    with numpy.errstate(all="ignore"):  # what overflows is told as null
        quantiles = numpy.quantile(numbers, QUANTILES)
        mean, std = numbers.mean(), numbers.std(ddof=min(1, len(numbers) - 1))
    return {
        "min": _number(numbers.min()),
        "max": _number(numbers.max()),
        "mean": _number(mean),
        "std": _number(std) if len(numbers) > 1 else None,
        "zeros": int((numbers == 0).sum()),
        "negative": int((numbers < 0).sum()),
        "quantiles": {f"{share:g}": _number(value) for share, value in zip(QUANTILES, quantiles, strict=True)},
        "histogram": _histogram(numbers, bins),
    }


def _histogram(numbers: numpy.ndarray[Any, Any], bins: int) -> dict[str, Any] | None:
    import numpy

    low, high = float(numbers.min()), float(numbers.max())
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    with numpy.errstate(all="ignore"):
        edges = numpy.linspace(low, high, bins + 1)
        if not (numpy.diff(edges) > 0).all() or not math.isfinite(high - low):
            return None  # numbers that lie closer or farther than floats can tell
    counts, edges = numpy.histogram(numbers, bins=bins, range=(low, high))
    return {"edges": [_number(edge) for edge in edges], "counts": counts.tolist()}


def _correlations(numbers: Mapping[str, pandas.Series]) -> dict[str, Any]:
    """Pearson's and Spearman's correlation of each pair of columns; null where one of them is constant."""
    import numpy
    import pandas

    names = list(numbers)[:_MOST_CORRELATED]
    if len(names) < 2:
        return {"columns": names, "pearson": [], "spearman": []}
    frame = pandas.DataFrame({name: numbers[name] for name in names}).astype(float)
    step = max(1, len(frame) // _SAMPLED)
    with numpy.errstate(all="ignore"):
        both = {"pearson": frame.corr(), "spearman": frame.iloc[::step].corr(method="spearman")}
    rows = {word: [[_number(value, 6) for value in row] for row in one.to_numpy()] for word, one in both.items()}
    return {"columns": names, **rows}


def _number(value: Any, digits: int = _DIGITS) -> float | None:
    """A finite number of so many digits: the last ones depend on the processor."""
    return float(f"{float(value):.{digits}g}") if math.isfinite(value) else None


# ---------------------------------------------------------------------------------------------------------------
# The page


def _page(profile: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The profile as the template wants it: rows of words, and bars as parts of the highest one."""
    columns = [{"name": name, **_card(column)} for name, column in profile["columns"].items()]
    return {**profile, "data": str(path), "columns": columns, "pairs": _pairs(profile["correlations"])}


def _card(column: Mapping[str, Any]) -> dict[str, Any]:
    words = ("min", "max", "mean", "std", "zeros", "negative", "shortest", "longest")
    facts = [(word, _shown(column[word])) for word in words if column.get(word) is not None]
    facts += [(f"{float(share):.0%}", _shown(value)) for share, value in column.get("quantiles", {}).items()]
    counts = (column.get("histogram") or {}).get("counts", [])
    highest = max(counts, default=0) or 1
    edges = (column.get("histogram") or {}).get("edges", [])
    is_number = column["kind"] in NUMBERS
    bars = [
        {
            "x": number,
            "height": round(100 * count / highest, 2),
            "title": f"{edges[number]:g} to {edges[number + 1]:g}: {count}" if is_number else str(count),
        }
        for number, count in enumerate(counts)
    ]
    share = column["missing_share"]
    return {
        "kind": column["kind"],
        "missing": f"{column['missing']} ({share:.1%})" if share is not None else "0",
        "distinct": column["distinct"],
        "facts": facts,
        "bars": bars,
        "top": column.get("top", []),
        "others": column.get("others", 0),
    }


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pairs(correlations: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pairs of columns that go together most."""
    names, rows = correlations["columns"], correlations["spearman"]
    pairs = [
        {"one": names[one], "other": names[other], "value": rows[one][other]}
        for one in range(len(rows))
        for other in range(one)
        if rows[one][other] is not None and abs(rows[one][other]) >= _STRONG
    ]
    return sorted(pairs, key=lambda pair: (-abs(pair["value"]), pair["one"], pair["other"]))[:_MOST_PAIRS]


main = program("profile", run)

if __name__ == "__main__":
    raise SystemExit(main())
