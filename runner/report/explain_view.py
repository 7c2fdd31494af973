"""Everything that decides about one stage, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.core.actions import Action
from runner.core.leaves import leaves as metric_leaves
from runner.core.nouns import Stage
from runner.core.plan import Step
from runner.core.records import Record, RunFacts
from runner.core.runkey import shown
from runner.core.verification import SAME
from runner.observe.observation import Observation
from runner.report.plan_view import sign
from runner.report.style import (
    Style,
    command_lines,
    duration,
    fields,
    plural,
    reason_text,
    shown_value,
    size,
    wrapped,
)

_MOST_METRICS = 8
_NOTABLE = 0.005
"""A part by which an estimate may be wrong and is called right."""
_SAYS = {
    Action.KEEP: "is up to date: what is recorded is what the specs ask for",
    Action.REUSE: "ran before with the same inputs: a reconcile takes the result over and runs nothing",
    Action.RUN: "would run",
    Action.WAIT: "waits for an input that will be made again, and is decided then",
    Action.PROBE: "has an input that only the network can tell of",
    Action.UNKNOWN: "cannot be decided from git alone",
    Action.FAILED: "failed with these very inputs, and is not tried again before something changes",
    Action.REMOVE: "is not in the specs any more",
}


def explain_json(
    step: Step,
    observation: Observation,
    record: Record | None,
    verification: Record | None,
    time: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that decides about one stage as plain JSON; `time` is what it may take."""
    stage = observation.graph.stages[step.address]
    run = record.run if record else None
    return {
        "schema": 1,
        "pipeline": step.address.pipeline,
        "stage": step.address.stage,
        "place": str(stage.place),
        "desc": stage.desc,
        "action": step.action.value,
        "reasons": list(step.reasons),
        "key": step.key,
        "material": step.material.as_json() if step.material else None,
        "cmd": list(stage.cmd),
        "deps": list(stage.deps),
        "settings": _settings(stage),
        "needs": [str(address) for address in observation.graph.upstream[step.address]],
        "neededBy": [str(address) for address in observation.graph.downstream[step.address]],
        "declaredOuts": list(stage.out_paths),
        "outs": [out.as_json() for out in step.entry.outs] if step.entry else [],
        "provenance": step.entry.provenance if step.entry else None,
        "adoptedFrom": step.entry.adopted_from if step.entry else None,
        "record": record.sequence if record else None,
        "run": _run_summary(run) if run else None,
        "verified": _verified(verification, step) if verification else None,
        "time": time,
    }


def explain_text(value: Mapping[str, Any], style: Style) -> str:
    """The same for a terminal."""
    action = Action(value["action"])
    name = Style.safe(f"{value['pipeline']}:{value['stage']}")
    lines = [f"{style.bold(name)}  {style.dim(Style.safe(value['place']))}"]
    described = [line for text in Style.safe_lines(value["desc"]) for line in wrapped(text, style, 2)]
    lines += [style.dim(f"  {line}") for line in described if line]
    lines += [f"  {sign(action, style)} {value['action']}: {_SAYS[action]}"]
    lines += [f"    {line}" for reason in value["reasons"] for line in wrapped(reason_text(reason), style, 4)]
    lines += _section("commands", command_lines(value["cmd"]), style)
    material = value["material"] or {}
    lines += _section("inputs", fields(_inputs(value["deps"], material.get("dep", {})), style), style)
    for kind, title in (("param", "parameters"), ("env", "environment variables")):
        rows = [(name, shown(item)) for name, item in material.get(kind, {}).items()]
        lines += _section(title, fields(rows, style), style)
    lines += _section("outputs", fields(_outputs(value), style), style)
    lines += _section("settings", fields(_said(value["settings"]), style), style)
    for key, title in (("needs", "needs"), ("neededBy", "needed by")):
        lines += _section(title, [f"    {Style.safe(other)}" for other in value[key]], style)
    lines += _section("run key", [f"    {value['key']}"] if value["key"] else [], style)
    lines += _section("recorded", fields(_record(value, action), style), style)
    lines += _section("time", fields(_time(value["time"]), style), style) if value["time"] else []
    undeclared = value["run"]["undeclared"] if value["run"] else []
    lines += _section(
        "wrote beside its outputs; undone", [f"    {Style.safe(path)}" for path in undeclared[:20]], style
    )
    lines += _verified_lines(value, style) if value["verified"] else []
    return "\n".join(lines) + "\n"


def _verified(record: Record, step: Step) -> dict[str, Any] | None:
    """What a verification says of the stage's run key, and who made it when."""
    facts = record.own["verification"]
    row = next((row for row in facts["runs"] if step.entry is not None and row["key"] == step.entry.key), None)
    if row is None:
        return None
    said = {name: row[name] for name in ("result", "declared", "outcome", "outs", "metrics")}
    return {"record": record.sequence, "at": record.recorded_at, "actor": facts["actor"], "host": facts["host"]} | said


