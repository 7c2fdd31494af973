"""What releases need of a reconcile's parts: bytes, the publisher, commands, and the commit before."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from runner.core.gates import Other
from runner.core.moments import of_epoch
from runner.execute.context import Event
from runner.ledger.state import State
from runner.observe.observation import Observation, observe
from runner.parts import Releasing
from runner.record.publish import Publisher
from runner.release.contents import Models
from runner.wiring.clone import cached_bytes, host_limits
from runner.wiring.deploying import Deployer
from runner.wiring.gates import before
from runner.wiring.releases import asked_servers
from runner.wiring.releasing import Releaser
from runner.wiring.signatures import Asked
from runner.wiring.tagging import tag_releases

if TYPE_CHECKING:
    from runner.wiring.parts import RealParts


def released(
    parts: RealParts, observation: Observation, state: State, stop: threading.Event, *, again: bool
) -> Releasing:
    """Decide, have what is new recorded and put to use, and have tags for what is released."""
    made = releaser(parts, observation, stop, again=again).released(state)
    tag_releases(parts, observation, made.state)
    return made


def releaser(
    parts: RealParts,
    observation: Observation,
    stop: threading.Event,
    *,
    again: bool = False,
) -> Releaser:
    """Has the releases of an observation recorded, and put to use, with these parts.

    `again`: commands that failed are tried again.
    """

    def observed(commit: str) -> Observation:
        """An earlier commit of the same branch, with what is recorded for it."""
        return observe(
            observation.reader,
            commit,
            state=observation.state,
            others=observation.others,
            trust=observation.trust,
            policy=None,
            cache=parts.parsed,
            memo=parts.memo,
            object_bytes=cached_bytes(parts.cache_root),
            limits=host_limits,
        )

    def commit_before() -> Other:
        return before(observation.reader, observation.commit, observed)

    def publisher() -> Publisher:
        return parts.publishing(observation, stop)

    watched = parts.aim(observation).watched
    asking = [
        ((deployment.name, environment.name, watched), [row.role for row in environment.approvals])
        for deployment in observation.desired.deployments
        for environment in deployment.environments
    ]
    return Releaser(
        observation,
        publisher,
        lambda: Models(parts.cache, parts.remotes(observation)),
        commit_before,
        of_epoch(parts.clock()),
        Deployer(parts, observation, publisher, observed, stop, again=again),
        lambda state: asked_servers(observation, state),
        watched,
        Asked(parts.mirror, parts.trusting, lambda text: parts.on_event(Event("notice", None, text)), asking),
    )
