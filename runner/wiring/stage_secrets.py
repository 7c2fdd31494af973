"""The secrets of the stages of a plan, found before anything runs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from runner.core.actions import Action
from runner.core.plan import Plan
from runner.errors import InputError
from runner.observe.observation import Observation
from runner.process.secrets import resolve


def secrets_of(observation: Observation, plan: Plan, environ: Mapping[str, str]) -> dict[str, str]:
    """Values for every stage that may run now; raises InputError naming those that are missing."""
    settled = (Action.KEEP, Action.REUSE, Action.FAILED, Action.REMOVE)
    names: dict[str, list[str]] = {}
    for step in plan.steps:
        for name in observation.graph.stages[step.address].secrets if step.action not in settled else ():
            names.setdefault(name, []).append(str(step.address))
    values = resolve(names, environ, needed_by=names)
    # A stage that stands runs again where its bytes are lost; what it needs then is looked up, but not asked for.
    others = {name for stage in observation.desired.stages() for name in stage.secrets} - set(names)
    for name in sorted(others):
        with contextlib.suppress(InputError):
            values |= resolve([name], environ)
    return values
