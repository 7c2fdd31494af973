"""What a reconcile came to, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from runner.core.actions import Action
from runner.core.records import RunFacts
from runner.errors import ExitCode
from runner.parts import Result
from runner.report.plan_view import WayOut, after_failures
from runner.report.style import Style, plural, reason_text, shown_value, size

_MOST_METRICS = 12
"""Of a file that are shown; `runner runs show` has all of them."""
_MOST_FILES = 11
"""Of metrics that are shown after a reconcile; its last line is to be seen."""
_NOT_RETRIED = {
    Action.KEEP: "it is up to date",
    Action.REUSE: "its work succeeded before",
    Action.WAIT: "it waits for an input",
    Action.UNKNOWN: "it cannot be decided",
    Action.PROBE: "it has an input that only the network can tell of",
}


def result_json(result: Result, code: ExitCode | None = None) -> dict[str, Any]:
    """The result as plain JSON; the Action's summary is rendered from it.

    `code`: what the command ends with where that is not the result's own, as after a signal.
    """
    planned = Counter(step.action.value for step in result.plan.steps)
    return {
        "schema": 1,
        "desired": result.plan.desired,
        "state": result.state.commit if result.state else None,
        "commit": result.commits[-1] if result.commits else None,
        "commits": result.commits,
        "signed": result.state.is_signed if result.state else None,
        "exitCode": int(result.exit_code if code is None else code),
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
        "releases": [verdict.as_json() for verdict in result.releases],
        "hostErrors": [{"stage": str(address), "message": e.line} for address, e in result.host_errors.items()],
        "dropped": [{"stage": _stage_of(row, result), **row} for row in result.dropped],
        "sent": [
            {"remote": name, "objects": sent.objects, "sizeBytes": sent.size_bytes}
            for name, sent in result.sent.items()
            if sent.objects
        ],
        "notices": [{"message": message, "file": "", "line": 0} for message in result_notices(result)],
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


def result_text(result: Result, style: Style, way: WayOut) -> str:
    """For a terminal: what stands failed or waits, the metrics of what ran, and what to do about failures."""
    lines: list[str] = []
    for address, step in result.steps.items():
        if step.action is Action.FAILED:
            lines.append(
                f"{style.red('failed')}   {Style.safe(str(address))}  {style.dim(reason_text(step.reasons[0]))}"
            )
        elif step.action in (Action.WAIT, Action.UNKNOWN, Action.PROBE) and address not in result.host_errors:
            reason = step.reasons[0] if step.reasons else ""
            lines.append(f"{style.yellow('waits')}    {Style.safe(str(address))}  {style.dim(reason_text(reason))}")
    for address, error in result.host_errors.items():
        lines.append(f"{style.red('not run')}  {Style.safe(str(address))}  {Style.safe(error.line)}")
    lines += metric_lines(result.runs, style)
    for row in result.dropped:
        why = f"the same work is record {row['acceptedRecord']} already; this run was not recorded"
        lines.append(f"{style.yellow('dropped')}  {Style.safe(_stage_of(row, result))}  {why}")
    for name, sent in result.sent.items():
        if sent.objects:
            what = f"{plural(sent.objects, 'object')} ({size(sent.size_bytes)}) to the DVC remote {name}"
            lines.append(f"{style.dim('sent')}     {Style.safe(what)}")
    if result.releases:
        from runner.report.release_view import release_lines  # imported late: few release anything

        lines += release_lines(result.releases, style)
    lines += after_failures(result.steps.values(), style, way)
    return "\n".join(lines) + ("\n" if lines else "")


def metric_lines(runs: Sequence[RunFacts], style: Style) -> list[str]:
    """A line for each file of metrics that the runs left, of many the first ones and how many more there are."""
    lines = []
    files = [(run, file, values) for run in runs for file, values in run.metrics.items()]
    for run, file, values in files[:_MOST_FILES]:
        found = _leaves(values)
        numbers = ", ".join(f"{name} {shown_value(value)}" for name, value in found[:_MOST_METRICS])
        more = len(found) - _MOST_METRICS
        numbers += f" and {more} more" if more > 0 else ""
        lines.append(f"{style.dim('metrics')}  {Style.safe(f'{run.address.stage} {file}: {numbers}')}")
    if len(files) > _MOST_FILES:
        more_files = f"and {plural(len(files) - _MOST_FILES, 'file')} more; `runner runs list` shows all"
        lines.append(f"{style.dim('metrics')}  {more_files}")
    return lines


def result_notices(result: Result) -> list[str]:
    """What was asked for and had no effect."""
    ran = {run.address for run in result.runs}
    if result.retry is None:
        idle = not ran and not result.commits  # a command of a target that ran again left one
        idle = idle and not any(step.action is Action.FAILED for step in result.steps.values())
        return ["no stage stands failed, so there was nothing to try again"] if idle else []
    found = []
    for address in sorted(result.retry - ran):
        why = _NOT_RETRIED.get(result.steps[address].action) if address in result.steps else None
        if why is not None:
            found.append(f"{address} did not fail, so it was not tried again: {why}")
    return found


def result_line(result: Result, style: Style) -> str:
    """The last line of a reconcile: what was recorded, or why nothing was."""
    dropped = len(result.dropped)
    recorded = len(result.runs) - dropped
    failed = sum(not run.succeeded for run in result.runs)
    if not result.commits:
        return _nothing_recorded(result, style)
    commit = style.bold(result.commits[-1][:12])
    if recorded > 0:
        what = plural(recorded, "run") + (f", {failed} failed" if failed else "")
        text = f"Recorded {what} in {commit}"
    elif any(verdict.decision.news for verdict in result.releases):
        text = f"Recorded what is released in {commit}"
    else:
        text = f"Recorded what stands now in {commit}"
    if result.state is not None and not result.state.is_signed:
        text += ", not signed"
    if not result.runs:
        text += "; no run came to its end" if result.cancelled else "; nothing had to run"
    if dropped:
        text += f"; {_was_first(dropped)}"
    if result.cancelled:
        return style.yellow("Stopped: ") + text[0].lower() + text[1:] + "; the next reconcile does the rest."
    return text + "."


def _nothing_recorded(result: Result, style: Style) -> str:
    if result.cancelled:
        return style.yellow("Stopped: ") + "nothing was recorded; what did not finish runs the next time."
    if result.host_errors:
        count = plural(len(result.host_errors), "stage")
        return style.red("Nothing was recorded: ") + f"this host could not run {count}."
    if result.dropped:
        return style.yellow("Nothing new to record: ") + _was_first(len(result.dropped)) + "."
    counts = Counter(step.action for step in result.steps.values())
    failed, unknown = counts[Action.FAILED], counts[Action.UNKNOWN]
    waiting = counts[Action.WAIT] + counts[Action.PROBE]
    parts = [f"{plural(failed, 'stage')} {'stands' if failed == 1 else 'stand'} failed"] if failed else []
    parts += [f"{waiting} {'waits' if waiting == 1 else 'wait'}"] if waiting else []
    parts += [f"{unknown} cannot be decided"] if unknown else []
    if parts:
        return style.yellow("Nothing new to record: ") + ", ".join(parts) + "."
    if not result.steps:
        return style.green("Nothing to record: ") + "there are no stages."
    if result.newer is not None:
        older = f"{result.plan.desired[:12]} is older than {result.newer[:12]}, which is what counts now."
        return style.green("Nothing to record: ") + older
    return style.green("Nothing to record: ") + "the state branch says it all."


def _was_first(dropped: int) -> str:
    of = f"{plural(dropped, 'run')} {'was' if dropped == 1 else 'were'} dropped"
    return f"{of}, since another runner recorded the same work first"


def _stage_of(row: Mapping[str, Any], result: Result) -> str:
    return next((str(run.address) for run in result.runs if run.run_id == row["runId"]), "a run of before")


def _leaves(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(values, dict):
        return [(prefix, values)]
    return [leaf for key, value in values.items() for leaf in _leaves(value, f"{prefix}.{key}" if prefix else str(key))]
