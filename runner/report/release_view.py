"""Releases for a terminal: what is served from now on, what is held or refused, what came of it, and why."""

from __future__ import annotations

from collections.abc import Iterable

from runner.core.releases import PRODUCTION, Decision, Outcome, Verdict
from runner.core.targets import Answer, Reach, Standing
from runner.report.style import Style

_QUIET = (Reach.DEPLOYED, Reach.UNKNOWN)
_STAYS = (Outcome.HELD, Outcome.REFUSED)


def release_lines(verdicts: Iterable[Verdict], style: Style, *, planned: bool = False) -> list[str]:
    """A line for each deployment and environment that is not served as before, and for what is not as recorded."""
    words = {
        Outcome.RELEASE: style.green("release " if planned else "released"),
        Outcome.SETTINGS: style.green("release " if planned else "released"),
        Outcome.REMOVE: style.yellow("remove  " if planned else "removed "),
        Outcome.ROLLED_BACK: style.red("rollback"),
        Outcome.WITHDRAWN: style.red("withdraw"),
        Outcome.HELD: style.yellow("held    "),
        Outcome.REFUSED: style.red("refused "),
        Outcome.KEEP: style.dim("serve   "),
    }
    lines = []
    for verdict in verdicts:
        found, standing = verdict.decision, verdict.standing
        is_same = found.outcome is Outcome.KEEP
        if planned or not is_same:
            name, why = Style.safe(name_of(verdict)), style.dim(Style.safe(_stands(found) + found.why))
            lines.append(f"{words[found.outcome]} {name}  {why}")
        if standing is not None and (planned or not is_same or standing.reach not in _QUIET):
            lines.append(standing_line(verdict.deployment, verdict.environment, standing, style, planned=planned))
            lines += server_lines(standing, style)
    return lines


def standing_line(deployment: str, environment: str, standing: Standing, style: Style, *, planned: bool = False) -> str:
    """`failed   churn-api v3  exit code 1: no space left`."""
    words = {
        Reach.DEPLOYED: style.green("deployed"),
        Reach.PENDING: style.yellow("deploy  " if planned and standing.kind == "command" else "pending "),
        Reach.FAILED: style.red("failed  "),
        Reach.UNREACHABLE: style.yellow("silent  "),
        Reach.UNKNOWN: style.dim("live?   "),
    }
    name = f"{deployment} v{standing.version}" + ("" if environment == PRODUCTION else f" ({environment})")
    why = f"  {style.dim(Style.safe(standing.why))}" if standing.why else ""
    return f"{words[standing.reach]} {Style.safe(name)}{why}"


def server_lines(standing: Standing, style: Style) -> list[str]:
    """A line for each server that was asked, where there are several."""
    marks = {Answer.SERVES: style.green("✓"), Answer.FAILED: style.red("✗")}
    if len(standing.servers) < 2:
        return []
    return [
        f"         {marks.get(row.answer, style.yellow('·'))} {Style.safe(row.url)}  "
        f"{style.dim(Style.safe(row.why or f'serves v{row.version}'))}"
        for row in standing.servers
    ]


def _stands(found: Decision) -> str:
    """What is served where something else may not be: what people have to know first."""
    return f"v{found.version} stands; " if found.outcome in _STAYS and found.version is not None else ""


def name_of(verdict: Verdict) -> str:
    """`churn-api v3 (staging)`."""
    found = verdict.decision
    is_new = found.outcome in (Outcome.RELEASE, Outcome.SETTINGS, Outcome.ROLLED_BACK)
    version = f" v{found.version}" if is_new else ""
    where = "" if verdict.environment == PRODUCTION else f" ({verdict.environment})"
    return f"{verdict.deployment}{version}{where}"
