"""The folder that journals lie in: what a journal asks of a file system, and the file system itself."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Protocol

from runner.record.file_lock import is_locked, open_locked

_SUFFIX = ".jsonl"


class JournalFile(Protocol):
    """A journal that is open, and locked by whoever opened it."""

    def write(self, data: bytes) -> None:
        """Append; the host may still lose it."""

    def sync(self) -> None:
        """Wait until all that was written is on the disk."""

    def close(self) -> None:
        """Let go of it."""


class JournalFolder(Protocol):
    """Journals by name; `DiskFolder` has them, and the simulator's disk."""

    def open(self, name: str) -> JournalFile:
        """A journal to append to, made where there is none, locked until it is closed or its process ends."""

    def sync(self) -> None:
        """Wait until the names in the folder, and the folder's own, are on the disk."""

    def names(self) -> list[str]:
        """Names of all journals, sorted."""

    def read(self, name: str) -> bytes | None:
        """What is in a journal; None where there is none."""

    def is_held(self, name: str) -> bool:
        """Whether somebody alive has it open; also true where it is gone."""

    def replace(self, name: str, data: bytes) -> None:
        """Put other bytes in place of a journal's, all of them or none."""

    def remove(self, name: str) -> None:
        """Remove a journal, where there is one."""


class DiskFolder:
    """Journals as files of one folder, which is made when the first of them is."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._made: list[Path] = []
        """Folders that were not there before; each is a name in the one above it."""

    def open(self, name: str) -> JournalFile:
        """See JournalFolder."""
        self._made += [folder for folder in (self._path, *self._path.parents) if not folder.exists()]
        self._path.mkdir(parents=True, exist_ok=True)
        return _DiskFile(open_locked(self._file(name)))

    def sync(self) -> None:
        """See JournalFolder."""
        for folder in (self._path, *(made.parent for made in self._made)):
            _sync_folder(folder)
        self._made.clear()

    def names(self) -> list[str]:
        """See JournalFolder."""
        found = self._path.glob(f"*{_SUFFIX}") if self._path.is_dir() else ()
        return sorted(path.name.removesuffix(_SUFFIX) for path in found)

    def read(self, name: str) -> bytes | None:
        """See JournalFolder."""
        try:
            return self._file(name).read_bytes()
        except FileNotFoundError:
            return None  # published by somebody else meanwhile

    def is_held(self, name: str) -> bool:
        """See JournalFolder."""
        try:
            return is_locked(self._file(name))
        except FileNotFoundError:
            return True

    def replace(self, name: str, data: bytes) -> None:
        """See JournalFolder."""
        part = self._file(name).with_suffix(".part")
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self._file(name))

    def remove(self, name: str) -> None:
        """See JournalFolder."""
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._path / f"{name}{_SUFFIX}"


class _DiskFile:
    """An open file."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file

    def write(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) :]

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
