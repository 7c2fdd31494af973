"""The gates of deployments against what is recorded for a commit: whose policy counts, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from runner.core.actions import Action
from runner.core.gates import BASE, CHAMPION, Deployment, Judgement, Other, judged
from runner.core.nouns import Address, Trust
from runner.core.plan import Step
from runner.core.recorded import RUNNER
from runner.errors import Held, InputError, SpecError
from runner.git.read import Reader
from runner.ledger.in_place import desired_at
from runner.observe.observation import Observation
from runner.specs.guesses import nearest
from runner.specs.holdouts import seal_findings
from runner.values import dataclass
from runner.wiring.champions import standing_champion
from runner.wiring.clone import Clone
from runner.wiring.comparison import result_of_step
from runner.wiring.holdouts import HoldoutUse, holdout_uses
from runner.wiring.revision import Aim, watched_tip

_WORDS = {
    Action.RUN: "to run",
    Action.WAIT: "it waits for an input",
    Action.FAILED: "it failed",
    Action.PROBE: "only the network can tell",
    Action.UNKNOWN: "unknown",
}


@dataclass(frozen=True, slots=True)
class Model:
    """What is recorded of the model that is judged."""

    stage: str
    """Empty where no stage makes it."""
    record: int | None = None
    key: str | None = None
    provenance: str | None = None


@dataclass(frozen=True, slots=True)
class GateReport:
    """The gates of a commit, judged."""

    commit: str
    policy: str
    """Whose gates these are, for people."""
    policy_commit: str
    judgements: tuple[tuple[Judgement, Model], ...]
    holdouts: tuple[HoldoutUse, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """A commit with what is recorded for it."""

    what: str
    observation: Observation
    steps: Mapping[Address, Step]
    metrics: Mapping[str, Any]

    @property
    def other(self) -> Other:
        """As something to compare with."""
        return Other(f"{self.what}", self.metrics, self.observation.commit)


def judge_gates(clone: Clone, name: str | None, rev: str | None, champion: str | None, day: str) -> GateReport:
    """The gates of a deployment, or of all, for what is recorded at `rev` (HEAD by default).

    `champion` is the revision that `vs: champion` compares with (default: the release that stands), and `day` is
    today in UTC. Raises InputError where there is no such deployment, and Held where the gates that count cannot be
    read.
    """
    observation, aim = clone.observed(rev)
    own = side("this commit", observation)
    target = None if aim.trust is Trust.TRUSTED else _target(clone, aim)
    policy = own if target is None else target
    deployments, notes = _deployments(own, policy, name)
    others: dict[str, Other] = {}
    asked = {gate.versus for deployment in deployments for gate in deployment.gates}
    if BASE in asked:
        others[BASE] = target.other if target is not None else before(clone.reader, aim.commit, clone.observation)
    if CHAMPION in asked and champion is not None:
        others[CHAMPION] = side(f"the champion {champion}", clone.observation(champion)).other
    holdouts = policy.observation.desired.holdouts
    uses = tuple(holdout_uses(observation, holdouts))
    broken = _broken_seals(own, policy) if target is not None else []
    judgements = []
    for deployment in deployments:
        blockers = [*blockers_of(deployment, own), *broken, *spent(deployment, uses)]
        standing = {CHAMPION: standing_champion(policy.observation.state, deployment)} if CHAMPION in asked else {}
        judgement = judged(deployment, own.metrics, {**standing, **others}, day, blockers)
        judgements.append((judgement, model_of(deployment, own)))
    whose = policy.observation.commit
    return GateReport(observation.commit, policy.what, whose, tuple(judgements), uses, tuple(notes))


def side(what: str, observation: Observation) -> Side:
    """A commit with what is recorded for it; raises SpecError with what is wrong with its specs."""
    plan, _ = observation.plan()
    steps = {step.address: step for step in plan.steps if step.action is not Action.REMOVE}
    metrics: dict[str, Any] = {}
    for step in steps.values():
        result = result_of_step(step, observation) if step.entry is not None else None
        metrics |= result.metrics if result is not None else {}
    return Side(what, observation, steps, metrics)


def _target(clone: Clone, aim: Aim) -> Side | None:
    """The tip of the watched branch, which a proposal is to be merged into; None where this clone has none."""
    tip = watched_tip(clone.seen, aim.watched)
    if tip is None:
        return None
    commit = desired_at(clone.reader, tip)
    try:
        return side(f"{aim.watched} at {commit[:12]}", clone.observation(commit))
    except SpecError as error:
        message = f"the specs of {aim.watched} cannot be read, so nobody knows which gates count"
        raise Held(message, f"mend them first: {error.findings[0]}") from error


def before(reader: Reader, commit: str, observed: Callable[[str], Observation]) -> Other:
    """The commit before one of the watched branch, as something to compare with."""
    parents = reader.commit(commit).parents
    if not parents:
        return Other("there is no commit before this one", None)
    what = f"the commit before ({parents[0][:12]})"
    if not reader.exists(parents[0]):
        return Other(f"{what}, which this clone does not have", {}, parents[0])
    commit = desired_at(reader, parents[0])
    what = f"the commit before ({commit[:12]})"
    try:
        return side(what, observed(commit)).other
    except SpecError:
        return Other(what, {}, commit)  # whoever compares with it is told that nothing is recorded


def _deployments(own: Side, policy: Side, name: str | None) -> tuple[list[Deployment], list[str]]:
    """The deployments that are judged: those of the policy, and those that only the proposal has."""
    counting = {row.name: row for row in policy.observation.desired.deployments}
    stated = {row.name: row for row in own.observation.desired.deployments}
    found = {**stated, **counting}
    if name is not None and name not in found:
        close = nearest(name, found)
        hint = f"did you mean `{close}`?" if close else f"there are: {', '.join(sorted(found)) or 'none'}"
        raise InputError(f"there is no Deployment `{name}`", hint)
    if not found:
        raise InputError("there is no Deployment, and so there are no gates", "docs/gates.md shows how to write one")
    notes = []
    for key in found if name is None else [name]:
        if key not in counting:
            notes.append(f"{policy.what} has no Deployment {key}: it is judged by the gates of this commit")
        elif key not in stated:
            notes.append(f"this commit removes the Deployment {key}; {policy.what} still has it")
        elif stated[key] != counting[key]:
            notes.append(f"this commit changes the Deployment {key}; what {policy.what} says of it counts")
    return [row for key, row in found.items() if name in (None, key)], notes


def blockers_of(deployment: Deployment, own: Side) -> list[str]:
    """Why nothing may be released whatever the numbers say: results that are not there, or not the runner's own."""
    graph = own.observation.graph
    maker = graph.producers.get(deployment.out)
    if maker is None:
        return [f"no stage of this commit makes the model `{deployment.out}`"]
    files = [gate.metric.file for gate in deployment.gates]
    targets = [maker, *(graph.producers[file] for file in files if file in graph.producers)]
    found = []
    needed = graph.ancestors(targets)
    for address in (address for address in graph.order if address in needed):
        step = own.steps.get(address)
        entry = step.entry if step is not None else None
        if entry is None:
            why = "" if step is None else f": {_WORDS.get(step.action, step.action.value)}"
            found.append(f"{address} has no result for this commit{why}")
        elif entry.provenance != RUNNER and not deployment.accept_evidence:
            found.append(
                f"{address} is known by {entry.provenance[:17]} alone, and gates need runs of the runner; "
                "`acceptEvidence: true` would accept it"
            )
    return found


