"""The journal of a search: every finished trial as a line that is on the disk before the next one begins.

The file is named by everything that the search depends on, so two searches never share one. A line that a kill cut
off is dropped; what stands behind it cannot be.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from runner.errors import HostError, InputError


class Journal:
    """Trials of one search, in order."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file
        self.lines: list[Any] = [] if file is None else _read(file)

    def add(self, line: Any) -> None:
        """Append a trial; it is on the disk when this returns."""
        self.lines.append(line)
        if self._file is not None:
            self._file.write(json.dumps(line, sort_keys=True).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())


@contextmanager
def opened(folder: str | None, digest: str) -> Iterator[Journal]:
    """The journal of the search with this digest; one that forgets, without a folder.

    Raises InputError where the folder cannot be used, HostError while another process searches the same.
    """
    if folder is None:
        yield Journal(None)
        return
    path = Path(folder).expanduser() / f"{digest}.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    except OSError as error:
        raise InputError(
            f"`journal`: {path} cannot be written: {error.strerror}", "name a folder of your own"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            text = f"`journal`: another process does the same search: it holds {path}"
            raise HostError(text, "wait until it has ended") from error
        yield Journal(file)


def _read(file: IO[bytes]) -> list[Any]:
    """The whole lines of a journal; what a kill left of the last one is cut off."""
    file.seek(0)
    data = file.read()
    lines: list[Any] = []
    good = 0
    for raw in data.splitlines(keepends=True):
        try:
            line = json.loads(raw) if raw.endswith(b"\n") else None
        except ValueError:
            line = None
        if not isinstance(line, dict) or line.get("number") != len(lines):
            break
        lines.append(line)
        good += len(raw)
    file.truncate(good)
    return lines
