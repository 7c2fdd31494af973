"""Where objects lie on the disk and how one gets there: a private temporary file, renamed when it is whole."""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.data.hashing import BUFFER_BYTES, StrPath, blocks, descriptor_md5, is_digest
from runner.data.links import READ_ONLY_MODE, LinkPolicy, clear, reflink, temporary_name, write_all
from runner.errors import InputError

_STALE_SECONDS = 86_400.0
QUARANTINE_BYTES = 1 << 30
QUARANTINE_OBJECTS = 100
"""So much of what is damaged is kept to be looked at, the newest of it; the rest is removed."""


class ObjectStore:
    """The files of a DVC cache: `files/md5/ab/cdef…`, and `ab/cdef…` for objects of DVC before 3.0.

    Writing is atomic and safe for threads and processes; what was there before is only ever replaced by a whole object
    of the same name. `tmp/` and `quarantine/` beside them are ours; DVC passes over them.
    """

    def __init__(self, root: Path, link: LinkPolicy) -> None:
        self.root = root
        self.link = link
        self._files = f"{root}/files/md5"
        self._legacy = str(root)
        self._temporary = f"{root}/runner-tmp"
        self._ready = False
        self._lock = threading.Lock()

    def path(self, md5: str, legacy: bool = False) -> str:
        """Where the object is or would be. Raises InputError for what is not a digest."""
        return f"{self._legacy if legacy else self._files}/{name_of(md5)}"

    def folder(self, legacy: bool = False) -> str:
        """The folder below which objects have the names that `name_of` gives them."""
        return self._legacy if legacy else self._files

    def status(self, md5: str, legacy: bool = False) -> os.stat_result | None:
        """What the object's file is; None where there is none."""
        return _regular(self.path(md5, legacy), None)

    def statuses(self, md5s: Sequence[str], legacy: bool = False) -> list[os.stat_result | None]:
        """What each object's file is, in their order; None where there is none."""
        if len(md5s) == 1:
            return [self.status(md5s[0], legacy)]
        names = [name_of(md5) for md5 in md5s]
        try:
            folder = OpenFolder(self.folder(legacy))
        except (FileNotFoundError, NotADirectoryError):
            return [None] * len(names)
        with folder as descriptor:
            return [_regular(name, descriptor) for name in names]

    def temporary(self) -> str:
        """A fresh name on the cache's file system, for a file that is not yet an object."""
        self.prepare()
        return f"{self._temporary}/{temporary_name()}"

    def create(self) -> tuple[int, str]:
        """A new temporary file, open for writing, that already has an object's mode."""
        path = self.temporary()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, READ_ONLY_MODE)
        return descriptor, path

    def admit(self, temporary: StrPath, md5: str, legacy: bool = False) -> os.stat_result:
        """Give a whole, closed temporary file its name as an object; returns its status."""
        status = os.stat(temporary)
        if stat.S_IMODE(status.st_mode) != READ_ONLY_MODE:
            os.chmod(temporary, READ_ONLY_MODE)
        target = self.path(md5, legacy)
        try:
            os.rename(temporary, target)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.rename(temporary, target)
        except IsADirectoryError:
            self.quarantine(md5, legacy)  # a folder at an object's place is no object
            os.rename(temporary, target)
        return status

    def write(self, data: bytes, md5: str) -> os.stat_result:
        """Store bytes whose digest is known."""
        descriptor, temporary = self.create()
        try:
            with _closing(descriptor):
                write_all(descriptor, data)
            return self.admit(temporary, md5)
        except BaseException:
            os.unlink(temporary)
            raise

    def copy(self, source: int, is_known: Callable[[os.stat_result, str], bool]) -> tuple[str, os.stat_result]:
        """Store what a descriptor holds, hashing the very bytes that are stored; returns digest and status.

        A small object that is there already is left alone if `is_known` says that its bytes are those of its name.
        """
        first = os.read(source, BUFFER_BYTES)
        if len(first) < BUFFER_BYTES:
            return self._copy_small(first + b"".join(blocks(source)), is_known)
        descriptor, temporary = self.create()
        try:
            with _closing(descriptor):
                md5 = self._copy_large(first, source, descriptor)
            return md5, self.admit(temporary, md5)
        except BaseException:
            os.unlink(temporary)
            raise

    def is_other(self, md5: str, legacy: bool = False) -> bool:
        """Whether there is something at the object's place that is no file: a folder, a broken link."""
        return self.status(md5, legacy) is None and os.path.lexists(self.path(md5, legacy))

    def quarantine(self, md5: str, legacy: bool = False) -> Path | None:
        """Put a damaged object aside, out of everybody's reach but there to be looked at.

        Returns where it is; None where it was too large to be kept, or somebody else has just put it aside.
        """
        folder = self.root / "quarantine"
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / md5
        clear(aside)
        try:
            os.rename(self.path(md5, legacy), aside)
        except FileNotFoundError:
            return None
        _bound(folder)
        return aside if os.path.lexists(aside) else None

    def _copy_small(self, data: bytes, is_known: Callable[[os.stat_result, str], bool]) -> tuple[str, os.stat_result]:
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        found = self.status(md5)
        if found is not None and found.st_size == len(data) and is_known(found, md5):
            return md5, found
        return md5, self.write(data, md5)

    def _copy_large(self, first: bytes, source: int, target: int) -> str:
        if self.link.reflink and reflink(source, target):
            return descriptor_md5(target, BUFFER_BYTES)
        digest = hashlib.md5(usedforsecurity=False)
        for block in itertools.chain((first,), blocks(source)):
            digest.update(block)
            write_all(target, block)
        return digest.hexdigest()

    def prepare(self) -> None:
        """Have the folders that everything else rests on, and sweep what others left in them long ago."""
        with self._lock:
            if self._ready:
                return
            os.makedirs(self._temporary, exist_ok=True)
            os.makedirs(self._files, exist_ok=True)
            with os.scandir(self._temporary) as entries:
                for entry in entries:
                    _remove_stale(entry.path)
            self._ready = True


def name_of(md5: str) -> str:
    """An object's name in the folder of objects. Raises InputError for what is not a digest."""
    if not is_digest(md5):
        raise InputError(
            f"{md5!r:.100}: not an MD5 as DVC writes it",
            "32 lower-case hex digits, `.dir` behind them for a folder",
        )
    return f"{md5[:2]}/{md5[2:]}"


class OpenFolder:
    """A folder that is open within a block, as a descriptor: names below it are looked up in less time from there."""

    def __init__(self, path: StrPath) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _regular(name: str, folder: int | None) -> os.stat_result | None:
    try:
        found = os.stat(name, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _bound(folder: Path) -> None:
    """Remove the oldest of what was put aside until the rest is within the bounds."""
    kept_bytes = 0
    newest_first = sorted(folder.iterdir(), key=lambda path: path.lstat().st_ctime_ns, reverse=True)
    for number, path in enumerate(newest_first):
        files = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
        kept_bytes += sum(file.lstat().st_size for file in files)
        if number >= QUARANTINE_OBJECTS or kept_bytes > QUARANTINE_BYTES:
            clear(path)


def _remove_stale(path: str) -> None:
    try:
        if os.lstat(path).st_mtime < time.time() - _STALE_SECONDS:
            os.unlink(path)
    except FileNotFoundError:
        return  # another process has just renamed it, or swept it too


class _closing:
    """Close a descriptor at the end of a block."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
