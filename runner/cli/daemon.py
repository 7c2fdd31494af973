"""`runner daemon`: the same reconcile, again and again."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runner import __version__
from runner.cli.console import Console
from runner.cli.faults import defect_of, host_fault
from runner.cli.stopping import stopping
from runner.daemon import Beat, Rounds, serve
from runner.errors import ExitCode, RunnerError
from runner.parts import Request, Result
from runner.reconcile import reconcile as run_reconcile
from runner.report.daemon_view import quiet_line, start_line, stop_line
from runner.report.progress import Progress
from runner.report.result_view import result_json, result_line
from runner.report.style import Style, duration
from runner.values import replace
from runner.wiring.clone import open_clone, working_folder
from runner.wiring.joining import take_over_state
from runner.wiring.parts import Settings, watch_of
from runner.wiring.repository import open_repository
from runner.wiring.signing import signing_of
from runner.wiring.trust_file import trust_file

if TYPE_CHECKING:
    from runner.cli.sampling import Sampling


def daemon(arguments: argparse.Namespace, console: Console) -> int:
    """Reconcile what is new every interval, until SIGTERM or SIGINT."""
    folder = working_folder(arguments.folder)
    settings = Settings(arguments.jobs, arguments.branch, not arguments.no_isolation, trigger="daemon", wait=False)
    trust = trust_file(folder, os.environ, arguments.trust)
    settings = replace(settings, watch=watch_of(os.environ), trust=trust)
    say = _teller(console)
    url = arguments.repo or open_clone(folder, os.environ).url
    sample: Sampling | None = None
    with signing_of(os.environ) as signing, stopping() as (stop, signals):

        def one_round() -> Result:
            try:
                return reconciled()
            except RunnerError:
                raise
            except Exception as error:
                # a full disk today is no reason to be gone tomorrow, nor is a defect that one commit brings to light
                raise (host_fault(error) or defect_of(error)) from error

        def reconciled() -> Result:
            repository = open_repository(folder, arguments.repo, os.environ)
            if taken := take_over_state(repository, settings.trust):
                say(f"{console.err.yellow('notice: ')}{Style.safe(taken)}")
            progress = Progress(console.err, say, live=False)
            parts = repository.parts(settings, os.environ, progress.event, lambda plan, _: None, signing)
            try:
                result = run_reconcile(parts, Request(), stop)
                repository.share_states()
            finally:
                parts.close()
            tell_releases(result)
            return result

        seen: list[str] = []

        def tell_releases(result: Result) -> None:
            """What is released, held, or not in use as recorded: once, until it is another."""
            if not result.releases and not seen:
                return
            from runner.report.release_view import release_lines  # imported late: few release anything

            lines = release_lines(result.releases, console.err)
            if lines != seen:
                seen[:] = lines
                for line in lines:
                    say(line)

        def told(result: Result) -> None:
            console.row(result_json(result, signals[-1] if signals else None))
            for address, error in result.host_errors.items():
                say(f"{console.err.red('not run')}  {Style.safe(f'{address}  {error.line}')}")
            say(f"{result.plan.desired[:12]}: {result_line(result, console.err)}")

        def quiet(result: Result, beat: Beat) -> None:
            say(quiet_line(result, beat.seconds, beat.rounds, console.err))

        def failed(error: RunnerError, wait_seconds: float | None) -> None:
            again = "" if wait_seconds is None else f"\n  trying again in {duration(wait_seconds)}"
            said = "\n".join(Style.safe_lines(str(error)))
            say(f"{console.err.red('error: ')}{said}{again}")

        say(start_line(__version__, url, arguments.branch, arguments.interval))
        rounds = Rounds(one_round, told, quiet, failed)
        if arguments.verify_sample is not None:
            from runner.cli.sampling import sampling  # imported late: rare

            sample = chosen = sampling(arguments, console, say, settings, signing)
            rounds = replace(rounds, idle=lambda result: chosen.idle(result, stop))
        served = serve(rounds, arguments.interval, stop, once=arguments.once)
    if not signals:
        return served.last
    say(stop_line(served.rounds, served.busy, served.failed, sample.told.verified if sample else None))
    return ExitCode.DONE if not arguments.once else signals[-1]


def _teller(console: Console) -> Callable[[str], None]:
    """Says a text, each line with its time where no terminal shows it but a file keeps it."""
    if console.in_terminal:
        return console.say

    def say(text: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        console.say("\n".join(f"{now} {line}".rstrip() for line in text.split("\n")))

    return say
