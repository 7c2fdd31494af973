"""`runner approve`: sign that a model may be released, or that it may not."""

from __future__ import annotations

import argparse
import os

from runner.cli.console import Console
from runner.core.dsse import fingerprint
from runner.errors import ExitCode, InputError
from runner.report.approval_view import handed_in_text, paper_lines
from runner.report.progress import Progress
from runner.wiring.approve import Asked, paper, person_key, signed_and_handed_in, trusted_with
from runner.wiring.clone import working_folder
from runner.wiring.parts import Settings
from runner.wiring.repository import open_repository
from runner.wiring.trust_file import trust_file


def approve(arguments: argparse.Namespace, console: Console) -> int:
    """Show what is signed, sign it with a person's key, and put it on the remote."""
    folder = working_folder(arguments.folder)
    deployment, _, digest = arguments.what.partition("@")
    asked = Asked(
        deployment, digest.lower(), arguments.environment, arguments.role, not arguments.reject, arguments.reason or ""
    )
    key = person_key(arguments.key, folder, os.environ)
    repository = open_repository(folder, arguments.repo, os.environ)
    trust = trust_file(folder, os.environ, arguments.trust)
    settings = Settings(branch=arguments.branch, trigger="approve", claims=False, trust=trust)
    progress = Progress(console.err, console.say, live=console.interactive)
    parts = repository.parts(settings, os.environ, progress.event, lambda plan, _: None, None)
    try:
        shown = paper(parts, asked)
        progress.close()
        for line in paper_lines(shown, fingerprint(key.public_key), console.err):
            console.say(line)
        if doubt := trusted_with(parts, fingerprint(key.public_key), asked.role):
            console.say(f"{console.err.yellow('notice: ')}{doubt}")
        _confirm(arguments, console)
        keyid, ref = signed_and_handed_in(parts, shown.said, key)
    finally:
        progress.close()
        parts.close()
    console.result(handed_in_text(shown, ref, console.out), shown.as_json(keyid, ref))
    return ExitCode.DONE


def _confirm(arguments: argparse.Namespace, console: Console) -> None:
    """Ask where a person is there to answer; raises InputError where they say no."""
    if arguments.yes or not console.asks:
        return
    if console.ask("Sign this?", "no").lower() not in ("y", "yes"):
        raise InputError("nothing was signed", "answer `y`, or say --yes")
