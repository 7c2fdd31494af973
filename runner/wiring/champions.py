"""The release that stands, as something that the gates compare a model with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.core.gates import Deployment, Other
from runner.errors import Held
from runner.ledger.state import State

NO_CHAMPION = Other("nothing is released yet", None)


def released_of(state: State, number: int) -> Mapping[str, Any]:
    """What the record of a release says; raises Held where there is none of that number."""
    record = state.record(number)
    stated = record.own.get("release") if record is not None else None
    if not isinstance(stated, Mapping):
        raise Held(f"record {number} is none of a release", "`runner audit verify` says what is wrong")
    return stated


def champion_of(state: State | None, live: Mapping[str, Any] | None) -> Other:
    """What was recorded when the standing release was made."""
    if state is None or live is None:
        return NO_CHAMPION
    stated = released_of(state, live["record"])
    return Other(f"the champion v{live['version']}", stated["metrics"], stated["commit"])


def standing_champion(state: State | None, deployment: Deployment) -> Other:
    """The champion of a deployment in the first of its environments, where a new model is released first."""
    if state is None or not deployment.environments or not state.has_releases():
        return NO_CHAMPION
    return champion_of(state, state.release_files(deployment.name, deployment.environments[0].name).live)
