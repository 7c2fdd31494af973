"""The digest of a whole folder, remembered while none of its files has changed."""

from __future__ import annotations

import hashlib
import os
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence

from runner.core.digests import Member
from runner.data.hash_index import HashIndex, KnownFolder
from runner.data.hashing import dir_digest
from runner.data.walk import FileFound, Group, Walk, batches, files_of
from runner.values import dataclass

_RACY_NS = 20_000_000
_RACY_COARSE_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Saved:
    """What DVC's lock file says of a file or folder."""

    md5: str
    """`.dir` at the end for a folder."""
    size_bytes: int
    """Sum over the files of a folder."""
    nfiles: int | None = None
    """Number of files of a folder, None for a file."""
    isexec: bool = False


def hash_folder(
    index: HashIndex,
    status: os.stat_result,
    walk: Walk,
    hash_files: Callable[[Sequence[FileFound]], list[tuple[str, int]]],
) -> Saved:
    """What DVC's lock file says of the folder with this status.

    `walk` finds its files, twice where something has changed; `hash_files` gives MD5 and size in bytes of each. Where
    names, devices, inodes, sizes and times are those of the last time, no file is asked for.
    """
    known = index.folder(status)
    if known is not None:
        marks = Marks()
        for group in walk():
            marks.add(group)
        if marks.fingerprint() == known.fingerprint:
            return Saved(known.md5, known.size_bytes, known.nfiles)
    marks = Marks()
    members: list[Member] = []
    size, settled = 0, True
    for batch in batches(files_of(marks.added(walk()))):
        settled = settled and all(is_settled(file.status) for file in batch)
        for file, (md5, size_bytes) in zip(batch, hash_files(batch), strict=True):
            members.append((file.relpath, md5))
            size += size_bytes
    digest, _ = dir_digest(members)
    if settled:
        index.put_folder(status, KnownFolder(marks.fingerprint(), digest, size, len(members)))
    return Saved(digest, size, nfiles=len(members))


class Marks:
    """What shows a change of a folder's files: name, device, inode, size and times of each, in the walk's order."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=20)

    def add(self, group: Group) -> None:
        """Count these files in."""
        statuses = group.statuses
        names = "\0".join(group.names)
        self._digest.update(os.fsencode(f"{group.prefix}\0{len(statuses)}\0{names}\0"))
        # A column of eight bytes each: the numbers of a hundred thousand files, written out, would take longer.
        self._digest.update(array("Q", [status.st_dev for status in statuses]))
        self._digest.update(array("Q", [status.st_ino for status in statuses]))
        self._digest.update(array("q", [status.st_size for status in statuses]))
        self._digest.update(array("q", [status.st_mtime_ns for status in statuses]))
        self._digest.update(array("q", [status.st_ctime_ns for status in statuses]))

    def added(self, groups: Iterable[Group]) -> Iterator[Group]:
        """Hand groups on and count their files in."""
        for group in groups:
            self.add(group)
            yield group

    def fingerprint(self) -> str:
        """All of them in one."""
        return self._digest.hexdigest()


def is_settled(status: os.stat_result) -> bool:
    """Whether a write from now on would change the file's times, also where its mtime is then set back."""
    return is_past(status.st_mtime_ns) and is_past(status.st_ctime_ns)


def is_past(time_ns: int) -> bool:
    """Whether a file that is written now gets another time: clocks of file systems tick every few milliseconds."""
    tick_ns = _RACY_NS if time_ns % 1_000_000_000 else _RACY_COARSE_NS
    return time.time_ns() - time_ns > tick_ns
