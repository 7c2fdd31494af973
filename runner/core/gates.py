"""Gates: what recorded metrics and a policy come to, as verdicts with the numbers they were judged by.

A gate only reads what is recorded. Its verdict is what the numbers say: pass, fail or inconclusive. Its effect is what
the policy makes of that: a failure that somebody answers for (a waiver) or that only warns stops nothing, and a value
that is too uncertain holds, fails or passes as the gate says. What was not measured at all never passes by policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from runner.core.measures import Found, Measure, MetricName, Unmeasured, found, numbers, seed_band, shown
from runner.values import dataclass, field

if TYPE_CHECKING:
    from runner.core.environments import Environment

CHAMPION, BASE = "champion", "base"
HOLD, PASS, FAIL = "hold", "pass", "fail"
FEWEST_REPETITIONS = 3
_SLACK = 1e-12
"""Of the size of two numbers whose difference is compared: 0.8 - 0.805 is not exactly -0.005."""


class Verdict(Enum):
    """What the numbers say."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Effect(Enum):
    """What that means for a release."""

    PASS = "pass"
    FAIL = "fail"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Waiver:
    """Somebody's word that a release may go on although a gate does not pass."""

    by: str
    reason: str
    until: str
    """The last day on which it counts, `2027-01-31`, in UTC."""

    def counts_on(self, day: str) -> bool:
        """Whether it still counts on a day."""
        return day <= self.until


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition on a recorded metric."""

    name: str
    metric: MetricName
    min: float | None = None
    max: float | None = None
    equals: Any = None
    versus: str = ""
    """`champion` or `base`; empty where nothing is compared."""
    min_delta: float | None = None
    max_delta: float | None = None
    confidence: float | None = None
    """Level at which the bound of the interval counts, in place of the value."""
    noise: float | MetricName | None = None
    """A difference to `versus` that the seed alone makes, or where the repetitions that tell it are recorded."""
    min_support: float | None = None
    support: str = "support"
    """The key beside the value that holds how many rows it is of."""
    on_inconclusive: str = HOLD
    warns: bool = False
    """It says what is wrong, and stops nothing."""
    waiver: Waiver | None = None
    kind: str = "metric"
    """`metric`, or the kind of evidence it asks for: `fairness`, `robustness`, `skew`."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What has to hold before a model is released."""

    name: str
    pipeline: str
    out: str
    """Path of the model, from the root of the repository."""
    gates: tuple[Gate, ...] = ()
    accept_evidence: bool = False
    """Whether results that the runner did not make itself count."""
    environments: tuple[Environment, ...] = ()
    """Where it is released, in this order."""


