"""Values that variables of the environment may have; who reads the environment hands the text in."""

from __future__ import annotations

from runner.errors import InputError

_LONGEST_SECONDS = 86_400


def seconds_of(name: str, text: str | None, default: float) -> float:
    """A span in seconds, from 1 to a day; `default` where nothing is said. Raises InputError, naming the variable."""
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= _LONGEST_SECONDS:
        raise InputError(f"{name} is {text!r}", f"say a number of seconds from 1 to {_LONGEST_SECONDS}")
    return seconds
