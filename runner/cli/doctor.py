"""`runner doctor`: what a project still lacks."""

from __future__ import annotations

import argparse
import os

from runner.cli.console import Console
from runner.errors import ExitCode
from runner.report.doctor_view import doctor_json, doctor_text
from runner.wiring.clone import working_folder
from runner.wiring.doctor import examined


def doctor(arguments: argparse.Namespace, console: Console) -> int:
    """Say what lacks and what would add it; with `--strict` exit code 3 where anything does."""
    found = examined(working_folder(arguments.folder), arguments.rev, os.environ, arguments.trust)
    lacks = bool(found.diagnosis.advice)
    code = ExitCode.FAILED if lacks and arguments.strict else ExitCode.DONE
    value = doctor_json(found.commit, found.diagnosis, int(code))
    if arguments.format == "markdown" and not console.as_json:
        from runner.report.markdown import rendered  # imported late: templates

        console.result(rendered("doctor.md.j2", value), value)
    else:
        console.result(doctor_text(found.diagnosis, console.out), value)
    return code
