"""The kernel's own list of what was touched below some folders (inotify): a hint where to look, and where one need not.

A watch holds for a folder and the names in it. What it does not tell: writes through a second name of a file outside
of the folders. Source of the layout and of the numbers: inotify(7), linux/inotify.h.
"""

from __future__ import annotations

import os
import struct

WRITTEN = 0x2
"""IN_MODIFY: bytes of the file were written, or cut off."""
CLOSED = 0x8
"""IN_CLOSE_WRITE: it was open for writing, and is not any more; all that is told of a write through a mapping."""
NAMED = 0x80 | 0x100
"""IN_MOVED_TO, IN_CREATE: something has this name that had not."""

_ATTRIBUTES, _MOVED_AWAY, _DELETED = 0x4, 0x40, 0x200
_OVERFLOW, _IGNORED, _UNMOUNTED = 0x4000, 0x8000, 0x2000
_ONLY_FOLDER, _NO_LINK = 0x01000000, 0x02000000
_MASK = WRITTEN | CLOSED | NAMED | _ATTRIBUTES | _MOVED_AWAY | _DELETED | _ONLY_FOLDER | _NO_LINK
_EVENT = struct.Struct("iIII")
_READ_BYTES = 1 << 16
_LARGEST_BYTES = _EVENT.size + 256
"""An event with the longest name: where that would still have fitted in, nothing more was waiting."""


class Watch:
    """Folders that are watched; for one thread at a time. Raises OSError where the system does not allow it."""

    def __init__(self) -> None:
        import ctypes  # imported late: start-up

        self._errno = ctypes.get_errno
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._folders: dict[int, str] = {}

    def add(self, folder: str, name: str) -> None:
        """Watch a folder; what is touched in it is told as `name/...`, itself as `name`, or without, where that is
        empty."""
        self._folders[self._checked(self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _MASK))] = name

    def touched(self) -> dict[str, int] | None:
        """Paths with what happened to them since the last call; None where so much did that some of it is lost."""
        found: dict[str, int] = {}
        while data := self._read():
            place = 0
            while place < len(data):
                number, mask, _, size_bytes = _EVENT.unpack_from(data, place)
                place += _EVENT.size + size_bytes
                if mask & (_OVERFLOW | _UNMOUNTED):
                    return None
                folder = self._folders.get(number)
                if mask & _IGNORED or folder is None:
                    self._folders.pop(number, None)
                    continue
                name = os.fsdecode(data[place - size_bytes : place].rstrip(b"\0"))
                path = f"{folder}/{name}" if folder and name else folder or name
                found[path] = found.get(path, 0) | mask
            if place + _LARGEST_BYTES <= _READ_BYTES:
                break
        return found

    def close(self) -> None:
        """Watch nothing any more."""
        os.close(self._descriptor)

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return b""

    def _checked(self, result: int) -> int:
        if result < 0:
            raise OSError(self._errno(), os.strerror(self._errno()))
        return result
