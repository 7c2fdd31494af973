"""The daemon: one reconcile after the other, whatever a single one comes to.

An error of one round is told and the next one waits a little longer (doubling up to ten intervals); a stop ends the
round in an orderly way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from runner.errors import ExitCode, RunnerError
from runner.reconcile import Result

_LONGEST_BACKOFF = 10.0


@dataclass(frozen=True, slots=True)
class Rounds:
    """What the daemon does in a round, and whom it tells."""

    reconcile: Callable[[], Result]
    told: Callable[[Result], None]
    failed: Callable[[RunnerError, float], None]
    """Takes the error and the seconds until the next try."""


def serve(rounds: Rounds, interval_seconds: float, stop: threading.Event, *, once: bool = False) -> ExitCode:
    """Reconcile every interval until `stop` is set; returns the exit code of the last round."""
    errors = 0
    while True:
        try:
            result = rounds.reconcile()
            rounds.told(result)
            last, errors = result.exit_code, 0
        except RunnerError as error:
            errors += 1
            last = error.exit_code
            rounds.failed(error, _wait_seconds(interval_seconds, errors))
        if once or stop.wait(_wait_seconds(interval_seconds, errors)):
            return last


def _wait_seconds(interval_seconds: float, errors: int) -> float:
    return interval_seconds * min(_LONGEST_BACKOFF, 2.0**errors if errors else 1.0)
