"""`runner verify`: recorded runs are run again, compared, and what came out is recorded."""

from __future__ import annotations

import argparse
import os
import threading

from runner.cli.console import Console
from runner.cli.stopping import stopping
from runner.core.verification import Verification
from runner.errors import InputError, RunnerError
from runner.report.progress import Progress
from runner.report.style import Style
from runner.report.verify_view import verification_json, verification_text
from runner.wiring.clone import working_folder
from runner.wiring.parts import Settings
from runner.wiring.repository import open_repository
from runner.wiring.signing import signing_of
from runner.wiring.trust_file import trust_file
from runner.wiring.verify import Verifier


def verify(arguments: argparse.Namespace, console: Console) -> int:
    """Run what stands for stages again and compare what comes out."""
    if bool(arguments.stages) == arguments.all:
        raise InputError("which stages are meant?", "name them, or say --all, not both")
    folder = working_folder(arguments.folder)
    repository = open_repository(folder, arguments.repo, os.environ)
    settings = Settings(
        branch=arguments.branch,
        isolate=not arguments.no_isolation,
        trigger="verify",
        claims=False,
        trust=trust_file(folder, os.environ, arguments.trust),
    )
    progress = Progress(console.err, console.say, live=console.interactive)
    with signing_of(os.environ) as signing, stopping() as (stop, signals):
        parts = repository.parts(settings, os.environ, progress.event, lambda plan, _: None, signing)
        try:
            verifier = Verifier(parts)
            chosen = verifier.verifiable() if arguments.all else verifier.found(arguments.stages)
            if not arguments.no_record:
                verifier.check_recordable()
            result = verifier.verify(chosen, stop)
            problem = None if arguments.no_record else _recorded(verifier, result, stop)
        finally:
            progress.close()
            parts.close()
    if result.commit is not None:
        try:
            repository.share_states()
        except RunnerError as error:  # it is recorded; only this clone does not know of it yet
            console.say(f"This clone does not see the newest state yet: {Style.safe(error.line)}")
    code = signals[-1] if signals else result.exit_code
    console.result(verification_text(result, console.out, repository.home.logs), verification_json(result, code))
    if arguments.all and not result.checked and not result.cancelled:
        console.say("Nothing that stands recorded can be verified; name a stage to be told why.")
    if problem is not None and not signals:
        console.say(f"{console.err.red('error: ')}{Style.safe(problem.line)}")
        return problem.exit_code
    return code


def _recorded(verifier: Verifier, result: Verification, stop: threading.Event) -> RunnerError | None:
    """Have it recorded; what keeps it from being so is said after the result, which is lost otherwise."""
    try:
        verifier.record(result, stop)
    except RunnerError as error:
        return error
    return None
