"""Who works in the runner's own repository: one process at a time, and no lock outlives its owner."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.errors import HostError

_PAUSE_SECONDS = 0.05


@contextmanager
def occupied(file: Path, patience_seconds: float = 900.0) -> Iterator[None]:
    """Hold a lock that the kernel gives back when this process dies; HostError when others hold it too long."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait_for(descriptor, file, time.monotonic() + patience_seconds)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, file: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                raise HostError(
                    f"{file}: process {holder or 'unknown'} has held the mirror for too long",
                    "wait for it, or end it if it hangs",
                ) from None
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def remove_stale_locks(git_dir: Path) -> bool:
    """Remove git's lock files of a repository that no living git process works in; whether any was removed.

    To be called by the holder of `occupied` alone: then only a git process whose runner was killed can be at work.
    """
    if _is_used(git_dir):
        return False
    removed = False
    for lock in git_dir.rglob("*.lock"):
        lock.unlink(missing_ok=True)
        removed = True
    return removed


def _is_used(git_dir: Path) -> bool:
    """Whether a process other than a mere reader names this repository, in its arguments or its environment."""
    needle = os.fsencode(git_dir)
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            arguments = (process / "cmdline").read_bytes()
            if not arguments.startswith(b"git") or b"\0cat-file\0" in arguments:
                continue
            if needle in arguments or needle in (process / "environ").read_bytes():
                return True
        except OSError:  # it ended meanwhile, or belongs to another user, who cannot have made our locks
            continue
    return False
