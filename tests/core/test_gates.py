"""Gates: verdicts by numbers, intervals, slices and noise, what the policy makes of them, and what holds of all."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from runner.core.canonical import plain
from runner.core.gates import (
    Condition,
    Deployment,
    Effect,
    Gate,
    Other,
    Verdict,
    Waiver,
    gate_statement,
    judge,
    judged,
)
from runner.core.measures import MetricName, Unmeasured, found, normal_quantile, seed_band, wilson
from runner.core.records import Head, Stamp, chain_fields
from runner.core.shapes import compiled
from runner.resources import schema_file

STATED = compiled(json.loads(schema_file("predicate-gate").read_text()))
DAY = "2026-11-22"
BESIDE = {
    **dict.fromkeys(("id", "trigger", "actor", "watched", "branch", "environment", "why", "md5"), "x"),
    **dict.fromkeys(("desired", "state"), "0" * 40),
    **dict.fromkeys(("version", "champion")),
    "host": {},
    "trust": "trusted",
    "spec": "0" * 64,
    "outcome": "refused",
    "signing": {"source": "none", "keyReadableByStages": False},
}
"""What a gate record says beside what the gates came to."""
AUC = MetricName("m.json", ("auc",))
FIRST = Other("nothing is released yet", None)
WIDE = {"auc_lower": 0.8, "auc_upper": 1.0}
UNSURE = "inconclusive"
ORDER = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)


def _judge(values: Mapping[str, Any], other: Mapping[str, Any] | None = None, /, **gate: Any) -> Condition:
    metric = gate.pop("metric", AUC)
    against = FIRST if other is None else Other("main", {"m.json": plain(other)})
    return judge(Gate("g", metric, **gate), {"m.json": plain(values)}, against, DAY)


@pytest.mark.parametrize(
    ("values", "gate", "verdict"),
    [
        ({"auc": 0.8}, {"min": 0.8}, "pass"),
        ({"auc": 0.79}, {"min": 0.8}, "fail"),
        ({"auc": 0.8}, {"max": 0.8}, "pass"),
        ({"auc": 0.81}, {"min": 0.1, "max": 0.8}, "fail"),
        ({"auc": 1}, {"equals": 1.0}, "pass"),
        ({"auc": True}, {"equals": 1}, "fail"),
        ({"auc": True}, {"equals": True}, "pass"),
        ({"auc": "v2"}, {"equals": "v2"}, "pass"),
        ({"auc": {"value": 0.9, "lower": 0.85, "upper": 0.95}}, {"min": 0.8, "confidence": 0.95}, "pass"),
        ({"auc": {"value": 0.9, "lower": 0.75, "upper": 0.95}}, {"min": 0.8, "confidence": 0.95}, UNSURE),
        ({"auc": 0.7, "auc_lower": 0.6, "auc_upper": 0.79}, {"min": 0.8, "confidence": 0.95}, "fail"),
        ({"auc": 0.9, "auc_lower": 0.6, "auc_upper": 0.95}, {"max": 0.96, "confidence": 0.95}, "pass"),
        ({"auc": {"value": 0.9, "lower": 0.85, "upper": 1, "level": 0.9}}, {"min": 0.8, "confidence": 0.9}, "pass"),
        ({"auc": {"value": 0.9, "lower": 0.85, "upper": 1, "level": 0.9}}, {"min": 0.8, "confidence": 0.95}, UNSURE),
        ({"auc": {"mean": 0.9, "std": 0.1, "low": 0.85, "high": 1.0}}, {"min": 0.8, "confidence": 0.95}, "pass"),
        ({"auc": {"mean": None, "std": None, "low": None, "high": None}}, {"min": 0.8}, UNSURE),
        ({"auc": {"successes": 90, "trials": 100}}, {"min": 0.8, "confidence": 0.95}, "pass"),
        ({"auc": {"successes": 9, "trials": 10}}, {"min": 0.8, "confidence": 0.95}, UNSURE),
        ({"auc": 0.9}, {"min": 0.8, "confidence": 0.95}, UNSURE),
        ({"auc": 0.9, "support": 9}, {"min": 0.8, "min_support": 10}, UNSURE),
        ({"auc": 0.9, "rows": 10}, {"min": 0.8, "min_support": 10, "support": "rows"}, "pass"),
        ({"auc": 0.9}, {"min": 0.8, "min_support": 10}, UNSURE),
    ],
)  # fmt: skip
def test_a_number_or_its_interval_is_held_against_a_bound(
    values: Mapping[str, Any], gate: Mapping[str, Any], verdict: str
) -> None:
    assert _judge(values, **gate).verdict.value == verdict


@pytest.mark.parametrize(
    ("now", "before", "gate", "verdict"),
    [
        ({"auc": 0.8}, {"auc": 0.805}, {"min_delta": -0.005}, "pass"),
        ({"auc": 0.8}, {"auc": 0.806}, {"min_delta": -0.005}, "fail"),
        ({"auc": 0.8}, None, {"min_delta": 0.0}, "pass"),
        ({"auc": 0.8}, {}, {"min_delta": 0.0}, UNSURE),
        ({"auc": 0.8}, {"auc": math.nan}, {"min_delta": 0.0}, UNSURE),
        ({"auc": 0.8}, {"auc": 0.81}, {"min_delta": 0.0, "noise": 0.02}, "pass"),
        ({"auc": 0.8}, {"auc": 0.83}, {"min_delta": 0.0, "noise": 0.02}, "fail"),
        ({"auc": 0.8, "s": [0.79, 0.8, 0.81]}, {"auc": 0.82}, {"min_delta": 0.0, "noise": "s"}, "pass"),
        ({"auc": 0.8, "s": [0.79, 0.8, 0.81]}, {"auc": 0.84}, {"min_delta": 0.0, "noise": "s"}, "fail"),
        ({"auc": 0.8, "s": [0.8, 0.8]}, {"auc": 0.8}, {"min_delta": 0.0, "noise": "s"}, UNSURE),
        ({"auc": 0.8, "s": "no"}, {"auc": 0.8}, {"min_delta": 0.0, "noise": "s"}, UNSURE),
        ({"auc": 0.9, **WIDE}, {"auc": 0.79}, {"min_delta": 0.0, "confidence": 0.9}, "pass"),
        ({"auc": 0.9, **WIDE}, {"auc": 0.85}, {"min_delta": 0.0, "confidence": 0.9}, UNSURE),
        ({"auc": 0.6}, {"auc": 0.5}, {"min_delta": 0.0, "min": 0.7}, "fail"),
    ],
)  # fmt: skip
def test_a_difference_is_held_against_a_bound_and_the_noise_of_the_seed(
    now: Mapping[str, Any], before: Mapping[str, Any] | None, gate: dict[str, Any], verdict: str
) -> None:
    if gate.get("noise") == "s":
        gate = gate | {"noise": MetricName("m.json", ("s",))}
    assert _judge(now, before, versus="base", **gate).verdict.value == verdict


def test_the_worst_slice_decides_and_one_that_is_too_small_never_passes() -> None:
    by = {"f": {"auc": 0.7, "support": 80}, "m": {"auc": 0.9, "support": 90}, "x": {"auc": 1.0, "support": 3}}
    every = MetricName("m.json", ("by", "*", "auc"))
    worst = _judge({"by": by}, metric=every, min=0.6)
    assert (worst.verdict, worst.reading.slice, worst.reading.value) == (Verdict.PASS, "f", 0.7)
    assert worst.message.startswith("f, the worst of 3 slices: 0.7")
    assert _judge({"by": by}, metric=every, min=0.8).reading.slice == "f"
    small = _judge({"by": by}, metric=every, min=0.6, min_support=50)
    assert (small.effect, small.reading.slice) == (Effect.HOLD, "x")
    new = _judge({"by": by}, {"by": {"f": {"auc": 0.7}, "m": {"auc": 0.9}}}, metric=every, versus="base", min_delta=0.0)
    assert (new.verdict, new.reading.slice) == (Verdict.INCONCLUSIVE, "x")


def test_the_mean_of_a_cross_validation_has_its_interval_beside_it() -> None:
    values = {"cv": {"auc": {"mean": 0.9, "std": 0.1, "low": 0.7, "high": 1.0}}}
    names = [MetricName("m.json", ("cv", "auc", *more)) for more in ((), ("mean",))]
    conditions = [_judge(values, metric=name, min=0.8, confidence=0.95) for name in names]
    assert [(row.verdict, row.reading.lower) for row in conditions] == [(Verdict.INCONCLUSIVE, 0.7)] * 2


def test_what_evaluate_writes_has_its_intervals_in_a_mapping_of_all() -> None:
    def part(value: float, rows: int) -> dict[str, Any]:
        interval = {"value": value, "low": value - 0.05, "high": value + 0.05, "level": 0.95}
        return {"auc": value, "intervals": {"auc": interval}, "support": rows}

    values = {**part(0.9, 300), "slices": {"city": {"a": part(0.95, 200), "b": part(0.82, 100)}}}
    whole = _judge(values, min=0.8, confidence=0.95, min_support=200)
    assert (whole.verdict, whole.reading.lower) == (Verdict.PASS, pytest.approx(0.85))
    by_city = _judge(values, metric=MetricName("m.json", ("slices", "city", "*", "auc")), min=0.8, confidence=0.95)
    assert (by_city.verdict, by_city.reading.slice) == (Verdict.INCONCLUSIVE, "b")
    assert _judge(values, min=0.8, confidence=0.99).verdict is Verdict.INCONCLUSIVE


def test_a_key_may_hold_dots_itself() -> None:
    values = {"by": {"age<3.5": {"auc": 0.7}, "a": {"b": 1}}}
    assert _judge(values, metric=MetricName("m.json", ("by", "age<3", "5", "auc")), min=0.6).verdict is Verdict.PASS


@pytest.mark.parametrize("policy", ["hold", "fail", "pass"])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, "0.9", [1], {}, 10**400, {"!float": "x"}, {"value": None}])
def test_what_is_no_number_is_inconclusive_and_never_passes_by_policy(value: Any, policy: str) -> None:
    condition = _judge({"auc": value}, min=0.0, on_inconclusive=policy)
    assert condition.verdict is Verdict.INCONCLUSIVE
    assert condition.effect is (Effect.FAIL if policy == "fail" else Effect.HOLD)


def test_the_policy_says_what_an_uncertain_value_does() -> None:
    values = {"auc": {"value": 0.9, "lower": 0.7, "upper": 0.95}}
    effects = [_judge(values, min=0.8, confidence=0.95, on_inconclusive=on).effect for on in ("hold", "fail", "pass")]
    assert effects == [Effect.HOLD, Effect.FAIL, Effect.PASS]


def test_a_waiver_counts_to_the_end_of_its_last_day_and_is_told() -> None:
    waived = _judge({"auc": 0.1}, min=0.8, waiver=Waiver("ann", "known drift", DAY))
    assert (waived.verdict, waived.effect, waived.waived) == (Verdict.FAIL, Effect.PASS, True)
    assert waived.message.endswith(f"waived by ann until {DAY}: known drift")
    ended = _judge({"auc": 0.1}, min=0.8, waiver=Waiver("ann", "known drift", "2026-11-21"))
    assert (ended.effect, ended.waived) == (Effect.FAIL, False)
    assert ended.message.endswith("the waiver by ann ended on 2026-11-21")


def test_a_failure_beats_what_holds_and_that_beats_what_passes() -> None:
    gates = {name: Gate(name, MetricName("m.json", (name,)), min=0.5) for name in ("good", "bad", "gone")}
    metrics = {"m.json": {"good": 1, "bad": 0}}

    def effect(*names: str, blockers: tuple[str, ...] = ()) -> Effect:
        deployment = Deployment("d", "p", "o", tuple(gates[name] for name in names))
        return judged(deployment, metrics, {}, DAY, blockers).effect

    assert effect("good") is Effect.PASS
    assert effect("good", "gone") is Effect.HOLD
    assert effect("good", "gone", "bad") is Effect.FAIL
    assert effect("good", blockers=("it has not run",)) is Effect.HOLD
    assert effect("bad", blockers=("it has not run",)) is Effect.FAIL


# ----- properties

Numbers = st.floats(-1e6, 1e6, allow_nan=False)
Junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["auc", "value", "lower", "upper", "auc_lower", "intervals", "support", "successes", "trials", "!float"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(
    value=Numbers,
    better=st.floats(0, 1e6),
    width=st.floats(0, 10),
    bound=Numbers,
    other=Numbers,
    delta=st.floats(-10, 10),
    noise=st.floats(0, 5),
    confidence=st.none() | st.just(0.95),
)
def test_a_better_metric_never_comes_to_a_worse_verdict(
    value: float,
    better: float,
    width: float,
    bound: float,
    other: float,
    delta: float,
    noise: float,
    confidence: float | None,
) -> None:
    def verdict(auc: float, sign: int) -> int:
        values = {"auc": sign * auc, "auc_lower": sign * auc - width, "auc_upper": sign * auc + width}
        gate = {"min": bound, "min_delta": delta} if sign > 0 else {"max": -bound, "max_delta": -delta}
        found = _judge(values, {"auc": sign * other}, versus="base", noise=noise, confidence=confidence, **gate)
        return ORDER.index(found.verdict)

    for sign in (1, -1):
        assert verdict(value + better, sign) >= verdict(value, sign)


@given(value=Numbers, width=st.floats(0, 10), more=st.floats(0, 10), bound=Numbers)
def test_a_wider_interval_never_settles_what_a_narrow_one_left_open(
    value: float, width: float, more: float, bound: float
) -> None:
    def verdict(half: float) -> Verdict:
        values = {"auc": value, "auc_lower": value - half, "auc_upper": value + half}
        return _judge(values, min=bound, confidence=0.9).verdict

    narrow, wide = verdict(width), verdict(width + more)
    assert wide in (narrow, Verdict.INCONCLUSIVE)


@given(
    values=Junk,
    other=Junk,
    keys=st.lists(st.sampled_from(["auc", "*", "value", "lower", "a.b"]), min_size=1, max_size=4),
)
def test_whatever_is_recorded_a_gate_comes_to_a_verdict_that_a_ledger_can_hold(
    values: Any, other: Any, keys: list[str]
) -> None:
    name = MetricName("m.json", tuple(keys))
    for more in ({"min": 0.5}, {"equals": 1}, {"versus": "base", "min_delta": 0.0, "noise": name, "confidence": 0.9}):
        gate = Gate("g", name, min_support=2, **more)  # type: ignore[arg-type]
        condition = judge(gate, {"m.json": plain(values)}, Other("main", {"m.json": plain(other)}), DAY)
        _check_statement(condition)


def _check_statement(condition: Condition) -> None:
    judgement = judged(Deployment("d", "p", "o", (condition.gate,)), {}, {}, DAY)
    judgement = type(judgement)(judgement.deployment, (condition,), ("why",))
    stamp = Stamp("1.0", "2026-11-22T00:00:00.000Z")
    predicate = {**chain_fields(Head(), stamp), "gate": {**gate_statement(judgement, "0" * 64), **BESIDE}}
    assert STATED(json.loads(json.dumps(predicate))) is None


def test_what_a_gate_came_to_fits_the_schema_of_its_record() -> None:
    waiver = Waiver("ann", "why", DAY)
    by = {"by": {"f": {"auc": 0.7, "auc_lower": 0.6, "auc_upper": 0.8, "support": 80}}}
    rich = _judge(
        by, by, metric=MetricName("m.json", ("by", "*", "auc")), min=0.9, versus="base", min_delta=0.0,
        confidence=0.9, min_support=10, waiver=waiver, warns=True,
    )  # fmt: skip
    _check_statement(rich)
    assert {"slices", "waiver", "lower", "delta", "minSupport", "severity"} <= rich.as_json().keys()


# ----- statistics


@given(st.integers(1, 500).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_the_interval_of_counts_is_wilsons(counts: tuple[int, int]) -> None:
    expected = binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert wilson(*counts, 0.95) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_the_quantile_is_that_of_the_normal_distribution(level: float) -> None:
    assert normal_quantile(level) == pytest.approx(norm.ppf((1 + level) / 2), abs=1e-9)


def test_the_band_of_the_seed_holds_nineteen_of_twenty_differences() -> None:
    source = random.Random(7)
    band = seed_band([source.gauss(0, 1) for _ in range(4000)])
    differences = [abs(source.gauss(0, 1) - source.gauss(0, 1)) for _ in range(4000)]
    assert sum(difference <= band for difference in differences) / 4000 == pytest.approx(0.95, abs=0.015)


def test_too_many_slices_are_told() -> None:
    values = {"m.json": {str(number): 1 for number in range(10_001)}}
    (row,) = found(values, MetricName("m.json", ("*",))).values()
    assert isinstance(row, Unmeasured)
