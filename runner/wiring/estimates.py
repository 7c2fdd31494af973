"""What a plan costs in time: what is known of earlier runs, how long it takes here, and whether a budget allows it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from runner.core.actions import Action
from runner.core.estimates import Price, Work, estimate_of, last_error, price_of
from runner.core.nouns import Address
from runner.core.plan import Plan
from runner.core.recorded import Took
from runner.core.records import RunFacts, run_told
from runner.errors import Held, RunnerError
from runner.ledger.state import State
from runner.observe.observation import Observation
from runner.report.style import duration
from runner.wiring.capacity import here

RUNNABLE = (Action.RUN, Action.WAIT, Action.PROBE)
"""Actions of stages that may run."""
_NEWEST = 100
"""Newest records that are read, where what stands does not say what it took: older runners did not write that."""
_MOST_OF_GROUP = 10
"""Other members of a group that count for one of which nothing is known."""
_MOST_OTHERS = 2
"""Other state branches that are asked where this one knows nothing."""

Samples = dict[Address, list[tuple[float, str]]]


def work_of(plan: Plan, observation: Observation) -> tuple[Work, ...]:
    """The stages that a plan may run, with what their earlier runs took; nothing is read where there are none."""
    wanted = [step.address for step in plan.steps if step.action in RUNNABLE]
    if not wanted:
        return ()
    samples = _samples(wanted, observation)
    groups = _groups(samples)
    chosen = set(wanted)
    stages, upstream = observation.graph.stages, observation.graph.upstream
    found = []
    for address in wanted:
        stage = stages[address]
        own = samples.get(address, [])
        group = None if own else _group(address)
        others = groups.get(group, []) if group is not None else []
        found.append(
            Work(
                address,
                needs=tuple([need for need in upstream[address] if need in chosen]),
                cpu=stage.resources.cpu,
                memory_bytes=stage.resources.memory_bytes,
                mutex=stage.mutex,
                samples=tuple(own or others[:_MOST_OF_GROUP]),
                of_group=not own and bool(others),
            )
        )
    return tuple(found)


def check_budget(plan: Plan, observation: Observation, seconds: float, jobs: int | None) -> None:
    """Raises Held where what the plan runs is estimated to take longer than this."""
    price = price_of(work_of(plan, observation), here(jobs))
    if price.seconds <= seconds:
        return
    raise Held(
        f"the plan is over its budget: about {duration(price.seconds)} of {duration(seconds)}{_unknown(price)}",
        "`runner plan` shows what takes how long; `--over-budget` runs it all the same, `--only STAGE` a part of it",
    )


def time_of(address: Address, observation: Observation) -> dict[str, Any] | None:
    """What a stage may take, and by which part of it the estimate before its last run was wrong; None if unknown."""
    samples = _samples([address], observation).get(address, [])
    kind = here(None).host_class
    estimate = estimate_of(samples, kind)
    if estimate is None:
        return None
    error = last_error(samples, kind)
    return {**estimate.as_json(), "lastError": None if error is None else round(error, 3)}


def samples_of(state: State, wanted: Iterable[Address]) -> Samples:
    """What earlier runs of stages, and of others of their groups, took, the newest first; as what stands says it."""
    chosen = set(wanted)
    groups = set(filter(None, map(_group, chosen)))
    found: Samples = {}
    silent: dict[int, Address] = {}
    for address, record, times in state.standing().times():
        if address not in chosen and _group(address) not in groups:
            continue
        if times:
            found[address] = times
        elif record is not None:
            silent[record] = address
    return found | _read(state, silent)


def _read(state: State, silent: Mapping[int, Address]) -> Samples:
    """What the records of some stages say, the newest ones; one that is damaged tells nothing here."""
    files = set(state.record_files()) if silent else set()
    numbers = sorted(files.intersection(silent), reverse=True)[:_NEWEST]
    found: Samples = {}
    for number, data in zip(numbers, state.records_told(numbers), strict=True):
        took = _taken(data, number)
        found |= {} if took is None else {silent[number]: [(took.seconds, took.host)]}
    return found


def _samples(wanted: list[Address], observation: Observation) -> Samples:
    states = [] if observation.state is None else [observation.state]
    found = samples_of(states[0], wanted) if states else {}
    for state in observation.others[:_MOST_OTHERS]:
        left = [address for address in wanted if address not in found]
        if not left:
            break
        with contextlib.suppress(RunnerError):  # anybody's proposal may be damaged; whoever uses it is told
            found = samples_of(state, left) | found
    return found


def _taken(data: bytes, number: int) -> Took | None:
    run = run_told(data)
    try:
        return None if run is None else RunFacts.from_json(run).took(number)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def _groups(samples: Mapping[Address, list[tuple[float, str]]]) -> Samples:
    found: Samples = {}
    for address, rows in samples.items():
        group = _group(address)
        if group is not None:
            found.setdefault(group, []).extend(rows[:1])
    return found


def _group(address: Address) -> Address | None:
    """The group that a stage is a member of; None for a stage by itself."""
    if "@" not in address.stage:
        return None
    return Address(address.pipeline, address.stage.partition("@")[0])


def _unknown(price: Price) -> str:
    return f", and nothing is known of {price.names_unknown()}" if price.unknown else ""
