"""What a plan or a status stands on, gathered from a clone for people to read."""

from __future__ import annotations

from runner.observe.observation import Observation
from runner.report.plan_view import Ground
from runner.wiring.clone import Clone
from runner.wiring.revision import Aim, branch_named


def ground_of(clone: Clone, observation: Observation, aim: Aim, rev: str | None, *more: str) -> Ground:
    """The words around an observation; `more` is said of the state."""
    state = observation.state
    message = clone.reader.commit(observation.commit).message.strip()
    age = clone.state_age(state)
    return Ground(
        branch=branch_named(clone.reader, rev) or rev,
        subject=message.splitlines()[0] if message else "",
        state=aim.state,
        of_state=tuple(text for text in (age, *more) if text),
        has_remote=clone.has_remote,
        has_specs="runner.yaml" in observation.tree.files or bool(observation.desired.pipelines),
    )
