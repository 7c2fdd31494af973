"""What `runner daemon --verify-sample` does and says in quiet times."""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Callable

from runner.cli.console import Console
from runner.cli.faults import host_fault
from runner.core.nouns import Address
from runner.core.verification import Skipped, Verification
from runner.errors import RunnerError
from runner.parts import Result
from runner.process.signing import Signing
from runner.report.daemon_view import verified_line
from runner.report.progress import Progress
from runner.report.style import Style
from runner.report.verify_view import verification_json
from runner.values import dataclass, replace
from runner.wiring.clone import working_folder
from runner.wiring.parts import RealParts, Settings, watch_of
from runner.wiring.repository import Repository, open_repository
from runner.wiring.sampling import Sampler


@dataclass(slots=True)
class _Teller:
    """Says in the daemon's log what a sampler does."""

    say: Callable[[str], None]
    console: Console
    verified: int = 0
    """How many recorded runs were repeated to their end."""

    def begins(self, address: Address, record: int) -> None:
        self.say(f"verifying {Style.safe(str(address))}: record {record} is run again")

    def ended(self, result: Verification) -> None:
        self.verified += len(result.checked)
        self.console.row(verification_json(result, result.exit_code))
        self.say(verified_line(result, self.console.err))

    def unable(self, skipped: Skipped) -> None:
        self.say(f"not verified  {Style.safe(f'{skipped.address}: {skipped.why}')}")

    def interrupted(self, address: Address) -> None:
        self.say(f"stopped verifying {Style.safe(str(address))}: something new is there")

    def failed(self, error: RunnerError) -> None:
        self.say(f"not verified  {Style.safe(error.line)}")


@dataclass(frozen=True, slots=True)
class Sampling:
    """A sampler whose host may fail without taking the daemon with it."""

    sampler: Sampler
    told: _Teller

    def idle(self, result: Result, stop: threading.Event) -> bool:
        """See `Sampler.idle`."""
        try:
            return self.sampler.idle(result, stop)
        except OSError as error:
            fault = host_fault(error)
            if fault is None:
                raise
            self.told.failed(fault)
            return False


def sampling(
    arguments: argparse.Namespace,
    console: Console,
    say: Callable[[str], None],
    settings: Settings,
    signing: Signing | None,
) -> Sampling:
    """The sampling that the arguments ask for; `say` writes to the daemon's log."""
    folder = working_folder(arguments.folder)
    own = replace(settings, claims=False)

    def opened() -> tuple[Repository, RealParts]:
        repository = open_repository(folder, arguments.repo, os.environ)
        progress = Progress(console.err, say, live=False)
        return repository, repository.parts(own, os.environ, progress.event, lambda plan, _: None, signing)

    told = _Teller(say, console)
    return Sampling(
        Sampler(arguments.verify_sample, arguments.interval, opened, told, watch_of(os.environ)),
        told,
    )
