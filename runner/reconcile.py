"""One reconcile, from the fetch to the last acknowledgement: observe, plan, execute, record.

The command, the daemon and the Action all come through here. What the story needs of the world (a mirror, a cache,
stages that run) comes in as `Parts`.
"""

from __future__ import annotations

import threading

from runner.core.actions import Action
from runner.core.plan import Plan, Walk
from runner.core.records import RunFacts
from runner.errors import RaceLost, RunnerError
from runner.execute.execution import Sink
from runner.failpoints import reached
from runner.observe.observation import Observation
from runner.parts import Parts, PublisherPart, Request, Result
from runner.values import replace

__all__ = ["Parts", "Request", "Result", "reconcile"]


def reconcile(parts: Parts, request: Request, stop: threading.Event) -> Result:
    """Make what is recorded match what is desired; raises RunnerError where it cannot even begin.

    What another runner is running is left to it; when that has ended, everything is asked again.
    """
    result = _round(parts, request, stop)
    while (result.held or result.moved) and not result.cancelled and parts.wait(result, stop):
        # Whoever runs a failed stage now gives it the other try that was asked for.
        again = request if result.moved and not result.runs else replace(request, retry=(), expected=None)
        result = result.followed_by(_round(parts, again, stop))
    return result


def _round(parts: Parts, request: Request, stop: threading.Event) -> Result:
    observation, commits = _publish_left_over(parts, request, parts.observe(request), stop)
    reached("observed")
    wishes = parts.wishes(request, observation)
    plan, walk = observation.plan(wishes)
    _check_expected(request, plan)
    parts.planned(plan, observation)
    reached("planned")
    steps = {step.address: step for step in plan.steps}
    result = Result(plan, observation, steps, commits=commits, state=observation.state, retry=wishes.retry)
    if _has_work(plan):
        try:
            _execute_and_record(parts, walk, result, stop)
        finally:
            parts.released()
    elif plan.changes_state or parts.insists(observation):
        _record(parts.publisher(observation, stop), parts, [], result)
    if request.targets is None and not (result.cancelled or result.moved or result.held):
        _release(parts, result, stop)
    result.sent = parts.sent()
    return result


def _release(parts: Parts, result: Result, stop: threading.Event) -> None:
    """Once all that ran is recorded, it is decided what is served from now on."""
    made = parts.release(result.observation, result.state, stop)
    result.releases += made.verdicts
    result.commits += made.commits
    result.state = made.state or result.state
    if made.commits:
        reached("released")


def _publish_left_over(
    parts: Parts, request: Request, observation: Observation, stop: threading.Event
) -> tuple[Observation, list[str]]:
    """Runs that a killed reconcile finished are published first; then they are recorded like any other."""
    left_over = parts.left_over(observation)
    if not left_over:
        return observation, []
    commit = parts.publisher(observation, stop).publish(left_over).commit
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
    publisher = parts.publisher(result.observation, stop)
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
    result.cancelled, result.moved, result.held = outcome.cancelled, outcome.moved, dict(outcome.held)
    if not outcome.moved:
        _record(publisher, parts, waiting, result)


def _record(publisher: PublisherPart, parts: Parts, waiting: list[RunFacts], result: Result) -> None:
    """Publish what waits; it waits on where that fails."""
    published = publisher.publish(list(waiting))
    parts.published(waiting, result.observation)
    waiting.clear()
    result.state, result.newer = published.state, published.newer
    result.dropped += published.dropped
    if published.commit is not None:
        result.commits.append(published.commit)
