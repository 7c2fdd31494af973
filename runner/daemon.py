"""The daemon: one reconcile after the other, whatever a single one comes to.

An error of one round is told and the next one waits a little longer (doubling up to ten intervals); a stop ends the
round in an orderly way. Rounds that find nothing new are told of when they begin, and then once an hour; after them
there is time for what can wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from runner.errors import ExitCode, RunnerError
from runner.parts import Result
from runner.values import dataclass, field

_LONGEST_BACKOFF = 10.0
_HEARTBEAT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Rounds:
    """What the daemon does in a round, and whom it tells."""

    reconcile: Callable[[], Result]
    told: Callable[[Result], None]
    """Takes the result of a round that did something."""
    quiet: Callable[[Result, Beat], None]
    """Takes the result of a round that found nothing new, where that is worth a word."""
    failed: Callable[[RunnerError, float | None], None]
    """Takes the error and the seconds until the next try, None where there is none."""
    idle: Callable[[Result], bool] = lambda result: False
    """What is done after a round that found nothing new; True where the next round is not to wait."""


@dataclass(frozen=True, slots=True)
class Beat:
    """For how long nothing was new."""

    seconds: float
    rounds: int


@dataclass
class Heart:
    """Says when it is worth a word that nothing is new: the first time, and then every hour."""

    _since: float | None = None
    _told_at: float = 0.0
    _rounds: int = field(default=0)

    def quiet(self, now: float) -> Beat | None:
        """A round found nothing new; `now` in seconds of any clock that only goes forward."""
        self._rounds += 1
        if self._since is None:
            self._since = self._told_at = now
            return Beat(0.0, 1)
        if now - self._told_at < _HEARTBEAT_SECONDS:
            return None
        self._told_at = now
        return Beat(now - self._since, self._rounds)

    def woken(self) -> None:
        """Something happened."""
        self._since, self._rounds = None, 0


@dataclass(frozen=True, slots=True)
class Served:
    """What all rounds came to."""

    last: ExitCode
    """Of the last round."""
    rounds: int
    busy: int
    """Rounds that did something."""
    failed: int
    """Rounds that ended with an error."""


def serve(rounds: Rounds, interval_seconds: float, stop: threading.Event, *, once: bool = False) -> Served:
    """Reconcile every interval until `stop` is set."""
    heart = Heart()
    count = busy = failed = errors = 0
    while True:
        count += 1
        at_once = False
        try:
            result = rounds.reconcile()
            last, errors = result.exit_code, 0
            if is_busy(result):
                busy += 1
                heart.woken()
                rounds.told(result)
            else:
                if beat := heart.quiet(time.monotonic()):
                    rounds.quiet(result, beat)
                at_once = rounds.idle(result)
        except RunnerError as error:
            errors += 1
            failed += 1
            heart.woken()
            last = error.exit_code
            rounds.failed(error, None if once else _wait_seconds(interval_seconds, errors))
        if once or stop.wait(0 if at_once else _wait_seconds(interval_seconds, errors)):
            return Served(last, count, busy, failed)


def is_busy(result: Result) -> bool:
    """Whether a round ran or recorded anything, or could not."""
    return bool(result.commits or result.runs or result.host_errors or result.cancelled)


def _wait_seconds(interval_seconds: float, errors: int) -> float:
    return interval_seconds * min(_LONGEST_BACKOFF, 2.0**errors if errors else 1.0)
