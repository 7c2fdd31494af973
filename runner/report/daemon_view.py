"""What a daemon says of itself: when it starts, when nothing is new, when it stops."""

from __future__ import annotations

from runner.core.actions import Action
from runner.core.verification import Verification
from runner.git.network import redacted
from runner.parts import Result
from runner.report.style import Style, duration, plural
from runner.report.verify_view import recorded_as, short


def start_line(version: str, url: str, branch: str | None, interval_seconds: float) -> str:
    """What it watches and how often."""
    watched = branch or "the watched branch"
    place = Style.safe(redacted(url))
    return f"runner {version}: reconciling {watched} of {place}, a round every {duration(interval_seconds)}"


def quiet_line(result: Result, seconds: float, rounds: int, style: Style) -> str:
    """That nothing is new, for how long, and what stands open all the same."""
    counts = result.plan.counts()
    what = "nothing to do" if rounds == 1 else f"nothing new for {duration(seconds)} ({rounds} rounds)"
    what += f"; {plural(len(result.held), 'stage')} left to another runner" if result.held else ""
    failed = counts[Action.FAILED]
    stands = f"; {plural(failed, 'stage')} {'stands' if failed == 1 else 'stand'} failed" if failed else ""
    return f"{result.plan.desired[:12]}: " + style.dim(what + stands)


def verified_line(result: Verification, style: Style) -> str:
    """How the repetition of a recorded run came out, and where that is recorded."""
    (checked,) = result.checked
    row = checked.as_json()
    name = Style.safe(str(checked.replay.before.address))
    said = style.safe(short(row))
    outcome = style.red(said) if checked.is_complaint else style.green(said)
    return f"verified {name}, record {row['record']}: {outcome}; {recorded_as(result)}"


def stop_line(rounds: int, busy: int, failed: int, verified: int | None = None) -> str:
    """How many rounds there were, how many of them did something, and how many ended with an error.

    `verified` is how many recorded runs were repeated between them; None where none was to be.
    """
    between = "" if verified is None else f"; {plural(verified, 'recorded run')} verified"
    return f"stopped after {plural(rounds, 'round')}: {busy} did something, {failed} failed{between}"
