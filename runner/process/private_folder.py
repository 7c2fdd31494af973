"""Reading and removing what a stage or the kernel has left, whatever the rights on it are."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path


def discard(folder: Path) -> None:
    """Remove a folder and all below it; one that is not there is well.

    An overlay leaves a folder that its owner may not list, and a stage may leave folders that its owner may not write:
    they are opened up first. What another user owns stays. In place of a folder, a link or a file goes too.
    """
    try:
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
            return
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError:
        _open_up(str(folder), files=False)
        shutil.rmtree(folder, ignore_errors=True)


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
