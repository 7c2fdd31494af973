"""Whether a stage wrote into its inputs, where no overlay keeps it from doing so: files are compared afterwards.

With an overlay its writes land in a layer that is dropped, and nothing has to be compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

Stamps = dict[str, tuple[int, int, int]]
"""Path to inode, size in bytes and time of change in ns."""


def stamps(root: Path, paths: Iterable[str]) -> Stamps:
    """The stamps of files at these paths and below these folders, relative to `root`."""
    found: Stamps = {}
    for path in paths:
        target = root / path
        if target.is_dir():
            for folder, _, names in os.walk(target):
                for name in names:
                    _stamp(root, os.path.join(folder, name), found)
        else:
            _stamp(root, str(target), found)
    return found


def changed(before: Stamps, after: Stamps) -> list[str]:
    """Paths that were written, replaced, added or removed, sorted."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _stamp(root: Path, file: str, found: Stamps) -> None:
    try:
        status = os.lstat(file)
    except FileNotFoundError:
        return
    found[os.path.relpath(file, root)] = (status.st_ino, status.st_size, status.st_mtime_ns)
