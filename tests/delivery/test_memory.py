"""What a server that pulls decides: every answer and event, without a process or a clock."""

from __future__ import annotations

from typing import Any

from runner.delivery.memory import AskHere, GiveUp, Memory, Swap, Vacate, happened, heard

EVERY = 10.0


def said(memory: Memory, now: float = 0.0, **answer: Any) -> tuple[Memory, Any]:
    told = {"commit": "c1", "why": "so it is", "id": "i1", "lasting": True, **answer}
    if told["say"] in ("release", "kept"):
        told["release"] = {"version": told.pop("version")}
    return heard(memory, told, now, 1000.0 + now, EVERY)


def serving(version: int = 3) -> Memory:
    memory, action = said(Memory(), say="release", version=version)
    assert isinstance(action, Swap)
    return happened(memory, "serving", version, "", 0.0, EVERY)


def test_nothing_that_goes_wrong_takes_away_what_serves() -> None:
    memory = serving()
    for answer in ("unreachable", "held", "same"):
        known, action = said(memory, say=answer)
        assert (known.serving, action) == (3, None)
    known, action = said(memory, say="failed", version=4, id="i2")
    assert (known.serving, action) == (3, None)
    known, _ = said(memory, say="release", version=4, id="i2")
    assert happened(known, "failed", 4, "NaN", 0.0, EVERY).serving == 3


def test_a_failed_release_is_tried_again_after_longer_and_longer_times_and_at_once_when_it_changes() -> None:
    memory = serving()
    waits = []
    now = 0.0
    for _ in range(9):
        memory, _ = said(memory, now, say="failed", version=4, id="i2")
        assert memory.again_at is not None
        assert memory.question(now)["known"] == ["i1", "i2"]
        waits.append(memory.again_at - now)
        now = memory.again_at
        assert memory.question(now)["known"] == ["i1"]
    assert waits[:3] == [10.0, 20.0, 40.0]
    assert waits[-1] == 600.0
    memory, action = said(memory, now, say="release", version=5, id="i3")
    assert isinstance(action, Swap)
    memory = happened(memory, "serving", 5, "", now, EVERY)
    assert (memory.failed, memory.tries, memory.again_at) == (None, 0, None)


def test_a_release_that_does_not_load_is_given_to_the_server_again_after_a_minute_and_not_before() -> None:
    memory, _ = said(serving(), say="release", version=4, id="i2")
    memory = happened(memory, "failed", 4, "NaN", 100.0, EVERY)
    assert memory.failed is not None
    assert memory.failed.as_json() == {"version": 4, "why": "NaN", "lasting": True}
    assert "i2" in memory.question(159.0)["known"]
    assert "i2" not in memory.question(160.0)["known"]
    again, _ = said(memory, 160.0, say="release", version=4, id="i2")
    assert happened(again, "failed", 4, "NaN", 160.0, EVERY).again_at == 280.0


def test_what_is_held_stays_so_until_git_says_something_else() -> None:
    memory, _ = said(serving(), say="held", commit="c2")
    assert memory.question(0.0)["commit"] == "c2"
    memory, _ = said(memory, say="same", commit="c2", id=None)
    assert memory.held == "so it is"
    memory, _ = said(memory, say="unreachable")
    memory, _ = said(memory, say="same", commit="c2", id=None)
    assert (memory.held, memory.unreachable) == ("so it is", None)
    memory, _ = said(memory, say="same", commit="c1", id="i1")
    assert (memory.held, memory.failed) == (None, None)
    memory, _ = said(memory, say="held", commit=None)
    assert memory.question(0.0)["commit"] is None


def test_what_was_served_last_is_asked_for_where_git_says_nothing_and_only_then() -> None:
    for answer in ("unreachable", "held", "failed"):
        memory, action = said(Memory(), say=answer, version=4)
        assert isinstance(action, AskHere)
        memory, action = said(memory, say="kept", version=3)
        assert isinstance(action, Swap)
        memory = happened(memory, "serving", 3, "", 0.0, EVERY)
        assert said(memory, say="unreachable")[1] is None
    memory, action = said(Memory(), say="unreachable")
    memory, action = said(memory, say="nothing")
    assert action == Vacate("loading", "so it is")
    assert said(memory, say="unreachable")[1] is None
    assert isinstance(said(memory, say="release", version=1)[1], Swap)


def test_a_removal_is_told_from_a_deployment_that_was_never_released() -> None:
    assert said(serving(), say="gone")[1] == Vacate("drained", "so it is", 404)
    assert said(Memory(), say="none")[1] == Vacate("waiting", "so it is", 503)
    assert isinstance(said(Memory(), say="several", hint="")[1], GiveUp)


def test_a_remote_that_is_away_is_asked_less_often_and_the_first_answer_ends_that() -> None:
    memory = serving()
    waits = []
    for _ in range(5):
        memory, _ = said(memory, say="unreachable")
        waits.append(memory.wait_seconds(EVERY))
    assert waits == [10.0, 20.0, 40.0, 60.0, 60.0]
    assert memory.checked_at == 1000.0
    memory, _ = said(memory, 5.0, say="same")
    assert (memory.wait_seconds(EVERY), memory.checked_at, memory.unreachable) == (EVERY, 1005.0, None)
    assert memory.missed_ever == 5


def test_a_release_that_serves_and_fails_again_is_tried_after_longer_and_longer_times() -> None:
    memory, now, waits = serving(), 0.0, []
    for _ in range(4):
        memory, action = said(memory, now, say="release", version=4, id="i2")
        assert isinstance(action, Swap)
        memory = happened(memory, "serving", 4, "", now, EVERY)
        assert memory.failed is None
        memory, _ = said(memory, now, say="same", id="i2", commit="another")
        memory = happened(memory, "failed", 4, "its worker died 3 times", now, EVERY)
        assert memory.again_at is not None
        waits.append(memory.again_at - now)
        memory = happened(memory, "serving", 3, "", now, EVERY)
        now = memory.again_at or now
    assert waits == [60.0, 120.0, 240.0, 480.0]
