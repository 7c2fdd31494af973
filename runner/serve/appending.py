"""Writing to the logs of a server: all of it, or nothing of it."""

from __future__ import annotations

import contextlib
import os


def write_all(file: int, data: bytes) -> None:
    """Every byte, in as many writes as it takes; raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def append(file: int, data: bytes, size: int) -> None:
    """All of it at the end of a file of this size; raises OSError, and then the file is as it was."""
    try:
        write_all(file, data)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file, size)
        raise
