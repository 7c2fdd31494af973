"""The prediction log: rows and what the model said of them, as JSON Lines, written by a thread that delays nobody.

A request hands its rows over and goes on; where the writer cannot keep up, rows are dropped and counted. A file that
is being written ends in `.part` and is locked by its writer. Whole lines are written at once; a last line that was torn
all the same (power, full disk) is cut off by whoever opens the folder next.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import os
import random
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from runner.core.moments import of_epoch
from runner.errors import HostError, InputError
from runner.serve.appending import append
from runner.serve.checks import Rows
from runner.serve.predictors import Said
from runner.serve.settings import LogSettings
from runner.values import dataclass

MOST_WAITING_ROWS = 20_000
MOST_WAITING_BYTES = 64 << 20
"""Of bodies whose rows wait; one large one may be there beside."""
_EVERY_SECONDS = 0.2
_NEWLINE = b"\n"
_PART = ".part"
FINISHED = "predictions-*.jsonl"
"""Names of files that nobody writes to any more."""


@dataclass(frozen=True, slots=True)
class _Entry:
    request_id: str
    at: float
    rows: Rows
    said: Said
    size: int


class PredictionLog:
    """The log of one worker."""

    def __init__(
        self,
        settings: LogSettings,
        names: Sequence[str],
        classes: Sequence[Any] | None,
        about: Mapping[str, Any],
        key: bytes = b"",
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        """about: what stands in each line, such as the version. key: for the columns that are hashed.

        kinds: of the columns, and of `""`, the prediction; written beside files that become others later.

        Raises InputError: a column of the policy is not one of the model.
        Raises HostError: the folder cannot be written.
        """
        unknown = sorted({*settings.drop, *settings.hashed} - set(names))
        if unknown:
            raise InputError(f"the prediction log is to leave out `{unknown[0]}`, which is no column of the model")
        if settings.hashed and not key:
            raise InputError(
                "the prediction log is to hash columns, and there is no key", "give one with --log-key FILE"
            )
        self._settings = settings
        self._kept = [(place, name) for place, name in enumerate(names) if name not in settings.drop]
        self._hashed = frozenset(settings.hashed)
        self._whole = frozenset(name for name, kind in (kinds or {}).items() if kind == "integer")
        self._classes = None if classes is None else [str(value) for value in classes]
        self._about = dict(about)
        self._key = key
        self._folder = Path(settings.folder)
        self._waiting: deque[_Entry] = deque()
        self._offered_rows = self._offered_bytes = 0
        self._taken_rows = self._taken_bytes = 0
        self._chance = random.Random()
        self._stop = threading.Event()
        self._file: int | None = None
        self._path = self._folder
        self._size = 0
        self._opened = 0.0
        self._number = 0
        self._token = os.urandom(2).hex()
        self.written_rows = 0
        self.dropped_rows = 0
        self.fault: str | None = None
        """Why the last write failed, until one does not."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            repair(self._folder)
            if settings.to and kinds is not None:
                self._write_kinds(kinds)
        except OSError as error:
            raise HostError(f"{self._folder}: the prediction log cannot be written: {error.strerror}") from error
        self._thread = threading.Thread(target=self._write_on, name="prediction-log", daemon=True)
        self._thread.start()

    def _write_kinds(self, kinds: Mapping[str, str]) -> None:
        """Raises OSError."""
        inputs = {name: "string" if name in self._hashed else kinds[name] for _, name in self._kept}
        told = {"inputs": inputs, "prediction": kinds[""], "classes": self._classes or []}
        path = _columns_file(self._folder, self._about.get("digest", ""))
        part = path.with_suffix(f".{os.getpid()}{_PART}")
        part.write_bytes(orjson.dumps(told))
        part.replace(path)

    def offer(self, request_id: str, rows: Rows, said: Said, size: int = 0) -> None:
        """Keep what was said of some rows, or not: never waits. From one thread only. size: of their body."""
        if self._settings.sample < 1.0 and self._chance.random() >= self._settings.sample:
            return
        waits = self._offered_bytes - self._taken_bytes
        if self._offered_rows - self._taken_rows + rows.count > MOST_WAITING_ROWS or waits > MOST_WAITING_BYTES:
            self.dropped_rows += rows.count
            return
        self._offered_rows += rows.count
        self._offered_bytes += size
        self._waiting.append(_Entry(request_id, time.time(), rows, said, size))

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._stop.set()
        self._thread.join(10.0)

    def _write_on(self) -> None:
        while True:
            stopping = self._stop.wait(_EVERY_SECONDS)
            self._write_all()
            if self._file is not None and (stopping or self._is_due()):
                self._finish()
            if stopping:
                return

    def _write_all(self) -> None:
        while self._waiting:
            lines: list[bytes] = []
            rows = size = 0
            while self._waiting and size < 1 << 20:
                entry = self._waiting.popleft()
                self._taken_rows += entry.rows.count
                self._taken_bytes += entry.size
                for line in self._lines(entry):
                    lines.append(line)
                    size += len(line)
                rows += entry.rows.count
            self._append(b"".join(lines), rows)

    def _append(self, data: bytes, rows: int) -> None:
        """Whole lines or none of them."""
        try:
            file = self._file if self._file is not None else self._open()
            append(file, data, self._size)
        except OSError as error:
            self.dropped_rows += rows
            self.fault = f"{self._path}: {error.strerror}"
            return
        self.fault = None
        self._size += len(data)
        self.written_rows += rows
        if self._is_due():
            self._finish()

    def _is_due(self) -> bool:
        aged = time.monotonic() - self._opened >= self._settings.file_seconds
        return self._size >= self._settings.file_bytes or (aged and self._size > 0)

    def _open(self) -> int:
        self._number += 1
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self._path = self._folder / f"predictions-{stamp}-{os.getpid()}-{self._token}{self._number:04d}.jsonl{_PART}"
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
        fcntl.flock(file, fcntl.LOCK_EX)
        self._file, self._size, self._opened = file, 0, time.monotonic()
        return file

    def _finish(self) -> None:
        assert self._file is not None
        try:
            os.fsync(self._file)
            self._path.rename(self._path.with_suffix(""))
        except OSError as error:
            self.fault = f"{self._path}: {error.strerror}"
        os.close(self._file)
        self._file = None
        if self._settings.files:
            with contextlib.suppress(OSError):
                for old in sorted(self._folder.glob(FINISHED))[: -self._settings.files]:
                    old.unlink()

    def _lines(self, entry: _Entry) -> Iterator[bytes]:
        at = of_epoch(entry.at)
        predictions = entry.said.predictions.tolist()
        shares = None if entry.said.probabilities is None else entry.said.probabilities.tolist()
        for number, row in enumerate(_listed(entry.rows)):
            told: dict[str, Any] = {
                "id": f"{entry.request_id}/{number}",
                "at": at,
                **self._about,
                "inputs": {name: self._shown(name, row[place]) for place, name in self._kept},
                "prediction": predictions[number],
            }
            if shares is not None and self._classes is not None:
                told["probabilities"] = dict(zip(self._classes, shares[number], strict=False))
            yield orjson.dumps(told, default=str) + _NEWLINE

    def _shown(self, name: str, value: Any) -> Any:
        if name not in self._hashed or value != value:
            return value
        if name in self._whole and value == int(value):
            value = int(value)  # many rows come as numbers with a point, where some may be missing
        return hmac.digest(self._key, str(value).encode("utf-8", "surrogatepass"), "sha256").hex()


