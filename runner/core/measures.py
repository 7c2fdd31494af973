"""Numbers out of recorded metrics, with the intervals and the support that stand beside them.

A metric is named `FILE:KEY`, its key nested by dots; `*` stands for every key at its place, one slice each. Values come
from anybody's files, so whatever is no finite number is told in words and never raises.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from runner.values import dataclass

EVERY = "*"
"""The part of a key that stands for every slice."""
_MOST_SLICES = 10_000
_LONGEST_KEY = 32
"""Parts of a key; more of them lead nowhere."""


@dataclass(frozen=True, slots=True)
class MetricName:
    """Which value of which metrics file."""

    file: str
    """Path from the root of the repository."""
    keys: tuple[str, ...]

    @property
    def key(self) -> str:
        """The key as it is written."""
        return ".".join(self.keys)

    def __str__(self) -> str:
        return f"{self.file}:{self.key}"


@dataclass(frozen=True, slots=True)
class Measure:
    """One recorded value."""

    value: Any
    """A finite float; or a truth value or a text, which only `equals` can judge."""
    exact: Any = None
    """The value as it was recorded."""
    lower: float | None = None
    upper: float | None = None
    level: float | None = None
    """Of the interval, None where the file does not say it."""
    support: float | None = None
    """How many rows it was measured on."""
    successes: int | None = None
    """With `trials`: counts that the interval is computed from."""
    trials: int | None = None

    @property
    def is_number(self) -> bool:
        """Whether it can be compared with a bound."""
        return isinstance(self.value, float)

    def interval(self, level: float) -> tuple[float, float] | str:
        """Lower and upper bound at a level; else why there is none."""
        if self.successes is not None and self.trials is not None:
            return wilson(self.successes, self.trials, level)
        if self.lower is None or self.upper is None:
            return "no interval is recorded beside it"
        if self.lower > self.upper:
            return f"its interval ends before it begins ({shown(self.lower)} to {shown(self.upper)})"
        if self.level is not None and self.level < level - 1e-9:
            return f"its interval is of level {shown(self.level)}, and {shown(level)} is asked for"
        return self.lower, self.upper


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """Why there is no value."""

    why: str


Found = Mapping[str, Measure | Unmeasured]
"""By slice what was found; the one of a key without `*` has no name."""


def found(metrics: Mapping[str, Any], name: MetricName, support: str = "support") -> Found:
    """The values of a metric by slice; `support` is the key beside the value that holds how many rows it is of."""
    if name.file not in metrics:
        return {"": Unmeasured(f"nothing is recorded of `{name.file}`")}
    rows: dict[str, Measure | Unmeasured] = {}
    for label, raw, siblings in _walk(metrics[name.file], name.keys[:_LONGEST_KEY], ()):
        rows[".".join(label)] = _measure(raw, siblings, name.keys[-1], support)
        if len(rows) > _MOST_SLICES:
            return {"": Unmeasured(f"`{name}` has more than {_MOST_SLICES:,} slices")}
    return rows or {"": Unmeasured(f"`{name.file}` holds no `{name.key}`")}


def numbers(metrics: Mapping[str, Any], name: MetricName) -> list[float] | Unmeasured:
    """The list of numbers that a name leads to, such as one for each seed."""
    for _, raw, _ in _walk(metrics.get(name.file), name.keys[:_LONGEST_KEY], ()):
        values = list(raw.values()) if isinstance(raw, Mapping) else raw
        if not isinstance(values, list):
            break
        floats = [_number(value) for value in values]
        if all(value is not None for value in floats):
            return [value for value in floats if value is not None]
        return Unmeasured(f"`{name}` holds what is no number")
    return Unmeasured(f"there are no repetitions at `{name}`")


def _walk(
    value: Any, keys: Sequence[str], label: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any, Mapping[str, Any]]]:
    """Label, value and the mapping it stands in, of each place that the keys lead to; a key may hold dots itself."""
    if not isinstance(value, Mapping) or is_tagged(value):
        return
    if keys[0] == EVERY:
        for key, inner in value.items():
            if len(keys) == 1:
                yield (*label, str(key)), inner, value
            else:
                yield from _walk(inner, keys[1:], (*label, str(key)))
        return
    for length in range(1, len(keys) + 1):
        key = ".".join(keys[:length])
        if key not in value:
            continue
        if length == len(keys):
            yield label, value[key], value
        else:
            yield from _walk(value[key], keys[length:], label)
        return


_VALUES, _LOWER, _UPPER, _LEVEL = ("value", "mean"), ("lower", "low"), ("upper", "high"), ("level", "confidence")
"""Keys of one measure in a mapping of its own, the first one that is there counts."""


def _measure(raw: Any, siblings: Mapping[str, Any], key: str, support: str) -> Measure | Unmeasured:
    if isinstance(raw, Mapping) and not is_tagged(raw):
        return _of_mapping(raw, support)
    if key in _VALUES:  # `cv.roc_auc.mean` says the same as `cv.roc_auc`
        return _made(raw, _beside(siblings, "", support))
    beside = _beside(siblings, f"{key}_", support)
    own = siblings.get("intervals")
    own = own.get(key) if isinstance(own, Mapping) else None
    if beside["lower"] is None and isinstance(own, Mapping):
        beside = {**_beside(own, "", support), "support": beside["support"]}
    return _made(raw, beside)


def _beside(rows: Mapping[str, Any], prefix: str, support: str) -> dict[str, Any]:
    """Interval and support among the keys of a mapping."""

    def first(names: Sequence[str]) -> Any:
        return next((rows[prefix + name] for name in names if prefix + name in rows), None)

    return {"lower": first(_LOWER), "upper": first(_UPPER), "level": first(_LEVEL), "support": rows.get(support)}


def _of_mapping(raw: Mapping[str, Any], support: str) -> Measure | Unmeasured:
    successes, trials = raw.get("successes"), raw.get("trials")
    if _is_count(successes) and _is_count(trials):
        if not 0 <= successes <= trials or trials == 0:
            return Unmeasured(f"{successes} of {trials} are no counts")
        rest = {"support": raw.get(support, trials), "successes": successes, "trials": trials}
        return _made(successes / trials, rest)
    name = next((name for name in _VALUES if name in raw), None)
    if name is None:
        return Unmeasured("there is a mapping without `value` in place of a number")
    return _made(raw[name], _beside(raw, "", support))


def _made(raw: Any, rest: Mapping[str, Any]) -> Measure | Unmeasured:
    if isinstance(raw, (bool, str)):
        return Measure(raw, raw)
    value = _number(raw)
    if value is None:
        return Unmeasured(f"{_said(raw)} is recorded, which is no finite number")
    sides = {name: _number(rest.get(name)) for name in ("lower", "upper", "level", "support")}
    return Measure(value, raw, **sides, successes=rest.get("successes"), trials=rest.get("trials"))


def _number(value: Any) -> float | None:
    """A finite number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53


