"""Reads a ledger out of git for an audit: its files at the newest state commit, and what each state commit changed.

On a branch of the runner's own every commit along first parents is a state commit, down to the first. On a watched
branch that has results on itself they are the commits of the runner among people's (runner/ledger/in_place.py).
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import Any

from runner.audit.findings import Breach, Breakage
from runner.audit.history import Step
from runner.audit.releases import FOLDERS
from runner.audit.tip import READ, Files
from runner.core.checkpoint import BadCheckpoint, Checkpoint, parse_checkpoint
from runner.errors import InputError
from runner.git.read import Reader
from runner.git.tree import FILE
from runner.ledger import layout
from runner.ledger.in_place import recorded_commits
from runner.values import dataclass

_LEDGER = f"{layout.ROOT}/ledger"


@dataclass(frozen=True, slots=True)
class Ledger:
    """What git has of a ledger."""

    commit: str
    """The newest state commit."""
    files: Files
    steps: tuple[Step, ...]
    """State commits, the oldest first."""
    found: tuple[Breakage, ...]
    complete: bool
    """Whether history is here back to the first state commit, or to the one that was asked for."""
    in_place: bool
    before: Files | None = None
    """The files of the state commit that comes before `steps`, where it is not the first one."""
    pinned: Step | None = None
    """That state commit."""


def read_ledger(reader: Reader, tip: str, counts: Callable[[str], bool] | None = None) -> Ledger:
    """The ledger that a commit holds; raises InputError where it holds none.

    `counts` says whether a commit of the runner on a watched branch may count, where not all of them do.
    """
    commits, below, in_place = _state_commits(reader, tip, counts)
    if not commits:
        raise InputError(f"{tip[:12]} holds no ledger of the runner", "name a state branch, such as runner/state")
    return _ledger(reader, commits, below, in_place)


def read_since(
    reader: Reader, tip: str, pinned: Checkpoint, counts: Callable[[str], bool] | None = None
) -> Ledger | None:
    """The ledger with the state commits that follow the one with this checkpoint; None where there is no such one."""
    commits, below, in_place = _state_commits(reader, tip, counts)
    sizes = _Sizes(reader, commits)
    place = bisect.bisect_left(sizes, pinned.size)
    if place == len(commits) or sizes[place] != pinned.size or below:
        return None
    return _ledger(reader, commits[place:], None, in_place, with_first=False)


class _Sizes(Sequence[int]):
    """How many records each of some commits has, as its checkpoint says; read where it is asked for."""

    def __init__(self, reader: Reader, commits: Sequence[str]) -> None:
        self._reader = reader
        self._commits = commits

    def __len__(self) -> int:
        return len(self._commits)

    def __getitem__(self, place: Any) -> Any:
        data = self._reader.file(self._commits[place], layout.CHECKPOINT)
        try:
            return parse_checkpoint(data or b"").size
        except BadCheckpoint:
            return -1  # the audit of everything says what is wrong with it


def _ledger(
    reader: Reader, commits: list[str], below: str | None, in_place: bool, *, with_first: bool = True
) -> Ledger:
    trees = reader.at([(commit, _LEDGER) for commit in commits])
    found = []
    if below:
        message = f"holds a ledger, and a later commit ({commits[0][:12]}) begins a new one"
        found.append(Breakage(Breach.ROLLBACK, f"commit {below[:12]}", message))
    steps = _steps(reader, commits, trees, in_place=in_place)
    files = ledger_files(reader, commits[-1])
    if not with_first:
        before = ledger_files(
            reader,
            commits[0],
            (
                layout.KEYS,
                layout.SEALED_KEYS,
                layout.VERIFIED,
                layout.RECORDED,
                layout.SEALED,
                *FOLDERS,
            ),
        )
        return Ledger(commits[-1], files, tuple(steps[1:]), tuple(found), True, in_place, before, steps[0])
    complete = not reader.is_shallow() or not _is_cut(reader, commits[0])
    return Ledger(commits[-1], files, tuple(steps), tuple(found), complete, in_place)


def _state_commits(
    reader: Reader, tip: str, counts: Callable[[str], bool] | None
) -> tuple[list[str], str | None, bool]:
    """State commits, the oldest first; a commit below that holds a ledger, too; whether people's are among them."""
    line = reader.first_parents(tip)
    held = [tree is not None for tree in reader.at([(commit, _LEDGER) for commit in line])]
    own = recorded_commits(reader, tip, counts) if any(held) else []
    if own and not _is_of_runner_alone(reader, line, held):
        return own, None, True
    count = next((number for number, has in enumerate(held) if not has), len(line))
    below = next((line[number] for number in range(count, len(line)) if held[number]), None)
    return line[:count][::-1], below, False


def _is_of_runner_alone(reader: Reader, line: list[str], held: list[bool]) -> bool:
    """Whether a commit along first parents says `Desired:`, as those on a branch of the runner's own do."""
    return any("\nDesired: " in reader.commit(commit).message for commit, has in zip(line, held, strict=True) if has)


def _steps(reader: Reader, commits: list[str], trees: list[str | None], *, in_place: bool) -> list[Step]:
    empty = reader.empty_tree()
    found = [tree or empty for tree in trees]
    pairs = list(zip([empty, *found[:-1]], found, strict=True))
    changes = reader.tree_changes(pairs)
    names = (layout.CHECKPOINT, layout.STATE)
    ids = reader.at([(commit, name) for commit in commits for name in names])
    checkpoints, states = ids[::2], ids[1::2]
    blobs = reader.blobs([oid for oid in checkpoints if oid is not None], limit_bytes=1 << 20)
    return [
        Step(
            commit,
            {f"{_LEDGER}/{path}": oid for path, oid in changed.items()},
            blobs[checkpoint] if checkpoint is not None else None,
            state,
            None if in_place else reader.commit(commit).parents,
        )
        for commit, changed, checkpoint, state in zip(commits, changes, checkpoints, states, strict=True)
    ]


def ledger_files(reader: Reader, commit: str, names: Sequence[str] = READ) -> Files:
    """The bytes of the files and folders with these names at a commit."""
    tree = reader.tree(commit)
    paths = [path for name in names for path in ([name] if tree.get(name) else tree.below(name))]
    oids = {path: entry.oid for path in paths if (entry := tree.get(path)) is not None and entry.mode == FILE}
    blobs = reader.blobs(oids.values())
    return {path: blobs[oid] for path, oid in oids.items()}


def _is_cut(reader: Reader, commit: str) -> bool:
    """Whether a parent of a commit is beyond a shallow clone."""
    return not all(reader.exists(parent) for parent in reader.commit(commit).parents)
