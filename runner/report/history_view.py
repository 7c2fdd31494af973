"""What stands and why, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.core.actions import Action
from runner.core.plan import Plan, Step
from runner.core.records import Record, RunFacts
from runner.core.runkey import shown
from runner.observe.observation import Observation
from runner.report.style import Style, duration, plural, size, table

_WORDS = {
    Action.KEEP: "up to date",
    Action.REUSE: "known, not taken over yet",
    Action.RUN: "to run",
    Action.WAIT: "waits for an input",
    Action.PROBE: "depends on the network",
    Action.UNKNOWN: "cannot be told",
    Action.FAILED: "failed",
    Action.REMOVE: "to be removed",
}


def status_json(plan: Plan, observation: Observation, age: str | None, pending: Sequence[RunFacts]) -> dict[str, Any]:
    """What stands for each stage as plain JSON."""
    return {
        "schema": 1,
        "desired": plan.desired,
        "state": plan.state,
        "stateAge": age,
        "recordedDesired": observation.state.summary.desired if observation.state else None,
        "records": observation.state.summary.head.sequence if observation.state else 0,
        "stages": [_status_row(step, observation) for step in plan.steps],
        "unpublished": [{"stage": str(run.address), "runId": run.run_id} for run in pending],
        "notHandled": [notice.message for notice in observation.desired.not_handled],
    }


def status_text(
    plan: Plan, observation: Observation, age: str | None, pending: Sequence[RunFacts], style: Style
) -> str:
    """What stands for each stage, for a terminal."""
    state = observation.state
    if state is None:
        head = f"Nothing is recorded yet. Desired is {plan.desired[:12]}."
    else:
        head = f"State {state.commit[:12]}, recorded {age}, {plural(state.summary.head.sequence, 'record')}."
    if not plan.steps:
        return f"{style.bold(head)}\nThere are no stages. `runner init` writes a first pipeline.\n"
    rows = []
    for step in plan.steps:
        row = _status_row(step, observation)
        record = str(row["record"] or "")
        rows.append([str(step.address), str(row["status"]), record, str(row["provenance"] or ""), _outs(row["outs"])])
    lines = [style.bold(head), "", table(("stage", "status", "record", "by", "outputs"), rows, style)]
    if pending:
        lines.append(
            f"{plural(len(pending), 'finished run')} on this host {'is' if len(pending) == 1 else 'are'} not published yet."
        )
    return "\n".join(lines)


def explain_json(step: Step, observation: Observation, record: Record | None) -> dict[str, Any]:
    """Everything that decides about one stage as plain JSON."""
    stage = observation.graph.stages[step.address]
    run = record.run if record else None
    return {
        "schema": 1,
        "pipeline": step.address.pipeline,
        "stage": step.address.stage,
        "place": str(stage.place),
        "action": step.action.value,
        "reasons": list(step.reasons),
        "key": step.key,
        "material": step.material.as_json() if step.material else None,
        "cmd": list(stage.cmd),
        "needs": [str(address) for address in observation.graph.upstream[step.address]],
        "neededBy": [str(address) for address in observation.graph.downstream[step.address]],
        "outs": [out.as_json() for out in step.entry.outs] if step.entry else [],
        "provenance": step.entry.provenance if step.entry else None,
        "record": step.entry.record if step.entry else None,
        "run": _run_summary(run) if run else None,
    }


def explain_text(value: Mapping[str, Any], style: Style) -> str:
    """The same for a terminal."""
    name = f"{value['pipeline']}:{value['stage']}"
    lines = [f"{style.bold(Style.safe(name))}  {style.dim(str(value['place']))}", f"  {value['action']}"]
    lines[-1] += "".join(f"\n    {Style.safe(reason)}" for reason in value["reasons"])
    lines += _section("commands", [Style.safe(line) for line in value["cmd"]], style)
    for kind, title in (("dep", "inputs"), ("param", "parameters"), ("env", "environment variables")):
        rows = (value["material"] or {}).get(kind, {})
        lines += _section(
            title, [f"{Style.safe(name)}  {style.dim(shown(item))}" for name, item in rows.items()], style
        )
    lines += _section(
        "outputs", [f"{Style.safe(out['path'])}  {style.dim(out['md5'])}" for out in value["outs"]], style
    )
    lines += _section("needs", value["needs"], style)
    lines += _section("needed by", value["neededBy"], style)
    lines += _section("run key", [value["key"]] if value["key"] else [], style)
    if value["run"]:
        run = value["run"]
        lines += _section(
            "record", [f"{value['record']}, {run['startedAt']}, {duration(run['seconds'])}, by {run['actor']}"], style
        )
    elif value["provenance"]:
        lines += _section("vouched for by", [value["provenance"]], style)
    return "\n".join(lines) + "\n"


def _section(title: str, rows: Sequence[str], style: Style) -> list[str]:
    return [style.dim(f"  {title}"), *(f"    {row}" for row in rows)] if rows else []


def _run_summary(run: RunFacts) -> dict[str, Any]:
    return {
        "runId": run.run_id,
        "startedAt": run.started_at,
        "seconds": run.seconds,
        "actor": run.actor,
        "host": dict(run.host),
        "isolation": run.isolation,
        "undeclared": list(run.undeclared),
        "metrics": dict(run.metrics),
    }


def _status_row(step: Step, observation: Observation) -> dict[str, Any]:
    entry = step.entry
    if entry is None and observation.state is not None:
        entry = observation.state.current(step.address)
    return {
        "pipeline": step.address.pipeline,
        "stage": step.address.stage,
        "action": step.action.value,
        "status": _WORDS[step.action],
        "reasons": list(step.reasons),
        "record": entry.record if entry else None,
        "provenance": entry.provenance if entry else None,
        "outs": [out.as_json() for out in entry.outs] if entry else [],
    }


def _outs(rows: Sequence[Mapping[str, Any]]) -> str:
    texts = [f"{row['path']} ({size(row['size'])})" if row.get("size") is not None else row["path"] for row in rows[:3]]
    return ", ".join(texts) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")
