"""Releases for a terminal: what is served from now on, what is held or refused, and why."""

from __future__ import annotations

from collections.abc import Iterable

from runner.core.releases import PRODUCTION, Outcome, Verdict
from runner.report.style import Style


def release_lines(verdicts: Iterable[Verdict], style: Style, *, planned: bool = False) -> list[str]:
    """A line for each deployment and environment that is not served as before."""
    words = {
        Outcome.RELEASE: style.green("release " if planned else "released"),
        Outcome.SETTINGS: style.green("release " if planned else "released"),
        Outcome.REMOVE: style.yellow("remove  " if planned else "removed "),
        Outcome.HELD: style.yellow("held    "),
        Outcome.REFUSED: style.red("refused "),
        Outcome.KEEP: style.dim("serve   "),
    }
    lines = []
    for verdict in verdicts:
        found = verdict.decision
        if planned or found.outcome is not Outcome.KEEP:
            name, why = Style.safe(name_of(verdict)), style.dim(Style.safe(found.why))
            lines.append(f"{words[found.outcome]} {name}  {why}")
    return lines


def name_of(verdict: Verdict) -> str:
    """`churn-api v3 (staging)`."""
    found = verdict.decision
    is_new = found.outcome in (Outcome.RELEASE, Outcome.SETTINGS)
    version = f" v{found.version}" if is_new else ""
    where = "" if verdict.environment == PRODUCTION else f" ({verdict.environment})"
    return f"{verdict.deployment}{version}{where}"
