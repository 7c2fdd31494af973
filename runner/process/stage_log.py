"""The log of one stage: redacted, bounded on disk (head and tail are kept), hashed as written, with its last lines
at hand."""

from __future__ import annotations

import hashlib
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
        self._size = 0
        self._digest = hashlib.sha256()
        try:
            self._file: BinaryIO = _open_new(path)
        except OSError as error:
            raise self._unwritable(error) from error
        self._segment: BinaryIO | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of output."""
        self._take(self._redactor.feed(data))

    def finish(self) -> WrittenLog:
        """Write what was held back, put head and tail together and close."""
        self._take(self._redactor.finish())
        if self._on_line and self._line:
            self._on_line(_readable(self._line))
        try:
            self._join_segments()
            self._file.close()
        except OSError as error:
            raise self._unwritable(error) from error
        return WrittenLog(self._size, self._digest.hexdigest(), _last_lines(bytes(self._tail)), self._left_out)

    def abandon(self) -> None:
        """Close without more ado, after an error."""
        self._file.close()
        if self._segment is not None:
            self._segment.close()
        for segment in self._segments:
            segment.unlink(missing_ok=True)

    def _take(self, data: bytes) -> None:
        if not data:
            return
        self._tail += data
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
        try:
            self._store(data)
        except OSError as error:
            raise self._unwritable(error) from error
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
            data = data[kept:]
        while data:
            if not self._segment_room:
                self._begin_segment()
            assert self._segment is not None
            _write_all(self._segment, data[: self._segment_room])
            kept = min(len(data), self._segment_room)
            self._segment_room -= kept
            data = data[kept:]

    def _append(self, data: bytes) -> None:
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

    def _unwritable(self, error: OSError) -> HostError:
        return HostError(
            f"{self._path}: the log of the stage cannot be written: {error.strerror}",
            "is the disk full, or the folder read-only?",
        )


def _open_new(path: Path) -> BinaryIO:
    try:
        return path.open("wb", buffering=0)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb", buffering=0)


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
