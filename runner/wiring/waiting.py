"""Says what is waited for, where that takes long enough for a person to wonder."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

PATIENCE_SECONDS = 3.0


@contextlib.contextmanager
def said_if_slow(say: Callable[[str], None], text: str, *, after_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Say `text` once, from a thread of its own, where the block takes longer than `after_seconds`."""
    timer = threading.Timer(after_seconds, say, (text,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
