"""Taking away what a stage has mounted where it had no mount namespace of its own: only root can do that."""

from __future__ import annotations

import os
import re
import select
import threading
from pathlib import Path

from runner.errors import HostError

_LIST = "/proc/self/mountinfo"
_MNT_DETACH = 2
_MOUNT_POINT = 4
"""Position of the field in a line of mountinfo."""


class _Changes:
    """Numbers the states of the system's list of mounts, which the kernel tells of without listing them anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._poll = select.poll()
        self._is_watched = False
        self._number = 0

    def number(self) -> int:
        """Another one than before where something was mounted or unmounted in between."""
        with self._lock:
            if not self._is_watched:
                descriptor = os.open(_LIST, os.O_RDONLY | os.O_CLOEXEC)  # as long as this process lives
                self._poll.register(descriptor, select.POLLERR | select.POLLPRI)
                self._is_watched = True
            self._number += bool(self._poll.poll(0))
            return self._number


_changes = _Changes()
_quiet: dict[tuple[Path, ...], int] = {}
"""Folders with the number of the system's list of mounts in which there was none of theirs."""


def unmount_at(*folders: Path) -> None:
    """Take away every mount on these folders and below them, the last one first, also where it is still in use.

    Raises HostError where the system does not let us.
    """
    if os.geteuid() != 0:
        return
    number = _changes.number()
    if _quiet.get(folders) == number:
        return
    listed = _listed()
    tops = [os.fsencode(os.path.realpath(folder)) for folder in folders]
    points = [
        point for point in _mount_points(listed) if any(point == top or point.startswith(top + b"/") for top in tops)
    ]
    if not points:
        _quiet[folders] = number
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
    with open(_LIST, "rb", buffering=0) as file:
        return file.readall()


def _mount_points(listed: bytes) -> list[bytes]:
    """In the order in which they were mounted; blanks and the like are octal there."""
    fields = [line.split(b" ")[_MOUNT_POINT] for line in listed.splitlines()]
    return [re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), field) for field in fields]
