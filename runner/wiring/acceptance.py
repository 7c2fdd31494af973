"""`reconcile --accept-state SHA`: a person goes on from a state branch that was rewritten."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from urllib.parse import unquote

from runner.audit.lineage import lineage_breaks
from runner.core.records import BadRecord
from runner.errors import Held, InputError
from runner.git.mirror import Mirror
from runner.git.read import Reader
from runner.ledger.in_place import newest_state, records_at
from runner.ledger.state import State
from runner.observe import refs
from runner.values import dataclass, field
from runner.wiring.repository import Repository
from runner.wiring.trust import Trusting

_GONE = "none"
"""What to say of a branch that is not there any more."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a person went on from."""

    commit: str
    """Its whole name, for the record; or `none`."""
    cut_off: dict[str, str]
    """Branch to the newest commit that this host had seen there, where it is not part of the branch any more."""
    unappended: tuple[str, ...] = ()
    """Branches whose commit adds no record to the one before it: an audit finds that whatever comes later."""
    torn: tuple[str, ...] = ()
    """Branches whose commit has other parents than its last record names: an audit finds that as well."""
    beyond: Mapping[str, Beyond] = field(default_factory=dict)
    """Branch to what counts from now on and was not known here."""


@dataclass(frozen=True, slots=True)
class Beyond:
    """Records behind the last one that this host had seen, or verified where it has a trust file."""

    first: int
    last: int
    doubted: tuple[tuple[int, int], ...]
    """First and last of each row of those that nobody signed whom the trust file lets; none without such a file."""


def accept_state(repository: Repository, sha: str, trusting: Trusting | None = None) -> Accepted:
    """Forget what this host has seen of the state branches that are at `sha` now (`none`: of those that are gone).

    With a trust file what is recorded there counts from then on, whoever signed it.
    Raises InputError where no branch that this host knows is there, Held where what is there is no state of the runner.
    """
    if sha != _GONE and not re.fullmatch(r"[0-9a-f]{7,64}", sha):
        raise InputError(f"{sha!r} is not the name of a commit", "say at least its first seven digits")
    repository.mirror.fetch()
    folder = repository.home.seen_state(refs.STATE).parent
    known = {unquote(file.name): file for file in sorted(folder.iterdir())} if folder.is_dir() else {}
    tips = {branch: _state_of(repository.mirror, branch, trusting) for branch in known}
    accepted = [
        branch for branch, tip in tips.items() if (tip is None if sha == _GONE else (tip or "").startswith(sha))
    ]
    if not accepted:
        places = ", ".join(f"{branch} is at {tip or _GONE}" for branch, tip in tips.items())
        raise InputError(f"no state branch is at {sha}", places or "this host has seen none yet, so none is held")
    reader, cut_off, beyond = repository.mirror.reader, dict[str, str](), dict[str, Beyond]()
    for tip in {tips[branch] for branch in accepted} - {None}:
        State(reader, tip or "").end()  # what is no state is never gone on from, so nothing is forgotten for it
    unappended = [branch for branch in accepted if _appends_nothing(reader, branch, tips[branch])]
    torn = [branch for branch in accepted if branch not in unappended and _is_torn(reader, tips[branch])]
    for branch in accepted:
        seen, tip = known[branch].read_text().strip(), tips[branch]
        if seen and not (tip and reader.exists(seen) and reader.is_ancestor(seen, tip)):
            cut_off[branch] = seen
        if tip is not None and (new := _beyond(reader, branch, tip, seen, trusting)) is not None:
            beyond[branch] = new
        known[branch].unlink(missing_ok=True)
        if trusting is not None:
            trusting.accept(reader, tip, branch)
    return Accepted(tips[accepted[0]] or _GONE, cut_off, tuple(unappended), tuple(torn), beyond)


def _beyond(reader: Reader, branch: str, tip: str, seen: str, trusting: Trusting | None) -> Beyond | None:
    """What of a branch is new to this host; None where nothing is, or where what it had seen is not there any more."""
    before = seen if trusting is None else trusting.verified(branch)
    if trusting is None and not (before and reader.exists(before)):
        return None
    state = State(reader, tip)
    last = state.summary.head.sequence
    first = (_shared(reader, before, state) if before and reader.exists(before) else 0) + 1
    doubted = trusting.doubts(state.record_range(first, last), first) if trusting is not None else []
    return Beyond(first, last, _rows(doubted)) if first <= last else None


def _rows(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """First and last of each row of numbers that follow each other."""
    groups = (list(group) for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]))
    return tuple((group[0][1], group[-1][1]) for group in groups)


def _shared(reader: Reader, before: str, new: State) -> int:
    """How many records two ledgers begin with alike; each record holds the digest of the one before it."""
    old = State(reader, before)
    low, high = 0, min(records_at(reader, before), new.summary.head.sequence)
    while low < high:
        middle = (low + high + 1) // 2
        same = old.record_bytes(middle) is not None and old.record_bytes(middle) == new.record_bytes(middle)
        low, high = (middle, high) if same else (low, middle - 1)
    return low


def _appends_nothing(reader: Reader, branch: str, tip: str | None) -> bool:
    """Whether a commit on a branch of the runner's own has no more records than its first parent."""
    if tip is None or not branch.startswith(refs.OWN_PREFIX):
        return False
    first = next(iter(reader.commit(tip).parents), None)
    return first is not None and reader.exists(first) and 0 < records_at(reader, tip) <= records_at(reader, first)


def _is_torn(reader: Reader, tip: str | None) -> bool:
    """Whether a commit has other parents than its last record names."""
    if tip is None:
        return False
    state = State(reader, tip)
    number = state.summary.head.sequence
    try:
        return any(lineage_breaks(tip, reader.commit(tip).parents, number, state.record(number)))
    except (BadRecord, KeyError, TypeError):
        return False  # an audit says of the record itself what is wrong with it


def _state_of(mirror: Mirror, branch: str, trusting: Trusting | None) -> str | None:
    """The newest commit of the runner on a branch, which may be a watched one."""
    tip = mirror.tip(branch)
    if tip is None or branch.startswith(refs.OWN_PREFIX):
        return tip
    try:
        counts = trusting.ends(mirror.reader, branch) if trusting is not None else None
        return newest_state(mirror.reader, [tip], counts)
    except Held:
        return tip  # a branch of another name that is the runner's alone
