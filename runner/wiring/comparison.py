"""The sides of `runner runs compare`: records by their numbers, or all that stands recorded for revisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.core.actions import Action
from runner.core.naming import find_stages
from runner.core.nouns import OutKind
from runner.core.plan import Step
from runner.core.records import Record, RunFacts
from runner.errors import InputError
from runner.observe.observation import Observation
from runner.report.compare_view import Result, Side
from runner.wiring.clone import Clone
from runner.wiring.experiments import is_named_record, run_named
from runner.wiring.history import last_two_runs, record_of_step

_MOST_SIDES = 20
_WORDS = {
    Action.RUN: "to run",
    Action.WAIT: "waits for an input",
    Action.FAILED: "failed",
    Action.PROBE: "only the network can tell",
}


def compared(clone: Clone, names: Sequence[str], stage: str | None) -> list[Side]:
    """Records, else revisions, two or more, else the last two runs of a stage; raises InputError."""
    if not names and stage is not None:
        return [_of_run(clone, str(record.sequence), record, run) for record, run in last_two_runs(clone, stage)]
    if len(names) > _MOST_SIDES:
        raise InputError(
            f"{len(names)} sides are too many to look at", f"say {_MOST_SIDES} at most, or `runner runs list`"
        )
    sides = _sides(clone, names)
    records = [is_named_record(clone, name) for name in sides]
    if all(records):
        return [_of_record(clone, name) for name in sides]
    if any(records):
        raise InputError(f"{', '.join(sides)} are not of one kind", "say records, or revisions")
    return [_of_revision(clone, name, stage) for name in sides]


def _sides(clone: Clone, names: Sequence[str]) -> Sequence[str]:
    if len(names) >= 2:
        return names
    if names:
        return names[0], "HEAD"
    if not clone.reader.commit(clone.reader.resolve("HEAD")).parents:
        raise InputError("there is no commit before HEAD to compare it with", "say two records, or two revisions")
    return "HEAD~1", "HEAD"


def _of_record(clone: Clone, name: str) -> Side:
    _, record, run = run_named(clone, name)
    if run is None:
        raise InputError(f"record {name} is of no run", "`runner runs list` shows the runs")
    return _of_run(clone, str(int(name)) if name.isdecimal() else name, record, run)


def _of_run(clone: Clone, name: str, record: Record, run: RunFacts) -> Side:
    known = clone.reader.exists(run.desired)
    message = clone.reader.commit(run.desired).message.strip().partition("\n")[0] if known else ""
    subject = " · ".join(text for text in (str(run.address), message) if text)
    # Under one name, so that runs of two stages (a renamed one, two members of a group) can be compared too.
    results = {"": _result(record.sequence, run)}
    return Side(f"record {name}", run.desired, subject, results)


def _of_revision(clone: Clone, rev: str, stage: str | None) -> Side:
    observation = clone.observation(rev)
    plan, _ = observation.plan()
    wanted = None if stage is None else set(find_stages(stage, observation.graph.stages))
    results: dict[str, Result] = {}
    missing: dict[str, str] = {}
    several = len(observation.desired.pipelines) > 1
    for step in plan.steps:
        if step.action is Action.REMOVE or (wanted is not None and step.address not in wanted):
            continue
        name = str(step.address) if several else step.address.stage
        result = result_of_step(step, observation)
        if result is None:
            missing[name] = _WORDS.get(step.action, step.action.value)
        else:
            results[name] = result
    subject = clone.reader.commit(observation.commit).message.strip().partition("\n")[0]
    return Side(rev, observation.commit, subject, results, missing)


def result_of_step(step: Step, observation: Observation) -> Result | None:
    """What is recorded under the key of a stage: it stands, it ran earlier or elsewhere, or a lock file vouches."""
    record = record_of_step(step, observation)
    run = record.run if record is not None else None
    if record is not None and run is not None:
        return _result(record.sequence, run)
    if step.entry is None:
        return None
    return Result(
        record=None,
        provenance=step.entry.provenance,
        material=step.entry.material,
        outs={out.path: out.md5 for out in step.entry.outs},
        metrics=_committed_metrics(step, observation),
        outcome=step.entry.provenance[:17],
    )


def _result(sequence: int, run: RunFacts) -> Result:
    outs = {out.path: out.md5 for out in run.outs}
    return Result(sequence, run.provenance, run.material, outs, run.metrics, run.reason, run.seconds)


def _committed_metrics(step: Step, observation: Observation) -> Mapping[str, Any]:
    """Metric files that are committed beside the lock file that vouches for them."""
    stage = observation.graph.stages[step.address]
    files = [out.path for out in stage.outs if out.kind is OutKind.METRIC and not out.cache]
    found: dict[str, Any] = {}
    for path in files:
        values = observation.inputs.params(path) if path.endswith((".json", ".yaml", ".yml", ".toml")) else None
        if values is not None:
            found[path] = dict(values)
    return found