def _verified_lines(value: Mapping[str, Any], style: Style) -> list[str]:
    from runner.report.verify_view import differing, word  # imported late: rare

    verified = value["verified"]
    at = verified["at"][:19].replace("T", " ")
    rows = [("result", word(verified)), ("record", str(verified["record"])), ("at", f"{at} UTC")]
    rows.append(("by", f"{verified['actor']} on {verified['host'].get('name', '?')}"))
    if verified["result"] != SAME:
        rows.append(("log", f"`runner log {verified['record']} {value['pipeline']}:{value['stage']}`"))
    lines = [f"    {line}" for line in differing(verified, style)]
    return _section("verified: run again, and compared", [*fields(rows, style), *lines], style)


def _section(title: str, rows: Sequence[str], style: Style) -> list[str]:
    return ["", style.bold(f"  {title}"), *rows] if rows else []


def _inputs(declared: Iterable[str], known: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = dict.fromkeys([*declared, *known])
    return [(name, str(known[name]) if name in known else "not known yet") for name in names]


def _outputs(value: Mapping[str, Any]) -> list[tuple[str, str]]:
    left = {out["path"]: out for out in value["outs"]}
    rows = []
    for path in dict.fromkeys([*value["declaredOuts"], *left]):
        out = left.get(path)
        told = "" if out is None else out["md5"] + (f"  {size(out['size'])}" if out.get("size") is not None else "")
        rows.append((path, told or "not made yet"))
    return rows


def _record(value: Mapping[str, Any], action: Action) -> list[tuple[str, str]]:
    run = value["run"]
    if run is None:
        return [("vouched for by", str(value["provenance"]))] if value["provenance"] else []
    took = f"{run['startedAt'][:19].replace('T', ' ')} UTC, took {duration(run['seconds'])}"
    rows = [("record", str(value["record"])), ("ran", took)]
    rows.append(("by", f"{run['actor']} on {run['host'].get('name', '?')} ({run['isolation']})"))
    rows.append(("for commit", f"{run['desired'][:12]}"))
    leaves = [leaf for file, values in run["metrics"].items() for leaf in metric_leaves(file, values, ":")]
    texts = [f"{name.rpartition(':')[2]} {shown_value(item)}" for name, item in leaves[:_MOST_METRICS]]
    more = len(leaves) - len(texts)
    rows += [("metrics", ", ".join(texts) + (f" and {more} more" if more else ""))] if texts else []
    if action is Action.FAILED:
        rows.append(("log", f"`runner log {value['stage']}`"))
    if value["adoptedFrom"]:
        rows.append(("taken from", str(value["adoptedFrom"])))
    return rows


def _time(time: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What it may take, and how far off the last such word was; without figures where it takes no time at all."""
    if time["high"] < 1:
        return [("takes", f"less than a second, as in {plural(time['runs'], 'run')} before")]
    low, usual, high = (duration(time[name]) for name in ("low", "seconds", "high"))
    spread = "" if low == high else f", {low} to {high}"
    rows = [("takes", f"about {usual}{spread}, as in {plural(time['runs'], 'run')} before")]
    if time["lastError"] is not None:
        off = abs(time["lastError"])
        wrong = f"{off:.0%} too {'long' if time['lastError'] > 0 else 'short'}"
        rows.append(("last estimate", wrong if off >= _NOTABLE else "right to the percent"))
    return rows


def _said(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings for people; that of a stage which is meant to be so, in words."""
    words = {"nondeterministic": ("deterministic", "no: the spec says that a repetition may leave other bytes")}
    return [words.get(key, (key, shown(item))) for key, item in settings.items()]


def _settings(stage: Stage) -> dict[str, Any]:
    """What is stated beside the grammar of DVC, and not at its default."""
    resources = stage.resources
    found: dict[str, Any] = {
        "wdir": stage.wdir if stage.wdir != "." else None,
        "frozen": stage.frozen,
        "always_changed": stage.always_changed,
        "cpu": resources.cpu,
        "memory": size(resources.memory_bytes) if resources.memory_bytes else None,
        "timeout": duration(stage.timeout_seconds) if stage.timeout_seconds else None,
        "retries": stage.retries,
        "mutex": list(stage.mutex),
        "secrets": list(stage.secrets),
        "environment": stage.environment.lock if stage.environment else None,
        "seed": stage.seed,
        "nondeterministic": not stage.deterministic,
    }
    return {name: value for name, value in found.items() if value not in (None, False, 0, 0.0, [])}


def _run_summary(run: RunFacts) -> dict[str, Any]:
    return {
        "runId": run.run_id,
        "succeeded": run.succeeded,
        "outcome": run.reason,
        "message": run.message,
        "desired": run.desired,
        "startedAt": run.started_at,
        "seconds": run.seconds,
        "actor": run.actor,
        "host": dict(run.host),
        "isolation": run.isolation,
        "undeclared": list(run.undeclared),
        "metrics": dict(run.metrics),
    }
