"""The local journal: a finished run is written here, synced, before anybody is told of it.

A file for each reconcile, a line for each run, in a folder for each state branch. A published run gets a line that says
so; a file with nothing left in it goes. While its reconcile lives the file is locked: only what a dead one left behind
is for others to publish.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from runner.core.canonical import canonical_bytes
from runner.core.records import RunFacts


class Journal:
    """Runs that finished and are not published yet; for one thread at a time."""

    def __init__(self, folder: Path, name: str) -> None:
        """`name` is of this reconcile alone."""
        self._folder = folder
        self._path = folder / f"{name}.jsonl"
        self._file: IO[bytes] | None = None
        self._open_runs: set[str] = set()

    def add(self, run: RunFacts) -> None:
        """Keep a run; it survives a crash of the host when this returns."""
        self._append({"run": run.as_json()})
        self._open_runs.add(run.run_id)

    def left_over(self) -> list[RunFacts]:
        """What reconciles that are gone never published, the oldest first."""
        found = [run for path in self._others() for run in _unpublished(path)]
        return sorted(found, key=lambda run: (run.started_at, run.run_id))

    def remove(self, runs: Iterable[RunFacts]) -> None:
        """Forget runs that are published, or dropped for an equal one."""
        gone = {run.run_id for run in runs}
        if own := gone & self._open_runs:
            self._append({"published": sorted(own)})
            self._open_runs -= own
        if rest := gone - own:
            for path in self._others():
                _forget(path, rest)

    def close(self) -> None:
        """Let go of the file; where nothing is left to publish it is removed."""
        if self._file is None:
            return
        if not self._open_runs:
            self._path.unlink(missing_ok=True)
        self._file.close()
        self._file = None

    def _append(self, line: dict[str, Any]) -> None:
        if self._file is None:
            self._file = self._created()
        self._file.write(canonical_bytes(line) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _created(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = open(self._path, "ab")  # noqa: SIM115 - open for as long as the reconcile
        fcntl.flock(file, fcntl.LOCK_EX)
        while not os.fstat(
            file.fileno()
        ).st_nlink:  # somebody took it for one that is left behind, before it was locked
            file.close()
            file = open(self._path, "ab")  # noqa: SIM115 - as above
            fcntl.flock(file, fcntl.LOCK_EX)
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        return file

    def _others(self) -> Iterator[Path]:
        if self._folder.is_dir():
            for path in sorted(self._folder.glob("*.jsonl")):
                if path != self._path and not _is_held(path):
                    yield path


def waiting_runs(folder: Path) -> list[RunFacts]:
    """Every run in the folder's journals that is not published, also of reconciles that are under way."""
    paths = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    return [run for path in paths for run in _unpublished(path)]


def _unpublished(path: Path) -> list[RunFacts]:
    runs: dict[str, RunFacts] = {}
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []  # published by somebody else meanwhile
    for line in lines[:-1]:  # what has no line end was being written when its reconcile died, and was told to nobody
        row = _row(line)
        if "run" in row:
            run = RunFacts.from_json(row["run"])
            runs[run.run_id] = run
        for run_id in row.get("published", ()):
            runs.pop(run_id, None)
    return list(runs.values())


def _row(line: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}  # cut off by a full disk: whoever wrote it was told so


def _forget(path: Path, run_ids: set[str]) -> None:
    before = _unpublished(path)
    left = [run for run in before if run.run_id not in run_ids]
    if len(left) == len(before):
        return
    if not left:
        path.unlink(missing_ok=True)
        return
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        file.writelines(canonical_bytes({"run": run.as_json()}) + b"\n" for run in left)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _is_held(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return True
    return False
