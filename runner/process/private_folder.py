"""Removing the private folder of a run, whatever a stage or the kernel has left in it."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path


def discard(folder: Path) -> None:
    """Remove a folder and all below it; one that is not there is well.

    An overlay leaves a folder that its owner may not list, and a stage may leave folders that its owner may not write:
    they are opened up first. What another user owns stays.
    """
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError:
        _open_up(str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def _open_up(folder: str) -> None:
    """Let the owner list and change every folder below."""
    try:
        os.chmod(folder, stat.S_IRWXU)
        with os.scandir(folder) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return  # not ours to open
    for path in below:
        _open_up(path)
