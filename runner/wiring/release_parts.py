"""What releases need of a reconcile's parts: bytes, the publisher, and the commit before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runner.core.gates import Other
from runner.observe.observation import Observation, observe
from runner.release.contents import Models
from runner.wiring.clone import cached_bytes, host_limits
from runner.wiring.gates import before
from runner.wiring.releases import moment_of
from runner.wiring.releasing import ReleasePublisher, Releaser

if TYPE_CHECKING:
    from runner.wiring.parts import RealParts


def releaser(parts: RealParts, observation: Observation, publisher: Callable[[], ReleasePublisher]) -> Releaser:
    """Has the releases of an observation recorded with these parts."""

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

    return Releaser(
        observation,
        publisher,
        lambda: Models(parts.cache, parts.remotes(observation)),
        commit_before,
        moment_of(parts.clock()),
    )
