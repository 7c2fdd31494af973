"""`runner stage`: the built-in stages, run by hand or by a reconcile, and what there is."""

from __future__ import annotations

import argparse
import importlib

from runner.cli.console import Console
from runner.errors import ExitCode, InputError
from runner.specs.builtin_stages import BUILTINS, schema_of
from runner.specs.guesses import nearest


def stage(arguments: argparse.Namespace, console: Console) -> int:
    """Run a stage of the library with its arguments; without a name, list the library."""
    name = arguments.name
    if name is None:
        return _listed(console)
    if name not in BUILTINS:
        close = nearest(name, BUILTINS)
        hint = f"did you mean `{close}`?" if close else f"there are: {', '.join(BUILTINS)}"
        raise InputError(f"`{name}` is no stage of the library", hint)
    program = importlib.import_module(f"runner.stages.{name}")
    return int(program.main(arguments.words))


def _listed(console: Console) -> int:
    rows = [(builtin, str(schema_of(name)["description"])) for name, builtin in BUILTINS.items()]
    width = max(len(builtin.name) for builtin, _ in rows)
    text = "".join(f"{console.out.bold(builtin.name.ljust(width))}  {words}\n" for builtin, words in rows)
    value = {
        "schema": 1,
        "stages": [{"name": row.name, "version": row.version, "description": words} for row, words in rows],
    }
    console.result(text + "\n`runner stage NAME --help` shows what a stage takes.\n", value)
    return ExitCode.DONE
