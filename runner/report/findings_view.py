"""Findings for programs: JSON, and annotations on the lines of a pull request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runner.errors import Finding
from runner.report.style import Style


def findings_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as plain JSON."""
    return [
        {"file": f.file, "line": f.line, "column": f.column, "message": f.message, "hint": f.hint} for f in findings
    ]


def github_annotation(finding: Finding) -> str:
    """A workflow command that puts the finding on its line (escaping as GitHub's toolkit does it)."""
    text = finding.message + (f" ({finding.hint})" if finding.hint else "")
    place = f"file={_property(finding.file)}"
    if finding.line:
        place += f",line={finding.line},col={finding.column}"
    return f"::error {place}::{_data(text)}"


def _data(text: str) -> str:
    text = "\n".join(Style.safe(line) for line in text.split("\n"))
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
