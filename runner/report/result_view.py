"""What a reconcile came to, for people and for programs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from runner.core.actions import Action
from runner.core.records import RunFacts
from runner.reconcile import Result
from runner.report.plan_view import after_failures
from runner.report.style import Style, shown_value


def result_json(result: Result) -> dict[str, Any]:
    """The result as plain JSON; the Action's summary is rendered from it."""
    planned = Counter(step.action.value for step in result.plan.steps)
    return {
        "schema": 1,
        "desired": result.plan.desired,
        "state": result.state.commit if result.state else None,
        "commit": result.commits[-1] if result.commits else None,
        "commits": result.commits,
        "exitCode": int(result.exit_code),
        "planned": dict(sorted(planned.items())),
        "actions": {str(address): step.action.value for address, step in result.steps.items()},
        "runs": [run_json(run) for run in result.runs],
        "stages": [
            {
                "pipeline": step.address.pipeline,
                "stage": step.address.stage,
                "action": step.action.value,
                "reasons": list(step.reasons),
            }
            for step in result.steps.values()
        ],
        "hostErrors": [{"stage": str(address), "message": str(e)} for address, e in result.host_errors.items()],
    }


def run_json(run: RunFacts) -> dict[str, Any]:
    """One run, short."""
    return {
        "pipeline": run.address.pipeline,
        "stage": run.address.stage,
        "outcome": run.reason,
        "succeeded": run.succeeded,
        "message": run.message,
        "seconds": round(run.seconds, 3),
        "key": run.key,
        "runId": run.run_id,
        "metrics": dict(run.metrics),
    }


def result_text(result: Result, style: Style) -> str:
    """For a terminal: what stands failed or waits, and the metrics of what ran."""
    lines: list[str] = []
    for address, step in result.steps.items():
        if step.action is Action.FAILED:
            lines.append(
                f"{style.red('failed')}   {Style.safe(str(address))}  {style.dim(Style.safe(step.reasons[0]))}"
            )
        elif step.action in (Action.WAIT, Action.UNKNOWN, Action.PROBE) and address not in result.host_errors:
            reason = step.reasons[0] if step.reasons else ""
            lines.append(f"{style.yellow('waits')}    {Style.safe(str(address))}  {style.dim(Style.safe(reason))}")
    for address, error in result.host_errors.items():
        lines.append(f"{style.red('not run')}  {Style.safe(str(address))}  {Style.safe(str(error))}")
    for run in result.runs:
        for file, values in run.metrics.items():
            numbers = ", ".join(f"{name} {shown_value(value)}" for name, value in _leaves(values))
            lines.append(f"{style.dim('metrics')}  {Style.safe(f'{run.address.stage} {file}: {numbers}')}")
    lines += after_failures(result.steps.values(), style)
    return "\n".join(lines) + ("\n" if lines else "")


def _leaves(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(values, dict):
        return [(prefix, values)]
    return [leaf for key, value in values.items() for leaf in _leaves(value, f"{prefix}.{key}" if prefix else str(key))]
