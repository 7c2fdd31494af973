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
    file = os.path.join(os.fsencode(worktree), entry.path)
    try:
        status = os.lstat(file)
    except OSError:
        return True
    if not stat.S_ISREG(status.st_mode):
        return True
    if status.st_size == entry.size_bytes and status.st_mtime_ns == entry.mtime_ns:
        return False
    with open(file, "rb") as opened:
        data = opened.read()
    digest = hashlib.sha256() if len(entry.oid) == 64 else hashlib.sha1(usedforsecurity=False)
    digest.update(b"blob %d\0" % len(data) + data)
    return digest.hexdigest() != entry.oid
