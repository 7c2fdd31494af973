"""Signals: the first one asks for an orderly stop, a second SIGINT is final."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from runner.errors import ExitCode


@contextlib.contextmanager
def stopping() -> Iterator[tuple[threading.Event, list[ExitCode]]]:
    """An event that SIGINT and SIGTERM set, and the exit codes of the signals that came."""
    stop = threading.Event()
    codes: list[ExitCode] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.is_set():
            raise KeyboardInterrupt
        codes.append(ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED)
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop, codes
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
