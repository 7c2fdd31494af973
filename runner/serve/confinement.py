"""What a worker cannot do any more before it opens its model: gain rights, reach the network, take all memory.

Each of these is asked of the kernel, which may not grant it (a container without user namespaces, for one); what could
not be had is told, and the worker serves all the same. None of it keeps a model from the files of its user.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from pathlib import Path

_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SPARE_BYTES = 256 << 20
"""For stacks and for what is reserved and never used."""


def confine(memory_bytes: int, *, network: bool) -> list[str]:
    """Confine this process, which must have one thread; what the kernel did not grant, in words.

    memory_bytes: what it may take beside what it has; 0 for no limit. network: whether it keeps the network.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    notes = []
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        notes.append("the kernel does not keep the model from gaining rights")
    if memory_bytes:
        # Twice as much, since what is reserved counts here; the supervisor looks at what is really used.
        most = data_bytes() + 2 * memory_bytes + _SPARE_BYTES
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    if not network and not _without_network(libc):
        notes.append(f"the model keeps the network: {os.strerror(ctypes.get_errno())}")
    return notes


def _without_network(libc: ctypes.CDLL) -> bool:
    """Go where there is no network; sockets that are open go on."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        return bool(libc.unshare(_CLONE_NEWNET) == 0)
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    with contextlib.suppress(OSError):  # a process without a name for its user reads and writes all the same
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True


def data_bytes() -> int:
    """Memory that this process may write to, whether it does or not."""
    return _pages("self")[5] * resource.getpagesize()


def used_bytes(process: int) -> int | None:
    """Memory of a process that is no part of a file; None where it is gone."""
    try:
        pages = _pages(str(process))
    except (OSError, ValueError, IndexError):
        return None
    return (pages[1] - pages[2]) * resource.getpagesize()


def _pages(process: str) -> list[int]:
    with open(f"/proc/{process}/statm", "rb") as file:
        return [int(number) for number in file.read().split()]