def _columns_file(folder: Path, digest: str) -> Path:
    return folder / f"columns-{digest[:32]}.json"


def columns_of(folder: Path, digest: str) -> dict[str, Any]:
    """The kinds of the columns in files of one model: `inputs`, `prediction`, `classes`; raises OSError."""
    told: dict[str, Any] = orjson.loads(_columns_file(folder, digest).read_bytes())
    return told


def repair(folder: Path) -> list[str]:
    """Finish what writers left that are gone: cut a torn last line, take the `.part` from the name.

    The names of files that were finished. Raises OSError.
    """
    mended = []
    for path in sorted(folder.glob(f"predictions-*.jsonl{_PART}")):
        with path.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its writer lives
            file.truncate(_whole_lines(file.fileno()))
            path.rename(path.with_suffix(""))
            mended.append(path.with_suffix("").name)
    return mended


def _whole_lines(file: int) -> int:
    """How many bytes of a file are whole lines."""
    end = os.fstat(file).st_size
    while end > 0:
        begin = max(0, end - 65536)
        block = os.pread(file, end - begin, begin)
        at = block.rfind(_NEWLINE)
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0


def _listed(rows: Rows) -> Iterator[Sequence[Any]]:
    if rows.few is not None:
        yield from rows.few
        return
    yield from zip(*(values.tolist() for values in rows.many or []), strict=True)
