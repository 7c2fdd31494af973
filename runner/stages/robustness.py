"""`robustness`: how much worse a model gets when its inputs are a little wrong, and what it must not depend on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from runner.artefacts import columns as kinds
from runner.errors import InputError
from runner.stages import estimators
from runner.stages.explain import sampled, usual_score
from runner.stages.judging import Array, Judged, judged
from runner.stages.program import Call, program
from runner.stages.written import write_json, write_points

if TYPE_CHECKING:
    import pandas

Seen = Mapping[str, Any]
"""What the signature says of a column."""
_USUAL = 0.1
_FAR = 0.5
_UNSEEN = "\x1fnever seen"
_INVARIANCE = "invariance"
_USUAL_CHECKS = ("missing", "noise", "swap")
"""Those that stay within what was seen in training: a model may refuse the others."""


@estimators.one_blas_thread()
def run(call: Call) -> None:
    """Judge the model by spoilt copies of the table `data`; raises InputError where that cannot be."""
    known = judged(call)
    seen, truth = sampled(call, known)
    scoring = call.get("scoring", usual_score(known))
    score = _score(known, scoring, seen, truth)
    answers = known.artefact.model.predict(seen)
    checks = call.get("checks", {name: {} for name in _USUAL_CHECKS if _columns(known, name, {})})
    told: dict[str, Any] = {"score": score, "scoring": scoring, "support": len(seen)}
    for name in sorted(checks):
        chosen = _columns(known, name, checks[name])
        if not chosen:
            raise InputError(f"`{name}`: the model has no column for it", "leave the check out")
        falls, flips = [], []
        for repeat in range(call.get("repeats", 5)):
            spoilt = _spoilt(name, checks[name], chosen, seen, (call.seed, repeat))
            falls.append(score - _score(known, scoring, spoilt, truth))
            flips.append(_moved(known, answers, _said(known, spoilt)))
        judged_by = flips if name == _INVARIANCE else falls
        told[name] = {**_interval(judged_by, call.get("confidence", 0.95)), "flips": sum(flips) / len(flips)}
        told[name] |= {"columns": sorted(chosen), "support": len(seen)}
    write_json(call.metrics, told)
    for path in call.plots:
        points = [
            {"check": name, "value": told[name]["value"], "flips": told[name]["flips"]} for name in sorted(checks)
        ]
        write_points(path, points)


def _said(known: Judged, table: pandas.DataFrame) -> Array:
    try:
        return known.artefact.model.predict(table)
    except Exception as error:
        text = f"the model cannot predict: {type(error).__name__}: {str(error)[:300]}"
        raise InputError(text, "let it fill in missing values, as `train` does, or leave the check out") from error


def _score(known: Judged, scoring: str, table: pandas.DataFrame, truth: Array) -> float:
    from sklearn.metrics import get_scorer

    _said(known, table.head(1))
    try:
        score = float(get_scorer(scoring)(known.artefact.model, table, truth))
    except Exception as error:
        text = f"the model cannot be scored by {scoring}: {type(error).__name__}: {str(error)[:300]}"
        raise InputError(text, "name another score in `scoring`") from error
    if not math.isfinite(score):
        raise InputError(f"{known.path}: {scoring} is not defined for these rows", "name another score in `scoring`")
    return score


def _columns(known: Judged, check: str, options: Mapping[str, Any]) -> dict[str, Seen]:
    """The columns that a check is for, with what the signature says of them; raises InputError for a wrong name."""
    properties = known.artefact.signature["input"]["properties"]
    fitting = {name: told for name, told in properties.items() if _CHECKS[check][0](told)}
    named = options.get("columns", list(fitting))
    for name in named:
        if name not in fitting:
            hint = f"it is for: {', '.join(fitting) or 'none of the model'}"
            raise InputError(f"`{check}` is not for the column `{name}`", hint)
    return {name: fitting[name] for name in named}


def _spoilt(
    check: str, options: Mapping[str, Any], chosen: Mapping[str, Seen], seen: pandas.DataFrame, seed: tuple[int, int]
) -> pandas.DataFrame:
    """A copy of the table with one kind of fault; each column has chances of its own, whatever the others are."""
    import numpy

    made = {}
    for name, told in chosen.items():
        chance = numpy.random.default_rng([*seed, *name.encode()])
        made[name] = _CHECKS[check][1](seen[name], told, options, chance)
    spoilt: pandas.DataFrame = seen.assign(**made)
    return spoilt


def _kind(told: Seen) -> str:
    return str(told["type"] if isinstance(told["type"], str) else told["type"][0])


def _has_range(told: Seen) -> bool:
    return _kind(told) in (kinds.NUMBER, kinds.INTEGER) and "minimum" in told["x-seen"]


def _has_categories(told: Seen) -> bool:
    return _kind(told) == kinds.BOOLEAN or len(told["x-seen"].get("categories", ())) > 1


def _noise(values: pandas.Series, told: Seen, options: Mapping[str, Any], chance: Any) -> pandas.Series:
    """Normal noise of a share of the column's deviation, kept within what was seen; whole numbers stay whole."""
    size = options.get("size", _USUAL) * float(values.std(ddof=0))
    low, high = told["x-seen"]["minimum"], told["x-seen"]["maximum"]
    noisy = values + chance.normal(0, 1, len(values)) * (size if math.isfinite(size) else 0)
    # A value that lies outside already is no fault of the noise: it is not drawn in, and goes no further out.
    noisy = noisy.clip(values.clip(upper=low), values.clip(lower=high))
    whole: pandas.Series = noisy.round().astype(values.dtype) if _kind(told) == kinds.INTEGER else noisy
    return whole


