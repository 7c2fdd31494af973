"""Reading and removing what a stage or the kernel has left, whatever the rights on it are."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from pathlib import Path

from runner.side_by_side import kernel_threads, side_by_side

Vacant = tuple[int, int]
"""When a private folder and the one that is kept in it were last changed, in ns: what no program can set."""
TICK_NS = 20_000_000
"""Clocks of file systems go on in steps of some milliseconds: two changes within one cannot be told apart."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MANY = 512
"""After so many files threads for the folders that are left are worth their start: the kernel does nearly all of it."""


def discard(folder: Path) -> None:
    """Remove a folder and all below it; one that is not there is well.

    An overlay leaves a folder that its owner may not list, and a stage may leave folders that its owner may not write:
    they are opened up first. What another user owns stays. In place of a folder, a link or a file goes too.
    """
    try:
        _remove(os.fspath(folder), None)
    except OSError:
        _open_up(str(folder), files=False)
        shutil.rmtree(folder, ignore_errors=True)


def settled(since: Vacant | None) -> Vacant | None:
    """What `vacate` said, where any change from now on is sure to show; else None."""
    return since if since is not None and max(since) + TICK_NS < time.time_ns() else None


def vacate(folder: Path, keep: str, since: Vacant | None = None) -> Vacant | None:
    """Remove all below a folder, but for the folder of the name `keep` in it, which is emptied: making and removing a
    folder costs more than looking whether it is empty. Gives when both were last changed; None where they are gone.

    Where nothing has changed `since`, they are empty still, and not looked into: on an overlay, whose layers lie in
    there, that is never so. Where a stage has changed the rights of one of them, both go: the next one finds the same
    as the first.
    """
    place = os.fspath(folder)
    kept = f"{place}/{keep}"
    try:
        as_made = os.stat(os.path.dirname(place)).st_mode
        found = (os.lstat(place), os.lstat(kept))
        is_as_made = all(one.st_mode == as_made for one in found)
        now = (found[0].st_ctime_ns, found[1].st_ctime_ns)
        if is_as_made and (now == since or (os.listdir(place) == [keep] and not os.listdir(kept))):
            return now
        for inside in (place, kept):
            descriptor = os.open(inside, _FOLDER)
            try:
                if os.fstat(descriptor).st_mode != as_made:
                    discard(folder)
                    return None
                _empty(descriptor, keep if inside is place else None)
            finally:
                os.close(descriptor)
        return os.lstat(place).st_ctime_ns, os.lstat(kept).st_ctime_ns
    except OSError:
        discard(folder)
        return None


def _remove(name: str, above: int | None, *, threads: bool = True) -> int:
    """Remove what is at `name` in the open folder `above`, whatever it is, and say how many files that were; no link
    that somebody puts there meanwhile is followed."""
    try:
        descriptor = os.open(name, _FOLDER, dir_fd=above)
    except FileNotFoundError:
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        os.unlink(name, dir_fd=above)
        return 1
    try:
        removed = _empty(descriptor, None, threads=threads)
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=above)
    return removed


def _empty(folder: int, keep: str | None, *, threads: bool = True) -> int:
    """Remove all in an open folder but for `keep`, and say how many files that were."""
    folders: list[str] = []
    files: list[str] = []
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name != keep:
                (folders if entry.is_dir(follow_symlinks=False) else files).append(entry.name)
    for name in files:
        os.unlink(name, dir_fd=folder)
    removed = len(files)
    while folders:
        if threads and removed > _MANY and len(folders) > 1:
            return removed + _remove_side_by_side(folders, folder)
        removed += _remove(folders.pop(), folder, threads=threads)
    return removed


def _remove_side_by_side(names: list[str], above: int) -> int:
    return sum(side_by_side(lambda name: _remove(name, above, threads=False), names, kernel_threads()))


def open_up(path: Path) -> None:
    """Let its owner read a file, or everything in a folder; root may do so anyway. What is another user's stays."""
    if os.geteuid() != 0:
        _open_up(str(path), files=True)


def _open_up(path: str, *, files: bool) -> None:
    """Let the owner list and change every folder below, and with `files` read every file."""
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISDIR(mode):
            if mode & stat.S_IRWXU != stat.S_IRWXU:
                os.chmod(path, stat.S_IMODE(mode) | stat.S_IRWXU)
            with os.scandir(path) as entries:
                below = [entry.path for entry in entries if files or entry.is_dir(follow_symlinks=False)]
        else:
            below = []
            if stat.S_ISREG(mode) and not mode & stat.S_IRUSR:
                os.chmod(path, stat.S_IMODE(mode) | stat.S_IRUSR)
    except OSError:
        return  # not ours to open
    for entry in below:
        _open_up(entry, files=files)
