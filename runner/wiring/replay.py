"""`runner replay`: run a recorded run again at its commit, with its inputs, and compare what comes out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from runner.core.plan import Plan
from runner.core.records import RunFacts
from runner.core.replay import Replay
from runner.errors import HostError, InputError
from runner.execute.context import Event
from runner.execute.execution import Sink
from runner.ledger.state import State
from runner.parts import Request
from runner.values import replace
from runner.wiring.parts import Settings
from runner.wiring.repository import Repository


def replay_record(
    repository: Repository,
    name: str,
    settings: Settings,
    environ: Mapping[str, str],
    on_event: Callable[[Event], None],
    stop: threading.Event,
) -> Replay:
    """Run record `name` again; nothing is recorded of it. Raises InputError where its inputs are not what they were."""
    settings = replace(settings, run_cache=False, claims=False)  # a replay is a run, or it proves nothing
    parts = repository.parts(settings, environ, on_event, lambda plan, observation: None)
    state = parts.observe(Request()).state
    if state is None:
        raise InputError("nothing is recorded yet", "run `runner reconcile` first")
    before, sequence = _recorded(state, name)
    observation = parts.observe(Request(rev=before.desired))
    if before.address not in observation.graph.stages:
        raise InputError(f"{before.address} is not in the specs of {before.desired[:12]} any more")
    plan, walk = observation.plan()
    step = walk.made_again(observation.graph.stages[before.address])
    if step.key != before.key:
        raise InputError(
            f"the inputs of record {sequence} cannot be put together again",
            "a result before it was lost or made anew; `runner explain` shows the inputs",
        )
    only = Plan(plan.desired, plan.state, (step,), plan.recorded_digest)
    runs: list[RunFacts] = []
    outcome = parts.execute(walk, only, observation, Sink(runs.append, lambda running: None), stop)
    for error in outcome.host_errors.values():
        raise error
    found = next((run for run in runs if run.address == before.address), None)
    if found is None:
        raise HostError("the replay was cancelled")
    return Replay(sequence, before, found)


def _recorded(state: State, name: str) -> tuple[RunFacts, int]:
    if not name.isdecimal():
        raise InputError(f"{name} is not the number of a record", "`runner runs list` shows them")
    record = state.record(int(name))
    if record is None or record.run is None:
        raise InputError(f"there is no recorded run {name}", "`runner runs list` shows them")
    return record.run, record.sequence
