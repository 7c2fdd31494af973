"""Turns: runners that publish to one branch at the same time queue up, the one that was served longest ago in front.

A turn is advice. Safety rests on compare-and-swap alone; a turn that is lost, forged or left behind only costs time.
Nobody's clock decides who is in front: a turn names a commit of the branch, and that has a place in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable

from runner.values import dataclass, field

FIRST_PATIENCE_SECONDS = 2.0
"""For so long others wait for the one in front at first; many times what a publication takes."""
_MOST_PATIENCE_SECONDS = 16.0
_MOST_IN_VAIN_SECONDS = 60.0
"""For so long one reconcile waits in vain, all waits together; then the queue is of no use to it."""
_SHORTEST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """One runner's place in the queue; the smallest is in front."""

    position: int
    """Number of records where its runner last published, or began."""
    name: str
    """The reconcile's id; it decides between those that began at the same place."""


def in_front(turns: Iterable[Turn], own: Turn) -> list[Turn]:
    """Those whose turn is before one's own, the first one first."""
    return sorted(turn for turn in turns if turn < own and turn.name != own.name)


def pause_seconds(rank: int, look_seconds: float, try_seconds: float) -> float:
    """How long to wait before the next look at the queue, with so many in front.

    Who is next looks often, but not so often that looking is all it does; who is farther behind cannot be next before
    the others had their tries. Both are measured, so this fits a remote next door and one far away.
    """
    for_the_next = max(_SHORTEST_PAUSE_SECONDS, 2 * look_seconds, try_seconds / 4)
    return min(_LONGEST_PAUSE_SECONDS, for_the_next + (rank - 1) * try_seconds)


@dataclass
class Patience:
    """How long one reconcile waits for whoever is in front: it may be dead.

    Each time it was in vain it is twice as long for this one, so that a slow runner gets its time in the end; then it
    is over for good. All waits in vain together have a limit, since anybody may forge any number of turns.
    """

    _given: dict[str, float] = field(default_factory=dict)
    _front: Turn | None = None
    _since: float = 0.0
    _in_vain_seconds: float = 0.0

    def spend(self, seconds: float) -> None:
        """So long nobody was served while this one waited."""
        self._in_vain_seconds += seconds

    def is_used_up(self, more_seconds: float = 0.0) -> bool:
        """Whether no queue is worth waiting in any more, this wait included."""
        return self._in_vain_seconds + more_seconds >= _MOST_IN_VAIN_SECONDS

    def is_over(self, front: Turn, now_seconds: float) -> bool:
        """Whether the one in front was waited for long enough; `now_seconds` is of a clock that only goes forward."""
        if front != self._front:
            self._front, self._since = front, now_seconds
        return now_seconds - self._since >= self._given.get(front.name, FIRST_PATIENCE_SECONDS)

    def pass_by(self, front: Turn) -> None:
        """It is over: next time it lasts longer."""
        self._given[front.name] = 2 * self._given.get(front.name, FIRST_PATIENCE_SECONDS)
        self._front = None

    def counts(self, turn: Turn) -> bool:
        """Whether a turn counts at all; not where it was waited for in vain again and again."""
        return self._given.get(turn.name, 0.0) <= _MOST_PATIENCE_SECONDS
