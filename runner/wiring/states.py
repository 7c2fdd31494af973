"""Finding recorded states among refs: in a clone, in the runner's mirror, or in both; the newest known one counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.core.own_refs import BRANCHES
from runner.errors import Held, InputError
from runner.git.read import Reader
from runner.git.seen_refs import SeenRefs
from runner.ledger.in_place import newest_state
from runner.observe import refs
from runner.values import dataclass

if TYPE_CHECKING:
    from runner.ledger.state import Memo, State


@dataclass(frozen=True, slots=True)
class StateRefs:
    """Where recorded states are."""

    tips: dict[str, str]
    """Branch (`runner/state`, …) to its newest commit that the runner made."""
    first: str = refs.STATE
    """The branch on which results of the project's own watched branch are recorded."""

    def proposals(self) -> list[str]:
        """Branches that hold runs of proposals."""
        return sorted(name for name in self.tips if name.startswith(refs.PROPOSED + "/"))

    def others(self, own: str | None, *, proposals: bool) -> list[str]:
        """Branches whose runs may be taken over by `own`."""
        names = dict.fromkeys([self.first, refs.STATE, *(self.proposals() if proposals else [])])
        return [name for name in names if name != own]


def read_seen(file: Path) -> str | None:
    """What this host noted of a branch: the newest commit that it has seen there; None where it noted nothing."""
    return file.read_text().strip() if file.is_file() else None


def is_rewritten(reader: Reader, branch: str, seen: str, tip: str | None) -> bool:
    """Whether a state branch, which is at `tip` now, does not hold any more what was seen of it."""
    if tip is None and branch.startswith(refs.PROPOSED):
        return False  # people may tidy up after a merge: it is none of ours to hold for
    return seen != tip and not (tip and reader.exists(seen) and reader.is_ancestor(seen, tip))


PLACES = ("refs/remotes/origin/", "refs/heads/")
"""Where a clone has branches: the remote's, and its own."""


def clone_states(
    reader: Reader,
    known_to: Sequence[Reader | SeenRefs],
    watched: str | None,
    first: str,
    counts: Callable[[str], bool] | None = None,
) -> StateRefs:
    """Every state branch as new as it is known to these, the clone and the mirror, without the network.

    `counts` says whether a commit of the runner on the watched branch itself may count; None for all of them.
    """
    patterns = [f"{place}{name}" for place in PLACES for name in (refs.OWN_PREFIX, first)]
    known: dict[str, list[str]] = {}
    for place in known_to:
        for name, tip in _by_name(place, patterns):
            known.setdefault(name, []).append(tip)
    in_place = known.pop(first, []) if first == watched else []
    tips = {name: _newest(reader, found) for name, found in known.items()}
    return _with_in_place(reader, StateRefs(tips, first), in_place, counts)


def mirror_states(
    reader: Reader, seen: SeenRefs, watched: str, first: str, counts: Callable[[str], bool] | None = None
) -> StateRefs:
    """Every state branch in the mirror, by its refs as they were seen; `counts` as above."""
    found = dict(_by_name(seen, [f"refs/heads/{refs.OWN_PREFIX}", f"refs/heads/{first}"]))
    in_place = [found.pop(first)] if first == watched and first in found else []
    return _with_in_place(reader, StateRefs(found, first), in_place, counts)


def _with_in_place(
    reader: Reader, states: StateRefs, tips: list[str], counts: Callable[[str], bool] | None
) -> StateRefs:
    """The same, and what is recorded on the watched branch itself, which is at these commits."""
    state = newest_state(reader, [tip for tip in tips if reader.exists(tip)], counts)
    return states if state is None else StateRefs({**states.tips, states.first: state}, states.first)


def _by_name(reader: Reader | SeenRefs, patterns: list[str]) -> Iterable[tuple[str, str]]:
    not_states = tuple(branch.removeprefix("refs/heads/") for branch in BRANCHES)
    for full_name, tip in reader.refs(*patterns).items():
        for place in PLACES:
            if full_name.startswith(place) and not full_name.removeprefix(place).startswith(not_states):
                yield full_name.removeprefix(place), tip


def _newest(reader: Reader, tips: list[str]) -> str:
    newest = tips[0]
    for tip in tips[1:]:
        newest = _newer(reader, newest, tip)
    return newest


def _newer(reader: Reader, one: str, other: str) -> str:
    """Of two tips of one branch the one that holds the other; where neither does, the one that was made later.

    Neither does after somebody rewrote the branch: a copy that nobody fetched since must not win for ever.
    """
    if one == other or not reader.exists(one):
        return other
    if not reader.exists(other) or reader.is_ancestor(other, one):
        return one
    if reader.is_ancestor(one, other):
        return other
    return max(one, other, key=lambda tip: reader.commit(tip).committed_at)


def opened(reader: Reader, states: StateRefs, names: Iterable[str], memo: Memo | None) -> list[State]:
    """The states of these branches, each under its name; without proposals that are none, which anybody may push."""
    from runner.ledger.state import State  # imported late: start-up

    found = []
    for name in names:
        if name not in states.tips:
            continue
        try:
            found.append(State(reader, states.tips[name], ref=name, memo=memo))
        except (Held, InputError):
            if not name.startswith(refs.PROPOSED + "/"):
                raise
    return found
