"""Sampling: in quiet times a daemon verifies one recorded run after the other, never more often than it was told.

How often counts for the repository, not for the daemon: the newest verification in the ledger says when the next one
is due, whoever made it. A new commit on the watched branch, or a stop, ends a repetition at once, and it is forgotten.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Protocol

from runner.core.claims import Watch
from runner.core.nouns import Address
from runner.core.verification import Skipped, Verification
from runner.errors import HostError, RunnerError
from runner.ledger.state import State
from runner.parts import Result
from runner.values import dataclass, field
from runner.wiring.parts import RealParts
from runner.wiring.repository import Repository
from runner.wiring.verify import Verifier

_STOP_SECONDS = 0.2
"""How soon a repetition hears that somebody asked for a stop."""


class Told(Protocol):
    """Hears what a sampler does."""

    def begins(self, address: Address, record: int) -> None:
        """A recorded run is repeated."""

    def ended(self, result: Verification) -> None:
        """One was repeated and compared."""

    def unable(self, skipped: Skipped) -> None:
        """One cannot be verified here; it is not tried again."""

    def interrupted(self, address: Address) -> None:
        """A new commit came first."""

    def failed(self, error: RunnerError) -> None:
        """It could not be done, or not be recorded."""


@dataclass
class Sampler:
    """Verifies when a round of a daemon found nothing to do."""

    spacing_seconds: float
    """From one verification in the ledger to the next."""
    look_seconds: float
    """How often the remote is asked for a new commit while a run is repeated."""
    opened: Callable[[], tuple[Repository, RealParts]]
    told: Told
    watch: Watch
    """What this process has seen of others' claims."""
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    _next_at: float = 0.0
    """By the monotonic clock; nothing is looked at before."""
    _unable: set[str] = field(default_factory=set)
    """Run keys that this host could not verify."""

    def idle(self, result: Result, stop: threading.Event) -> bool:
        """A round found nothing new: verify one recorded run, if one is due. True: something new came meanwhile.

        Raises OSError where this host fails in a way that nobody foresaw.
        """
        if stop.is_set() or result.held or self.monotonic() < self._next_at:
            return False
        try:
            repository, parts = self.opened()
            try:
                return self._sample(repository, parts, result.plan.desired, stop)
            finally:
                parts.close()
        except RunnerError as error:
            self._later(self.spacing_seconds)
            self.told.failed(error)
            return False
        except OSError:
            self._later(self.spacing_seconds)
            raise

    def _sample(self, repository: Repository, parts: RealParts, desired: str, stop: threading.Event) -> bool:
        verifier = Verifier(parts, self.told.begins)
        if verifier.observation.commit != desired:
            return True
        wait_seconds = self._wait_seconds(verifier.state)
        if wait_seconds > 0:
            self._later(wait_seconds)
            return False
        if parts.others_work(self.watch):
            return False
        verifier.check_recordable()
        for address in self._candidates(verifier):
            with _cancelled_by(stop, lambda: parts.has_moved(verifier.observation), self.look_seconds) as cancel:
                result = verifier.verify([address], cancel)
            if result.cancelled:
                if not stop.is_set():
                    self.told.interrupted(address)
                return not stop.is_set()
            if result.checked:
                verifier.record(result, stop)
                self.told.ended(result)
                repository.share_states()
                break
            self._unable.update(verifier.key(skipped.address) for skipped in result.skipped)
            for skipped in result.skipped:
                self.told.unable(skipped)
        self._later(self.spacing_seconds)
        return False

    def _candidates(self, verifier: Verifier) -> list[Address]:
        """What a repetition could tell something new of, the least recently verified first, else by its run key."""
        known = verifier.state.verifications()

        def order(address: Address) -> tuple[int, str]:
            key = verifier.key(address)
            return (known[key].newest if key in known else 0), key

        found = []
        for address in verifier.verifiable():
            key = verifier.key(address)
            is_marked = key in known and known[key].is_marked
            if verifier.observation.graph.stages[address].deterministic and not is_marked and key not in self._unable:
                found.append(address)
        return sorted(found, key=order)

    def _wait_seconds(self, state: State) -> float:
        """How long it is until the next verification is due; another host's clock may be ahead of this one's."""
        newest = max((found.newest for found in state.verifications().values()), default=0)
        record = state.record(newest) if newest else None
        if record is None:
            return 0.0
        at = datetime.fromisoformat(record.recorded_at).timestamp()
        return min(at + self.spacing_seconds - self.clock(), self.spacing_seconds)

    def _later(self, seconds: float) -> None:
        self._next_at = self.monotonic() + seconds


@contextlib.contextmanager
def _cancelled_by(
    stop: threading.Event, has_moved: Callable[[], bool], look_seconds: float
) -> Iterator[threading.Event]:
    """An event that is set when `stop` is, or when something new came."""
    cancel, done = threading.Event(), threading.Event()

    def watch() -> None:
        look_at = time.monotonic() + look_seconds
        while not done.wait(min(_STOP_SECONDS, look_seconds)) and not cancel.is_set():
            if stop.is_set():
                cancel.set()
            elif time.monotonic() >= look_at:
                if _ask(has_moved):
                    cancel.set()
                look_at = time.monotonic() + look_seconds

    thread = threading.Thread(target=watch, name="verification-watch", daemon=True)
    thread.start()
    try:
        yield cancel
    finally:
        done.set()
        thread.join()


def _ask(has_moved: Callable[[], bool]) -> bool:
    """Where the remote cannot be asked there is nothing to hurry for: the next round says what is wrong with it."""
    try:
        return has_moved()
    except HostError:
        return False
