"""The index against the working tree, without any filter: what `git ls-files --stage --debug -z` says of each file."""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from runner.patterns import regex

_ENTRY = regex(
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
    for row in _ENTRY.findall(listed):
        if row[0] in _REGULAR:
            yield _entry(row)


def _entry(row: tuple[bytes, ...]) -> IndexEntry:
    mode, oid, _, path, seconds, nanoseconds, size = row
    return IndexEntry(mode, oid.decode(), path, int(seconds) * 10**9 + int(nanoseconds), int(size))


def any_differs(worktree: Path, listed: bytes) -> bool:
    """Whether any file is not what the index says, which nearly all are by size and time alone."""
    root = os.path.join(os.fsencode(worktree), b"")
    leads_out = functools.cache(functools.partial(_leads_out, os.path.realpath(os.fsencode(worktree))))
    for row in _ENTRY.findall(listed):
        mode, _, _, path, seconds, nanoseconds, size = row
        if mode in _REGULAR:
            # Few paths are worth taking apart: those with a part that is empty or begins with a dot.
            is_odd = b"/." in path or b"//" in path or path[:1] in b"./" or path[-1:] == b"/"
            if is_odd and not is_below(path):
                return True
            try:
                status = os.lstat(root + path)
            except OSError:
                return True
            is_same = status.st_size == int(size) and status.st_mtime_ns == int(seconds) * 10**9 + int(nanoseconds)
            if not (is_same and stat.S_ISREG(status.st_mode)) and differs(worktree, _entry(row), leads_out):
                return True
    return False


def differs(worktree: Path, entry: IndexEntry, leads_out: Callable[[bytes], bool] | None = None) -> bool:
    """Whether a file is not what the index says; one that git wrote through a filter is believed by size and time.

    `leads_out` says of a folder whether it is behind a link that leads out of the working tree.
    """
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
    leads_out = leads_out or functools.partial(_leads_out, os.path.realpath(os.fsencode(worktree)))
    if leads_out(os.path.dirname(file)):
        return True
    return _object_name(file, status.st_size, len(entry.oid)) != entry.oid


def _leads_out(root: bytes, folder: bytes) -> bool:
    return not (os.path.realpath(folder) + b"/").startswith(root + b"/")


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
