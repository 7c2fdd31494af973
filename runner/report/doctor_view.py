"""What a project lacks, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner.core.doctor import Advice, Diagnosis
from runner.core.remedies import DVC_CONFIG, DVC_FILE, Lines
from runner.report.style import Style, plural, wrapped


def doctor_json(commit: str | None, found: Diagnosis, exit_code: int) -> dict[str, Any]:
    """The diagnosis as plain JSON."""
    return {
        "schema": 1,
        "commit": commit,
        "findings": [_advice_json(advice) for advice in found.advice],
        "declined": [{"practice": name, "reason": reason} for name, reason in found.declined],
        "exitCode": exit_code,
    }


def _advice_json(advice: Advice) -> dict[str, Any]:
    remedy = advice.remedy
    rows = [
        {
            "file": row.file,
            "kind": row.kind,
            "name": row.name,
            "isNew": row.is_new,
            "where": where(row),
            "text": row.text,
        }
        for row in remedy.lines
    ]
    return {
        "practice": advice.practice,
        "message": remedy.message,
        "why": remedy.why,
        "commands": list(remedy.commands),
        "lines": rows,
        "page": advice.page,
    }


def where(row: Lines) -> str:
    """Where lines go, in words."""
    if row.kind in (DVC_FILE, DVC_CONFIG):
        return f"to {row.file}"
    if row.is_new:
        return f"to {row.file}, as a document of its own"
    return f"to the {row.kind}{f' {row.name}' if row.name else ''} in {row.file}"


def doctor_text(found: Diagnosis, style: Style) -> str:
    """The diagnosis for a terminal."""
    lines = []
    count = len(found.advice)
    if not count:
        lines.append(style.green("Nothing is lacking") + " that this version knows of.")
    else:
        lines += [f"{style.bold(plural(count, 'thing'))} to add, the most valuable first:", ""]
    for number, advice in enumerate(found.advice, start=1):
        lines += [*_advice_lines(number, advice, style), ""]
    for name, reason in found.declined:
        lines.append(style.dim(f"declined: {style.safe(name)}: {style.safe(reason)}"))
    return "\n".join(lines).rstrip() + "\n"


def _advice_lines(number: int, advice: Advice, style: Style) -> Iterator[str]:
    remedy = advice.remedy
    label = f"{number}. "
    indent = " " * len(label)
    first, *more = wrapped(f"{advice.practice}: {style.safe(remedy.message)}", style, len(label)) or [""]
    yield label + style.bold(first)
    for text in [*more, *wrapped(style.safe(remedy.why), style, len(label))]:
        yield indent + text
    if remedy.commands:
        yield f"{indent}{'First run' if remedy.lines else 'Run'}:"
        yield from (f"{indent}    {style.safe(command)}" for command in remedy.commands)
    for row in remedy.lines:
        yield f"{indent}Add {style.safe(where(row))}:"
        yield from (f"{indent}    {style.safe(line)}" for line in row.text.splitlines())
    yield f"{indent}{style.dim(f'More: {advice.page}')}"
