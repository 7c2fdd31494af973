"""`fairness`: a model's answers compared between groups of rows, by fairlearn."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.stages import estimators, scoring
from runner.stages.judging import Array, Judged, bootstrap_of, judged, texts_of
from runner.stages.parity import OF_FAIRLEARN, WAYS, Grouped, base_of, compared
from runner.stages.program import Call, program
from runner.stages.tables import column
from runner.stages.written import write_json, write_points

if TYPE_CHECKING:
    import pandas

Metric = Callable[..., Any]
_MOST_GROUPS = 200


@estimators.one_blas_thread()
def run(call: Call) -> None:
    """Compare the groups of the table `data`; raises InputError where that cannot be."""
    known = judged(call)
    groups = _groups(call, known)
    counts = groups.value_counts().sort_index()
    least = call.get("min_group", 1)
    small = {str(name): int(count) for name, count in counts.items() if count < least}
    stays = ~groups.isin(list(small)).to_numpy()
    metrics = _metrics(known) | _custom(call)
    measures = call.get("measures", _usual(known))
    _check(measures, metrics, known)
    truth, said = _coded(known)
    values: dict[str, float] = {}
    by_group: Any = {}
    intervals: dict[str, Any] = {}
    bootstrap = bootstrap_of(call, len(known.table))
    if counts.size - len(small) > 1:
        shown = [name for name in metrics if name in call.get("custom", {}) or _is_shown(name, measures)]
        frame = _framed({name: metrics[name] for name in shown}, truth[stays], said[stays], groups[stays])
        values = {name: _measured(name, frame, truth[stays], said[stays], groups[stays]) for name in measures}
        for name in call.get("custom", {}):
            values |= {f"{name}_{way}": _way(frame, name, way) for way in WAYS}
        by_group = frame.by_group
        intervals = _intervals(call, known, (truth[stays], said[stays], groups[stays]), values, bootstrap)
    told = _told(values, measures, by_group, counts, small)
    told |= {"sensitive": call.given["sensitive"], "intervals": intervals, "bootstrap": bootstrap}
    write_json(call.metrics, told)
    for path in call.plots:
        write_points(path, [{"group": name, **row} for name, row in told["groups"].items()])


def _intervals(
    call: Call, known: Judged, rows: tuple[Array, Array, pandas.Series], values: Mapping[str, float], bootstrap: Any
) -> dict[str, Any]:
    """What samples of the rows of each group come to.

    Chance sets groups apart and never together, so samples lie on the worse side of the value; it is taken in.
    """
    import pandas

    if not bootstrap["samples"]:
        return {}
    truth, said, names = rows
    codes = pandas.factorize(names, sort=True)[0]
    grouped = Grouped(truth, said, codes, len(known.names), known.positive >= 0, _custom(call))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metrics of the user's own
        found = scoring.intervals(compared(grouped, list(values)), scoring.within(codes, call.seed), **bootstrap)
    return {
        name: {
            "value": values[name],
            "low": min(low, values[name]),
            "high": max(high, values[name]),
            "level": bootstrap["level"],
        }
        for name, (low, high) in found.items()
        if math.isfinite(values[name])
    }


def _groups(call: Call, known: Judged) -> pandas.Series:
    """The name of the group of each row: the values of the sensitive columns, with commas between them."""
    names = call.given["sensitive"]
    groups = texts_of(column(known.table, names[0], known.path))
    for name in names[1:]:
        groups = groups + ", " + texts_of(column(known.table, name, known.path))
    count = groups.nunique()
    if count > _MOST_GROUPS:
        text = f"{known.path}: {', '.join(f'`{name}`' for name in names)} make {count} groups, too many to compare"
        raise InputError(text, "make groups of ranges in a stage before, or name fewer columns")
    if count == 1:
        text = f"{known.path}: {', '.join(f'`{name}`' for name in names)} make one group, `{groups.iloc[0]}`"
        raise InputError(text, "name a column with several values")
    return groups


def _coded(known: Judged) -> tuple[Array, Array]:
    """Truth and predictions; of two classes 1 is the positive one, whatever it is called."""
    said = known.answers(known.table).predicted
    if known.positive < 0:
        return known.truth, said
    return (known.truth == known.positive).astype(int), (said == known.positive).astype(int)


def _metrics(known: Judged) -> dict[str, Metric]:
    """The metrics that groups of this task may be compared by."""
    from fairlearn import metrics as fair
    from sklearn import metrics as usual

    if not known.classifies:
        return {
            "mae": usual.mean_absolute_error,
            "mean_prediction": fair.mean_prediction,
            "r2": usual.r2_score,
            "rmse": usual.root_mean_squared_error,
        }
    found: dict[str, Metric] = {"accuracy": usual.accuracy_score, "balanced_accuracy": usual.balanced_accuracy_score}
    if known.positive < 0:
        return found

    def without_gaps(metric: Metric) -> Metric:
        return lambda truth, said: metric(truth, said, zero_division=0)

    rates = ("selection_rate", "true_positive_rate", "false_positive_rate", "true_negative_rate", "false_negative_rate")
    found |= {name: getattr(fair, name) for name in rates}
    of_positive = (("precision", usual.precision_score), ("recall", usual.recall_score), ("f1", usual.f1_score))
    return found | {name: without_gaps(metric) for name, metric in of_positive}


def _custom(call: Call) -> dict[str, Metric]:
    found = {name: estimators.imported(path) for name, path in call.get("custom", {}).items()}
    for name, metric in found.items():
        if not callable(metric):
            raise InputError(f"`custom`: {name} is no function", "name a function of truth and prediction")
    return found


def _usual(known: Judged) -> list[str]:
    if not known.classifies:
        return ["mae_difference", "mean_prediction_difference"]
    if known.positive < 0:
        return ["accuracy_difference"]
    return ["demographic_parity_difference", "equalized_odds_difference"]


def _check(measures: list[str], metrics: Mapping[str, Metric], known: Judged) -> None:
    for name in measures:
        base = base_of(name)
        if known.positive < 0 if base in OF_FAIRLEARN else base not in metrics:
            what = "a regression" if not known.classifies else f"{len(known.names)} classes"
            hint = f"compare: {', '.join(f'{metric}_difference' for metric in metrics)}"
            raise InputError(f"`{name}` is not for {what}", hint)


def _is_shown(metric: str, measures: list[str]) -> bool:
    """Whether a metric stands in the table of groups: what is measured, and what its measures are made of."""
    bases = [base_of(name) for name in measures]
    return metric in bases or any(metric in OF_FAIRLEARN.get(base, ()) for base in bases)


def _framed(metrics: Mapping[str, Metric], truth: Array, said: Array, groups: pandas.Series) -> Any:
    from fairlearn.metrics import MetricFrame

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of groups without a class: their values are null, and say so
            return MetricFrame(metrics=dict(metrics), y_true=truth, y_pred=said, sensitive_features=groups.to_numpy())
    except Exception as error:
        text = f"the groups cannot be compared: {type(error).__name__}: {str(error)[:300]}"
        raise InputError(text, "see whether `custom` names functions of truth and prediction") from error


def _measured(name: str, frame: Any, truth: Array, said: Array, groups: pandas.Series) -> float:
    base = base_of(name)
    if base not in OF_FAIRLEARN:
        return _way(frame, base, name.removeprefix(f"{base}_"))
    import fairlearn.metrics

    measure = getattr(fairlearn.metrics, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(measure(truth, said, sensitive_features=groups.to_numpy()))


def _way(frame: Any, metric: str, way: str) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(getattr(frame, way)()[metric])


def _told(
    values: Mapping[str, float], measures: list[str], by_group: Any, counts: pandas.Series, small: Mapping[str, int]
) -> dict[str, Any]:
    """What the metrics file says; `support` is the size of the smallest group, also of one that was left out."""
    told: dict[str, Any] = {name: _finite(values.get(name, math.nan)) for name in [*measures, *values]}
    undefined = [name for name, value in told.items() if value is None]
    if undefined:
        why = "a group lacks a class" if values else "fewer than two groups have `min_group` rows"
        told["undefined"] = dict.fromkeys(undefined, why)
    told["support"] = int(counts.min())
    told["rows"] = int(counts.sum())
    told["groups"] = {
        str(name): {"support": int(count)}
        | ({} if str(name) in small or not values else {k: _finite(v) for k, v in by_group.loc[name].items()})
        for name, count in counts.items()
    }
    if small:
        told["left_out"] = dict(small)
    return told


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


main = program("fairness", run)

if __name__ == "__main__":
    raise SystemExit(main())
