"""What runners are running now, for people and for programs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from runner.core.claims import Claim
from runner.report.style import Style, plural

_MOST_STAGES = 4


def claim_json(claim: Claim) -> dict[str, Any]:
    """One claim as plain JSON."""
    return {
        "id": claim.id,
        "host": claim.host,
        "actor": claim.actor,
        "trigger": claim.trigger,
        "branch": claim.branch,
        "desired": claim.desired,
        "since": _time(claim),
        "stages": sorted(claim.keys.values()),
        "waiting": list(claim.waiting),
    }


def claims_json(claims: Sequence[Claim], gone: Collection[str]) -> dict[str, Any]:
    """All claims as plain JSON; `gone` are the ids of those whose runner is known to have ended."""
    return {"schema": 1, "claims": [{**claim_json(claim), "gone": claim.id in gone} for claim in claims]}


def claim_line(claim: Claim) -> str:
    """One claim in a line, not yet safe for a terminal."""
    names = sorted({stage.partition(":")[2] or stage for stage in claim.keys.values()})
    more = f" and {len(names) - _MOST_STAGES} more" if len(names) > _MOST_STAGES else ""
    waiting = f", {plural(len(claim.waiting), 'stage')} behind" if claim.waiting else ""
    what = ", ".join(names[:_MOST_STAGES]) + more or "nothing yet"
    who = f"{claim.trigger} of {claim.actor}"
    return f"{what}{waiting}, for {claim.desired[:12]} on {claim.host} since {_time(claim)} ({who})"


def claims_text(claims: Sequence[Claim], gone: Collection[str], style: Style) -> str:
    """All claims, a line each; `gone` as above."""
    if not claims:
        return "Nobody claims anything.\n"
    ends = {claim.id: "; gone: that runner has ended" if claim.id in gone else "" for claim in claims}
    return "".join(f"{style.dim(claim.id[:12])}  {style.safe(claim_line(claim))}{ends[claim.id]}\n" for claim in claims)


def _time(claim: Claim) -> str:
    """When it began by its owner's clock, which may be wrong."""
    try:
        return datetime.fromtimestamp(claim.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
