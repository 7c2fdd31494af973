"""The index against the working tree, without any filter: what `git ls-files --stage --debug -z` says of each file."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_ENTRY = re.compile(
    rb"(\d{6}) ([0-9a-f]+) (\d)\t([^\0]*)\0  ctime: \d+:\d+\n  mtime: (\d+):(\d+)\n"
    rb"  dev: [^\n]*\n  uid: [^\n]*\n  size: (\d+)\tflags: [0-9a-f]+\n"
)
_REGULAR = (b"100644", b"100755")


class IndexEntry(NamedTuple):
    """One file as the index has it."""

    mode: bytes
    oid: str
    path: bytes
    mtime_ns: int
    size_bytes: int


def index_entries(listed: bytes) -> Iterator[IndexEntry]:
    """The regular files of the index; a file in conflict has several."""
    for mode, oid, _, path, seconds, nanoseconds, size in _ENTRY.findall(listed):
        if mode in _REGULAR:
            yield IndexEntry(mode, oid.decode(), path, int(seconds) * 10**9 + int(nanoseconds), int(size))


def differs(worktree: Path, entry: IndexEntry) -> bool:
    """Whether a file is not what the index says; one that git wrote through a filter is believed by size and time."""
    if not is_below(entry.path):
        return True
    file = os.path.join(os.fsencode(worktree), entry.path)
    try:
        status = os.lstat(file)
    except OSError:
        return True
    if not stat.S_ISREG(status.st_mode):
        return True
    if status.st_size == entry.size_bytes and status.st_mtime_ns == entry.mtime_ns:
        return False
    if not os.path.realpath(file).startswith(os.path.realpath(os.fsencode(worktree)) + b"/"):
        return True  # behind a link that leads out
    return _object_name(file, status.st_size, len(entry.oid)) != entry.oid


def is_below(path: bytes) -> bool:
    """Whether a path of an index, which anybody may have written, lies in the working tree and not in git's folder."""
    return not any(part in (b"", b".", b"..") or part.lower() == b".git" for part in path.split(b"/"))


def _object_name(file: bytes, size_bytes: int, digits: int) -> str:
    """The name git would give to the bytes of a file; empty for one that cannot be read."""
    digest = hashlib.sha256() if digits == 64 else hashlib.sha1(usedforsecurity=False)
    digest.update(b"blob %d\0" % size_bytes)
    try:
        with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:
            while chunk := opened.read(1 << 20):
                digest.update(chunk)
    except OSError:
        return ""
    return digest.hexdigest()