def is_tagged(value: Mapping[str, Any]) -> bool:
    """Whether it is one value that JSON has no notation for (`{"!float": "nan"}`)."""
    return len(value) == 1 and str(next(iter(value))).startswith("!")


def _said(raw: Any) -> str:
    if isinstance(raw, Mapping):
        raw = next(iter(raw.values()), "a mapping")
    return "null" if raw is None else "a list" if isinstance(raw, list) else f"{raw!s:.40}"


# ----- statistics, from the standard library's arithmetic alone


def wilson(successes: int, trials: int, level: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), two-sided."""
    z, share = normal_quantile(level), successes / trials
    middle = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    whole = 1 + z * z / trials
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def normal_quantile(level: float) -> float:
    """How many standard deviations around the middle hold this share of a normal distribution; 1.96 for 0.95."""
    low, high = 0.0, 40.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle / math.sqrt(2)) < level else (low, middle)
    return (low + high) / 2


def seed_band(values: Sequence[float]) -> float:
    """How far apart two runs that differ in their seed alone lie, 19 times of 20, by repetitions of one of them."""
    middle = math.fsum(values) / len(values)
    variance = math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1)
    return normal_quantile(0.95) * math.sqrt(2 * variance)


def shown(value: Any) -> str:
    """A value as people read it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:.6g}"
    return f"`{value!s:.60}`"
