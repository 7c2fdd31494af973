"""Results that are recorded on the watched branch itself: which of its commits the runner made, which people.

A commit of the runner there has one parent, names the desired commit in a trailer, and has more records below
`.runner/` than its parent, or where a merge brought others' records there, a last record of its own that states it.
That is what tells it from a commit of people that took over its message, by a squash for example: people's commits add
no records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator

from runner.errors import Held, InputError
from runner.ledger import layout
from runner.ledger.objects import History

TRAILER = "Reconciled"
"""`Reconciled: <desired commit>` ends the message of every commit of the runner on a watched branch."""

_LINE = rf"^{TRAILER}: ([0-9a-f]{{40,64}})$"
_GREP = f"^{TRAILER}: [0-9a-f]*$"
_CANDIDATES = 20
"""Commits with the trailer that are looked at first; more where people took over its words in all of these."""
_ALL = 1_000_000
_STATE_LIMIT_BYTES = 1 << 20


def desired_at(reader: History, commit: str) -> str:
    """The newest commit along first parents that people made: what a branch at `commit` asks for."""
    while is_recorded(reader, commit):
        commit = reader.commit(commit).parents[0]
    return commit


def is_recorded(reader: History, commit: str) -> bool:
    """Whether the runner made this commit, to record results on a watched branch."""
    found = reader.commit(commit)
    if len(found.parents) != 1 or TRAILER not in found.message:
        return False
    lines = re.findall(_LINE, found.message, re.MULTILINE)
    if not lines:
        return False
    parent = found.parents[0]
    return records_at(reader, commit) > records_at(reader, parent) or _states_itself(reader, commit, parent, lines[-1])


def _states_itself(reader: History, commit: str, parent: str, desired: str) -> bool:
    """Whether the last record ends a commit for this desired one, and is not the parent's: a merge may have brought
    others' records, more of them than there are here now."""
    path = layout.record_path(records_at(reader, commit))
    here = reader.tree(commit).get(path)
    if here is None or not reader.exists(parent) or reader.tree(parent).get(path) == here:
        return False
    from runner.core.predicates import ENDING  # imported late: start-up
    from runner.core.records import BadRecord, parse_record

    try:
        record = parse_record(reader.file(commit, path, _STATE_LIMIT_BYTES) or b"")
        return record.kind in ENDING and bool(record.own[record.kind.name]["desired"] == desired)
    except (BadRecord, InputError, KeyError, TypeError):
        return False  # somebody else wrote this file


def recorded_commits(reader: History, tip: str, counts: Callable[[str], bool] | None = None) -> list[str]:
    """Every commit of the runner in the history of a commit, by the number of their records.

    Without those of others' ledgers that a merge brought: what is on no line of first parents belongs here if the
    newest state has its records.
    """
    candidates = reader.commits_saying(tip, _GREP, _ALL)
    counted = {sha: records_at(reader, sha) for sha in candidates if is_recorded(reader, sha)}
    newest = newest_state(reader, [tip], counts) if counted else None
    along = set(reader.commits_saying(tip, _GREP, _ALL, first_parent=True)) if counted else set()
    own = [sha for sha in counted if sha in along or (newest is not None and _extends(reader, newest, sha))]
    return sorted(own, key=lambda sha: (counted[sha], sha))


def newest_state(reader: History, tips: Iterable[str], counts: Callable[[str], bool] | None = None) -> str | None:
    """The newest commit of the runner that is part of any of these commits' history; None where there is none.

    Also behind merges, where it is on no line of first parents: as long as it has the records of the newest one that
    is, so what a fork's own runner recorded apart from these never counts. Where `counts` is given, only what it is
    true of; where it is true of none, the newest all the same, for the caller to refuse.
    What people did to `.runner/` afterwards has no effect. Raises Held where they brought a `.runner/` of their own,
    that no commit of the runner made.
    """
    tips = list(dict.fromkeys(tips))
    found = {state for tip in tips if (state := _newest_of(reader, tip, counts or _always)) is not None}
    if found:
        return max(sorted(found), key=lambda sha: records_at(reader, sha))
    for tip in tips:
        if reader.tree(tip).is_folder(layout.ROOT):
            raise Held(
                f"{tip[:12]} has a folder {layout.ROOT}/ that no commit of the runner made",
                f"remove it (`git rm -r {layout.ROOT}`); the runner records what it did there itself",
            )
    return None


def _always(_commit: str) -> bool:
    return True


def _newest_of(reader: History, tip: str, counts: Callable[[str], bool]) -> str | None:
    if is_recorded(reader, tip) and counts(tip):
        return tip
    anchor = next(filter(counts, _recorded_before(reader, tip, first_parent=True)), None)
    newest: str | None = None
    for commit in _recorded_before(reader, tip, first_parent=False):
        newest = newest or commit
        if anchor is not None and records_at(reader, commit) <= records_at(reader, anchor):
            return anchor
        if (anchor is None or _extends(reader, commit, anchor)) and counts(commit):
            return commit
    return anchor or newest


def _recorded_before(reader: History, tip: str, *, first_parent: bool) -> Iterator[str]:
    """Commits of the runner in the history of a commit of people's, those with the most records first.

    The newest ones at first; more of them are looked for where somebody asks for more.
    """
    limit, given = _CANDIDATES, set[str]()
    while True:
        candidates = reader.commits_saying(tip, _GREP, limit, first_parent=first_parent)
        found = [sha for sha in candidates if sha not in given and is_recorded(reader, sha)]
        yield from sorted(found, key=lambda sha: (-records_at(reader, sha), sha))
        if len(candidates) < limit:
            return
        given.update(found)
        limit *= 4


def _extends(reader: History, commit: str, anchor: str) -> bool:
    """Whether the ledger at a commit begins with that at another: it has the last record of that one in its place."""
    number = records_at(reader, anchor)
    if records_at(reader, commit) < number:
        return False
    path = layout.record_path(number)
    here, there = (reader.tree(one).get(path) for one in (commit, anchor))
    if here is not None and there is not None:
        return here.oid == there.oid
    from runner.ledger.state import State  # imported late: start-up

    try:
        return State(reader, commit).record_bytes(number) == State(reader, anchor).record_bytes(number)
    except (Held, InputError):
        return False  # a ledger that cannot be read goes on from nothing


def records_at(reader: History, commit: str) -> int:
    """How many records there are at a commit; 0 where it has none, or is beyond a shallow clone."""
    if not reader.exists(commit):
        return 0
    try:
        return int(json.loads(reader.file(commit, layout.STATE, _STATE_LIMIT_BYTES) or b"{}").get("sequence", 0))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return 0  # somebody else wrote this file
