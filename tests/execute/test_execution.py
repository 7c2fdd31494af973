"""What starts while a result is written down, and what waits until it is."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from runner.core.digests import md5_hex
from runner.core.nouns import Stage, Trust
from runner.core.plan import Step, make_plan
from runner.core.recorded import OutFact
from runner.core.records import RunFacts
from runner.core.schedule import Queue
from runner.errors import HostError
from runner.execute.execution import Execution, Finished, Outcome, Sink
from tests.core.facts import FakeInputs, World, desired, stage


class InOrder:
    """Work that is done when it is asked for, the oldest first."""

    def __init__(self) -> None:
        self._begun: collections.deque[Callable[[], Finished]] = collections.deque()

    def start(self, work: Callable[[], Finished]) -> None:
        """Nothing yet."""
        self._begun.append(work)

    def next(self, timeout_seconds: float) -> Finished | None:
        """What the oldest comes to."""
        return self._begun.popleft()()

    def close(self) -> None:
        """Nothing waits."""


def events(stages: Sequence[Stage], *, jobs: int, fails: str = "", refused: str = "") -> tuple[list[str], Outcome]:
    """What happens in turn: `+a` where the stage starts, `a` where its result is written down.

    `fails`: a stage without success; `refused`: one whose result cannot be written down.
    """
    walk = World(desired(*stages), FakeInputs()).walk()
    plan = make_plan(walk, None)
    seen: list[str] = []

    def held_elsewhere(step: Step) -> None:  # which is asked right before a stage starts
        seen.append(f"+{step.address.stage}")

    def run(walk: Any, context: Any, materials: Any, step: Step, stop: Any, *, remade: bool) -> RunFacts:
        name = step.address.stage
        assert step.key is not None
        assert step.material is not None
        outs = tuple(OutFact(out.path, md5_hex(name.encode())) for out in walk.graph.stages[step.address].outs)
        succeeded = name != fails
        return RunFacts(
            run_id=name,
            address=step.address,
            key=step.key,
            material=step.material.as_json(),
            succeeded=succeeded,
            reason="ok" if succeeded else "failed",
            message="",
            desired=walk.desired.commit,
            started_at="",
            seconds=0.1,
            outs=outs if succeeded else (),
        )

    def keep(run: RunFacts) -> None:
        if run.run_id == refused:
            raise HostError("the disk is full")
        seen.append(run.run_id)

    context: Any = SimpleNamespace(
        cache=None, remotes=None, trust=Trust.PROPOSED, on_event=lambda event: None, held_elsewhere=held_elsewhere
    )
    queue: Queue[Stage] = Queue(jobs=jobs, cpu=jobs, memory_bytes=0, heights=walk.graph.heights())
    sink = Sink(keep, lambda running: None)
    execution = Execution(walk, plan, context, queue, sink, threading.Event(), InOrder(), run)
    try:
        return seen, execution.go()
    except HostError:
        return seen, execution.outcome


def test_a_stage_that_is_ready_starts_before_the_result_that_made_room_is_written_down() -> None:
    seen, _ = events([stage(name, outs=[name]) for name in "abcd"], jobs=2)
    assert seen == ["+a", "+b", "+c", "a", "+d", "b", "c", "d"]


def test_one_stage_at_a_time_is_told_of_one_after_the_other() -> None:
    seen, _ = events([stage(name, outs=[name]) for name in "abc"], jobs=1)
    assert seen == ["+a", "a", "+b", "b", "+c", "c"]


def test_what_a_result_makes_ready_starts_once_it_is_written_down() -> None:
    seen, _ = events([stage("a", outs=["a"]), stage("b", ["a"], ["b"])], jobs=2)
    assert seen == ["+a", "a", "+b", "b"]


def test_a_less_urgent_stage_does_not_take_the_place_of_what_a_result_makes_ready() -> None:
    chain = [stage("a", outs=["a"]), stage("b", ["a"], ["b"]), stage("c", ["b"], ["c"])]
    seen, _ = events([*chain, stage("y", outs=["y"]), stage("z", outs=["z"])], jobs=2)
    assert seen == ["+a", "+y", "a", "+b", "+z", "y", "b", "+c", "z", "c"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_result_that_cannot_be_written_down_lets_nothing_more_start_than_what_took_its_place(jobs: int) -> None:
    seen, _ = events([stage(name, outs=[name]) for name in "abcd"], jobs=jobs, refused="a")
    started = [name for name in seen if name.startswith("+")]
    kept = [name for name in seen if not name.startswith("+")]
    assert (started, kept) == {1: (["+a"], []), 2: (["+a", "+b", "+c"], ["b", "c"])}[jobs]


def test_a_failed_stage_gives_its_place_away_as_any_other() -> None:
    seen, outcome = events([stage(name, outs=[name]) for name in "abc"], jobs=2, fails="a")
    assert seen == ["+a", "+b", "+c", "a", "b", "c"]
    assert [run.succeeded for run in outcome.runs] == [False, True, True]
