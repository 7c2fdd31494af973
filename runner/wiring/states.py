"""Finding recorded states among refs: in a clone, in the runner's mirror, or in both; the newest known one counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runner.git.read import Reader
from runner.ledger.state import Memo, State
from runner.observe import refs


@dataclass(frozen=True, slots=True)
class StateRefs:
    """Branch name (`runner/state`, …) to the commit it is at."""

    tips: dict[str, str]

    def proposals(self) -> list[str]:
        """Branches that hold runs of proposals."""
        return sorted(name for name in self.tips if name.startswith(refs.PROPOSED + "/"))


_PLACES = ("refs/remotes/origin/", "refs/heads/")


def clone_states(reader: Reader, mirror: Reader | None) -> StateRefs:
    """Every state branch as new as a clone and the mirror know it, without the network."""
    patterns = [f"{place}{refs.OWN_PREFIX}" for place in _PLACES]
    tips: dict[str, str] = {}
    for full_name, tip in _by_name(reader, patterns):
        tips[full_name] = _newer(reader, tips.get(full_name), tip)
    for name, tip in _by_name(mirror, patterns) if mirror is not None else ():
        tips[name] = _newer(reader, tips.get(name), tip)
    return StateRefs(tips)


def _by_name(reader: Reader, patterns: list[str]) -> Iterable[tuple[str, str]]:
    for full_name, tip in reader.refs(*patterns).items():
        for place in _PLACES:
            if full_name.startswith(place):
                yield full_name.removeprefix(place), tip


def _newer(reader: Reader, one: str | None, other: str) -> str:
    """Of two tips of one branch the one that holds the other; where neither does, the one that was made later.

    Neither does after somebody rewrote the branch: a copy that nobody fetched since must not win for ever.
    """
    if one is None or one == other or not reader.exists(one):
        return other
    if not reader.exists(other) or reader.is_ancestor(other, one):
        return one
    if reader.is_ancestor(one, other):
        return other
    return max(one, other, key=lambda tip: reader.commit(tip).committed_at)


def opened(reader: Reader, states: StateRefs, names: Iterable[str], memo: Memo | None) -> list[State]:
    """The states of these branches, each under its name."""
    return [State(reader, states.tips[name], ref=name, memo=memo) for name in names if name in states.tips]
