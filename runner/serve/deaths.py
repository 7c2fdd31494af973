"""How often the workers of the version that is served have died, and what follows from it."""

from __future__ import annotations

from collections import deque

_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 10.0
_SOUND_SECONDS = 30.0
"""A worker that lived so long makes earlier deaths forgotten, as far as waiting goes."""


class Deaths:
    """The deaths of one version."""

    def __init__(self) -> None:
        self._at: deque[float] = deque()
        self._in_a_row = 0

    def died(self, now: float, lived: float) -> None:
        """One more, after it lived for so many seconds."""
        self._at.append(now)
        self._in_a_row = 1 if lived > _SOUND_SECONDS else self._in_a_row + 1

    def wait(self) -> float:
        """Seconds until it is started again: none after the first death, then twice as long each time."""
        if self._in_a_row < 2:
            return 0.0
        return min(_FIRST_WAIT_SECONDS * 2.0 ** (self._in_a_row - 1), _LONGEST_WAIT_SECONDS)

    def within(self, now: float, seconds: float) -> int:
        """How many there were in the last so many seconds."""
        while self._at and now - self._at[0] > seconds:
            self._at.popleft()
        return len(self._at)
