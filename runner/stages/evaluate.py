"""`evaluate`: how good a model is on a table with known answers, with intervals, by slices, and as curves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.errors import InputError
from runner.stages import estimators, scoring
from runner.stages.judging import Answers, Array, Judged, bootstrap_of, judged, texts_of
from runner.stages.program import Call, program
from runner.stages.tables import column, sortable, write_table
from runner.stages.written import write_json, write_points

_MOST_SLICES = 200
"""Values of one column; more of them are no slices."""
_POINTS = 500
"""Of one curve."""
_PLOTTED = 2_000
"""Rows of a plot of residuals, evenly spaced."""
WHERE = "where"
"""The slices that are named in place of a column."""


@estimators.one_blas_thread()
def run(call: Call) -> None:
    """Measure the model on the table `data`; raises InputError where that cannot be."""
    known = judged(call)
    task = _task(call, known)
    rows = _rows(call, known, task)
    units = _units(call, known)
    bootstrap = bootstrap_of(call, len(known.table))

    def told(mask: Array) -> dict[str, Any]:
        return told_of(rows.taken(mask), task, units[mask], seed=call.seed, **bootstrap)

    everything = told(rows.truth == rows.truth)
    metrics: dict[str, Any] = {"task": task, **everything, "bootstrap": bootstrap}
    if known.classifies and task != "ranking":
        metrics |= _classes(known, rows)
    if task == "regression":
        metrics["mape_rows"] = int((rows.truth != 0).sum())
    if task == "ranking":
        metrics["groups"] = int(units.max()) + 1
    slices: dict[str, dict[str, Any]] = {}
    for name, label, mask in _slices(call, known):
        slices.setdefault(name, {})[label] = told(mask)
    if slices:
        metrics["slices"] = slices
    curves = _curves(call, known, rows, task)
    write_json(call.metrics, metrics)
    for path, curve in zip(call.plots, curves, strict=False):
        write_points(path, curve)
    for path in call.outs:
        _write_predictions(path, known, rows.told)


def told_of(rows: scoring.Rows, task: str, units: Array, *, samples: int, level: float, seed: int) -> dict[str, Any]:
    """The measures of rows as the metrics file has them: values, their intervals, and how many rows there are."""
    import numpy

    kinds = {"classification": scoring.of_classes, "regression": scoring.of_numbers, "ranking": scoring.of_groups}
    measure = kinds[task](rows)
    values = measure(numpy.ones(len(rows.truth)))
    told: dict[str, Any] = {name: value if math.isfinite(value) else None for name, value in values.items()}
    told["support"] = len(rows.truth)
    undefined = {name: _why(name) for name, value in told.items() if value is None}
    if undefined:
        told["undefined"] = undefined
    if samples:
        units = numpy.unique(units, return_inverse=True)[1]
        found = scoring.intervals(measure, scoring.of_units(units, seed), samples=samples, level=level)
        told["intervals"] = {
            name: {"value": told[name], "low": low, "high": high, "level": level}
            for name, (low, high) in found.items()
            if told[name] is not None
        }
    return told


def _why(name: str) -> str:
    reasons = {
        "roc_auc": "the rows lack a class",
        "average_precision": "the rows lack a class",
        "r2": "all rows have the same target",
        "mape": "the target of all rows is 0",
    }
    return reasons.get(name, "no group has a relevant row")


def _task(call: Call, known: Judged) -> str:
    own = "classification" if known.classifies else "regression"
    task = str(call.get("task", own))
    if task not in (own, "ranking"):
        raise InputError(f"`task` is {task}, and the model is one of {own}", "leave it out")
    for name, tasks in (("bins", ["classification"]), ("quantile", ["regression"]), ("top", ["ranking"])):
        if name in call.given and task not in tasks:
            raise InputError(f"`{name}` means nothing for a {task}", "leave it out")
    return task


def _rows(call: Call, known: Judged, task: str) -> scoring.Rows:
    return scoring.Rows(
        truth=known.truth,
        told=known.answers(known.table),
        size=len(known.names),
        positive=known.positive,
        bins=call.get("bins", 10),
        quantile=call.get("quantile", 0.5),
        groups=_units(call, known) if task == "ranking" else None,
        top=call.get("top"),
    )


def _units(call: Call, known: Judged) -> Array:
    """What is drawn as one in the bootstrap: rows, or groups of them."""
    import numpy
    import pandas

    if "groups" not in call.given:
        return numpy.arange(len(known.table))
    groups = column(known.table, call.given["groups"], known.path)
    return pandas.factorize(groups, use_na_sentinel=False)[0]


def _classes(known: Judged, rows: scoring.Rows) -> dict[str, Any]:
    """Counts of actual by predicted classes, and measures of each class."""
    import numpy

    size = len(known.names)
    confusion = numpy.bincount(rows.truth * size + rows.told.predicted, minlength=size**2).reshape(size, size)
    precision, recall, f1 = scoring.by_class(confusion)
    return {
        "confusion": {
            name: dict(zip(known.names, line.tolist(), strict=True))
            for name, line in zip(known.names, confusion, strict=True)
        },
        "classes": {
            name: {
                "precision": float(precision[code]),
                "recall": float(recall[code]),
                "f1": float(f1[code]),
                "support": int(confusion[code].sum()),
            }
            for code, name in enumerate(known.names)
        },
        **({"positive": known.names[known.positive]} if known.positive >= 0 else {}),
        **({"threshold": known.threshold} if known.threshold is not None else {}),
    }


# ----- slices


def _slices(call: Call, known: Judged) -> Iterator[tuple[str, str, Array]]:
    """Column and value, or `where` and a name, and which rows are meant."""
    for said in call.get("slices", ()):
        if isinstance(said, str):
            if said == WHERE:
                raise InputError(
                    f"a column `{WHERE}` cannot be sliced by", "name its slices: `{name: ..., where: ...}`"
                )
            texts = texts_of(column(known.table, said, known.path))
            values = sorted(texts.unique())
            if len(values) > _MOST_SLICES:
                text = f"{known.path}: the column `{said}` has {len(values)} values, too many for slices"
                raise InputError(text, "name slices by bounds: `{name: young, where: {age: {max: 30}}}`")
            for value in values:
                yield said, value, (texts == value).to_numpy()
            continue
        mask = _where(said[WHERE], known)
        if not mask.any():
            raise InputError(f"{known.path}: the slice `{said['name']}` has no rows", "change its `where`")
        yield WHERE, said["name"], mask


def _where(conditions: Mapping[str, Any], known: Judged) -> Array:
    """Which rows meet every condition: a value, one of a list, or bounds that belong to it."""
    import numpy

    mask = numpy.ones(len(known.table), dtype=bool)
    for name, wanted in conditions.items():
        values = column(known.table, name, known.path)
        if isinstance(wanted, Mapping):
            present = values.notna().to_numpy()
            ordered = sortable(values[present], name, known.path)
            inside = numpy.ones(len(ordered), dtype=bool)
            for word, is_met in (("min", numpy.greater_equal), ("max", numpy.less_equal)):
                if word in wanted:
                    inside &= is_met(ordered, _bound(wanted[word], ordered, name))
            mask &= numpy.isin(numpy.arange(len(mask)), numpy.flatnonzero(present)[inside])
        else:
            import pandas

            listed = wanted if isinstance(wanted, list) else [wanted]
            mask &= texts_of(values).isin(texts_of(pandas.Series(listed, dtype=object))).to_numpy()
    return mask


def _bound(value: Any, ordered: Array, name: str) -> Any:
    """A bound in the type of the column: a number, or a moment."""
    import pandas

    if ordered.dtype.kind in "iufb" and not isinstance(value, str):
        return value
    moment = pandas.to_datetime(value, utc=True, errors="coerce") if isinstance(value, str) else pandas.NaT
    if ordered.dtype.kind in "iufb" or moment is pandas.NaT:
        text = f"the slice's bound `{value}` cannot be held against the column `{name}`"
        raise InputError(text, "give a number for numbers, and a time such as 2026-01-31 for times")
    return moment.to_datetime64() if ordered.dtype.kind == "M" else moment


# ----- curves


def _curves(call: Call, known: Judged, rows: scoring.Rows, task: str) -> list[list[dict[str, Any]]]:
    """What is drawn, as many as are asked for; raises InputError where the model makes fewer."""
    if not call.plots:
        return []
    if task == "classification":
        curves = _roc_and_precision(known, rows) if rows.told.ranks is not None else []
        curves += [_calibration(rows)] if rows.told.shares is not None else []
    else:
        curves = [_residuals(rows)] if task == "regression" else []
    if len(curves) < len(call.plots):
        text = f"{len(call.plots)} plots are named, and there are {len(curves)} of this model for a {task}"
        raise InputError(text, "a classifier with probabilities has three, a regression one, a ranking none")
    return curves


def _roc_and_precision(known: Judged, rows: scoring.Rows) -> list[list[dict[str, Any]]]:
    from sklearn import metrics

    roc: list[dict[str, Any]] = []
    precisions: list[dict[str, Any]] = []
    ranks: Any = rows.told.ranks
    for code in [known.positive] if known.positive >= 0 else range(rows.size):
        hit = rows.truth == code
        if hit.all() or not hit.any():
            continue
        label = {"class": known.names[code]}
        false, true, _ = metrics.roc_curve(hit, ranks[:, code])
        roc += [label | {"fpr": float(false[at]), "tpr": float(true[at])} for at in _thinned(len(false))]
        precision, recall, _ = metrics.precision_recall_curve(hit, ranks[:, code], drop_intermediate=True)
        precisions += [
            label | {"recall": float(recall[at]), "precision": float(precision[at])} for at in _thinned(len(recall))
        ]
    return [roc, precisions]


def _calibration(rows: scoring.Rows) -> list[dict[str, Any]]:
    """For each bin with rows: the mean probability, and how often it came true."""
    import numpy

    told, hit = scoring.confidences(rows, rows.told.shares)
    numbers = scoring.bins_of(told, rows.bins)
    counts, sums, hits = (numpy.bincount(numbers, weights, rows.bins) for weights in (None, told, hit))
    return [
        {
            "predicted": float(sums[at] / counts[at]),
            "observed": float(hits[at] / counts[at]),
            "rows": int(counts[at]),
        }
        for at in numpy.flatnonzero(counts)
    ]


def _residuals(rows: scoring.Rows) -> list[dict[str, Any]]:
    return [
        {
            "predicted": float(rows.told.predicted[at]),
            "actual": float(rows.truth[at]),
            "residual": float(rows.truth[at] - rows.told.predicted[at]),
        }
        for at in _thinned(len(rows.truth), _PLOTTED)
    ]


def _thinned(count: int, most: int = _POINTS) -> Sequence[int]:
    """Places of points that stay, evenly spaced, both ends among them."""
    import numpy

    return [int(at) for at in numpy.unique(numpy.linspace(0, count - 1, min(count, most)).round())]


# ----- files


def _write_predictions(path: Path, known: Judged, told: Answers) -> None:
    """What is true and what the model says, row by row, in the order of the table."""
    import pandas

    if not known.classifies:
        found = {"actual": known.truth, "predicted": told.predicted, "residual": known.truth - told.predicted}
    else:
        names: Any = pandas.Series(known.names)
        found = {"actual": names[known.truth].to_numpy(), "predicted": names[told.predicted].to_numpy()}
        if told.shares is not None:
            found |= {f"probability_{name}": told.shares[:, code] for code, name in enumerate(known.names)}
    write_table(pandas.DataFrame(found), path)


main = program("evaluate", run)

if __name__ == "__main__":
    raise SystemExit(main())
