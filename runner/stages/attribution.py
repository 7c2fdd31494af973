"""Shapley values of a model's columns by the package shap: by how much each column moved each answer, on average."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.stages.judging import Array, Judged

if TYPE_CHECKING:
    import pandas


def attributed(known: Judged, seen: pandas.DataFrame, *, background: int, orders: int, level: float, seed: int) -> Any:
    """The mean absolute Shapley value of each column: mean, deviation and interval over the rows.

    Of two classes what is explained is the probability of the positive one; of more each one's, and a row counts with
    the average over them. What a column is compared with are rows of the same table, as many as `background`; `orders`
    is in how many orders the columns are taken, each forth and back. Raises InputError where shap is not installed.
    """
    import numpy
    from scipy import stats

    values = numpy.abs(shapley_values(known, seen, background=background, orders=orders, seed=seed))
    of_rows = values.reshape(*seen.shape, -1).mean(axis=2)
    count = len(of_rows)
    times = float(stats.t.ppf((1 + level) / 2, count - 1)) / math.sqrt(count) if count > 1 else 0.0
    told = {}
    for name, column in zip(seen.columns, of_rows.T, strict=True):
        mean, std = float(column.mean()), float(column.std(ddof=1)) if count > 1 else 0.0
        reach = times * std
        told[str(name)] = {"mean": mean, "std": std, "low": mean - reach, "high": mean + reach, "level": level}
    return told


def shapley_values(known: Judged, seen: pandas.DataFrame, *, background: int, orders: int, seed: int) -> Array:
    """Rows x columns (x classes, where there are more than two), by shap's permutation explainer.

    shap computes with numbers alone, so it gets the number of each value among those of its column.
    """
    import numpy

    explainers, maskers = _shap()
    codes, tables = _coded(seen)

    def answers(asked: Array) -> Array:
        import pandas

        rows = asked.astype("int64")
        columns = {name: tables[name].take(rows[:, place]) for place, name in enumerate(seen.columns)}
        told = known.answers(pandas.DataFrame({name: column.to_numpy() for name, column in columns.items()}))
        if not known.classifies:
            return told.predicted
        shares = told.shares
        if shares is None:
            shares = (told.predicted[:, None] == numpy.arange(len(known.names))).astype(float)
        return shares[:, known.positive] if known.positive >= 0 else shares

    drawn = numpy.random.default_rng(seed).choice(len(codes), min(background, len(codes)), replace=False)
    masker = maskers.Independent(codes[numpy.sort(drawn)], max_samples=background)
    before = numpy.random.get_state()
    try:
        explainer = explainers.PermutationExplainer(answers, masker, seed=seed)
        return explainer(codes, max_evals=orders * (2 * codes.shape[1] + 1), silent=True).values
    finally:
        numpy.random.set_state(before)  # shap sows the generator that all share


def _coded(seen: pandas.DataFrame) -> tuple[Array, dict[Any, pandas.Series]]:
    """The number of each value among those of its column, a missing one too; and the values by their numbers."""
    import numpy
    import pandas

    codes = numpy.empty(seen.shape)
    tables = {}
    for place, name in enumerate(seen.columns):
        codes[:, place], values = pandas.factorize(seen[name], use_na_sentinel=False)
        tables[name] = pandas.Series(values, dtype=seen[name].dtype)
    return codes, tables


def _shap() -> tuple[Any, Any]:
    """The parts of shap that compute; raises InputError where it is not installed."""
    try:
        from shap import explainers, maskers
    except ImportError as error:
        hint = "pip install 'gitops-runner[shap]', or leave `method` out"
        raise InputError(f"Shapley values need a package that is not there: {error}", hint) from error
    return explainers, maskers
