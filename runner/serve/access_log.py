"""The access log: a line of JSON for each request, without its body, written by a thread that delays nobody.

Several workers append to one file, so each writes whole lines under a lock, and mends a line that another one left
torn. A file that somebody moved away is begun anew.
"""

from __future__ import annotations

import fcntl
import os
import random
import stat
import threading
from collections import deque
from pathlib import Path

import orjson

from runner.core.moments import of_epoch
from runner.errors import HostError
from runner.serve.appending import append, write_all
from runner.serve.settings import AccessSettings

STDOUT = "-"
MOST_WAITING = 50_000
_EVERY_SECONDS = 0.2
_PIPE_BYTES = 4096
"""What a pipe takes at once, so that lines of several workers do not mix."""
_MOST_PATH = 300
_BATCH_BYTES = 1 << 18

Entry = tuple[float, str, str, str, str, int, float, int]
"""Time, request, client, method, path, status, seconds, rows."""


class AccessLog:
    """The log of one worker."""

    def __init__(self, settings: AccessSettings, version: str, output: int = 1) -> None:
        """output: what `-` stands for. Raises HostError: the file cannot be written."""
        self._settings = settings
        self._output = output
        self._version = version
        self._waiting: deque[Entry] = deque()
        self._chance = random.Random()
        self._stop = threading.Event()
        self._file = -1
        self._is_file = False
        self.written = 0
        self.dropped = 0
        self.fault: str | None = None
        """Why the last write failed, until one does not."""
        try:
            self._open()
        except OSError as error:
            text = f"{settings.file}: the access log cannot be written: {error.strerror}"
            raise HostError(text, "name another file with --access-log") from error
        self._thread = threading.Thread(target=self._write_on, name="access-log", daemon=True)
        self._thread.start()

    def offer(self, entry: Entry) -> None:
        """Keep a line, or not: never waits. What ended with a defect of the server is always kept."""
        if self._settings.sample < 1.0 and entry[5] < 500 and self._chance.random() >= self._settings.sample:
            return
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        at, request_id, client, method, path, status, seconds, rows = entry
        self._waiting.append((at, request_id, client, method[:20], path[:_MOST_PATH], status, seconds, rows))

    def close(self) -> None:
        """Write what waits."""
        self._stop.set()
        self._thread.join(5.0)

    def _write_on(self) -> None:
        while True:
            stopping = self._stop.wait(_EVERY_SECONDS)
            while self._waiting:
                self._write_some()
            if stopping:
                return

    def _write_some(self) -> None:
        """Some of what waits, as one write of whole lines."""
        most = _BATCH_BYTES if self._is_file else _PIPE_BYTES
        lines: list[bytes] = []
        size = 0
        while self._waiting:
            line = self._line(self._waiting[0])
            if lines and size + len(line) > most:
                break
            self._waiting.popleft()
            lines.append(line)
            size += len(line)
        try:
            self._write(b"".join(lines))
        except OSError as error:
            self.dropped += len(lines)
            self.fault = f"{self._settings.file}: {error.strerror}"
            return
        self.fault = None
        self.written += len(lines)

    def _line(self, entry: Entry) -> bytes:
        at, request_id, client, method, path, status, seconds, rows = entry
        told = {
            "at": of_epoch(at),
            "id": request_id,
            "client": client,
            "method": method,
            "path": path.encode("utf-8", "replace").decode(),
            "status": status,
            "seconds": round(seconds, 6),
            "rows": rows,
            "version": self._version,
        }
        return orjson.dumps(told) + b"\n"

    def _write(self, data: bytes) -> None:
        """Raises OSError; a file is then as it was."""
        if not self._is_file:
            write_all(self._file, data)
            return
        if self._was_moved():
            self._open()
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                data = b"\n" + data  # another worker died in the middle of a line
            append(self._file, data, size)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _was_moved(self) -> bool:
        try:
            there, ours = os.stat(self._settings.file), os.fstat(self._file)
        except FileNotFoundError:
            return True
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _open(self) -> None:
        """Raises OSError."""
        if self._settings.file == STDOUT:
            self._file = self._output
            return
        path = Path(self._settings.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)
        os.set_blocking(file, True)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._is_file = file, stat.S_ISREG(os.fstat(file).st_mode)
