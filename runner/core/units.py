"""Quantities as people write them in specs: durations, memory and cores, in the units the core uses."""

from __future__ import annotations

import re

from runner.patterns import regex

_DURATION = regex(r"^([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d|w)$")
_DURATION_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_MEMORY = regex(r"^([0-9]+(?:\.[0-9]+)?)\s*([kKMGTP]i?)?B?$")
_MEMORY_BYTES = (
    {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
    | {f"{letter}i": 1 << (10 * power) for power, letter in enumerate(("k", "M", "G", "T", "P"), start=1)}
    | {"Ki": 1 << 10}
)
_MOST_BYTES = 1 << 63
_MOST = 1e15
"""Numbers above are nonsense, and whole ones of any length cannot be counted with."""


def seconds_of(value: object) -> float | None:
    """Seconds of `2h`, `90s`, `1.5m` or a number of seconds; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value) if 0 <= value <= _MOST else None
    match = _DURATION.match(value.strip()) if isinstance(value, str) else None
    seconds = float(match[1]) * _DURATION_SECONDS[match[2]] if match else None
    return None if seconds is None or seconds > _MOST else seconds


def some_seconds_of(value: object) -> float | None:
    """Seconds as `seconds_of` has them, and None for no time at all."""
    return seconds_of(value) or None


def bytes_of(value: object) -> int | None:
    """Bytes of `4Gi`, `512M`, `1.5GiB` or a number of bytes; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value <= _MOST_BYTES else None
    match = _MEMORY.match(value.strip()) if isinstance(value, str) else None
    amount = float(match[1]) * _MEMORY_BYTES[match[2] or ""] if match else None
    return None if amount is None or amount > _MOST_BYTES else int(amount)


def cores_of(value: object) -> float | None:
    """Cores of `2`, `0.5` or `500m`; None for anything else, and for zero and less."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value) if 0 < value <= _MOST else None
    match = re.match(r"^([0-9]+(?:\.[0-9]+)?)(m?)$", value.strip()) if isinstance(value, str) else None
    cores = float(match[1]) / (1000 if match[2] else 1) if match else 0.0
    return cores if 0 < cores <= _MOST else None


def whole_of(value: object) -> int | None:
    """A whole number that is not negative, also as the text a template makes of one; None for anything else."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
