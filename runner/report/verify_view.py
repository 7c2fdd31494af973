"""What came out when recorded runs were run again, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.core.runkey import shown
from runner.core.verification import DIFFERS, FAILED, SAME, Verification
from runner.errors import ExitCode
from runner.report.style import Style, change, duration, plural, table

_COLOURS = {SAME: "green", DIFFERS: "red", FAILED: "red"}


def verification_json(result: Verification, code: ExitCode) -> dict[str, Any]:
    """All of it as plain JSON; `code` is what the command ends with."""
    return {
        "schema": 1,
        "desired": result.desired,
        "state": result.state,
        "commit": result.commit,
        "record": result.record,
        "exitCode": int(code),
        "runs": [row.as_json() for row in result.checked],
        "skipped": [
            {"pipeline": row.address.pipeline, "stage": row.address.stage, "reason": row.why} for row in result.skipped
        ],
    }


def verification_text(result: Verification, style: Style, logs: Path) -> str:
    """All of it for a terminal; `logs` is the folder of this host's logs."""
    if result.cancelled:
        return "Stopped; nothing of it counts.\n"
    lines = runs_lines([row.as_json() for row in result.checked], style)
    lines += [f"{style.yellow('not verified')}  {Style.safe(f'{row.address}: {row.why}')}" for row in result.skipped]
    lines += ["", summary(result, style), *_what_to_do(result, logs)] if result.checked else []
    return "\n".join(lines) + "\n"


def summary(result: Verification, style: Style) -> str:
    """How many there were, how they came out, and where it is recorded."""
    rows = [row.as_json() for row in result.checked]
    counts = [(sum(row["result"] == word for row in rows), word) for word in (SAME, DIFFERS, FAILED)]
    parts = [style.paint(_COLOURS[word], f"{count} {_in_plural(word, count)}") for count, word in counts if count]
    return f"{plural(len(rows), 'run')} repeated: {', '.join(parts)}; {recorded_as(result)}."


def recorded_as(result: Verification) -> str:
    """Where it is recorded, in words."""
    return f"recorded as record {result.record}" if result.record is not None else "not recorded"


def runs_lines(rows: Sequence[Mapping[str, Any]], style: Style) -> list[str]:
    """The runs of a verification, as its record states them, each with what differs."""
    if not rows:
        return []
    several = len({row["pipeline"] for row in rows}) > 1
    cells = [
        [
            f"{row['pipeline']}:{row['stage']}" if several else row["stage"],
            word(row),
            str(row["record"]),
            duration(row["seconds"]),
        ]
        for row in rows
    ]
    colours = {(number, 1): _colour(row) for number, row in enumerate(rows)}
    header = ("stage", "result", "record", "took")
    head, *body = table(header, cells, style, numbers=(2, 3), colours=colours).split("\n")
    lines = [head]
    for line, row in zip(body, rows, strict=True):
        lines += [line, *(f"  {text}" for text in differing(row, style))]
    return lines


def word(row: Mapping[str, Any]) -> str:
    """How one run came out."""
    declared = row["declared"] and row["result"] == DIFFERS
    return "differs, as declared" if declared else str(row["result"])


def differing(row: Mapping[str, Any], style: Style) -> list[str]:
    """What came out otherwise: outputs by their digests, metrics by their values."""
    if row["result"] == FAILED:
        return [Style.safe(f"{row['outcome']['reason']}: {row['outcome']['message']}")]
    outs = [f"{out['path']}  {out['recorded'][:12]} → {(out['now'] or 'nothing')[:12]}" for out in row["outs"]]
    metrics = [f"{one['name']}  {_cell(one['recorded'])} → {_cell(one['now'])}{_delta(one)}" for one in row["metrics"]]
    return [style.safe(text) for text in [*outs, *metrics]]


def short(row: Mapping[str, Any]) -> str:
    """The same in a few words."""
    if row["result"] == FAILED:
        return f"failed ({row['outcome']['message']})"
    names = [out["path"] for out in row["outs"]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{word(row)}: {', '.join(names[:3])}{more}" if names else word(row)


def _what_to_do(result: Verification, logs: Path) -> list[str]:
    """How to see what a repetition printed, and what may be why."""
    return [*_how_to_read(result, logs), *_may_be_why(result)]


def _how_to_read(result: Verification, logs: Path) -> list[str]:
    rows = sorted((row for row in result.checked if row.result != SAME), key=lambda row: not row.is_complaint)
    if not rows:
        return []
    if result.record is None:
        file = logs / f"{rows[0].replay.after.run_id}.log"
        return [f"What the repetition of {Style.safe(str(rows[0].replay.before.address))} printed is in {file}"]
    of = f" {Style.safe(str(rows[0].replay.before.address))}" if len(result.checked) > 1 else ""
    return [f"`runner log {result.record}{of}` shows what {'that' if of else 'the'} repetition printed."]


def _may_be_why(result: Verification) -> list[str]:
    """Where a run was made for another commit, that may be why: the stage may read what it does not declare."""
    older = [
        row.replay.record for row in result.checked if row.is_complaint and row.replay.before.desired != result.desired
    ]
    if not older:
        return []
    known = f"Record {older[0]} is of another commit. Where `runner replay {older[0]}` leaves the same bytes,"
    return [f"{known} the stage reads something that it does not declare."]


def _in_plural(word: str, count: int) -> str:
    return "differ" if word == DIFFERS and count != 1 else word


def _colour(row: Mapping[str, Any]) -> str:
    return "yellow" if word(row).endswith("declared") else _COLOURS[row["result"]]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else shown(value)


def _delta(item: Mapping[str, Any]) -> str:
    return f"  ({change(item['delta'])})" if item["delta"] else ""
