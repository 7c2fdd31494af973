"""What a stage wrote into the upper layer of its overlay beside its declared outputs."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

MOST_PATHS = 100
"""So many undeclared paths are named."""


def undeclared_writes(upper: Path, worktree: Path, outs: Iterable[str]) -> tuple[str, ...]:
    """Paths relative to the worktree that were made, changed or deleted and are neither a declared output nor below
    one; sorted, 100 at most.

    A folder that is new or gone is one path with a slash at its end. A file that was opened for writing but not changed
    is not named.
    """
    declared = {posixpath.normpath(out) for out in outs}
    passages = {out[:end] for out in declared for end, letter in enumerate(out) if letter == "/"}
    return tuple(sorted(_written(os.fspath(upper), os.fspath(worktree), "", declared, passages))[:MOST_PATHS])


def _written(upper: str, worktree: str, folder: str, declared: set[str], passages: set[str]) -> Iterator[str]:
    with os.scandir(f"{upper}/{folder}") as entries:
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if path in declared:
                continue
            below = _status(f"{worktree}/{path}")
            if not entry.is_dir(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                if below is None or not _same(status, below):
                    yield f"{path}/" if below and stat.S_ISDIR(below.st_mode) and _says_gone(status) else path
            elif path in passages or (below is not None and stat.S_ISDIR(below.st_mode) and not _is_opaque(entry.path)):
                yield from _written(upper, worktree, path, declared, passages)
            else:
                yield path + "/"


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _same(now: os.stat_result, before: os.stat_result) -> bool:
    """Copying a file up keeps its size and its time of change; a deletion is a device node."""
    return now.st_mode == before.st_mode and now.st_size == before.st_size and now.st_mtime_ns == before.st_mtime_ns


def _says_gone(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(path: str) -> bool:
    """Whether a folder hides the one below it: it was removed and made anew."""
    try:
        return os.getxattr(path, "user.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False
