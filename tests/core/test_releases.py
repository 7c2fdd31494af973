"""Releases: every rule of the decision, and that a decision is made once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.gates import Effect
from runner.core.release_files import Files, Live, Memory, Rejected, after_gate, after_release, live_from, memory_from
from runner.core.releases import Candidate, Decision, Freeze, Outcome, Situation, decide, removals
from runner.values import replace

NOW = "2026-11-22T12:00:00.000Z"
FROZEN = Freeze("2026-11-20T00:00:00.000Z", "2026-11-23T00:00:00.000Z", "the fair")


def situation(**more: Any) -> Situation:
    plain = Situation(Candidate("new"), "", Live(1, "old", "s"), Memory(1), "p", "s", Effect.PASS, moment=NOW)
    return replace(plain, **more)


RULES: list[tuple[str, dict[str, Any], Outcome, str]] = [
    ("a better model", {}, Outcome.RELEASE, "it replaces v1"),
    ("the first model", {"live": None, "memory": Memory()}, Outcome.RELEASE, "there is no champion"),
    ("no model yet", {"candidate": None, "why_none": "train is to run"}, Outcome.KEEP, "v1 stays: train is to run"),
    ("no model, and none before", {"candidate": None, "live": None}, Outcome.KEEP, "nothing is released"),
    ("the same again", {"live": Live(1, "new", "s")}, Outcome.KEEP, "v1 stands"),
    ("served otherwise", {"live": Live(1, "new", "t"), "effect": Effect.FAIL}, Outcome.SETTINGS, "model of v1"),
    ("changed gates alone", {"live": Live(1, "new", "s"), "spec": "q", "effect": Effect.FAIL}, Outcome.KEEP, "v1"),
    (
        "withdrawn",
        {"live": None, "memory": Memory(2, {}, (Rejected("new", "p", 2, "bad"),))},
        Outcome.HELD,
        "withdrawn (bad)",
    ),
    ("rolled back", {"memory": Memory(3, {}, (Rejected("new", "p", 2, "bad"),))}, Outcome.HELD, "rolled back (bad)"),
    (
        "served otherwise, and rolled back so",
        {"live": Live(3, "new", "t"), "memory": Memory(3, {}, (Rejected("new", "p", 2, "bad"),))},
        Outcome.HELD,
        "rolled back (bad)",
    ),
    ("rolled back, other spec", {"memory": Memory(2, {}, (Rejected("new", "q", 2, "bad"),))}, Outcome.RELEASE, "v1"),
    ("failing gates", {"effect": Effect.FAIL, "gates": ("auc: 0.6",)}, Outcome.REFUSED, "auc: 0.6"),
    ("unsure gates", {"effect": Effect.HOLD, "gates": ("too few",)}, Outcome.HELD, "too few"),
    ("a missing signature", {"missing": ("ethics has not approved",)}, Outcome.HELD, "ethics has not approved"),
    ("a frozen window", {"freezes": (FROZEN,)}, Outcome.HELD, "before 2026-11-23T00:00:00.000Z: the fair"),
    ("after the window", {"freezes": (FROZEN,), "moment": FROZEN.end}, Outcome.RELEASE, "v1"),
    (
        "pinned, whatever its gates say",
        {"candidate": Candidate("new", True), "effect": Effect.FAIL},
        Outcome.RELEASE,
        "",
    ),
    ("a pickle that nobody named", {"faults": ("pickle",)}, Outcome.REFUSED, "pickle"),
]


@pytest.mark.parametrize(("what", "given", "outcome", "why"), RULES, ids=[rule[0] for rule in RULES])
def test_each_rule_decides(what: str, given: dict[str, Any], outcome: Outcome, why: str) -> None:
    found = decide(situation(**given))
    assert found.outcome is outcome
    assert why in found.why


def test_a_version_is_never_used_twice() -> None:
    assert decide(situation(memory=Memory(7))).version == 8
    assert decide(situation(live=None, memory=Memory(7))).version == 8


def test_a_refusal_is_news_once_for_each_model_and_spec() -> None:
    refused = situation(effect=Effect.FAIL, gates=("no",))
    assert decide(refused).news
    assert not decide(replace(refused, memory=Memory(1, {}, (), ("new", "p")))).news
    assert decide(replace(refused, memory=Memory(1, {}, (), ("new", "other")))).news


def test_what_holds_is_no_news_for_it_may_be_another_tomorrow() -> None:
    assert not decide(situation(effect=Effect.HOLD, gates=("no",))).news


@pytest.mark.parametrize(
    ("stated", "released", "allowed", "gone", "stopped"),
    [
        ("ab", "ab", False, "", False),
        ("a", "ab", False, "b", False),
        ("", "a", False, "a", False),
        ("", "ab", False, "ab", True),
        ("ab", "abcd", False, "cd", False),
        ("a", "abcd", False, "bcd", True),
        ("a", "abcd", True, "bcd", False),
    ],
)
def test_a_sharp_loss_of_deployments_is_stopped(
    stated: str, released: str, allowed: bool, gone: str, stopped: bool
) -> None:
    found, why = removals(stated, released, allowed)
    assert found == tuple(gone)
    assert bool(why) is stopped


def stated_of(now: Situation, found: Decision, event: str) -> dict[str, Any]:
    names = dict.fromkeys(("format", "stage", "run", "key", "commit", "at", "serving"), "x")
    assert now.candidate is not None
    row = {"event": event, "deployment": "d", "environment": "e", "version": found.version, "replaces": found.replaces}
    return {
        **names,
        **row,
        "model": {"md5": now.candidate.md5},
        "spec": now.spec,
        "settings": now.settings,
        "quarantined": None,
    }


def recorded(files: Files, now: Situation, number: int) -> Files:
    """The files after a decision was recorded."""
    found = decide(now)
    if not found.news or now.candidate is None:
        return files
    verdict = {"deployment": "d", "environment": "e", "md5": now.candidate.md5, "spec": now.spec}
    if found.outcome is not Outcome.SETTINGS:
        files = after_gate(files, number, {**verdict, "outcome": found.outcome.value})
    if found.outcome is Outcome.REFUSED:
        return files
    return after_release(files, number + 1, stated_of(now, found, found.outcome.value))


moves = st.builds(
    Situation,
    candidate=st.none() | st.builds(Candidate, st.sampled_from("abc"), st.booleans()),
    why_none=st.just("none"),
    live=st.none(),
    memory=st.just(Memory()),
    spec=st.sampled_from("pq"),
    settings=st.sampled_from("st"),
    effect=st.sampled_from(list(Effect)),
    gates=st.just(("gate",)),
    missing=st.sampled_from([(), ("sign",)]),
    faults=st.sampled_from([(), (), ("fault",)]),
    freezes=st.sampled_from([(), (FROZEN,)]),
    moment=st.just(NOW),
)


@given(st.lists(moves, min_size=1, max_size=8))
def test_what_was_decided_is_decided_once_and_versions_only_count_up(story: list[Situation]) -> None:
    files, versions = Files(None, None), [0]
    for number, move in enumerate(story):
        now = replace(move, live=live_from(files.live), memory=memory_from(files.memory))
        found = decide(now)
        files = recorded(files, now, 2 * number + 1)
        after = replace(now, live=live_from(files.live), memory=memory_from(files.memory))
        again = decide(after)
        assert not again.news
        if found.outcome in (Outcome.RELEASE, Outcome.SETTINGS):
            assert again.outcome is Outcome.KEEP
            assert found.version is not None
            versions.append(found.version)
        else:
            assert again.outcome is found.outcome
    assert versions == list(range(len(versions)))


def test_a_rollback_is_remembered_until_its_model_is_released_again() -> None:
    now = situation(live=None, memory=Memory())
    files = after_release(Files(None, None), 2, stated_of(now, decide(now), "release"))
    rejected = {"version": 1, "model": "new", "spec": "p", "reason": "bad"}
    back = {**stated_of(situation(candidate=Candidate("old")), Decision(Outcome.RELEASE, "", 2, 1), "rollback")}
    files = after_release(files, 3, {**back, "quarantined": rejected})
    memory = memory_from(files.memory)
    assert (memory.last, memory.versions, memory.rejected) == (2, {1: 2, 2: 3}, (Rejected("new", "p", 1, "bad"),))
    files = after_release(files, 4, stated_of(now, Decision(Outcome.RELEASE, "", 3, 2), "release"))
    assert memory_from(files.memory).rejected == ()
    place = {"deployment": "d", "environment": "e"}
    gone = after_release(files, 5, {**place, "event": "removed", "model": None, "quarantined": None})
    assert gone.live is None
    assert memory_from(gone.memory).last == 3
