"""Many writers publish to one branch without a rest, on a virtual clock: nobody waits much longer than the others.

Each writer is a host of its own with the production publisher. A step of a port takes up to 0.2 seconds, a try has five
of them, so that one writer alone needs half a second for a publication in the mean.
"""

from __future__ import annotations

import functools
import hashlib
import statistics
import threading
from dataclasses import dataclass, field

import pytest

from runner.core.nouns import Address
from runner.core.own_refs import TURNS
from runner.core.records import RunFacts
from runner.core.turns import FIRST_PATIENCE_SECONDS
from runner.errors import RaceLost
from runner.parts import Request
from tests.simulator.processes import Process
from tests.simulator.runners import BRANCH, SimulatedParts
from tests.simulator.specs import PIPELINE
from tests.simulator.world import Plot, World

RECORDS = 12
LONGEST_TRY_SECONDS = 1.0
"""Five steps at their longest."""


class SlowProcess(Process):
    """A process for which everything takes three times as long."""

    def step(self, what: str) -> None:
        scheduler = self.machine.scheduler
        scheduler.sleep(2 * scheduler.rng.random() * 0.2)
        super().step(what)


@dataclass
class Race:
    """Writers that publish one record after the other."""

    seed: int
    writers: int
    slow: int = 0
    """So many of them are slow."""
    takes_turns: bool = True
    """Whether the remote takes refs beside branches."""
    has_dead: bool = False
    """Whether somebody died in the queue, in front of all."""
    waits: dict[int, list[float]] = field(default_factory=dict)
    """By writer how long each publication took, in virtual seconds."""
    served: list[int] = field(default_factory=list)
    """Who published, one after the other."""
    overtaken: int = 0
    """How often at most one writer published while another one waited."""

    def run(self) -> Race:
        """Have them at it until each has published all of its records."""
        world = self.world = World(Plot(self.seed, ()))
        world.remote.takes_claims = self.takes_turns
        for number in range(self.writers):
            world.scheduler.start(functools.partial(self._write, world, number), 0.0)
        world.scheduler.run()
        return self

    def _write(self, world: World, number: int) -> None:
        host = world._host(number)
        process = (SlowProcess if number < self.slow else Process)(host.machine)
        parts = SimulatedParts(world, host, process)
        observation = parts.observe(Request())
        if self.has_dead:
            world.remote.repository.refs[f"{TURNS.places[0]}{BRANCH}/0"] = observation.commit
        publisher = parts.publisher(observation, threading.Event())
        self.waits[number] = []
        for record in range(RECORDS):
            began, before = world.scheduler.now, len(self.served)
            publisher.publish([facts(number, record, observation.commit)])
            others = self.served[before:]
            self.overtaken = max([self.overtaken, *(others.count(other) for other in set(others))])
            self.waits[number].append(world.scheduler.now - began)
            self.served.append(number)
            process.step("run a stage")
        parts.close()


def facts(writer: int, record: int, commit: str) -> RunFacts:
    """A run that nobody else has."""
    return RunFacts(
        run_id=f"run{writer}.{record}",
        address=Address(PIPELINE, f"w{writer}"),
        key=hashlib.sha256(f"{writer} {record}".encode()).hexdigest(),
        material={"cmd": "true"},
        succeeded=True,
        reason="ok",
        message="",
        desired=commit,
        started_at="2026-01-01T00:00:00+00:00",
        seconds=0.1,
    )


def longest(race: Race) -> float:
    """Seconds that the publication took that waited longest."""
    return max(max(waits) for waits in race.waits.values())


@pytest.mark.parametrize("writers", [2, 4, 8, 16])
def test_nobody_waits_longer_than_each_writer_needs_for_a_try_and_two_more(writers: int) -> None:
    for seed in range(4):
        race = Race(seed, writers).run()
        assert longest(race) <= (writers + 2) * LONGEST_TRY_SECONDS, seed
        assert race.overtaken <= 5, seed
        assert sorted(race.served) == sorted(list(range(writers)) * RECORDS)


def test_a_slow_writer_gets_its_time() -> None:
    """Its tries take three times as long: it waits for at most twice as long as in a queue of equals."""
    for seed in range(4):
        race = Race(seed, writers=8, slow=1).run()
        assert longest(race) <= 2 * (8 + 2) * LONGEST_TRY_SECONDS, seed
        assert race.served.count(0) == RECORDS


def test_where_a_remote_takes_no_turns_some_wait_much_longer() -> None:
    """What turns are for; and these tests would notice their absence."""
    lost, waits = 0, []
    for seed in range(6):
        race = Race(seed, writers=8, takes_turns=False)
        try:
            waits.append(longest(race.run()))
        except RaceLost:
            lost += 1
    assert lost or max(waits) > (8 + 2) * LONGEST_TRY_SECONDS


def test_a_turn_that_a_dead_runner_left_holds_nobody_for_long() -> None:
    for seed in range(4):
        race = Race(seed, writers=4, has_dead=True).run()
        assert longest(race) <= (4 + 2) * LONGEST_TRY_SECONDS + FIRST_PATIENCE_SECONDS, seed
        assert not [ref for ref in race.world.remote.repository.refs if ref.startswith(TURNS.places)], seed


def test_the_first_to_publish_again_is_who_was_served_longest_ago() -> None:
    race = Race(1, writers=8).run()
    rounds = [race.served[start : start + 8] for start in range(16, len(race.served) - 16, 8)]
    assert statistics.mean(len(set(served)) for served in rounds) > 7
