"""`runner init`, `runner validate` and `runner schema`: writing and checking specs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from runner.cli.console import Console
from runner.errors import ExitCode, InputError, SpecError
from runner.wiring.clone import open_clone, working_folder


def init(arguments: argparse.Namespace, console: Console) -> int:
    """Write the fewest lines that adopt what is there, or a first pipeline to start from."""
    from runner.specs.adopt import initial_specs

    folder = working_folder(arguments.folder)
    clone = open_clone(folder, os.environ)
    root = clone.reader.worktree
    if root is None:
        raise InputError("this is a bare repository; specs are written in a working tree", "clone it first")
    target = root / "runner.yaml"
    if target.exists() and not arguments.force:
        raise InputError(f"{target} exists", "edit it, or replace it with --force")
    text = initial_specs(_paths(root))
    target.write_text(text)
    console.result(
        f"Wrote {target}:\n\n{text}\nCommit it, then look at `runner plan`.\n", {"file": str(target), "text": text}
    )
    return ExitCode.DONE


def validate(arguments: argparse.Namespace, console: Console) -> int:
    """Say everything that is wrong with the specs; exit code 1 where anything is."""
    from runner.wiring.draft import validated

    clone = open_clone(working_folder(arguments.folder), os.environ)
    desired = validated(clone, arguments.rev)
    stages = desired.stages()
    value = {
        "findings": [],
        "pipelines": [{"name": pipeline.name, "stages": len(pipeline.stages)} for pipeline in desired.pipelines],
        "notHandled": [str(notice.message) for notice in desired.not_handled],
    }
    names = ", ".join(pipeline.name for pipeline in desired.pipelines) or "no pipeline yet"
    console.result(f"{console.out.green('Valid:')} {len(stages)} stages in {names}.\n", value)
    for notice in desired.not_handled:
        console.say(f"not handled yet: {notice.place}: {notice.message}")
    return ExitCode.DONE


def schema(arguments: argparse.Namespace, console: Console) -> int:
    """Print the JSON Schema of a kind."""
    from runner.resources import schema_file

    print(schema_file(arguments.kind).read_text(), end="")
    return ExitCode.DONE


def _paths(root: Path) -> list[str]:
    found: list[str] = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in (".git", ".dvc", ".venv", "node_modules")]
        found += [str((Path(folder) / name).relative_to(root)) for name in files]
    return sorted(found)


__all__ = ["SpecError", "init", "schema", "validate"]
