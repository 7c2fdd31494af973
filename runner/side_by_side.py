"""The same work for many things, several at a time: what waits for a disk, a network or the kernel, not for Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = ["kernel_threads", "side_by_side"]

_MOST_THREADS = 8
"""What is left to Python of each file is a tenth; and the file system has locks of its own."""
_Of = TypeVar("_Of")
_Thing = TypeVar("_Thing")


def kernel_threads() -> int:
    """How many threads are worth having where the kernel does nearly all of the work: Python's lock is free then."""
    return min(len(os.sched_getaffinity(0)), _MOST_THREADS)


def side_by_side(work: Callable[[_Thing], _Of], things: Iterable[_Thing], threads: int) -> list[_Of]:
    """What `work` gives for each thing, in their order; what the first that fails raises ends it and is raised.

    With one thread, or one thing, nothing is started.
    """
    rest = [*things]
    threads = min(len(rest), threads)
    if threads < 2:
        return [work(thing) for thing in rest]
    from concurrent.futures import ThreadPoolExecutor  # imported late: start-up

    with ThreadPoolExecutor(max_workers=threads) as pool:
        return [*pool.map(work, rest)]  # an error cancels what has not begun