@dataclass(frozen=True, slots=True)
class Other:
    """What a metric is compared with."""

    what: str
    """For people: `the champion v3`, `main at 1f2e3d`."""
    metrics: Mapping[str, Any] | None = None
    """None: there is none, and this is the first."""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value, of a slice or of all, and what it came to."""

    slice: str
    verdict: Verdict
    message: str
    value: Any = None
    lower: float | None = None
    upper: float | None = None
    support: float | None = None
    other: Any = None
    """The value that it was compared with."""
    delta: float | None = None
    margin: float = 0.0
    """How far it is on the good side of the nearest bound."""
    measured: bool = True
    """False where there is no number to judge, in contrast to one that is too uncertain."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a gate came to."""

    gate: Gate
    verdict: Verdict
    effect: Effect
    reading: Reading
    """The one that decided: of several slices the worst."""
    readings: tuple[Reading, ...]
    message: str
    waived: bool = False
    against: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, without what the gate does not say."""
        gate, reading = self.gate, self.reading
        bounds = {
            "min": gate.min,
            "max": gate.max,
            "equals": gate.equals,
            "minDelta": gate.min_delta,
            "maxDelta": gate.max_delta,
        }
        row: dict[str, Any] = {
            "name": gate.name,
            "kind": gate.kind,
            "metric": str(gate.metric),
            "verdict": self.verdict.value,
            "effect": self.effect.value,
            "message": self.message,
            "value": reading.value,
            "bounds": {name: bound for name, bound in bounds.items() if bound is not None},
        }
        if gate.confidence is not None:
            row |= {"confidence": gate.confidence, "lower": reading.lower, "upper": reading.upper}
        if gate.versus:
            row |= {"vs": gate.versus, "against": self.against, "other": reading.other, "delta": reading.delta}
        if reading.support is not None or gate.min_support is not None:
            row |= {"support": reading.support, "minSupport": gate.min_support}
        if any(one.slice for one in self.readings):
            row |= {"slice": reading.slice, "slices": [_slice_row(one) for one in self.readings]}
        if gate.waiver is not None:
            waiver = {"by": gate.waiver.by, "reason": gate.waiver.reason, "until": gate.waiver.until}
            row |= {"waiver": waiver, "waived": self.waived}
        return row | ({"severity": "warn"} if gate.warns else {})


def _slice_row(reading: Reading) -> dict[str, Any]:
    return {
        "slice": reading.slice,
        "verdict": reading.verdict.value,
        "value": reading.value,
        "support": reading.support,
        "message": reading.message,
    }


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gates of a deployment came to."""

    deployment: Deployment
    conditions: tuple[Condition, ...]
    blockers: tuple[str, ...] = field(default=())
    """Why nothing may be released whatever the numbers say."""

    @property
    def effect(self) -> Effect:
        """A failure beats what holds, and what holds beats what passes."""
        effects = {condition.effect for condition in self.conditions}
        if Effect.FAIL in effects:
            return Effect.FAIL
        return Effect.HOLD if Effect.HOLD in effects or self.blockers else Effect.PASS

    @property
    def verdict(self) -> Verdict:
        """The same in the words of a gate."""
        words = {Effect.PASS: Verdict.PASS, Effect.FAIL: Verdict.FAIL, Effect.HOLD: Verdict.INCONCLUSIVE}
        return words[self.effect]


def judged(
    deployment: Deployment,
    metrics: Mapping[str, Any],
    others: Mapping[str, Other],
    day: str,
    blockers: Sequence[str] = (),
) -> Judgement:
    """What the gates of a deployment come to.

    `metrics` are the recorded metric files with their values, `others` what is compared with, by `champion` and
    `base`, and `day` is today, such as `2026-11-22`: it decides whether a waiver still counts.
    """
    conditions = tuple(
        judge(gate, metrics, others.get(gate.versus, Other(gate.versus, {})), day) for gate in deployment.gates
    )
    return Judgement(deployment, conditions, tuple(blockers))


def judge(gate: Gate, metrics: Mapping[str, Any], other: Other, day: str) -> Condition:
    """What one gate comes to."""
    values = found(metrics, gate.metric, gate.support)
    compared = found(other.metrics, gate.metric, gate.support) if gate.versus and other.metrics is not None else None
    band = _band(gate, metrics)
    readings = tuple(
        _reading(gate, name, value, _Against(other.what, _counterpart(compared, name)), band)
        for name, value in values.items()
    )
    worst = min(readings, key=_badness)
    message = worst.message
    if worst.slice:
        count = len(readings)
        message = f"{worst.slice}{f', the worst of {count} slices' if count > 1 else ''}: {message}"
    against = other.what if gate.versus else ""
    condition = Condition(gate, worst.verdict, Effect.PASS, worst, readings, message, against=against)
    return _with_policy(condition, day)


def _badness(reading: Reading) -> tuple[int, bool, float]:
    order = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)
    return order.index(reading.verdict), reading.measured, reading.margin


# ----- one value


