"""`runner validate` and `runner schema`: checking specs."""

from __future__ import annotations

import argparse
import json
import os

from runner.cli.console import Console
from runner.errors import ExitCode
from runner.report.style import Style, plural
from runner.wiring.clone import open_clone, working_folder


def validate(arguments: argparse.Namespace, console: Console) -> int:
    """Say everything that is wrong with the specs; exit code 1 where anything is."""
    from runner.report.plan_view import notice_json
    from runner.wiring.draft import validated

    clone = open_clone(working_folder(arguments.folder), os.environ)
    found = validated(clone, arguments.rev, os.environ)
    desired = found.desired
    rows = [(pipeline.name, len(pipeline.stages)) for pipeline in desired.pipelines]
    value = {
        "schema": 1,
        "findings": [],
        "pipelines": [{"name": name, "stages": count} for name, count in rows],
        "notices": [notice_json(notice) for notice in found.notices],
        "notHandled": [notice_json(notice) for notice in desired.not_handled],
    }
    names = ", ".join(f"{Style.safe(name)} ({plural(count, 'stage')})" for name, count in rows)
    console.result(f"{console.out.green('Valid:')} {names or 'no pipeline yet'}.\n", value)
    for label, notices in (("not handled yet", desired.not_handled), ("notice", found.notices)):
        for notice in notices:
            place = f"{notice.place}: " if notice.place.file else ""
            console.say(console.err.yellow(f"{label}: ") + Style.safe(f"{place}{notice.message}"))
    return ExitCode.DONE


def schema(arguments: argparse.Namespace, console: Console) -> int:
    """Print the JSON Schema of a kind."""
    from runner.resources import schema_file

    text = schema_file(arguments.kind).read_text(encoding="utf-8")
    console.result(text, json.loads(text))
    return ExitCode.DONE
