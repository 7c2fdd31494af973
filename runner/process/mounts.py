"""Taking away what a stage has mounted where it had no mount namespace of its own: only root can do that."""

from __future__ import annotations

import os
import re
from pathlib import Path

from runner.errors import HostError

_MNT_DETACH = 2
_MOUNT_POINT = 4
"""Position of the field in a line of mountinfo."""


def unmount_at(folder: Path) -> None:
    """Take away every mount on a folder and below it, the last one first, also where it is still in use.

    Raises HostError where the system does not let us.
    """
    if os.geteuid() != 0:
        return
    top = os.fsencode(os.path.realpath(folder))
    points = [point for point in _mount_points() if point == top or point.startswith(top + b"/")]
    if not points:
        return
    import ctypes  # imported late: start-up

    libc = ctypes.CDLL(None, use_errno=True)
    for point in reversed(points):
        if libc.umount2(point, _MNT_DETACH) != 0:
            raise HostError(
                f"{os.fsdecode(point)}: what a stage mounted there cannot be taken away: "
                f"{os.strerror(ctypes.get_errno())}",
                "unmount it by hand",
            )


def _mount_points() -> list[bytes]:
    """In the order in which they were mounted; blanks and the like are octal there."""
    with open("/proc/self/mountinfo", "rb") as file:
        fields = [line.split(b" ")[_MOUNT_POINT] for line in file]
    return [re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), field) for field in fields]
