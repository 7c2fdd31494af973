"""The log of one stage: redacted, bounded on disk (head and tail are kept), hashed as written, with its last lines
at hand. A log that is long already grows no more where the disk is nearly full, and gives back what it took where it
is. A stage that prints nothing has no file: its record says that the log is empty."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from runner.errors import HostError
from runner.process.redaction import Redaction
from runner.values import dataclass

HEAD_BYTES = 32 * 1024 * 1024
"""So much of the beginning of a log is kept."""
SEGMENT_BYTES = 8 * 1024 * 1024
SEGMENTS = 4
"""The end of a log is kept in so many files of that size while the stage runs; the oldest goes when another is
begun."""
LEAST_BYTES = 1024 * 1024
"""So much of the beginning of a log is written as long as the disk takes it."""
DISK_ROOM_BYTES = 128 * 1024 * 1024
"""Beyond its beginning a log leaves so much of the disk to others."""
TAIL_LINES = 20
TAIL_BYTES = 64 * 1024
LINE_CHARACTERS = 2000
"""A line for people is cut here."""


@dataclass(frozen=True, slots=True)
class WrittenLog:
    """A finished log: size and SHA-256 of the file as written, its last 20 lines, and how many bytes were left out
    of its middle."""

    size_bytes: int
    sha256: str
    tail: str
    left_out_bytes: int


class StageLog:
    """Writes the output of a stage below its limit; `feed` takes it as it comes, `finish` closes the file and tells
    what it is.

    Raises HostError when the file cannot be written (a full disk).
    """

    def __init__(self, path: Path, secrets: Mapping[str, str], on_line: Callable[[str], None] | None) -> None:
        self._path = path
        self._redactor = Redaction(secrets)
        self._on_line = on_line
        self._line = b""
        self._tail = bytearray()
        self._head_room = HEAD_BYTES
        self._segments: list[Path] = []
        self._segment_room = 0
        self._left_out = 0
        """Bytes that were left out between head and segments."""
        self._fed = 0
        self._kept = 0
        """Bytes of output in the head and the segments."""
        self._looked_at = 0
        """How much was kept when the room on the disk was last looked at."""
        self._is_full = False
        """Whether the disk has no room for more of it but its last bytes."""
        self._size = 0
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None
        """Made with the first byte: in most file systems a new file costs more than all else here."""
        self._segment: BinaryIO | None = None
        try:
            path.unlink(missing_ok=True)  # of an earlier try, which may have printed more than this one will
            if not os.access(path.parent, os.W_OK) and path.parent.exists():  # before hours of work, not after
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise self._unwritable(error) from error

    def feed(self, data: bytes) -> None:
        """Take the next bytes of output."""
        self._take(self._redactor.feed(data))

    def finish(self) -> WrittenLog:
        """Write what was held back, put head and tail together and close."""
        self._take(self._redactor.finish())
        if self._on_line and self._line:
            self._on_line(_readable(self._line))
        try:
            try:
                self._join_segments()
            except OSError as error:
                self._make_room(error)
            left_out = self._left_out + self._append_end()
            if self._file is not None:
                self._file.close()
        except OSError as error:
            raise self._unwritable(error) from error
        return WrittenLog(self._size, self._digest.hexdigest(), _last_lines(bytes(self._tail)), left_out)

    def abandon(self) -> None:
        """Close without more ado, after an error, and give the disk back what it took: nothing is recorded of it."""
        if self._file is not None:
            self._file.close()
        self._drop_segments()
        self._path.unlink(missing_ok=True)

    def _take(self, data: bytes) -> None:
        if not data:
            return
        self._tail += data
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
        self._fed += len(data)
        try:
            if not self._is_full and not self._leaves_no_room():
                self._store(data)
        except OSError as error:
            self._make_room(error)
        if self._on_line:
            *lines, self._line = (self._line + data).replace(b"\r", b"\n").split(b"\n")
            self._line = self._line[-TAIL_BYTES:]
            for line in filter(None, lines):
                self._on_line(_readable(line))

    def _store(self, data: bytes) -> None:
        if self._head_room:
            self._append(data[: self._head_room])
            kept = min(len(data), self._head_room)
            self._head_room -= kept
            self._kept += kept
            data = data[kept:]
        while data:
            if not self._segment_room:
                self._begin_segment()
            assert self._segment is not None
            _write_all(self._segment, data[: self._segment_room])
            kept = min(len(data), self._segment_room)
            self._segment_room -= kept
            self._kept += kept
            data = data[kept:]

    def _append(self, data: bytes) -> None:
        if self._file is None:
            if not data:
                return
            self._file = _open_new(self._path)
        _write_all(self._file, data)
        self._digest.update(data)
        self._size += len(data)

    def _begin_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
        if len(self._segments) == SEGMENTS:
            oldest = self._segments.pop(0)
            oldest.unlink()
            self._left_out += SEGMENT_BYTES
            self._kept -= SEGMENT_BYTES
        number = self._left_out // SEGMENT_BYTES + len(self._segments)
        path = self._path.with_name(f"{self._path.name}.tail{number}")
        self._segments.append(path)
        self._segment = path.open("wb", buffering=0)
        self._segment_room = SEGMENT_BYTES

    def _join_segments(self) -> None:
        if self._segment is None:
            return
        self._segment.close()
        if self._left_out:
            self._append(f"\n[runner: {self._left_out} bytes of this log were left out here]\n".encode())
        for path in self._segments:
            with path.open("rb") as segment:
                while chunk := segment.read(1 << 20):
                    self._append(chunk)
            path.unlink()
        self._segments = []

    def _leaves_no_room(self) -> bool:
        """Whether the log is to grow no more; the disk is looked at once for each of its MiB."""
        if self._kept - self._looked_at >= LEAST_BYTES:
            self._looked_at = self._kept
            disk = os.statvfs(self._path.parent)
            self._is_full = disk.f_bavail * disk.f_frsize < DISK_ROOM_BYTES
        return self._is_full

    def _make_room(self, error: OSError) -> None:
        """On a full disk a long log gives back all but its beginning. Raises HostError for one that is short, and for
        any other error."""
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or self._size <= LEAST_BYTES:
            raise self._unwritable(error) from error
        self._is_full = True
        self._drop_segments()
        assert self._file is not None, "what has a size was written"
        try:
            self._file.truncate(LEAST_BYTES)
            self._file.seek(LEAST_BYTES)
            with self._path.open("rb") as written:
                self._digest = hashlib.sha256(written.read())
        except OSError as problem:
            raise self._unwritable(problem) from problem
        self._size = self._kept = LEAST_BYTES
        self._left_out = 0

    def _append_end(self) -> int:
        """Of output that came when the log was full, write the last bytes; returns how many were left out."""
        missing = self._fed - self._kept - self._left_out
        end = bytes(self._tail[-TAIL_BYTES:][-missing:]) if missing else b""
        left_out = missing - len(end)
        if left_out:
            note = f"\n[runner: {left_out} bytes of this log were left out here, since the disk was full]\n"
            self._append(note.encode())
        self._append(end)
        return left_out

    def _drop_segments(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        for segment in self._segments:
            segment.unlink(missing_ok=True)
        self._segments = []

    def _unwritable(self, error: OSError) -> HostError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return HostError(
            f"{self._path}: the log of the stage cannot be written: {error.strerror}",
            "make room on that disk; what the stage printed is gone" if full else "is the folder read-only?",
        )


def _open_new(path: Path) -> BinaryIO:
    try:
        return path.open("xb", buffering=0)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb", buffering=0)


def _write_all(file: BinaryIO, data: bytes) -> None:
    """An unbuffered write may be short."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _last_lines(data: bytes) -> str:
    lines = data.decode("utf-8", "replace").rstrip("\n").split("\n")[-TAIL_LINES:]
    return "\n".join(_shown(line) for line in lines)


def _readable(line: bytes) -> str:
    return _shown(line.decode("utf-8", "replace"))


def _shown(line: str) -> str:
    """What a terminal would show of a line in the end: a progress bar's last state."""
    return line.rstrip("\r").rpartition("\r")[2][:LINE_CHARACTERS]
