"""Files that a living process holds: the kernel gives the lock back when it dies, and who finds it free cleans up."""

from __future__ import annotations

import fcntl
import io
import os
from pathlib import Path


def open_locked(path: Path) -> io.FileIO:
    """A file to append to, made where there is none, locked until it is closed or this process ends."""
    while True:
        file = open(path, "ab", buffering=0)  # noqa: SIM115 - open for as long as the reconcile
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # somebody took it for one that is left behind, before it was locked


def is_locked(path: Path) -> bool:
    """Whether a living process holds the file; raises FileNotFoundError where there is none."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
