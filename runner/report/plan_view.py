"""A plan for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from runner.core.actions import Action
from runner.core.nouns import Desired, Notice
from runner.core.outline import Line, Outline
from runner.report.style import (
    SHORTEST_NAME,
    Style,
    are_plain,
    cell_width,
    cut,
    duration,
    padded,
    plural,
    reason_text,
    wrapped,
)
from runner.values import dataclass

if TYPE_CHECKING:
    from runner.core.estimates import Price
    from runner.core.nouns import Address
    from runner.core.plan import Plan, Step
    from runner.core.purpose import Purpose
    from runner.core.releases import Verdict

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
_MOST_LINES = 25
"""Of one action in one pipeline; a plan of a thousand stages is not read line by line."""
_ALL_SHOWN = (Action.FAILED, Action.REMOVE)
"""However many there are: somebody has to look at each."""
_LONGEST_NAME = 60
_QUIET = (Action.KEEP, Action.WAIT)
_SHORT_SECONDS = 1.0
"""What takes less is not told in figures."""


@dataclass(frozen=True, slots=True)
class WayOut:
    """What to type about the first of the stages that stand failed."""

    log: str = ""
    """How `runner log` names its run; empty where that is not known."""
    rev: str = ""
    """What a reconcile has to be asked for; empty for the watched branch."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a plan stands on, in words for people."""

    branch: str | None = None
    """Branch or revision that the desired commit was named by."""
    subject: str = ""
    """First line of the desired commit's message."""
    state: str | None = None
    """Name of the state branch."""
    of_state: tuple[str, ...] = ()
    """More about the state, such as how long ago it was recorded."""
    has_remote: bool = False
    has_specs: bool = True
    is_fresh: bool = False
    """Whether the remote was asked just now."""
    releases: bool = False
    """Whether something would be released, or put to use."""
    way_out: WayOut = WayOut()
    """What to do about stages that stand failed."""


def plan_json(
    plan: Outline, state_age: str | None = None, price: Price | None = None, budget_seconds: float | None = None
) -> dict[str, Any]:
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
        **_purpose_json(plan),
        "stages": [_line_json(line, price) for line in plan.lines],
        "estimate": None if price is None else price.as_json() | {"text": estimate_text(price)},
        "budget": _budget_json(price, budget_seconds),
        "notices": [notice_json(notice) for notice in plan.notices],
        "notHandled": [notice_json(notice) for notice in plan.not_handled],
    }


def _purpose_json(plan: Outline) -> dict[str, Any]:
    return {"objective": None, "kpis": [], "owners": []} if plan.purpose is None else plan.purpose.as_json()


def _budget_json(price: Price | None, seconds: float | None) -> dict[str, Any] | None:
    return None if seconds is None else {"seconds": seconds, "over": price is not None and price.seconds > seconds}


def _line_json(line: Line, price: Price | None) -> dict[str, Any]:
    estimate = None if price is None else price.estimates.get(line.address)
    return {
        "pipeline": line.address.pipeline,
        "stage": line.address.stage,
        "action": line.action.value,
        "reasons": list(line.reasons),
        "key": line.key,
        "provenance": line.provenance,
        "reformed": line.reformed,
        "estimate": None if estimate is None else estimate.as_json(),
    }


def notice_json(notice: Notice) -> dict[str, Any]:
    """A notice as plain JSON."""
    return {"message": notice.message, "file": notice.place.file, "line": notice.place.line}


def plan_text(
    plan: Outline,
    style: Style,
    ground: Ground,
    price: Price | None = None,
    budget_seconds: float | None = None,
    *,
    every: bool = False,
) -> str:
    """The plan for a terminal: what changes, stage by stage with the time it may take, and one line for what stays."""
    lines = [*ground_text(plan, ground, style), *_purpose_text(plan.purpose, style), ""]
    shown = [line for line in plan.lines if every or line.reformed or line.action is not Action.KEEP]
    lines.extend(_steps(shown, style, price, every=every))
    if shown:
        lines.append("")
    lines.append(summary_line(plan, style, ground))
    lines.extend(_price_lines(price, budget_seconds, style))
    lines.extend(after_failures(plan.lines, style, ground.way_out))
    lines.extend(notices_text(plan, style))
    return "\n".join(lines) + "\n"


def releases_text(releases: Sequence[Verdict], style: Style) -> str:
    """What is released, held and refused, and what is served on; nothing where there are no Deployments."""
    if not releases:
        return ""
    from runner.report.release_view import release_lines  # imported late: few release anything

    return "\n".join(["", *release_lines(releases, style, planned=True)]) + "\n"


