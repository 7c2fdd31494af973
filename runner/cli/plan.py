"""`runner plan`: what a reconcile would do."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from runner.cli.console import Console
from runner.errors import ExitCode, HostError
from runner.report.plan_view import plan_json, plan_text
from runner.wiring.clone import open_clone, working_folder


def plan(arguments: argparse.Namespace, console: Console) -> int:
    """Print the plan; exit code 2 where it is not empty."""
    folder = working_folder(arguments.folder)
    if arguments.fetch:
        from runner.wiring.repository import refresh  # imported late: only --fetch needs the network

        refresh(folder, os.environ)
    clone = open_clone(folder, os.environ)
    observation = clone.observation(arguments.rev)
    found, _ = observation.plan()
    age = clone.state_age(observation.state)
    value = plan_json(found, observation.desired, age) | {"rev": arguments.rev}
    if arguments.out:
        _write(Path(arguments.out), value)
    if arguments.format == "markdown" and not console.as_json:
        from runner.report.markdown import rendered  # imported late: templates

        console.result(rendered("plan.md.j2", value), value)
    else:
        text = plan_text(found, observation.desired, console.out, state_age=age, every=arguments.all)
        console.result(text, value)
    if clone.reader.is_dirty() and arguments.rev is None:
        console.say(console.err.dim("The working tree has changes that are not committed; they are not in this plan."))
    return ExitCode.DONE if found.is_empty else ExitCode.CHANGES


def _write(file: Path, value: dict[str, Any]) -> None:
    try:
        file.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise HostError(f"{file}: {error.strerror}", "choose another place for the plan") from error
