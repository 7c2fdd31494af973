"""The releases of one reconcile: decided on the newest state until nothing is new, and published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from runner.core.gates import Other
from runner.core.releases import Outcome, Verdict
from runner.ledger.state import State
from runner.observe.observation import Observation
from runner.parts import Releasing
from runner.record.publish import Published
from runner.release.contents import Models
from runner.values import dataclass
from runner.wiring.releases import Releases

_MOST_ROUNDS = 20
"""From one environment to the next; there are few of them."""


class ReleasePublisher(Protocol):
    """Publishes what is decided: `runner.record.publish.Publisher`."""

    def publish_releases(self, decide: Callable[[State], Sequence[Verdict]]) -> Published:
        """Raises HostError, RaceLost and Held."""


@dataclass(frozen=True, slots=True)
class Releaser:
    """Has releases recorded for one observation."""

    observation: Observation
    publisher: Callable[[], ReleasePublisher]
    """Made only where there is something to record."""
    models: Callable[[], Models]
    before: Callable[[], Other]
    moment: str

    def released(self, state: State) -> Releasing:
        """Decide on a state, and publish what is new; what one environment releases may go on to the next."""
        first = Releases(self.observation, state, self.moment, self.before).verdicts()
        if not any(verdict.decision.news for verdict in first):
            return Releasing(tuple(first), (), state)
        publisher, models = self.publisher(), self.models()
        told: dict[tuple[str, str], Verdict] = {}
        commits: list[str] = []

        def decide(newest: State) -> Sequence[Verdict]:
            found = Releases(self.observation, newest, self.moment, self.before, models).verdicts()
            for verdict in found:
                place = verdict.deployment, verdict.environment
                if place not in told or verdict.decision.outcome is not Outcome.KEEP:
                    told[place] = verdict
            return found

        for _ in range(_MOST_ROUNDS):
            published = publisher.publish_releases(decide)
            state = published.state or state
            if published.commit is None:
                break
            commits.append(published.commit)
        return Releasing(tuple(told.values()), tuple(commits), state)
