"""One reconcile, from the fetch to the last acknowledgement: observe, plan, execute, record.

The command, the daemon and the Action all come through here. What the story needs of the world (a mirror, a cache,
stages that run) comes in as `Parts`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from runner.core.actions import Action
from runner.core.nouns import Address
from runner.core.plan import Plan, Step, Walk, Wishes
from runner.core.records import RunFacts
from runner.data.remotes import Transferred
from runner.errors import ExitCode, RaceLost, RunnerError
from runner.execute.execution import Outcome, Sink
from runner.ledger.state import State
from runner.observe.observation import Observation
from runner.record.publish import Published


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
    state: State | None = None
    retry: frozenset[Address] | None = frozenset()
    """Failed stages that were to be tried again; None for all of them."""
    dropped: list[Mapping[str, Any]] = field(default_factory=list)
    """Runs that were not recorded, since the same work was recorded first."""
    sent: Mapping[str, Transferred] = field(default_factory=dict)
    """By DVC remote what really went there."""

    @property
    def exit_code(self) -> ExitCode:
        """What the caller is told."""
        if self.cancelled:
            return ExitCode.INTERRUPTED
        if any(step.action is Action.FAILED for step in self.steps.values()):
            return ExitCode.FAILED
        return next((error.exit_code for error in self.host_errors.values()), ExitCode.DONE)


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

    def publisher(self, observation: Observation) -> PublisherPart:
        """Publishes to the observation's state ref."""

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

    def sent(self) -> Mapping[str, Transferred]:
        """By DVC remote what was sent there so far."""

    def trouble(self, error: RunnerError) -> None:
        """A batch could not be published; it is kept and tried again."""


def reconcile(parts: Parts, request: Request, stop: threading.Event) -> Result:
    """Make what is recorded match what is desired; raises RunnerError where it cannot even begin."""
    observation, commits = _publish_left_over(parts, request, parts.observe(request))
    wishes = parts.wishes(request, observation)
    plan, walk = observation.plan(wishes)
    _check_expected(request, plan)
    parts.planned(plan, observation)
    steps = {step.address: step for step in plan.steps}
    result = Result(plan, observation, steps, commits=commits, state=observation.state, retry=wishes.retry)
    if _has_work(plan):
        _execute_and_record(parts, walk, result, stop)
    elif plan.changes_state or parts.insists(observation):
        _record(parts.publisher(observation), parts, [], result)
    result.sent = parts.sent()
    return result


def _publish_left_over(parts: Parts, request: Request, observation: Observation) -> tuple[Observation, list[str]]:
    """Runs that a killed reconcile finished are published first; then they are recorded like any other."""
    left_over = parts.left_over(observation)
    if not left_over:
        return observation, []
    commit = parts.publisher(observation).publish(left_over).commit
    parts.published(left_over, observation)
    return parts.observe(request), [commit] if commit else []


def _check_expected(request: Request, plan: Plan) -> None:
    if request.expected is None:
        return
    desired, digest = request.expected
    if plan.desired != desired:
        raise RaceLost(
            f"the plan is for {desired[:12]}, and {plan.desired[:12]} is desired now", "make a new plan and look at it"
        )
    if plan.recorded_digest != digest:
        raise RaceLost("what is recorded has changed since the plan was made", "make a new plan and look at it")


def _has_work(plan: Plan) -> bool:
    """Whether anything runs, or has to be looked up first; what is not handled yet is neither."""
    looked_up = [step for step in plan.steps if step.action is Action.UNKNOWN and step.fetch]
    return bool(looked_up) or any(step.action in (Action.RUN, Action.PROBE) for step in plan.steps)


def _execute_and_record(parts: Parts, walk: Walk, result: Result, stop: threading.Event) -> None:
    publisher = parts.publisher(result.observation)
    waiting: list[RunFacts] = []

    def keep(run: RunFacts) -> None:
        parts.keep(run, result.observation)
        result.runs.append(run)
        waiting.append(run)

    def tick(running: bool) -> None:
        if running and waiting and parts.due(result.observation):
            try:
                _record(publisher, parts, waiting, result)
            except RunnerError as error:
                parts.trouble(error)

    outcome = parts.execute(walk, result.plan, result.observation, Sink(keep, tick), stop)
    result.steps.update(outcome.steps)
    result.host_errors.update(outcome.host_errors)
    result.cancelled = outcome.cancelled
    _record(publisher, parts, waiting, result)


def _record(publisher: PublisherPart, parts: Parts, waiting: list[RunFacts], result: Result) -> None:
    """Publish what waits; it waits on where that fails."""
    published = publisher.publish(list(waiting))
    parts.published(waiting, result.observation)
    waiting.clear()
    result.state = published.state
    result.dropped += published.dropped
    if published.commit is not None:
        result.commits.append(published.commit)
