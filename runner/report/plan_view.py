"""A plan for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from runner.core.actions import Action
from runner.core.nouns import Desired, Notice
from runner.core.plan import Plan, Step
from runner.report.style import Style, plural

_SIGN = {
    Action.KEEP: ("=", "dim"),
    Action.REUSE: ("↺", "cyan"),
    Action.RUN: ("▶", "green"),
    Action.WAIT: ("…", "yellow"),
    Action.PROBE: ("?", "yellow"),
    Action.UNKNOWN: ("?", "magenta"),
    Action.FAILED: ("✗", "red"),
    Action.REMOVE: ("-", "red"),
}
_PHRASE = {
    Action.RUN: "to run",
    Action.WAIT: "waiting",
    Action.PROBE: "to probe",
    Action.UNKNOWN: "unknown",
    Action.FAILED: "failed",
    Action.REUSE: "to reuse",
    Action.KEEP: "to keep",
    Action.REMOVE: "to remove",
}
_ORDER = tuple(_PHRASE)
_MOST_REASONS = 4


def plan_json(plan: Plan, desired: Desired, state_age: str | None = None) -> dict[str, Any]:
    """The plan as plain JSON; what `apply` reads and the Action's summary is rendered from."""
    return {
        "schema": 1,
        "desired": plan.desired,
        "state": plan.state,
        "stateAge": state_age,
        "recordedDigest": plan.recorded_digest,
        "summary": {
            action.value: count for action, count in sorted(plan.counts().items(), key=lambda row: row[0].value)
        },
        "stages": [step_json(step) for step in plan.steps],
        "notices": [notice_json(notice) for notice in desired.notices],
        "notHandled": [notice_json(notice) for notice in desired.not_handled],
    }


def step_json(step: Step) -> dict[str, Any]:
    """One step as plain JSON."""
    return {
        "pipeline": step.address.pipeline,
        "stage": step.address.stage,
        "action": step.action.value,
        "reasons": list(step.reasons),
        "key": step.key,
        "provenance": step.entry.provenance if step.entry else None,
    }


def notice_json(notice: Notice) -> dict[str, Any]:
    """A notice as plain JSON."""
    return {"message": notice.message, "file": notice.place.file, "line": notice.place.line}


def plan_text(plan: Plan, desired: Desired, style: Style, *, state_age: str | None, every: bool = False) -> str:
    """The plan for a terminal: what changes, stage by stage, and one line for what stays."""
    lines = [heading(plan, style, state_age), ""]
    shown = [step for step in plan.steps if every or step.action is not Action.KEEP]
    lines.extend(_steps(shown, style))
    if shown:
        lines.append("")
    lines.append(summary_line(plan, style))
    lines.extend(notices_text(desired, style))
    return "\n".join(lines) + "\n"


def heading(plan: Plan, style: Style, state_age: str | None) -> str:
    """Which commit is compared with which state."""
    state = f"recorded {plan.state[:12]}" if plan.state else "nothing recorded yet"
    age = f", {state_age}" if plan.state and state_age else ""
    return style.bold(f"Plan for {plan.desired[:12]}") + style.dim(f"  ({state}{age})")


def summary_line(plan: Plan, style: Style) -> str:
    """How many stages of each kind, in words."""
    if not plan.steps:
        return "There are no stages. `runner init` writes a first pipeline."
    counts = plan.counts()
    if plan.is_empty:
        return style.green("Nothing to do: ") + f"{plural(len(plan.steps), 'stage')}, all as recorded."
    parts = [f"{counts[action]} {_PHRASE[action]}" for action in _ORDER if counts[action]]
    return style.bold(", ".join(parts)) + "."


def notices_text(desired: Desired, style: Style) -> Iterable[str]:
    """Notices and what is not handled yet, each on its line."""
    rows = [("not handled yet", notice) for notice in desired.not_handled]
    rows += [("notice", notice) for notice in desired.notices]
    for label, notice in rows:
        place = f"{notice.place}: " if notice.place.file else ""
        yield style.yellow(f"{label}: ") + style.safe(f"{place}{notice.message}")


def _steps(steps: Sequence[Step], style: Style) -> Iterable[str]:
    several = len({step.address.pipeline for step in steps}) > 1
    width = max((len(_name(step, several)) for step in steps), default=0)
    for step in steps:
        sign, colour = _SIGN[step.action]
        label = style.paint(colour, f"{sign} {step.action.value:<7}")
        first, *rest = step.reasons[:_MOST_REASONS] or ("",)
        name = style.safe(_name(step, several))
        yield f"  {label}  {name:<{min(width, 60)}}  {style.dim(style.safe(first))}".rstrip()
        for reason in rest:
            yield " " * (15 + min(width, 60)) + style.dim(style.safe(reason))
        if len(step.reasons) > _MOST_REASONS:
            yield " " * (15 + min(width, 60)) + style.dim(f"and {len(step.reasons) - _MOST_REASONS} more")


def _name(step: Step, several: bool) -> str:
    return str(step.address) if several else step.address.stage
