"""Where runs are under way: threads, since a run is a process that somebody has to wait for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

Result = TypeVar("Result")


class Workers(Protocol[Result]):
    """Does work side by side: `Threads`, or the simulator's, which does it one after the other in any order."""

    def start(self, work: Callable[[], Result]) -> None:
        """Begin some work, which raises nothing."""

    def next(self, timeout_seconds: float) -> Result | None:
        """What some work has come to; None where nothing ends in this time."""

    def close(self) -> None:
        """Wait for all that was begun."""


class Threads(Generic[Result]):
    """As many threads as may be busy at once; for one thread that starts work and asks for what it came to."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._busy = 0
        self._threads: list[threading.Thread] = []
        self._begun: queue.SimpleQueue[Callable[[], Result] | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[Result] = queue.SimpleQueue()

    def start(self, work: Callable[[], Result]) -> None:
        """See Workers."""
        self._busy += 1
        if len(self._threads) < min(self._busy, self._jobs):
            thread = threading.Thread(target=self._do, name=f"stage_{len(self._threads)}")
            thread.start()
            self._threads.append(thread)
        self._begun.put(work)

    def next(self, timeout_seconds: float) -> Result | None:
        """See Workers."""
        try:
            result = self._ended.get(timeout=timeout_seconds)
        except queue.Empty:
            return None
        self._busy -= 1
        return result

    def close(self) -> None:
        """See Workers."""
        for _ in self._threads:
            self._begun.put(None)
        for thread in self._threads:
            thread.join()

    def _do(self) -> None:
        while (work := self._begun.get()) is not None:
            self._ended.put(work())
