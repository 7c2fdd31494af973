"""Where runs are under way: threads, since a run is a process that somebody has to wait for."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    """As many threads as may be busy at once."""

    def __init__(self, jobs: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="stage")
        self._ended: queue.SimpleQueue[Result] = queue.SimpleQueue()

    def start(self, work: Callable[[], Result]) -> None:
        """See Workers."""
        self._pool.submit(lambda: self._ended.put(work()))

    def next(self, timeout_seconds: float) -> Result | None:
        """See Workers."""
        try:
            return self._ended.get(timeout=timeout_seconds)
        except queue.Empty:
            return None

    def close(self) -> None:
        """See Workers."""
        self._pool.shutdown()