def ground_text(plan: Plan | Outline, ground: Ground, style: Style) -> list[str]:
    """What is desired and what is recorded, a line each."""
    of_desired = [ground.branch or "", ground.subject]
    lines = [_ground_line("desired", plan.desired[:12], of_desired, style)]
    if plan.state is not None:
        return [*lines, _ground_line("recorded", plan.state[:12], [ground.state or "", *ground.of_state], style)]
    unknown = "nothing yet"
    if ground.has_remote and not ground.is_fresh:
        unknown = "nothing known here; `runner plan --fetch` asks the remote"
    return [*lines, _ground_line("recorded", unknown, [], style)]


def _purpose_text(purpose: Purpose | None, style: Style) -> Iterable[str]:
    """What the project is for, and who answers for it: a quiet line each, where it is declared."""
    if purpose is None:
        return
    stated = purpose.objective
    near = f" ({stated.metric})" if stated is not None and stated.metric else ""
    aims = [] if stated is None else [f"{stated.statement}{near}"]
    for kpi in purpose.kpis:
        aims.append(f"{kpi.name}: {kpi.direction.value} to {kpi.target} {kpi.unit}".rstrip())
    owners = [f"{owner.name} ({owner.role})" if owner.role else owner.name for owner in purpose.owners]
    for title, facts in (("purpose", aims), ("owners", owners)):
        text = f"{title.ljust(8)}  {' · '.join(style.safe(fact) for fact in facts)}"
        if facts:
            yield style.dim(text if style.width is None else cut(text, style.width))


def summary_line(plan: Outline, style: Style, ground: Ground) -> str:
    """How many stages of each kind, in words."""
    if not plan.lines:
        return no_stages(ground)
    counts = plan.counts()
    if plan.is_empty and any(line.reformed for line in plan.lines):
        return (
            style.green("Nothing to run: ") + f"{plural(len(plan.lines), 'stage')}; a reconcile records the new form."
        )
    if plan.is_empty:
        nothing = "No stage to run: " if ground.releases else "Nothing to do: "
        return style.green(nothing) + f"{plural(len(plan.lines), 'stage')}, all as recorded."
    parts = [f"{counts[action]} {_PHRASE[action]}" for action in _ORDER if counts[action]]
    return style.bold(", ".join(parts)) + "."


def estimate_text(price: Price) -> str:
    """What a plan costs in time, in a sentence."""
    if not price.estimates:
        return "How long it takes is not known: no run of these stages is recorded."
    if price.high < _SHORT_SECONDS and not price.unknown:
        return "Takes less than a second, as runs before did."
    least = "at least" if price.unknown else "about"
    spread = "" if _alike(price.low, price.high) else f" ({duration(price.low)} to {duration(price.high)})"
    text = f"Takes {least} {duration(price.seconds)}{spread} with {plural(price.jobs, 'job')}, if all of it runs"
    if not _alike(price.work, price.seconds):
        text += f": {duration(price.work)} of work, {duration(price.longest_way)} of it one after the other"
    return text + (f"; nothing is known of {price.names_unknown()}." if price.unknown else ".")


def _price_lines(price: Price | None, budget_seconds: float | None, style: Style) -> Iterable[str]:
    if price is None:
        return
    yield style.safe(estimate_text(price))
    if budget_seconds is not None and price.seconds > budget_seconds:
        text = f"Over its budget of {duration(budget_seconds)}: "
        yield style.yellow(text) + "`runner reconcile` holds it, unless you say --over-budget."


def _alike(one: float, other: float) -> bool:
    return duration(one) == duration(other)


def no_stages(ground: Ground) -> str:
    """What to do where there is nothing to plan."""
    if ground.has_specs:
        return "There are no stages yet: runner.yaml names none; `runner schema pipeline` says what one may hold."
    return "There are no stages yet: `runner init` writes a runner.yaml to start from; then commit it."


def after_failures(steps: Iterable[Step | Line], style: Style, way: WayOut) -> Iterable[str]:
    """What a person can do about stages that stand failed."""
    if any(step.action is Action.FAILED for step in steps):
        log = f"`runner log {Style.safe(way.log)}` shows why"
        rev = f" {Style.safe(way.rev)}" if way.rev else ""
        look = log if way.log else "`runner runs list --failed` names the run"
        yield style.dim(f"{look}; `runner reconcile{rev} --retry` tries again without a change.")


