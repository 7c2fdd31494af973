"""The releases of one reconcile: decided on the newest state until nothing is new, published, and put to use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from runner.core.gates import Other
from runner.core.releases import Outcome, Verdict
from runner.core.targets import Asked, Standing
from runner.ledger.state import State
from runner.observe.observation import Observation
from runner.parts import Releasing
from runner.record.publish import Published
from runner.release.contents import Models
from runner.values import dataclass, field, replace
from runner.wiring.holding import Outward
from runner.wiring.releases import Releases
from runner.wiring.standings import Place

_MOST_ROUNDS = 200
"""From one environment to the next, and from one command to the next."""
_BACK = (Outcome.ROLLED_BACK, Outcome.WITHDRAWN)


class ReleasePublisher(Protocol):
    """Publishes what is decided: `runner.record.publish.Publisher`."""

    def publish_releases(self, decide: Callable[[State], Sequence[Verdict]]) -> Published:
        """Raises HostError, RaceLost and Held."""


class Commands(Protocol):
    """Runs commands of targets: `runner.wiring.deploying.Deployer`."""

    troubles: dict[Place, Standing]
    """Where a command could not even be run, or could not take away what is gone."""

    def next(self, places: Sequence[Place], state: State) -> tuple[State, str | None] | None:
        """Run the next command at these places, and have its outcome recorded; None where there is none."""


@dataclass
class Releaser:
    """Has releases recorded for one observation, and put to use."""

    observation: Observation
    publisher: Callable[[], ReleasePublisher]
    """Made only where there is something to record."""
    models: Callable[[], Models]
    before: Callable[[], Other]
    moment: str
    commands: Commands
    ask: Callable[[State], Mapping[Place, Sequence[Asked]]]
    """What servers say."""
    watched: str
    outward: Outward
    _asked: Mapping[Place, Sequence[Asked]] = field(default_factory=dict)
    _told: dict[Place, Verdict] = field(default_factory=dict)
    _commits: list[str] = field(default_factory=list)
    _is_late: bool = False
    """Whether something newer was recorded meanwhile."""

    def released(self, state: State) -> Releasing:
        """Decide on a state, publish what is new, and run the commands that put it to use.

        What one environment releases may go on to the next, and what fails is decided again.
        """
        self._asked = self.ask(state)
        verdicts = self._verdicts(state)
        if any(verdict.decision.news for verdict in verdicts):
            models = self.models()
            state = self._published(state, models)
            verdicts = self._verdicts(state)
        for _ in range(_MOST_ROUNDS):
            open_to = [] if self._is_late else verdicts
            places = [(row.deployment, row.environment) for row in open_to if _has_command(row)]
            done = self.commands.next(places, state) if places else None
            if done is None:
                break
            state, commit = done
            self._commits += [commit] if commit is not None else []
            state = self._published(state, self.models())
            verdicts = self._verdicts(state)
        if self._is_late:
            verdicts = []  # whoever recorded something newer meanwhile decides
        elif self._commits:
            self._asked = self.ask(state)  # of what was recorded since
            verdicts = self._verdicts(state)
        if self._commits and (taken := [row for verdict in self._told.values() for row in verdict.approvals]):
            self.outward.taken_over(taken)
        return Releasing(tuple(self._final(verdicts)), tuple(self._commits), state)

    def put_to_use(self, state: State, place: Place) -> Standing | None:
        """Run the command of one place alone: what is known of it then."""
        while (done := self.commands.next([place], state)) is not None:
            state = done[0]
        now = {(verdict.deployment, verdict.environment): verdict for verdict in self._verdicts(state)}
        return self.commands.troubles.get(place, now[place].standing if place in now else None)

    def on(self, state: State, models: Models | None = None) -> Releases:
        """What decides on a state; without `models` nothing is recorded."""
        return Releases(
            self.observation, state, self.moment, self.before, models, self._asked, self.watched, self.outward
        )

    def _verdicts(self, state: State, models: Models | None = None) -> list[Verdict]:
        return self.on(state, models).verdicts()

    def _published(self, state: State, models: Models) -> State:
        publisher = self.publisher()
        decided: tuple[State, Sequence[Verdict]] | None = None

        def decide(newest: State) -> Sequence[Verdict]:
            nonlocal decided
            decided = newest, self._verdicts(newest, models)
            return decided[1]

        for _ in range(_MOST_ROUNDS):
            published = publisher.publish_releases(decide)
            state = published.state or state
            self._is_late = decided is None or (published.commit is None and published.state is not decided[0])
            if decided is not None and not self._is_late:
                self._tell(decided[1])
            if published.commit is None:
                break
            self._commits.append(published.commit)
        return state

    def _tell(self, verdicts: Sequence[Verdict]) -> None:
        """Remember what was decided: of each place the newest word that is more than that all stays."""
        for verdict in verdicts:
            place = verdict.deployment, verdict.environment
            told = self._told[place].decision.outcome if place in self._told else Outcome.KEEP
            if told is Outcome.KEEP or (verdict.decision.outcome is not Outcome.KEEP and told not in _BACK):
                self._told[place] = verdict

    def _final(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """The last word on each place: what was decided, and what is known of it by now."""
        now = {(verdict.deployment, verdict.environment): verdict for verdict in verdicts}
        found = []
        for place, verdict in {**now, **self._told}.items():
            standing = now[place].standing if place in now else None
            found.append(replace(verdict, standing=self.commands.troubles.get(place, standing)))
        return found


def _has_command(verdict: Verdict) -> bool:
    """Whether a command may be to run there: nothing else is to be recorded before."""
    standing = verdict.standing
    return standing is not None and standing.kind == "command" and not verdict.decision.news
