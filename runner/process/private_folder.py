"""Reading and removing what a stage or the kernel has left, whatever the rights on it are."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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


def vacate(folder: Path, keep: str) -> None:
    """Remove all below a folder, but for the folder of the name `keep` in it, which is emptied: making and removing a
    folder costs more than looking whether it is empty.

    Where a stage has changed the rights of one of them, both go: the next one finds the same as the first.
    """
    place = os.fspath(folder)
    kept = f"{place}/{keep}"
    try:
        as_made = os.stat(os.path.dirname(place)).st_mode
        is_as_made = os.lstat(place).st_mode == as_made == os.lstat(kept).st_mode
        if is_as_made and os.listdir(place) == [keep] and not os.listdir(kept):
            return  # nearly always: what follows takes twice as many calls
        for inside in (place, kept):
            descriptor = os.open(inside, _FOLDER)
            try:
                if os.fstat(descriptor).st_mode != as_made:
                    return discard(folder)
                _empty(descriptor, keep if inside is place else None)
            finally:
                os.close(descriptor)
    except OSError:
        discard(folder)


def _remove(name: str, above: int | None) -> None:
    """Remove what is at `name` in the open folder `above`, whatever it is; no link that somebody puts there meanwhile
    is followed."""
    try:
        descriptor = os.open(name, _FOLDER, dir_fd=above)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        os.unlink(name, dir_fd=above)
        return
    try:
        _empty(descriptor, None)
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=above)


def _empty(folder: int, keep: str | None) -> None:
    with os.scandir(folder) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found if entry.name != keep]
    for name, is_folder in entries:
        if is_folder:
            _remove(name, folder)
        else:
            os.unlink(name, dir_fd=folder)


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
