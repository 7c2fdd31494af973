"""What stages do not see where they have a mount namespace of their own: the signing key and the runner's notes.

Nor can they move the folders above these away, so that a stage after them would find what is hidden in another place.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from runner.values import dataclass

_DEVICES = Path("/dev")


@dataclass(frozen=True, slots=True)
class Hidden:
    """Files and folders in whose place a stage finds nothing."""

    paths: tuple[Path, ...] = ()
    locked: bool = False
    """Whether it is made hard for root as well to look behind; it can mount nothing then."""
    fixed: tuple[Path, ...] = ()
    """Folders above these that a stage could move away, each before those in it; in its namespace they stay."""


def hidden_from_stages(key: Path | None, notes: Iterable[Path]) -> Hidden:
    """Hide a key, which is a file or the socket of an agent, and folders and files of the runner's own.

    Folders that are not there yet are made by who writes into them, and are given once they are there.
    """
    paths = [path for path in notes if os.path.lexists(path)]
    if key is not None:
        paths.append(_alone(Path(os.path.realpath(key))))
    disks = _disks() if key is not None else []
    return Hidden(tuple(dict.fromkeys([*paths, *disks])), locked=key is not None, fixed=_movable_above(paths))


def has_other_names(key: Path) -> bool:
    """Whether a key is found under another name as well, which nobody hides: it has several hard links."""
    try:
        return os.stat(key).st_nlink > 1
    except OSError:
        return False  # it is gone: nobody reads it


def _alone(path: Path) -> Path:
    """The folder of a file that has it to itself, so that what comes in its place is hidden too; else the file."""
    try:
        return path.parent if os.listdir(path.parent) == [path.name] else path
    except OSError:
        return path


def _movable_above(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The folders above these that this user may rename: who owns the folder around one may let himself write there."""
    above = {folder for path in paths for folder in Path(os.path.realpath(path)).parents}
    return tuple(sorted(folder for folder in above if folder != folder.parent and _is_ours(folder.parent)))


def _is_ours(folder: Path) -> bool:
    try:
        return os.access(folder, os.W_OK) or os.stat(folder).st_uid == os.geteuid()
    except OSError:
        return False  # it is gone, with all that was in it


def _disks(folder: Path = _DEVICES) -> list[Path]:
    """Devices through which root reads the bytes of every file."""
    if os.geteuid() != 0:
        return []
    with os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in entries if _is_disk(entry)]
    return sorted(found)


def _is_disk(entry: os.DirEntry[str]) -> bool:
    mode = entry.stat(follow_symlinks=False).st_mode
    return stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and entry.name.startswith("sg"))
