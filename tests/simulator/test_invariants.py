"""Every rule of tests/invariants.py can be broken, and says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.invariants import Evidence, Ledger, Told, violations
from tests.simulator.world import Plot, World


@pytest.fixture(scope="module")
def sound() -> Evidence:
    """What is seen of a life without faults."""
    world = World(Plot(19, ()))
    assert world.run() == []
    return world.evidence


def test_a_sound_world_breaks_no_rule(sound: Evidence) -> None:
    assert violations(sound) == []
    assert len(sound.history) > 1
    assert sound.told
    assert sound.history[-1].standing


def test_each_broken_rule_is_named(sound: Evidence) -> None:
    tip = sound.history[-1]
    other = replace(tip, standing=[{**tip.standing[0], "record": 99}])
    broken = {
        "was followed by one that does not extend it": replace(
            sound, history=[*sound.history, Ledger(tip.records[1:])]
        ),
        "the chain of records is broken at 1": replace(sound, history=[Ledger(tip.records[1:])]),
        "is recorded twice": replace(sound, history=[Ledger([*tip.records, tip.records[0]])]),
        "are both accepted": replace(sound, history=[Ledger([*tip.records, tip.records[0]])]),
        "was told of and is lost": replace(sound, told=[*sound.told, Told("nobody", "00", True)]),
        "was dropped for one that is not there": replace(
            sound, told=[Told("nobody", "00", True)], dropped=frozenset({"nobody"})
        ),
        "its bytes are not there": replace(sound, has_bytes=lambda md5: False),
        "says something else": replace(sound, history=[other]),
        "does not come to rest": replace(sound, last_actions=[{"p:s": "run"}]),
        "still made the commit": replace(sound, last_commits=["c" * 40]),
        "its runner did not say so": replace(sound, untold=["c" * 40]),
        "read wrong bytes": replace(sound, read_wrong=["s"]),
    }
    for words, seen in broken.items():
        assert any(words in line for line in violations(seen)), words
