"""Cross-validation: the parts of a table, the scores of a model on them, and an interval around their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.stages.tables import column, sortable
from runner.values import dataclass

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Design:
    """A cross-validation as it is done, with everything decided that the spec left open."""

    kind: str
    folds: int
    repeats: int = 1
    groups: str | None = None
    time: str | None = None
    gap: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it needs and that are no features."""
        return tuple(name for name in (self.groups, self.time) if name is not None)


def design_of(said: Mapping[str, Any], task: str) -> Design:
    """The design that a spec means, whose fields go together; raises InputError where it is not for the task."""
    groups, time = said.get("groups"), said.get("time")
    usual = "group" if groups else "time" if time else "stratified" if task == "classification" else "kfold"
    kind = said.get("kind", usual)
    if kind.startswith("stratified") and task != "classification":
        raise InputError(f"`cv`: {kind} is for classes, and the target holds numbers", "say `kind: kfold`")
    return Design(kind, said.get("folds", 5), said.get("repeats", 1), groups, time, said.get("gap", 0))


def splits_of(design: Design, table: pandas.DataFrame, target: Any, path: str, seed: int) -> list[tuple[Any, Any]]:
    """Row numbers for training and for the test, for each fold; none where there is no cross-validation.

    Raises InputError: there are too few rows, groups or rows of a class.
    """
    import numpy
    import pandas
    from sklearn import model_selection as ways

    if design.kind == "none":
        return []
    groups = None if design.groups is None else pandas.factorize(column(table, design.groups, path), sort=True)[0]
    order = numpy.arange(len(table))
    many = {"n_splits": design.folds, "n_repeats": design.repeats, "random_state": seed}
    once = {"n_splits": design.folds, "shuffle": True, "random_state": seed}
    makers: dict[str, Any] = {
        "kfold": lambda: ways.RepeatedKFold(**many) if design.repeats > 1 else ways.KFold(**once),
        "stratified": lambda: (
            ways.RepeatedStratifiedKFold(**many) if design.repeats > 1 else ways.StratifiedKFold(**once)
        ),
        "group": lambda: ways.GroupKFold(**once),
        "stratified_group": lambda: ways.StratifiedGroupKFold(**once),
        "time": lambda: ways.TimeSeriesSplit(n_splits=design.folds, gap=design.gap),
    }
    if design.time is not None:
        order = numpy.argsort(sortable(column(table, design.time, path), design.time, path), kind="stable")
    _check_classes(design, target, path)
    try:
        found = list(makers[design.kind]().split(numpy.zeros(len(table)), target, groups))
    except ValueError as error:
        raise InputError(
            f"{path}: it cannot be cut into {design.folds} folds: {error}", "ask for fewer folds"
        ) from error
    return [(order[train], order[test]) for train, test in found]


def _check_classes(design: Design, target: Any, path: str) -> None:
    import pandas

    if design.kind == "stratified":
        counts = pandas.Series(target).value_counts()
        if int(counts.min()) < design.folds:
            text = f"{path}: the class `{counts.idxmin()}` has {counts.min()} rows, too few for {design.folds} folds"
            raise InputError(text, "ask for fewer folds, or leave such rows out")


def usual_scorers(task: str, model: Any, classes: int) -> list[str]:
    """What is measured where the spec does not say, by scikit-learn's names."""
    if task == "regression":
        return ["neg_mean_absolute_error", "neg_root_mean_squared_error", "r2"]
    ranked = hasattr(model, "predict_proba") or (classes == 2 and hasattr(model, "decision_function"))
    names = ["accuracy", "balanced_accuracy", "f1_macro"]
    names += ["neg_log_loss"] if hasattr(model, "predict_proba") else []
    return names + (["roc_auc" if classes == 2 else "roc_auc_ovr"] if ranked else [])


def scores_of(
    model: Any, features: pandas.DataFrame, target: Any, splits: Sequence[tuple[Any, Any]], scorers: Sequence[str]
) -> dict[str, list[float]]:
    """The scores of a model on each fold, by scorer: those of scikit-learn's `cross_validate`.

    Raises InputError: the model cannot be trained with the table, or cannot be measured so.
    """
    from sklearn.model_selection import cross_validate

    try:
        found = cross_validate(model, features, target, cv=list(splits), scoring=list(scorers), error_score="raise")
    except Exception as error:
        text = f"the cross-validation failed: {type(error).__name__}: {str(error)[:300]}"
        raise InputError(text, "see whether estimator, columns and `scoring` fit the data and the target") from error
    return {name: [float(score) for score in found[f"test_{name}"]] for name in scorers}


def interval_of(
    scores: Sequence[float], splits: Sequence[tuple[Any, Any]], confidence: float, scorer: str
) -> dict[str, float | None]:
    """Mean, deviation and interval of the scores of folds, and its level; None where the scores are not finite.

    The interval is Student's, with the variance of Nadeau and Bengio (2003, "Inference for the generalization error"):
    folds share training rows, so their scores vary less than those of independent data would. It ends where the range
    of the score does.
    """
    import math

    import numpy
    from scipy import stats

    values = numpy.asarray(scores, dtype=float)
    if not numpy.isfinite(values).all():
        return {"mean": None, "std": None, "low": None, "high": None, "level": confidence}
    share = float(numpy.mean([len(test) / len(train) for train, test in splits]))
    std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    reach = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * std * math.sqrt(1 / len(values) + share)
    mean = float(values.mean())
    least, most = _range_of(scorer)
    low, high = max(mean - reach, least), min(mean + reach, most)
    return {"mean": mean, "std": std, "low": low, "high": high, "level": confidence}


def _range_of(scorer: str) -> tuple[float, float]:
    """The least and the most that one of scikit-learn's scores can be."""
    if scorer.startswith("neg_"):
        return -float("inf"), 0.0
    if scorer in ("r2", "explained_variance", "d2_absolute_error_score"):
        return -float("inf"), 1.0
    return (-1.0 if scorer == "matthews_corrcoef" else 0.0), 1.0
