"""`explain`: which columns a model's score depends on, and how its answers move with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.stages import estimators
from runner.stages.attribution import attributed
from runner.stages.judging import Array, Judged, judged, text_of
from runner.stages.pages import is_page, write_page
from runner.stages.program import Call, program
from runner.stages.tables import column
from runner.stages.written import write_json, write_points

if TYPE_CHECKING:
    import pandas

_DRAWN = 5
"""Columns whose dependence is computed, where none are named: those with the greatest importance."""
_ROWS = {"permutation": 10_000, "shap": 200}
"""The most rows that are looked at, where nothing is said: Shapley values ask the model thousands of times for each."""
_WIDTH, _HEIGHT = 100, 60


@estimators.one_blas_thread()
def run(call: Call) -> None:
    """Explain the model by the table `data`; raises InputError where that cannot be."""
    known = judged(call)
    for name in call.get("features", ()):
        if name not in known.artefact.features:
            column(known.table[list(known.artefact.features)], name, "the model's columns")
    method = call.get("method", "permutation")
    seen, truth = sampled(call, known, _ROWS[method])
    told: dict[str, Any] = {"method": method, "rows": len(seen), "support": len(seen)}
    if method == "shap":
        importance = attributed(
            known,
            seen,
            background=call.get("background", 100),
            orders=call.get("repeats", 10),
            level=call.get("confidence", 0.95),
            seed=call.seed,
        )
    else:
        told["scoring"] = call.get("scoring", usual_score(known))
        importance = _importance(call, known, seen, truth, told["scoring"])
    ranked = sorted(importance, key=lambda name: (-importance[name]["mean"], name))
    chosen = call.get("features", ranked[:_DRAWN])
    dependence = {name: _dependence(known, seen, name, call.get("grid", 20)) for name in chosen}
    told["importance"] = {name: importance[name] for name in ranked}
    whole = told | {"dependence": dependence}
    for out in call.outs:
        if is_page(out):
            write_page("explain", _page(call, whole), out)
        else:
            write_json([out], whole)
    write_json(call.metrics, told)
    points = [{"feature": name, **point} for name, found in dependence.items() for point in found]
    for path, curve in zip(
        call.plots, ([{"feature": name, **importance[name]} for name in ranked], points), strict=False
    ):
        write_points(path, curve)


def sampled(call: Call, known: Judged, most: int = 10_000) -> tuple[pandas.DataFrame, Array]:
    """The rows that are looked at, in the model's form, and what is true of them in the model's words.

    `most` is how many of them where the call does not say it.
    """
    import numpy

    seen = known.artefact.aligned(known.table, known.path)
    truth = known.truth
    if known.classifies:
        values = numpy.empty(len(known.values), dtype=object)
        values[:] = known.values
        truth = numpy.array(values[truth].tolist())
    most = call.get("rows", most)
    if len(seen) > most:
        rows = numpy.sort(numpy.random.default_rng(call.seed).choice(len(seen), most, replace=False))
        seen, truth = seen.iloc[rows], truth[rows]
    return seen.reset_index(drop=True), truth


def usual_score(known: Judged) -> str:
    """The score that a model is measured by where none is named."""
    if not known.classifies:
        return "neg_root_mean_squared_error"
    model = known.artefact.model
    ranks = hasattr(model, "predict_proba") or hasattr(model, "decision_function")
    return "roc_auc" if len(known.names) == 2 and ranks else "balanced_accuracy"


def _importance(call: Call, known: Judged, seen: pandas.DataFrame, truth: Array, scoring: str) -> dict[str, Any]:
    """By how much the score falls when a column is shuffled: mean, deviation and interval over the repeats."""
    import numpy
    from scipy import stats
    from sklearn.inspection import permutation_importance

    repeats, level = call.get("repeats", 10), call.get("confidence", 0.95)
    try:
        found = permutation_importance(
            known.artefact.model, seen, truth, scoring=scoring, n_repeats=repeats, random_state=call.seed
        )["importances"]
    except Exception as error:
        text = f"the model cannot be scored by {scoring}: {type(error).__name__}: {str(error)[:300]}"
        raise InputError(text, "name another score in `scoring`") from error
    if not numpy.isfinite(found).all():
        raise InputError(f"{known.path}: {scoring} is not defined for these rows", "name another score in `scoring`")
    told = {}
    for name, falls in zip(seen.columns, found, strict=True):
        mean, std = float(falls.mean()), float(falls.std(ddof=1)) if repeats > 1 else 0.0
        reach = float(stats.t.ppf((1 + level) / 2, repeats - 1)) * std / math.sqrt(repeats) if repeats > 1 else 0.0
        told[str(name)] = {"mean": mean, "std": std, "low": mean - reach, "high": mean + reach, "level": level}
    return told


def _dependence(known: Judged, seen: pandas.DataFrame, name: str, grid: int) -> list[dict[str, Any]]:
    """What the model says on average if a column had one value in all rows, value by value.

    Of two classes the probability of the positive one, of more a point for each class.
    """
    points: list[dict[str, Any]] = []
    for value in _grid(seen[name], grid):
        told = known.answers(seen.assign(**{name: value}))
        shown = {"value": value}
        if not known.classifies:
            points.append(shown | {"prediction": float(told.predicted.mean())})
            continue
        for code in [known.positive] if known.positive >= 0 else range(len(known.names)):
            of_class = told.shares[:, code] if told.shares is not None else told.predicted == code
            points.append(shown | {"class": known.names[code], "prediction": float(of_class.mean())})
    return points


def _grid(values: pandas.Series, count: int) -> Sequence[Any]:
    """All values where they are few; else numbers evenly spaced between the 5th and the 95th hundredth, or the most
    frequent texts."""
    import numpy
    from pandas.api.types import is_numeric_dtype

    present = values.dropna()
    if present.nunique() <= count:
        return [_plain(value) for value in sorted(present.unique())]
    if not is_numeric_dtype(present.dtype):
        counts = present.value_counts().sort_index().sort_values(ascending=False, kind="stable")
        return sorted(map(str, counts.index[:count]))
    low, high = numpy.quantile(present, [0.05, 0.95])
    return [float(value) for value in numpy.unique(numpy.linspace(low, high, count))]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


# ----- the page


def _page(call: Call, whole: dict[str, Any]) -> dict[str, Any]:
    most = max((abs(row["mean"]) for row in whole["importance"].values()), default=0) or 1
    bars = [
        {"name": name, **row, "width": _WIDTH * max(row["mean"], 0) / most} for name, row in whole["importance"].items()
    ]
    curves = [{"name": name, **_drawn(points)} for name, points in whole["dependence"].items()]
    return {"model": call.given["model"], "data": call.given["data"], **whole, "bars": bars, "curves": curves}


def _short(value: Any) -> str:
    """A value of a column for people: a number in six digits."""
    return f"{value:.6g}" if isinstance(value, float) else text_of(value)


def _drawn(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The lines of one column, from left to right, the first class first."""
    values = list(dict.fromkeys(_short(point["value"]) for point in points))
    is_line = all(isinstance(point["value"], (int, float)) for point in points)
    heights = [point["prediction"] for point in points]
    low, spread = min(heights, default=0.0), (max(heights, default=0.0) - min(heights, default=0.0)) or 1
    lines: dict[str, list[tuple[str, str, str]]] = {}
    for point in points:
        across = 2 + (_WIDTH - 4) * values.index(_short(point["value"])) / max(len(values) - 1, 1)
        up = _HEIGHT - 2 - (_HEIGHT - 4) * (point["prediction"] - low) / spread
        lines.setdefault(point.get("class", ""), []).append((f"{across:.2f}", f"{up:.2f}", _short(point["value"])))
    return {
        "lines": [
            {"name": name, "line": " ".join(f"{x},{y}" for x, y, _ in line) if is_line else "", "points": line}
            for name, line in lines.items()
        ],
        "values": [] if is_line else values,
        "first": values[0] if values else "",
        "last": values[-1] if values else "",
        "low": low,
        "high": max(heights, default=0.0),
    }


main = program("explain", run)

if __name__ == "__main__":
    raise SystemExit(main())
