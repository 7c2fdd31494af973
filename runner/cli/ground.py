"""What a plan or a status stands on, gathered from a clone for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.core.actions import Action
from runner.core.outline import Outline
from runner.report.plan_view import Ground, WayOut
from runner.wiring.clone import Clone
from runner.wiring.revision import Aim, branch_named

if TYPE_CHECKING:
    from runner.core.plan import Plan


def ground_of(clone: Clone, plan: Plan | Outline, has_specs: bool, aim: Aim, rev: str | None, *more: str) -> Ground:
    """The words around a plan; `more` is said of the state."""
    message = clone.reader.commit(plan.desired).message.strip()
    age = clone.state_age(plan.state)
    return Ground(
        branch=branch_named(clone.reader, rev) or rev,
        subject=message.splitlines()[0] if message else "",
        state=aim.state,
        of_state=tuple(text for text in (age, *more) if text),
        has_remote=clone.has_remote,
        has_specs=has_specs,
        way_out=_way_out(clone, plan, aim),
    )


def _way_out(clone: Clone, plan: Plan | Outline, aim: Aim) -> WayOut:
    steps = plan.lines if isinstance(plan, Outline) else plan.steps
    if all(step.action is not Action.FAILED for step in steps):
        return WayOut()
    from runner.wiring.failures import way_out  # imported late: start-up

    return way_out(clone, steps, aim.state, aim.request)