@dataclass(frozen=True, slots=True)
class _Against:
    what: str
    measure: Measure | Unmeasured | None
    """None where nothing is compared, or there is nothing to compare with yet."""


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a quantity lies: one number twice, or an interval."""

    low: float
    high: float
    slack: float = 0.0


def _counterpart(compared: Found | None, name: str) -> Measure | Unmeasured | None:
    if compared is None:
        return None
    nothing = Unmeasured("it has no such slice")
    return compared.get(name) or compared.get("", nothing)


def _band(gate: Gate, metrics: Mapping[str, Any]) -> float | Unmeasured:
    """The difference that the seed alone makes."""
    if not isinstance(gate.noise, MetricName):
        return gate.noise or 0.0
    values = numbers(metrics, gate.noise)
    if isinstance(values, Unmeasured):
        return values
    if len(values) < FEWEST_REPETITIONS:
        return Unmeasured(f"{len(values)} repetitions at `{gate.noise}` are too few, {FEWEST_REPETITIONS} are needed")
    return seed_band(values)


def _reading(
    gate: Gate, name: str, value: Measure | Unmeasured, against: _Against, band: float | Unmeasured
) -> Reading:
    if isinstance(value, Unmeasured):
        return Reading(name, Verdict.INCONCLUSIVE, value.why, measured=False)
    if gate.min_support is not None:
        if value.support is None:
            message = f"{shown(value.exact)} is of how many rows nobody says: there is no `{gate.support}` beside it"
            return Reading(name, Verdict.INCONCLUSIVE, message, value.exact, measured=False)
        if value.support < gate.min_support:
            message = f"{shown(value.support)} rows are too few to judge, {shown(gate.min_support)} are needed"
            return Reading(name, Verdict.INCONCLUSIVE, message, value.exact, support=value.support)
    if gate.equals is not None:
        return _equality(gate, name, value)
    if not value.is_number:
        message = f"{shown(value.value)} is recorded, which is no finite number"
        return Reading(name, Verdict.INCONCLUSIVE, message, measured=False)
    return _comparison(gate, name, value, against, band)


def _equality(gate: Gate, name: str, value: Measure) -> Reading:
    same = value.exact == gate.equals and isinstance(value.exact, bool) == isinstance(gate.equals, bool)
    message = f"{shown(value.exact)} is {'' if same else 'not '}{shown(gate.equals)}"
    verdict, margin = (Verdict.PASS, 0.0) if same else (Verdict.FAIL, -1.0)
    return Reading(name, verdict, message, value.exact, support=value.support, margin=margin)


def _comparison(gate: Gate, name: str, value: Measure, against: _Against, band: float | Unmeasured) -> Reading:
    """A number against all of the gate's bounds; the worst of these decides."""
    span = _span(value, gate.confidence)
    if isinstance(span, str):
        message = f"{shown(value.exact)} cannot be judged: {span}"
        return Reading(name, Verdict.INCONCLUSIVE, message, value.exact, support=value.support, measured=False)
    results = [
        _bounded(span, bound, what, 0.0)
        for bound, what in ((gate.min, "at least"), (gate.max, "at most"))
        if bound is not None
    ]
    said, measured, delta, other = [_value_text(value, span, gate.confidence)], True, None, against.measure
    if gate.versus and other is None:
        said.append(f"{against.what}, so this is the first and passes")
    elif gate.versus:
        step = _difference(gate, value, span, other, band)
        if isinstance(step, Unmeasured):
            results.append(_Result(Verdict.INCONCLUSIVE, 0.0, f"it cannot be compared with {against.what}: {step.why}"))
            measured = False
        else:
            assert isinstance(other, Measure)
            delta = value.value - other.value
            tolerance = float(band) if isinstance(band, (int, float)) else 0.0
            said.append(_difference_text(delta, other, against.what, tolerance))
            results += [
                _bounded(step, bound, what, tolerance)
                for bound, what in ((gate.min_delta, "at least"), (gate.max_delta, "at most"))
                if bound is not None
            ]
    worst = min(results, key=lambda result: (_ORDER.index(result.verdict), result.margin), default=_NOTHING)
    said += [worst.text] if worst.text else []
    return Reading(
        slice=name,
        verdict=worst.verdict,
        message="; ".join(said),
        value=value.exact,
        lower=span.low if gate.confidence is not None else None,
        upper=span.high if gate.confidence is not None else None,
        support=value.support,
        other=other.exact if isinstance(other, Measure) else None,
        delta=None if delta is None else round(delta, 12),
        margin=worst.margin,
        measured=measured,
    )


_ORDER = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class _Result:
    verdict: Verdict
    margin: float
    text: str


_NOTHING = _Result(Verdict.PASS, 0.0, "")


def _span(value: Measure, confidence: float | None) -> _Span | str:
    """Where a value lies: at itself, or within its interval; else why that is not known."""
    if confidence is None:
        return _Span(value.value, value.value)
    interval = value.interval(confidence)
    return interval if isinstance(interval, str) else _Span(*interval)


