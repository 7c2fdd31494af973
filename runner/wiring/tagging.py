"""Tags of releases on the remote: made where they are missing, and never moved. They are advice, and no reconcile fails
for them.

What this host has tagged is noted in its home, so that nothing is asked as long as nothing new is released.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from runner.core.release_tags import Stated, Tag, missing, tags_of
from runner.errors import RunnerError
from runner.execute.context import Event
from runner.git.push import PushStatus
from runner.git.read import Reader
from runner.ledger import layout
from runner.ledger.state import State
from runner.observe.observation import Observation
from runner.wiring.champions import released_of

if TYPE_CHECKING:
    from runner.wiring.parts import RealParts

_NEWEST = 20
"""Of each environment so many versions get tags; those before were tagged, or nobody asked for it then."""


def tag_releases(parts: RealParts, observation: Observation, state: State | None) -> None:
    """Have tags for what is released on the remote; what goes wrong is told, and tried again by the next reconcile."""
    if state is None or not observation.desired.project.release_tags or not state.has_releases():
        return
    note = parts.home.tagged(parts.aim(observation).branch)
    newest = _newest(state)
    if newest == 0 or _noted(note) >= newest:
        return

    def notice(text: str) -> None:
        parts.on_event(Event("notice", None, text))

    try:
        if _tagged(parts, observation, state, notice):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(f"{newest}\n")
    # Of the remote, of this host, or of what stands in records.
    except (RunnerError, OSError, LookupError, TypeError, ValueError) as error:
        why = error.line if isinstance(error, RunnerError) else str(error)
        notice(f"releases could not be tagged: {why}; the next reconcile tries again")


def _tagged(parts: RealParts, observation: Observation, state: State, notice: Callable[[str], None]) -> bool:
    """Whether all tags are there now, or cannot be."""
    wanted: list[Tag] = []
    patterns: list[str] = []
    for deployment in observation.desired.deployments:
        names = [row.name for row in deployment.environments]
        rows = [row for name in names for row in _stated(state, deployment.name, name)]
        wanted += tags_of(names[0], rows)
        patterns += [f"refs/tags/{deployment.name}@v*", f"refs/tags/{deployment.name}#*"]
    if not wanted:
        return True
    commits = _Commits(parts.mirror.reader, state.commit)
    places = {tag.name: commits.of(tag.record) for tag in wanted}
    listed = parts.mirror.listed(*patterns)
    lacking, apart = missing(places, listed)
    if apart:
        notice(f"{', '.join(sorted(apart)[:5])}: this tag is elsewhere already, and stays there")
    rows_of = {tag.name: tag for tag in wanted}
    results = parts.mirror.tag([(rows_of[name], commit) for name, commit in lacking.items()]) if lacking else {}
    refused = {name: said for name, said in results.items() if said.status is not PushStatus.ACCEPTED}
    if refused:
        name, said = next(iter(refused.items()))
        hint = f" ({said.hint})" if said.hint else ""
        notice(f"the remote does not take the tag {name}: {said.detail}{hint}; the next reconcile tries again")
    return not refused


def _stated(state: State, deployment: str, environment: str) -> list[Stated]:
    """What the records of the newest versions say."""
    memory = state.release_files(deployment, environment).memory
    found = []
    for version, number in (memory["versions"] if memory is not None else [])[-_NEWEST:]:
        row = released_of(state, number)
        own = row["commit"] == row["desired"]
        text = " ".join(str(row["reason"]).split())
        said = Stated(deployment, environment, version, number, row["event"], row["model"]["md5"], own, row["at"], text)
        found.append(said)
    return found


def _newest(state: State) -> int:
    """The record of the newest release that stands."""
    files = (state.release_files(*place).live for place in state.released())
    return max((live["record"] for live in files if live is not None), default=0)


def _noted(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


class _Commits:
    """Finds the state commits that records came with, along first parents; each is read where it is asked for."""

    def __init__(self, reader: Reader, tip: str) -> None:
        self._reader = reader
        self._line = reader.first_parents(tip)[::-1]

    def of(self, record: int) -> str:
        """The first commit with a record."""
        return self._line[bisect.bisect_left(self._line, record, key=self._records)]

    def _records(self, commit: str) -> int:
        """How many records a commit has."""
        data = self._reader.file(commit, layout.STATE)
        try:
            return int(json.loads(data or b"")["sequence"])
        except (ValueError, KeyError, TypeError):
            return 0  # before the runner began here
