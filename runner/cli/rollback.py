"""`runner rollback`: an older model is served again."""

from __future__ import annotations

import argparse
import os

from runner.cli.console import Console
from runner.cli.stopping import stopping
from runner.errors import ExitCode, RunnerError
from runner.report.progress import Progress
from runner.report.style import Style
from runner.wiring.clone import working_folder
from runner.wiring.parts import Settings
from runner.wiring.repository import open_repository
from runner.wiring.rollback import Asked, RolledBack, roll_back
from runner.wiring.signing import signing_of
from runner.wiring.trust_file import trust_file


def rollback(arguments: argparse.Namespace, console: Console) -> int:
    """Record a release of an older model."""
    folder = working_folder(arguments.folder)
    repository = open_repository(folder, arguments.repo, os.environ)
    settings = Settings(
        branch=arguments.branch,
        trigger="rollback",
        trust=trust_file(folder, os.environ, arguments.trust),
    )
    asked = Asked(arguments.deployment, arguments.environment, arguments.to, arguments.reason)
    progress = Progress(console.err, console.say, live=console.interactive)
    with signing_of(os.environ) as signing, stopping() as (stop, _):
        parts = repository.parts(settings, os.environ, progress.event, lambda plan, _: None, signing)
        try:
            done = roll_back(parts, asked, stop)
        finally:
            progress.close()
            parts.close()
    try:
        repository.share_states()
    except RunnerError as error:  # it is recorded; only this clone does not know of it yet
        console.say(f"This clone does not see the newest state yet: {Style.safe(error.line)}")
    console.result(_text(done, console.out), done.as_json())
    return done.standing.code if done.standing is not None else ExitCode.DONE


def _text(done: RolledBack, style: Style) -> str:
    name = Style.safe(f"{done.deployment} v{done.version} ({done.environment})")
    what = f"{style.green('released')} {name}  the model of v{done.of} again, in place of v{done.replaces}\n"
    what += f"v{done.replaces} is not tried again until its model or the spec changes.\n"
    if done.standing is None:
        return what
    from runner.report.release_view import standing_line

    return what + standing_line(done.deployment, done.environment, done.standing, style) + "\n"
