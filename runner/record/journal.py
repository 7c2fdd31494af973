"""The local journal: a finished run is written here, synced, before anybody is told of it.

A file for each run, in a folder for each state ref; it goes when the run is on the remote's state branch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from runner.core.canonical import canonical_bytes
from runner.core.records import RunFacts


class Journal:
    """Runs that finished and are not published yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, run: RunFacts) -> None:
        """Keep a run; it survives a crash of the host when this returns."""
        self._folder.mkdir(parents=True, exist_ok=True)
        final = self._file(run)
        part = final.with_suffix(".part")
        with open(part, "wb") as file:
            file.write(canonical_bytes(run.as_json()))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, final)
        _sync_folder(self._folder)

    def runs(self) -> list[RunFacts]:
        """Every run that is kept, the oldest first; files that a crash left incomplete are no runs."""
        if not self._folder.is_dir():
            return []
        found = [RunFacts.from_json(json.loads(file.read_bytes())) for file in self._folder.glob("*.json")]
        return sorted(found, key=lambda run: (run.started_at, run.run_id))

    def remove(self, runs: Iterable[RunFacts]) -> None:
        """Forget runs that are published, or dropped for an equal one."""
        for run in runs:
            self._file(run).unlink(missing_ok=True)

    def _file(self, run: RunFacts) -> Path:
        return self._folder / f"{run.run_id}.json"


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
