"""What a commit asks for that this host or its records cannot give; decided here for plans and for `validate`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from runner.core.nouns import Desired, Stage
from runner.core.plan import frozen_finding, frozen_result
from runner.errors import Finding
from runner.ledger.state import State
from runner.specs.desired import Reading
from runner.values import dataclass


@dataclass(frozen=True, slots=True)
class HostLimits:
    """What this host has to give to stages."""

    cpu: float
    memory_bytes: int


def host_findings(stages: Iterable[Stage], limits: Callable[[], HostLimits]) -> list[Finding]:
    """Stages that ask for more cores or memory than the host has."""
    demanding = [stage for stage in stages if stage.resources.cpu or stage.resources.memory_bytes]
    return [finding for stage in demanding for finding in _too_large(stage, limits())]


def _too_large(stage: Stage, limits: HostLimits) -> list[Finding]:
    place, found = stage.place, []
    hint = "lower `resources`, or run it on a larger host"
    if stage.resources.cpu > limits.cpu:
        message = f"stage {stage.address.stage} asks for {stage.resources.cpu:g} cores, this host has {limits.cpu:g}"
        found.append(Finding(place.file, place.line, place.column, message, hint))
    if limits.memory_bytes and stage.resources.memory_bytes > limits.memory_bytes:
        asked, has = stage.resources.memory_bytes / 2**30, limits.memory_bytes / 2**30
        message = f"stage {stage.address.stage} asks for {asked:.1f} GiB of memory, this host has {has:.1f}"
        found.append(Finding(place.file, place.line, place.column, message, hint))
    return found


def frozen_findings(reading: Reading, state: Callable[[], State | None]) -> list[Finding]:
    """Frozen stages for which nothing stands, as far as the specs can be read; the state is only asked for any."""
    desired = reading.desired
    frozen = [stage for stage in desired.stages() if stage.frozen and not stage.not_handled]
    known = [stage for stage in frozen if stage.address not in reading.unvouched]
    recorded = state() if known else None
    return [finding for stage in known for finding in _without_result(stage, recorded, desired)]


def _without_result(stage: Stage, recorded: State | None, desired: Desired) -> list[Finding]:
    entry = recorded.current(stage.address) if recorded is not None else None
    result = frozen_result(stage, entry, desired.locks.get(stage.address))
    return [frozen_finding(stage)] if result is None else []
