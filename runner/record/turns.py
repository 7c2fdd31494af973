"""Waiting for one's turn to publish: a queue of refs on the remote, for those who meet on one branch.

Whoever loses a race twice, or comes back and finds others waiting, places a ref `refs/runner/turns/<branch>/<id>`, or
a branch of that name where a host takes no other refs, at the commit where it was last served. Who has nobody in front
goes on; the push that publishes removes the ref again. A remote that takes neither, or does not let them be removed, is
as before: everybody waits for a while by chance.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from runner.core.own_refs import TURNS, Refusal
from runner.core.turns import Patience, Turn, in_front, pause_seconds
from runner.errors import InputError, RunnerError
from runner.git.push import PushStatus
from runner.ledger.in_place import records_at
from runner.record.own_refs import Refs, place
from runner.values import dataclass, field

_SOON_SECONDS = 10.0
"""Who publishes again so soon looks first whether others wait: else who has just won would win again."""
_LONGEST_SECONDS = 60.0
"""After so long a try is made, whoever is in front."""


@dataclass
class Turns:
    """The turns of one reconcile at one branch; one thread asks. Nothing is raised, since a turn is only advice."""

    mirror: Refs
    branch: str
    id: str
    """The reconcile's."""
    hold: Callable[[], None] = lambda: None
    """Called before something is placed: from then on this home knows whom to clean up after."""
    pause: Callable[[float], bool] = field(default_factory=lambda: threading.Event().wait)
    """Waits in the queue for so many seconds; True, and at once, when this reconcile is to stop."""
    rest: Callable[[float], None] = time.sleep
    """Waits by chance, for two seconds at most."""
    monotonic: Callable[[], float] = time.monotonic
    between: Callable[[float, float], float] = random.uniform
    """A number by chance."""
    patience: Patience = field(default_factory=Patience)
    """The reconcile's, whatever it publishes."""
    refusal: Refusal = field(default_factory=Refusal)
    """The process's."""
    _began: float = 0.0
    """When the try that is under way began."""
    _try_seconds: float = 0.0
    """How long a try takes, of late."""
    _published_at: float | None = None
    _ref: str | None = None
    """The own ref, where it may be there."""
    _is_stopped: bool = False
    _positions: dict[str, int | None] = field(default_factory=dict)
    """By object how many records there are; None where it is no commit that can be read."""

    def wait(self, attempt: int, since: str | None, tip: str | None) -> bool:
        """Wait until it is this runner's turn; whether the branch may have moved away from `tip` by then.

        `since` is the commit of a state at which the publication began, `attempt` counts its tries from 0.
        """
        try:
            if attempt == 0 and not self._publishes_soon_again():
                return False
            if since is None or self._is_of_no_use():
                return self._wait_by_chance(attempt)
            return self._wait_in_the_queue(attempt, since) != tip or attempt > 0
        except (RunnerError, OSError):  # the remote, or this disk, is in trouble: the try itself says what is wrong
            return self._wait_by_chance(attempt)
        finally:
            self._began = self.monotonic()

    def to_drop(self) -> list[str]:
        """Refs to remove in the same push that publishes."""
        return [self._ref] if self._ref is not None else []

    def answered(self, status: PushStatus) -> None:
        """The try came to this end."""
        now = self.monotonic()
        seconds = now - self._began
        self._try_seconds = (self._try_seconds + seconds) / 2 if self._try_seconds else seconds
        if status is PushStatus.ACCEPTED:
            self._published_at, self._ref = now, None

    def leave(self) -> None:
        """Take the turn back, where a publication came to nothing."""
        if self._ref is None:
            return
        try:
            found = self.mirror.listed(self._ref).get(self._ref)
            if found is not None:
                self._drop(self._ref, found)
        except (RunnerError, OSError):
            return  # others remove it when their patience is over
        self._ref = None

    # How

    def _publishes_soon_again(self) -> bool:
        return self._published_at is not None and self.monotonic() - self._published_at < _SOON_SECONDS

    def _is_of_no_use(self) -> bool:
        return self._is_stopped or self.refusal.is_known or self.patience.is_used_up()

    def _wait_by_chance(self, attempt: int) -> bool:
        if attempt == 0:
            return False
        # Full jitter, doubling up to two seconds: many writers on one branch all get through (facts on git, 3).
        self.rest(self.between(0, min(2.0, 0.05 * 2 ** (attempt - 1))))
        return True

    def _wait_in_the_queue(self, attempt: int, since: str) -> str | None:
        """Returns where the branch is when its turn has come, or it left the queue; None if that may be old."""
        own = Turn(self._position(since) or 0, self.id)
        began, seen, in_vain = self.monotonic(), None, 0.0
        try:
            while True:
                asked = self.monotonic()
                listed = self.mirror.listed(self._branch_ref(), *TURNS.patterns(f"{self.branch}/*"))
                tip, seconds = listed.get(self._branch_ref()), self.monotonic() - asked
                if tip != seen:  # somebody was served: so far the wait was not in vain
                    seen, in_vain = tip, 0.0
                front = self._in_front(listed, own)
                if not self._stands_in(listed, since, wants=bool(front) or attempt > 1):
                    self._wait_by_chance(attempt)
                    return None
                is_long = self.monotonic() - began >= _LONGEST_SECONDS or self.patience.is_used_up(in_vain)
                if not front or is_long:
                    return tip
                pause = pause_seconds(len(front), seconds, self._try_seconds)
                in_vain += pause
                self._is_stopped = self.pause(pause)
                if self._is_stopped:
                    return tip
        finally:
            self.patience.spend(in_vain)

    def _stands_in(self, listed: Mapping[str, str], since: str, *, wants: bool) -> bool:
        """Place the own turn where it is wanted and not there; False where the remote refuses what a queue needs."""
        if wants and not self.refusal.is_known and self.id not in self._refs_in(listed):
            self._place(since)
        return not self.refusal.is_known

    def _in_front(self, listed: Mapping[str, str], own: Turn) -> Sequence[Turn]:
        """Who is before us, of those that may be alive; a turn whose runner was waited for in vain is taken away."""
        # A commit that is not here yet is newer than all that is: its turn is after ours.
        found = {name: ref for name, ref in self._refs_in(listed).items() if self.mirror.reader.exists(listed[ref])}
        places = {name: self._position(listed[ref]) for name, ref in found.items()}
        self._drop_first({found[name]: listed[found[name]] for name, position in places.items() if position is None})
        turns = [Turn(position, name) for name, position in places.items() if position is not None]
        front = in_front((turn for turn in turns if self.patience.counts(turn)), own)
        if front and self.patience.is_over(front[0], self.monotonic()):
            gone = front.pop(0)
            self.patience.pass_by(gone)
            self._drop(found[gone.name], listed[found[gone.name]])
        return front

    def _drop_first(self, no_turns: Mapping[str, str]) -> None:
        """Remove one ref that is no turn; one at a look, so that any number of them delays nobody."""
        for ref, oid in no_turns.items():
            self._drop(ref, oid)
            return

    def _drop(self, ref: str, expected: str) -> None:
        """Where what is left behind cannot be removed, all would wait for it again and again: better no queue."""
        if self.mirror.drop(ref, expected).status is PushStatus.REFUSED:
            self.refusal.is_of_all()

    def _place(self, since: str) -> None:
        self.hold()
        self._ref, _ = place(self.mirror, TURNS, f"{self.branch}/{self.id}", since, self.refusal)

    def _position(self, oid: str) -> int | None:
        if oid not in self._positions:
            try:
                commit = self.mirror.reader.commit(oid).sha
                self._positions[oid] = records_at(self.mirror.reader, commit)
            except InputError:  # a blob, a tree, a tag, or far too large: somebody else put it there
                self._positions[oid] = None
        return self._positions[oid]

    def _branch_ref(self) -> str:
        return f"refs/heads/{self.branch}"

    def _refs_in(self, listed: Mapping[str, str]) -> dict[str, str]:
        """The turns of this branch among refs that were listed: id to full name."""
        return TURNS.found(listed, f"{self.branch}/")
