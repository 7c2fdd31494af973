"""How often sealed hold-outs were read, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runner.report.style import Style, plural


def holdout_lines(uses: Iterable[Mapping[str, Any]], style: Style) -> list[str]:
    """How often each hold-out was read."""
    lines = []
    for use in uses:
        bound = f" of {use['maxUses']} that may" if use["maxUses"] is not None else ""
        text = f"The hold-out {', '.join(use['paths'])} was read by {plural(use['uses'], 'run')}{bound}."
        lines.append(style.safe(text))
    return lines