def _broken_seals(own: Side, policy: Side) -> list[str]:
    """Stages of a proposal that read what the policy seals; its own specs were checked against its own seals alone."""
    desired = policy.observation.desired
    findings = seal_findings(
        own.observation.desired.stages(),
        desired.holdouts,
        [*desired.deployments, *own.observation.desired.deployments],
        lambda stage, _: (stage.place.file, stage.place.line, stage.place.column),
    )
    return [finding.message for finding in findings]


def spent(deployment: Deployment, uses: Iterable[HoldoutUse]) -> list[str]:
    """The hold-outs of a deployment's pipeline that were read more often than they may be."""
    return [
        f"the hold-out {', '.join(use.holdout.paths)} was read by {use.runs} runs, and {use.holdout.max_uses} may"
        for use in uses
        if use.is_spent and use.holdout.pipeline == deployment.pipeline
    ]


def model_of(deployment: Deployment, own: Side) -> Model:
    """What is recorded of the model of a deployment."""
    maker = own.observation.graph.producers.get(deployment.out)
    step = own.steps.get(maker) if maker is not None else None
    if maker is None or step is None or step.entry is None:
        return Model("" if maker is None else str(maker))
    result = result_of_step(step, own.observation)
    record = result.record if result is not None else step.entry.record
    return Model(str(maker), record, step.entry.key, step.entry.provenance)
