"""`runner init`, `runner validate` and `runner schema`: writing and checking specs."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import textwrap
from pathlib import Path

from runner.cli.console import Console
from runner.errors import ExitCode, InputError
from runner.report.style import Style, plural
from runner.wiring.clone import open_clone, working_folder


def init(arguments: argparse.Namespace, console: Console) -> int:
    """Write the fewest lines that adopt what is there, or a first pipeline to start from."""
    from runner.git.draft import worktree_paths
    from runner.specs.adopt import initial_specs

    folder = working_folder(arguments.folder)
    clone = open_clone(folder, os.environ)
    root = clone.reader.worktree
    if root is None:
        raise InputError("this is a bare repository; specs are written in a working tree", "clone it first")
    target = root / "runner.yaml"
    if os.path.lexists(target) and not arguments.force:
        raise InputError(f"{target} exists", "edit it, or replace it with --force")
    text = initial_specs(worktree_paths(clone.reader))
    _replace(target, text)
    then = "Check it with `runner validate`, commit it, then look at `runner plan`."
    told = f"Wrote {target}:\n\n{textwrap.indent(text, '    ')}\n{then}\n"
    console.result(told, {"schema": 1, "file": str(target), "text": text})
    return ExitCode.DONE


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


def _replace(file: Path, text: str) -> None:
    """Write a file whole or not at all, and never through a link to some other place."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, prefix=".runner-", delete=False) as part:
        part.write(text)
    os.chmod(part.name, 0o644)
    os.replace(part.name, file)
