"""Verification: a recorded run and its repetition, what differs, and what is remembered of it for the run key.

A key whose result came out otherwise when it ran again is marked for good: a later repetition that leaves the same
bytes proves nothing against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.core.actions import Action
from runner.core.canonical import plain
from runner.core.leaves import difference, leaves
from runner.core.nouns import Address, Stage
from runner.core.plan import Step
from runner.core.recorded import RUNNER, Verified
from runner.core.replay import Replay
from runner.errors import ExitCode
from runner.values import dataclass, field

SAME, DIFFERS, FAILED = "same", "differs", "failed"


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One metric that came out otherwise; None where one side does not have it."""

    name: str
    """`FILE:NAME`."""
    recorded: Any
    now: Any

    @property
    def delta(self) -> float | None:
        """The difference of two numbers."""
        return difference(self.recorded, self.now)


@dataclass(frozen=True, slots=True)
class Checked:
    """One recorded run that was repeated."""

    replay: Replay
    declared: bool
    """Whether the spec says `deterministic: false`."""

    @property
    def result(self) -> str:
        """`same`, `differs`, or `failed`: the repetition left nothing to compare, which proves nothing of the key."""
        if not self.replay.after.succeeded:
            return FAILED
        return DIFFERS if self.replay.differences else SAME

    @property
    def is_complaint(self) -> bool:
        """Whether somebody should hear of it: it differs though nobody said so, or it failed."""
        return self.result == FAILED or (self.result == DIFFERS and not self.declared)

    @property
    def metrics(self) -> list[MetricChange]:
        """Metrics that are not what they were; none of a repetition that failed."""
        if self.result == FAILED:
            return []
        before, after = _metrics(self.replay.before.metrics), _metrics(self.replay.after.metrics)
        names = dict.fromkeys([*before, *after])
        rows = [MetricChange(name, before.get(name), after.get(name)) for name in names]
        return [row for row in rows if row.recorded != row.now]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, as the record states it."""
        before, after = self.replay.before, self.replay.after
        return {
            "pipeline": before.address.pipeline,
            "stage": before.address.stage,
            "key": before.key,
            "record": self.replay.record,
            "result": self.result,
            "declared": self.declared,
            "runId": after.run_id,
            "startedAt": after.started_at,
            "seconds": round(after.seconds, 3),
            "isolation": after.isolation,
            "outcome": {
                "reason": after.reason,
                "message": after.message,
                "exitCode": after.exit_code,
                "signal": after.signal,
            },
            "outs": [
                {"path": path, "recorded": recorded, "now": now or None}
                for path, recorded, now in self.replay.differences
                if self.result == DIFFERS
            ],
            "metrics": [
                {"name": row.name, "recorded": row.recorded, "now": row.now, "delta": row.delta} for row in self.metrics
            ],
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """A stage that could not be verified."""

    address: Address
    why: str
    by_host: bool = False
    """Whether only this host lacks what it takes; else it cannot be verified as things stand."""


@dataclass
class Verification:
    """What came out when what stands for some stages was run again."""

    desired: str
    """The commit that it was run again at."""
    state: str
    """The state commit that it was compared with."""
    checked: list[Checked] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    cancelled: bool = False
    """Somebody asked it to stop: nothing of it counts."""
    record: int | None = None
    """Number of the record that states it; None where nothing is recorded."""
    commit: str | None = None
    """The state commit with that record."""

    @property
    def exit_code(self) -> ExitCode:
        """FAILED where something came out otherwise and nobody said so; else what kept stages from being verified."""
        if self.cancelled:
            return ExitCode.INTERRUPTED
        if any(row.is_complaint for row in self.checked):
            return ExitCode.FAILED
        if any(row.by_host for row in self.skipped):
            return ExitCode.HOST
        return ExitCode.INPUT if self.skipped and not self.checked else ExitCode.DONE


def why_not(stage: Stage, step: Step) -> str | None:
    """Why what stands for a stage cannot be verified, as far as the specs and the state tell; None where it can."""
    if stage.frozen:
        return "it is frozen"
    if stage.always_changed:
        return "it runs for each commit anew"
    if any(out.persist for out in stage.outs):
        return "an output says `persist`: what comes out depends on the version before it"
    if not stage.outs:
        return "it has no outputs to compare"
    if step.action is not Action.KEEP or step.entry is None:
        why = f": {step.reasons[0]}" if step.reasons else ""
        return f"what stands for it is not what is asked for (the plan says {step.action.value}{why})"
    if step.entry.record is None or step.entry.provenance != RUNNER:
        return f"there is no run of it: {step.entry.provenance[:17]} vouches for what stands"
    return None


def verified_after(before: Verified | None, number: int, result: str) -> Verified:
    """What is known of a key once record `number` states this of it."""
    marked = before.differed if before is not None else None
    return Verified(number, number if result == DIFFERS else marked)


def _metrics(files: Mapping[str, Any]) -> dict[str, Any]:
    return dict(leaf for file, values in plain(dict(files)).items() for leaf in leaves(file, values, ":"))
