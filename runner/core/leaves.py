"""The values inside nested mappings, such as a file of metrics, each under its dotted name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def leaves(prefix: str, value: Any, joint: str = ".") -> list[tuple[str, Any]]:
    """The values inside nested mappings, each with its dotted name."""
    if not isinstance(value, Mapping) or not value or _is_tagged(value):
        return [(prefix, value)]
    return [leaf for key, item in value.items() for leaf in leaves(f"{prefix}{joint}{key}", item)]


def difference(before: Any, after: Any) -> float | None:
    """How far apart two numbers are; None where one of them is none, or that is more than a float holds."""
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (before, after)):
        return None
    try:
        gap: float = round(after - before, 12)
        return gap if math.isfinite(gap) else None
    except OverflowError:  # JSON has whole numbers of any length
        return None


def _is_tagged(value: Mapping[str, Any]) -> bool:
    """Whether it is one value that JSON has no notation for (`{"!float": "nan"}`)."""
    return len(value) == 1 and next(iter(value)).startswith("!")
