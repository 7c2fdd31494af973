"""`runner contract`: writing a first data contract for people to review."""

from __future__ import annotations

import argparse
from pathlib import Path

from runner.cli.console import Console
from runner.errors import ExitCode, HostError, InputError


def infer(arguments: argparse.Namespace, console: Console) -> int:
    """Write the contract that a table keeps now, to a file or to stdout."""
    from runner.stages.contracts.infer import inferred

    folder = Path(arguments.folder or ".")
    out = folder / arguments.out if arguments.out else None
    if out is not None and out.exists() and not arguments.force:
        raise InputError(f"{arguments.out}: the file is there already", "--force replaces it")
    text = inferred(folder / arguments.data)
    value = {"schema": 1, "file": arguments.out, "text": text}
    if out is None:
        console.result(text, value)
        return ExitCode.DONE
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HostError(
            f"{arguments.out}: {error.strerror}", "name a file in a folder that you may write to"
        ) from error
    told = f"{console.out.green('Wrote')} {arguments.out}. Review every line, then commit it.\n"
    console.result(told, value)
    return ExitCode.DONE
