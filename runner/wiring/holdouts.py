"""Uses of sealed hold-outs, counted by the records of runs that read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.core.nouns import Holdout
from runner.core.sealed import Sealed
from runner.observe.observation import Observation
from runner.values import dataclass
from runner.wiring.history import runs_of


@dataclass(frozen=True, slots=True)
class HoldoutUse:
    """How often a hold-out was read."""

    holdout: Holdout
    runs: int

    @property
    def is_spent(self) -> bool:
        """Whether it was read more often than the spec allows."""
        return self.holdout.max_uses is not None and self.runs > self.holdout.max_uses

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        paths, most = list(self.holdout.paths), self.holdout.max_uses
        return {"pipeline": self.holdout.pipeline, "paths": paths, "uses": self.runs, "maxUses": most}


def holdout_uses(observation: Observation, holdouts: Sequence[Holdout]) -> list[HoldoutUse]:
    """How many recorded runs read each hold-out, on every state branch that is known here."""
    if not holdouts:
        return []
    seals = [Sealed(holdout.paths) for holdout in holdouts]
    seen: list[set[str]] = [set() for _ in holdouts]
    states = [*([observation.state] if observation.state is not None else []), *observation.others]
    for state in states:
        for _, run in runs_of(state):
            deps = run.material.get("dep", {})
            for ids, seal in zip(seen, seals, strict=True):
                # By its id: a run that was taken over from another branch stands on both.
                if any(seal.is_read_by(path) for path in deps):
                    ids.add(run.run_id)
    return [HoldoutUse(holdout, len(ids)) for holdout, ids in zip(holdouts, seen, strict=True)]