def _difference(
    gate: Gate, value: Measure, span: _Span, other: Measure | Unmeasured | None, band: float | Unmeasured
) -> _Span | Unmeasured:
    """Where the difference to the other value lies: from the one end of both intervals to the other."""
    if isinstance(other, Unmeasured) or other is None:
        return other or Unmeasured("nothing is recorded")
    if isinstance(band, Unmeasured):
        return band
    if not other.is_number:
        return Unmeasured(f"{shown(other.value)} is recorded there, which is no finite number")
    there = _span(other, gate.confidence)
    theirs = _Span(other.value, other.value) if isinstance(there, str) else there
    slack = _SLACK * max(1.0, abs(value.value), abs(other.value))
    return _Span(span.low - theirs.high, span.high - theirs.low, slack)


def _bounded(span: _Span, bound: float, what: str, tolerance: float) -> _Result:
    """Whether all of a span, a part of it or nothing of it is on the right side of a bound."""
    if what == "at least":
        worst, best = span.low - bound, span.high - bound
    else:
        worst, best = bound - span.high, bound - span.low
    worst, best = worst + tolerance + span.slack, best + tolerance + span.slack
    limit = f"{what} {shown(bound)}"
    if worst >= 0:
        within = tolerance > 0 and worst - tolerance - span.slack < 0
        return _Result(
            Verdict.PASS, worst, f"{limit} is asked for" + (", and the seed makes as much" if within else "")
        )
    if best < 0:
        return _Result(Verdict.FAIL, worst, f"{limit} is asked for")
    return _Result(Verdict.INCONCLUSIVE, worst, f"{limit} is asked for, and the interval lies on both sides of it")


def _value_text(value: Measure, span: _Span, confidence: float | None) -> str:
    if confidence is None:
        return shown(value.exact)
    return f"{shown(value.exact)} ({shown(span.low)} to {shown(span.high)} at {shown(100 * confidence)} %)"


def _difference_text(delta: float, other: Measure, what: str, tolerance: float) -> str:
    where = "as much as" if delta == 0 else f"{shown(abs(delta))} {'above' if delta > 0 else 'below'}"
    noise = f", where the seed makes {shown(tolerance)}" if tolerance else ""
    return f"{where} {what} ({shown(other.exact)}){noise}"


# ----- policy


def _with_policy(condition: Condition, day: str) -> Condition:
    """The effect of a verdict under the gate's own policy, told in the message."""
    gate, verdict = condition.gate, condition.verdict
    waiver = gate.waiver
    if verdict is Verdict.PASS:
        return _said(condition, Effect.PASS)
    if waiver is not None and waiver.counts_on(day):
        note = f"waived by {waiver.by} until {waiver.until}: {waiver.reason}"
        return _said(condition, Effect.PASS, note, waived=True)
    expired = f"the waiver by {waiver.by} ended on {waiver.until}" if waiver is not None else ""
    if gate.warns:
        return _said(condition, Effect.PASS, expired, "this gate only warns")
    if verdict is Verdict.FAIL:
        return _said(condition, Effect.FAIL, expired)
    if gate.on_inconclusive == FAIL:
        return _said(condition, Effect.FAIL, expired, "what is inconclusive fails here")
    if gate.on_inconclusive == PASS and condition.reading.measured:
        return _said(condition, Effect.PASS, expired, "what is too uncertain passes here")
    return _said(condition, Effect.HOLD, expired)


def _said(condition: Condition, effect: Effect, *notes: str, waived: bool = False) -> Condition:
    message = "; ".join([condition.message, *(note for note in notes if note)])
    return Condition(
        condition.gate,
        condition.verdict,
        effect,
        condition.reading,
        condition.readings,
        message,
        waived,
        condition.against,
    )


# ----- the record


def gate_statement(judgement: Judgement, model_sha256: str) -> dict[str, Any]:
    """What a gate predicate says of a judgement, beside its `chain_fields`; `model_sha256` names the model."""
    return {
        "deployment": judgement.deployment.name,
        "model": model_sha256,
        "verdict": judgement.verdict.value,
        "conditions": [condition.as_json() for condition in judgement.conditions],
        "blockers": list(judgement.blockers),
        "acceptEvidence": judgement.deployment.accept_evidence,
    }
