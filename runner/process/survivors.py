"""Ending processes that nobody watches any more: they are known by the TMPDIR that only their stage was given."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

POLL_SECONDS = 0.01


def end_survivors(folder: Path, seconds: float) -> bool:
    """Kill every process whose TMPDIR is `folder` or lies below it; False when one is left after so many seconds.

    For where there is no PID namespace. A process that was given another TMPDIR is not found here; its supervisor ends
    it as its child, for as long as that one lives.
    """
    name = b"TMPDIR=" + os.fsencode(folder)
    until = time.monotonic() + seconds
    while found := _with_variable(name):
        if time.monotonic() > until:
            return False
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue  # it has just ended, or is looked at again until the time is over
        time.sleep(POLL_SECONDS)
    return True


def _with_variable(start: bytes) -> list[int]:
    """Processes with a variable that is `start`, or goes on with a slash; zombies have none."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    variables = file.read().split(b"\0")
            except OSError:
                continue  # it has ended, or is somebody else's
            if any(variable == start or variable.startswith(start + b"/") for variable in variables):
                found.append(int(entry))
    return found
