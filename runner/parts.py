"""What a reconcile is asked for, what it needs of the world, and what it comes to."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from runner.core.actions import Action
from runner.core.nouns import Address
from runner.core.plan import Plan, Step, Walk, Wishes
from runner.core.records import RunFacts
from runner.data.remotes import Transferred
from runner.errors import ExitCode, RunnerError
from runner.execute.execution import Outcome, Sink
from runner.ledger.state import State
from runner.observe.observation import Observation
from runner.record.publish import Published
from runner.values import dataclass, field, replace

if TYPE_CHECKING:
    from runner.core.releases import Verdict


@dataclass(frozen=True, slots=True)
class Request:
    """What a reconcile is asked for."""

    rev: str | None = None
    """Commit, branch or tag; None for the newest commit of the watched branch."""
    retry: tuple[str, ...] | None = ()
    """Failed stages to try again, by name; None for all of them."""
    force: bool = False
    """Run always-changed stages even where they ran for this commit."""
    targets: tuple[str, ...] | None = None
    """Only these stages and what they need; None for all."""
    expected: tuple[str, str] | None = None
    """Desired commit and digest of recorded facts that a plan was made from; refused when one of them moved."""


@dataclass(frozen=True, slots=True)
class Releasing:
    """What became of the releases of a commit."""

    verdicts: tuple[Verdict, ...] = ()
    commits: tuple[str, ...] = ()
    """State commits made."""
    state: State | None = None
    """The newest state; None where nothing was looked at."""


@dataclass
class Result:
    """What a reconcile came to."""

    plan: Plan
    observation: Observation
    steps: dict[Address, Step]
    """The last word on each stage."""
    runs: list[RunFacts] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)
    """State commits made, oldest first; none where there was nothing to say."""
    host_errors: dict[Address, RunnerError] = field(default_factory=dict)
    cancelled: bool = False
    held: dict[Address, str] = field(default_factory=dict)
    """Stages that another runner runs, with the keys they are claimed by."""
    moved: bool = False
    """Something new was recorded between the look at it and the claim: nothing was run, all is to be asked again."""
    state: State | None = None
    newer: str | None = None
    """The commit that counts instead, where this one is older and nothing of it was recorded."""
    retry: frozenset[Address] | None = frozenset()
    """Failed stages that were to be tried again; None for all of them."""
    dropped: list[Mapping[str, Any]] = field(default_factory=list)
    """Runs that were not recorded, since the same work was recorded first."""
    sent: Mapping[str, Transferred] = field(default_factory=dict)
    """By DVC remote what really went there."""
    releases: list[Verdict] = field(default_factory=list)
    """What became of each deployment in each environment."""

    @property
    def exit_code(self) -> ExitCode:
        """What the caller is told."""
        if self.cancelled:
            return ExitCode.INTERRUPTED
        if any(step.action is Action.FAILED for step in self.steps.values()):
            return ExitCode.FAILED
        left = ExitCode.RACE if self.held or self.moved else self._of_releases()
        return next((error.exit_code for error in self.host_errors.values()), left)

    def _of_releases(self) -> ExitCode:
        """A model that the gates refuse, or that cannot be put to use, is a failure; one that waits is held."""
        outcomes = {verdict.decision.outcome.value for verdict in self.releases}
        codes = {verdict.standing.code for verdict in self.releases if verdict.standing is not None}
        codes |= {verdict.code for verdict in self.releases}
        if not outcomes.isdisjoint(("refused", "rolledBack", "withdrawn")) or ExitCode.FAILED in codes:
            return ExitCode.FAILED
        if found := max(codes, default=ExitCode.DONE):
            return found
        return ExitCode.HELD if "held" in outcomes else ExitCode.DONE

    def followed_by(self, later: Result) -> Result:
        """Both as one: what each did, and the later's last word."""
        return replace(
            later,
            plan=self.plan if self.runs else later.plan,
            steps={**self.steps, **later.steps},
            runs=self.runs + later.runs,
            commits=self.commits + later.commits,
            host_errors={**later.host_errors},
            dropped=self.dropped + later.dropped,
            retry=self.retry,
        )


class PublisherPart(Protocol):
    """Publishes finished runs, and what stands after them."""

    def publish(self, runs: Sequence[RunFacts]) -> Published:
        """Raises HostError or RaceLost; the runs stay in the journal then."""


class Parts(Protocol):
    """What a reconcile needs of the world."""

    def observe(self, request: Request) -> Observation:
        """Fetch, and read desired and recorded."""

    def wishes(self, request: Request, observation: Observation) -> Wishes:
        """The request in the planner's words; raises InputError for a stage that is not there."""

    def left_over(self, observation: Observation) -> list[RunFacts]:
        """Runs that finished before and were never published; one whose bytes are lost counts as not having run."""

    def publisher(self, observation: Observation, stop: threading.Event) -> PublisherPart:
        """Publishes to the observation's state ref; after a stop it waits for nobody's turn."""

    def keep(self, run: RunFacts, observation: Observation) -> None:
        """Have a finished run in the journal, for good, before anybody hears of it."""

    def execute(self, walk: Walk, plan: Plan, observation: Observation, sink: Sink, stop: threading.Event) -> Outcome:
        """Run what the plan asks for."""

    def published(self, runs: Sequence[RunFacts], observation: Observation) -> None:
        """These runs are on the remote: the journal may forget them."""

    def planned(self, plan: Plan, observation: Observation) -> None:
        """Tell who watches what is going to happen."""

    def due(self, observation: Observation) -> bool:
        """Whether it is time to publish a batch while stages still run."""

    def insists(self, observation: Observation) -> bool:
        """Whether there is something to record though no stage changes: a person's word, or a new place for bytes."""

    def release(self, observation: Observation, state: State | None, stop: threading.Event) -> Releasing:
        """Decide on the newest state what is served of each deployment, and have what is new recorded."""

    def sent(self) -> Mapping[str, Transferred]:
        """By DVC remote what was sent there so far."""

    def wait(self, result: Result, stop: threading.Event) -> bool:
        """Wait until it is worth asking again for what other runners run; False where nobody is to wait for it."""

    def released(self) -> None:
        """Nothing runs any more and what came out is published, or kept: others may run what is left."""

    def trouble(self, error: RunnerError) -> None:
        """A batch could not be published; it is kept and tried again."""
