"""`runner daemon`: the same reconcile, again and again."""

from __future__ import annotations

import argparse
import os

from runner.cli.console import Console
from runner.cli.faults import host_fault
from runner.cli.stopping import stopping
from runner.daemon import Rounds, serve
from runner.errors import ExitCode
from runner.execute.context import Event
from runner.reconcile import Request, Result
from runner.reconcile import reconcile as run_reconcile
from runner.report.progress import Progress
from runner.report.result_view import result_json, result_line
from runner.wiring.clone import working_folder
from runner.wiring.parts import Settings
from runner.wiring.repository import open_repository


def daemon(arguments: argparse.Namespace, console: Console) -> int:
    """Reconcile what is new every interval, until SIGTERM or SIGINT."""
    folder = working_folder(arguments.folder)
    settings = Settings(arguments.jobs, arguments.branch, not arguments.no_isolation, trigger="daemon")
    with stopping() as (stop, signals):

        def one_round() -> Result:
            try:
                return reconciled()
            except OSError as error:
                fault = host_fault(error)
                if fault is None:
                    raise
                raise fault from error  # a full disk today is no reason to be gone tomorrow

        def reconciled() -> Result:
            repository = open_repository(folder, arguments.repo, os.environ)
            progress = Progress(console.err, console.say, live=False)

            def event(happened: Event) -> None:
                progress.event(happened)

            parts = repository.parts(settings, os.environ, event, lambda plan, _: None)
            try:
                result = run_reconcile(parts, Request(), stop)
                repository.share_states()
            finally:
                parts.close()
            return result

        def told(result: Result) -> None:
            if result.commits or result.runs:
                console.row(result_json(result))
                console.say(result_line(result, console.err))

        rounds = Rounds(one_round, told, lambda error, wait: console.say(f"{error}\n  trying again in {wait:.0f} s"))
        last = serve(rounds, arguments.interval, stop, once=arguments.once)
    if signals:
        return ExitCode.DONE if not arguments.once else signals[-1]
    return last
