"""What `.dvcignore` files leave out of an output is taken away when the stage has ended.

It is no part of what the stage leaves: a clone of the state branch does not have it, and no stage after this one may.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from runner.data.faults import host_errors
from runner.data.walk import Ignoring
from runner.process.private_folder import open_up


def drop_ignored(output: Path, ignores: Ignoring) -> None:
    """Remove what DVC ignores below an output that is a folder; links are not followed. Raises HostError."""
    if output.is_symlink() or not output.is_dir():
        return
    open_up(output)
    rest = [(os.fspath(output), "")]
    with host_errors(f"look through {output}"):
        while rest:
            folder, prefix = rest.pop()
            with os.scandir(folder) as entries:
                found = list(entries)
            for entry in found:
                is_folder = entry.is_dir(follow_symlinks=False)
                if ignores(prefix + entry.name, is_folder):
                    shutil.rmtree(entry.path) if is_folder else os.unlink(entry.path)
                elif is_folder:
                    rest.append((entry.path, f"{prefix}{entry.name}/"))
