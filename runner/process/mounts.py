"""Taking away what a stage has mounted where it had no mount namespace of its own: only root can do that."""

from __future__ import annotations

import os
import re
from pathlib import Path

from runner.errors import HostError

_MNT_DETACH = 2
_MOUNT_POINT = 4
"""Position of the field in a line of mountinfo."""


_quiet: dict[tuple[Path, ...], bytes] = {}
"""Folders with the system's list of mounts in which there was none of theirs."""


def unmount_at(*folders: Path) -> None:
    """Take away every mount on these folders and below them, the last one first, also where it is still in use.

    Raises HostError where the system does not let us.
    """
    if os.geteuid() != 0:
        return
    listed = _listed()
    if _quiet.get(folders) == listed:
        return
    tops = [os.fsencode(os.path.realpath(folder)) for folder in folders]
    points = [
        point for point in _mount_points(listed) if any(point == top or point.startswith(top + b"/") for top in tops)
    ]
    if not points:
        _quiet[folders] = listed
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


def _listed() -> bytes:
    with open("/proc/self/mountinfo", "rb", buffering=0) as file:
        return file.readall()


def _mount_points(listed: bytes) -> list[bytes]:
    """In the order in which they were mounted; blanks and the like are octal there."""
    fields = [line.split(b" ")[_MOUNT_POINT] for line in listed.splitlines()]
    return [re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), field) for field in fields]
