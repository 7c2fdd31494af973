"""How much may be brought, and how long that may take."""

from __future__ import annotations

import time

from runner.errors import HostError, InputError


class Bounds:
    """Counts bytes and time against what is allowed."""

    def __init__(self, most_bytes: int, most_seconds: float) -> None:
        """`most_seconds` begin now."""
        self._most_bytes, self._most_seconds = most_bytes, most_seconds
        self._bytes, self._end = 0, time.monotonic() + most_seconds

    def add(self, count: int) -> None:
        """Count so many bytes; raises InputError above the bound, and HostError after the time."""
        self._bytes += count
        if self._bytes > self._most_bytes:
            message = f"there are more than {self._most_bytes} bytes, which is `max_size`"
            raise InputError(message, "raise `max_size` if that much is right")
        self.left()

    def left(self) -> float:
        """The seconds that are left; raises HostError where there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            message = f"it took longer than {self._most_seconds:g} s, which is `timeout`"
            raise HostError(message, "try again later, or raise `timeout`")
        return left
