"""What a replay came to, for people and for programs."""

from __future__ import annotations

from typing import Any

from runner.core.replay import Replay
from runner.report.style import Style


def replay_json(replay: Replay) -> dict[str, Any]:
    """The comparison as plain JSON."""
    return {
        "schema": 1,
        "record": replay.record,
        "stage": str(replay.before.address),
        "same": replay.same,
        "succeeded": replay.after.succeeded,
        "differences": [{"path": path, "recorded": a, "now": b} for path, a, b in replay.differences],
        "seconds": {"recorded": replay.before.seconds, "now": replay.after.seconds},
    }


def replay_text(replay: Replay, style: Style) -> str:
    """The comparison for a terminal."""
    name = Style.safe(str(replay.before.address))
    if replay.same and not replay.after.succeeded:
        return f"{style.green('Same:')} {name} failed again, as record {replay.record} says.\n"
    if replay.same:
        return f"{style.green('Same:')} {name} left the bytes that record {replay.record} names.\n"
    lines = [f"{style.red('Different:')} {name} did not repeat record {replay.record}."]
    if replay.before.succeeded != replay.after.succeeded:
        lines.append(f"  now: {replay.after.reason} {Style.safe(replay.after.message)}")
    lines += [f"  {Style.safe(path)}  {before} → {after or 'nothing'}" for path, before, after in replay.differences]
    return "\n".join(lines) + "\n"
