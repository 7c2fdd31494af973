"""What stands, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.core.actions import Action
from runner.core.claims import Claim
from runner.core.plan import Plan, Step
from runner.core.recorded import Verified
from runner.core.records import RunFacts
from runner.observe.observation import Observation
from runner.report.claims_view import claim_json, claim_line
from runner.report.holdout_view import holdout_lines
from runner.report.plan_view import Ground, after_failures, ground_text, no_stages, notices_text
from runner.report.style import Style, plural, reason_text, size, table
from runner.values import dataclass, field

_WORDS = {
    Action.KEEP: ("up to date", "green"),
    Action.REUSE: ("to reuse", "cyan"),
    Action.RUN: ("to run", "yellow"),
    Action.WAIT: ("waits", "yellow"),
    Action.PROBE: ("to probe", "yellow"),
    Action.UNKNOWN: ("unknown", "magenta"),
    Action.FAILED: ("failed", "red"),
    Action.REMOVE: ("to be removed", "red"),
}
_MOST_PROPOSALS = 5


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known beside the state: results on their way, and results of proposals."""

    age: str | None
    """How long ago the state was recorded, in words."""
    waiting: Sequence[RunFacts]
    """Runs that finished on this host and are not published yet."""
    proposals: Sequence[tuple[str, str, str]]
    """Name, commit and age of each branch with runs of a proposal."""
    claims: Sequence[Claim] = ()
    """What runners are running, as far as it is known here."""
    verified: Mapping[str, Verified] = field(default_factory=dict)
    """By run key what verifications came to."""
    results: Mapping[str, str] = field(default_factory=dict)
    """By run key how the newest of them came out."""
    holdouts: Sequence[Mapping[str, Any]] = ()
    """How often each sealed hold-out was read."""


def status_json(plan: Plan, observation: Observation, beside: Beside) -> dict[str, Any]:
    """What stands for each stage as plain JSON."""
    state = observation.state
    return {
        "schema": 1,
        "desired": plan.desired,
        "state": plan.state,
        "stateAge": beside.age,
        "recordedDesired": state.summary.desired if state else None,
        "records": state.summary.head.sequence if state else 0,
        "signed": state.is_signed if state else None,
        "stages": [_status_row(step, observation, beside) for step in plan.steps],
        "unpublished": [
            {"stage": str(run.address), "runId": run.run_id, "outcome": run.reason} for run in beside.waiting
        ],
        "proposals": [{"ref": name, "state": tip, "age": age} for name, tip, age in beside.proposals],
        "claims": [claim_json(claim) for claim in beside.claims],
        "holdouts": [dict(row) for row in beside.holdouts],
        "notHandled": [notice.message for notice in observation.desired.not_handled],
    }


def status_text(plan: Plan, observation: Observation, ground: Ground, beside: Beside, style: Style) -> str:
    """What stands for each stage, for a terminal."""
    lines = ground_text(plan, ground, style)
    state = observation.state
    if state is not None and state.summary.desired != plan.desired:
        lines.append(f"{style.dim('for       ')}{state.summary.desired[:12]}")
    lines.append("")
    lines += _stage_lines(plan, observation, beside, style) if plan.steps else [no_stages(ground)]
    notes = [*after_failures(plan.steps, style, ground.way_out), *_waiting_lines(beside.waiting)]
    notes += [f"Running now: {line}" for line in map(style.safe, map(claim_line, beside.claims))]
    shown = beside.proposals[:_MOST_PROPOSALS]
    notes += [f"proposal: {style.safe(name)} at {tip[:12]}, {age}" for name, tip, age in shown]
    if len(beside.proposals) > len(shown):
        notes.append(f"and {len(beside.proposals) - len(shown)} older proposals")
    notes += holdout_lines(beside.holdouts, style)
    notes += notices_text(observation.desired, style)
    lines += ["", *notes] if notes else []
    return "\n".join(lines) + "\n"


def _stage_lines(plan: Plan, observation: Observation, beside: Beside, style: Style) -> Iterable[str]:
    several = len({step.address.pipeline for step in plan.steps}) > 1
    rows, colours = [], {}
    for number, step in enumerate(plan.steps):
        row = _status_row(step, observation, beside)
        name = str(step.address) if several else step.address.stage
        said = _outs(row["outs"]) if step.action is Action.KEEP else reason_text((step.reasons or ("",))[0])
        by = row["provenance"] or ""
        rows.append([name, row["status"], str(row["record"] or ""), by if len(by) < 24 else by[:22], _mark(row), said])
        colours[number, 1] = _WORDS[step.action][1]
        if row["verified"] and row["verified"]["differed"]:
            colours[number, 4] = "yellow"
    header = ["stage", "status", "record", "by", "verified", "outputs, or why not"]
    if not any(row[4] for row in rows):  # most repositories never verify anything
        header, rows = _without(header, 4), [_without(row, 4) for row in rows]
    yield table(header, rows, style, numbers=(2,), colours=colours)


def _without(cells: Sequence[str], place: int) -> list[str]:
    return [*cells[:place], *cells[place + 1 :]]


def _mark(row: Mapping[str, Any]) -> str:
    """What is known of whether the stage is deterministic, in a word."""
    found = row["verified"]
    if found is None:
        return "" if row["deterministic"] else "not deterministic"
    if found["differed"] is None:
        return str(found["result"])
    return "differs" if row["deterministic"] else "differs, as declared"


def _waiting_lines(waiting: Sequence[RunFacts]) -> Iterable[str]:
    if waiting:
        names = ", ".join(Style.safe(str(run.address)) for run in waiting[:5])
        more = f" and {len(waiting) - 5} more" if len(waiting) > 5 else ""
        what = f"{plural(len(waiting), 'finished run')} on this host {'is' if len(waiting) == 1 else 'are'}"
        yield f"{what} not published yet ({names}{more}); the next `runner reconcile` does it."


def _status_row(step: Step, observation: Observation, beside: Beside) -> dict[str, Any]:
    entry = step.entry
    if entry is None and observation.state is not None:
        entry = observation.state.current(step.address)
    failed = step.hit if step.action is Action.FAILED else None
    stage = observation.graph.stages.get(step.address)
    key = entry.key if entry is not None else ""
    found = beside.verified.get(key)
    return {
        "pipeline": step.address.pipeline,
        "stage": step.address.stage,
        "action": step.action.value,
        "status": _WORDS[step.action][0],
        "reasons": list(step.reasons),
        "record": failed.record if failed else entry.record if entry else None,
        "provenance": entry.provenance if entry and not failed else None,
        "outs": [out.as_json() for out in entry.outs] if entry else [],
        "deterministic": stage is None or stage.deterministic,
        "verified": found and {"record": found.newest, "differed": found.differed, "result": beside.results.get(key)},
    }


def _outs(rows: Sequence[Mapping[str, Any]]) -> str:
    texts = [f"{row['path']} ({size(row['size'])})" if row.get("size") is not None else row["path"] for row in rows[:3]]
    return ", ".join(texts) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")