def notices_text(desired: Desired | Outline, style: Style) -> Iterable[str]:
    """Notices and what is not handled yet, each on its line."""
    rows = [("not handled yet", notice) for notice in desired.not_handled]
    rows += [("notice", notice) for notice in desired.notices]
    for label, notice in rows:
        place = f"{notice.place}: " if notice.place.file else ""
        yield style.yellow(f"{label}: ") + style.safe(f"{place}{notice.message}")


def sign(action: Action, style: Style) -> str:
    """The sign of an action in its colour."""
    letter, colour = _SIGN[action]
    return style.paint(colour, letter)


def _ground_line(title: str, name: str, facts: Sequence[str], style: Style) -> str:
    text = " · ".join(style.safe(fact) for fact in facts if fact)
    if style.width is not None:
        text = cut(text, max(0, style.width - len(title.ljust(8)) - len(name) - 4))
    return f"{style.dim(title.ljust(8))}  {style.bold(name)}  {text}".rstrip()


def _steps(lines: Sequence[Line], style: Style, price: Price | None, *, every: bool) -> Iterable[str]:
    """A line for each step and each of its reasons; below the names of pipelines where there are several.

    Of many with the same action the first are shown, unless `every` asks for all, and how many more there are.
    """
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.address.pipeline, []).append(line)
    left_out: dict[str, Counter[Action]] = {}
    if not every:
        for pipeline, group in groups.items():
            groups[pipeline], left_out[pipeline] = _first_of_each(group)
    steps = [step for group in groups.values() for step in group]
    times = _times(price, steps)
    longest = max(map(cell_width, times.values()), default=0)
    names = {step.address: style.safe(step.address.stage) for step in steps}
    width = min(max(map(cell_width, names.values()), default=0), _LONGEST_NAME)
    actions = {step.action for step in steps}
    verb = max((len(action.value) for action in actions), default=0)
    labels = {action: _label(action, verb, style) for action in actions}
    is_plain = are_plain(reason for step in steps for reason in step.reasons)
    indent = "    " if len(groups) > 1 else "  "
    for pipeline, group in groups.items():
        if len(groups) > 1:
            yield f"  {style.bold(style.safe(pipeline))}"
        for step in group:
            name = padded(names[step.address], width)
            time = padded(times.get(step.address, ""), longest) + "  " if longest else ""
            start = cell_width(name) + cell_width(time) + len(indent) + 2 + verb + 4
            first, *more = _reason_lines(step, start, style, is_plain=is_plain)
            yield f"{indent}{labels[step.action]}  {name}  {time}{first}".rstrip()
            for text in more:
                yield " " * start + text
        if rest := left_out.get(pipeline):
            words = ", ".join(f"{rest[action]} more {_PHRASE[action]}" for action in _ORDER if rest[action])
            yield style.dim(f"{indent}and {words}; --all lists them")


def _first_of_each(lines: Sequence[Line]) -> tuple[list[Line], Counter[Action]]:
    """The first lines of each action, as many as are shown, in their order; and how many are left out."""
    seen: Counter[Action] = Counter()
    shown = []
    for line in lines:
        seen[line.action] += 1
        if seen[line.action] <= _MOST_LINES or line.action in _ALL_SHOWN:
            shown.append(line)
    return shown, seen - Counter(line.action for line in shown)


def _label(action: Action, verb: int, style: Style) -> str:
    return sign(action, style) + " " + style.paint(_SIGN[action][1], action.value.ljust(verb))


def _times(price: Price | None, steps: Iterable[Line]) -> dict[Address, str]:
    """What each of the stages may take, where any takes so long that people ask."""
    if price is None or all(estimate.seconds < _SHORT_SECONDS for estimate in price.estimates.values()):
        return {}
    known = ((step.address, price.estimates.get(step.address)) for step in steps)
    return {
        address: f"~{duration(estimate.seconds)}" if estimate.seconds >= _SHORT_SECONDS else "<1 s"
        for address, estimate in known
        if estimate is not None
    }


def _reason_lines(step: Line, start: int, style: Style, *, is_plain: bool) -> list[str]:
    """The reasons of a step as they stand behind column `start`; with `is_plain` they hold nothing to be hidden."""
    more = len(step.reasons) - _MOST_REASONS
    reasons = [*step.reasons[:_MOST_REASONS], *([f"and {more} more reasons"] if more > 0 else [])]
    texts = [text if is_plain and len(text) < SHORTEST_NAME else reason_text(text) for text in reasons] or [""]
    if style.width is not None:
        texts = [line for text in texts for line in wrapped(text, style, start)]
    return [style.dim(text) for text in texts] if step.action in _QUIET else texts
