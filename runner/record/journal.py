"""The local journal: a finished run is written here, synced, before anybody is told of it.

A file for each reconcile, a line for each run, in a folder for each state branch. A published run gets a line that says
so; a file with nothing left in it goes. While its reconcile lives the file is locked: only what a dead one left behind
is for others to publish.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from runner.core.canonical import plain_bytes
from runner.core.records import RunFacts
from runner.failpoints import reached
from runner.record.journal_folder import JournalFile, JournalFolder


class Journal:
    """Runs that finished and are not published yet; for one thread at a time."""

    def __init__(self, folder: JournalFolder, name: str) -> None:
        """`name` is of this reconcile alone."""
        self._folder = folder
        self._name = name
        self._file: JournalFile | None = None
        self._open_runs: set[str] = set()
        self._is_cut = False
        """Whether the last line may not be whole, since writing it failed: the next one must not continue it."""

    def add(self, run: RunFacts) -> None:
        """Keep a run; it survives a crash of the host when this returns."""
        self._append({"run": run.as_json()})
        self._open_runs.add(run.run_id)
        reached("journaled")

    def left_over(self) -> list[RunFacts]:
        """What reconciles that are gone never published, the oldest first; journals without any go."""
        found = {name: _unpublished(self._folder, name) for name in self._others()}
        for name in [name for name, runs in found.items() if not runs]:
            self._folder.remove(name)
        runs = [run for runs in found.values() for run in runs]
        return sorted(runs, key=lambda run: (run.started_at, run.run_id))

    def remove(self, runs: Iterable[RunFacts]) -> None:
        """Forget runs that are published, or dropped for an equal one."""
        gone = {run.run_id for run in runs}
        if own := gone & self._open_runs:
            self._append({"published": sorted(own)})
            self._open_runs -= own
        if rest := gone - own:
            for name in self._others():
                _forget(self._folder, name, rest)
        reached("journal-cleaned")

    def close(self) -> None:
        """Let go of the file; where nothing is left to publish it is removed."""
        if self._file is None:
            return
        if not self._open_runs:
            self._folder.remove(self._name)
        self._file.close()
        self._file = None

    def _append(self, line: dict[str, Any]) -> None:
        if self._file is None:
            self._file = self._opened()
        reached("journal-opened")
        start = b"\n" if self._is_cut else b""
        self._is_cut = True
        self._file.write(start + plain_bytes(line) + b"\n")
        reached("journal-written")
        self._file.sync()
        self._is_cut = False

    def _opened(self) -> JournalFile:
        file = self._folder.open(self._name)
        self._folder.sync()
        return file

    def _others(self) -> Iterator[str]:
        for name in self._folder.names():
            if name != self._name and not self._folder.is_held(name):
                yield name


def waiting_runs(folder: JournalFolder) -> list[RunFacts]:
    """Every run in the folder's journals that is not published, also of reconciles that are under way."""
    return [run for name in folder.names() for run in _unpublished(folder, name)]


def _unpublished(folder: JournalFolder, name: str) -> list[RunFacts]:
    runs: dict[str, RunFacts] = {}
    lines = (folder.read(name) or b"").split(b"\n")
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


def _forget(folder: JournalFolder, name: str, run_ids: set[str]) -> None:
    before = _unpublished(folder, name)
    left = [run for run in before if run.run_id not in run_ids]
    if len(left) == len(before):
        return
    if not left:
        folder.remove(name)
        return
    folder.replace(name, b"".join(plain_bytes({"run": run.as_json()}) + b"\n" for run in left))