def _missing(values: pandas.Series, _told: Seen, options: Mapping[str, Any], chance: Any) -> pandas.Series:
    import numpy

    floats = values if values.dtype == object else values.astype(float)
    return floats.mask(chance.random(len(values)) < options.get("share", _USUAL), numpy.nan)


def _swap(values: pandas.Series, told: Seen, options: Mapping[str, Any], chance: Any) -> pandas.Series:
    """Another category that was seen in training, in a share of the rows; missing values stay."""
    hit = (chance.random(len(values)) < options.get("share", _USUAL)) & values.notna().to_numpy()
    if _kind(told) == kinds.BOOLEAN:
        return values.mask(hit, 1 - values)
    known = list(told["x-seen"]["categories"])
    place = {value: number for number, value in enumerate(known)}
    steps = chance.integers(1, len(known), len(values))
    others = [known[(place.get(str(v), 0) + int(step)) % len(known)] for v, step in zip(values, steps, strict=True)]
    return values.mask(hit, others)


def _outside(values: pandas.Series, told: Seen, options: Mapping[str, Any], chance: Any) -> pandas.Series:
    """Numbers beyond either end of what was seen, in a share of the rows; whole numbers stay whole."""
    import numpy

    low, high = told["x-seen"]["minimum"], told["x-seen"]["maximum"]
    reach = options.get("size", _FAR) * (high - low or 1.0)
    hit, is_above = chance.random(len(values)) < options.get("share", _USUAL), chance.random(len(values)) < _FAR
    beyond = numpy.where(is_above, high + reach, low - reach)
    if _kind(told) == kinds.INTEGER:
        beyond = numpy.where(is_above, numpy.ceil(beyond), numpy.floor(beyond))
    return values.astype(float).mask(hit & values.notna().to_numpy(), beyond)


def _unseen(values: pandas.Series, told: Seen, options: Mapping[str, Any], chance: Any) -> pandas.Series:
    """A text that was not there in training, in a share of the rows."""
    hit = (chance.random(len(values)) < options.get("share", _USUAL)) & values.notna().to_numpy()
    return values.mask(hit, _UNSEEN)


def _shuffled(values: pandas.Series, told: Seen, options: Mapping[str, Any], chance: Any) -> pandas.Series:
    """The same values, in other rows."""
    import pandas

    return pandas.Series(values.to_numpy()[chance.permutation(len(values))], index=values.index)


Spoil = Callable[..., Any]
_CHECKS: Mapping[str, tuple[Callable[[Seen], bool], Spoil]] = {
    "missing": (lambda told: True, _missing),
    "noise": (_has_range, _noise),
    "swap": (_has_categories, _swap),
    "outside": (_has_range, _outside),
    "unseen": (lambda told: _kind(told) == kinds.STRING, _unseen),
    _INVARIANCE: (lambda told: True, _shuffled),
}
"""By name: which columns a check is for, and what it does to them."""


def _moved(known: Judged, before: Array, after: Array) -> float:
    """The share of rows whose class changed; of numbers the mean change, in deviations of the answers."""
    if known.classifies:
        return float((before != after).mean())
    spread = float(before.std())
    return float(abs(before - after).mean() / spread) if spread else 0.0


def _interval(falls: list[float], level: float) -> dict[str, Any]:
    """The mean of the repeats with Student's interval."""
    import numpy
    from scipy import stats

    values, reach = numpy.array(falls), 0.0
    if len(values) > 1:
        reach = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    mean = float(values.mean())
    return {"value": mean, "low": mean - reach, "high": mean + reach, "level": level}


main = program("robustness", run)

if __name__ == "__main__":
    raise SystemExit(main())
