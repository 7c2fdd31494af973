"""Folder listings that come from a cache or a remote: they may name nothing but files inside the folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from runner.core.digests import Member
from runner.data.faults import DamagedObjects
from runner.data.hashing import is_digest

_NOT_INSIDE = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|\0")
"""An empty part, `.`, `..`, or a NUL."""


def check_members(md5_dir: str, members: Sequence[Member]) -> None:
    """Raise DamagedObjects unless every member is a digest at a path of its own inside the folder."""
    paths = {relpath for relpath, _ in members}
    sound = len(paths) == len(members) and not paths & _folders_of(paths)
    if not sound or not all(is_digest(md5) and not _NOT_INSIDE.search(relpath) for relpath, md5 in members):
        raise DamagedObjects([md5_dir], "a folder's listing names paths that cannot be in a folder")


def _folders_of(paths: Iterable[str]) -> set[str]:
    folders: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders
