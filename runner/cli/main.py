"""The entry point: parse the arguments, run the command, turn errors into messages and exit codes."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence

from runner import __version__
from runner.cli.console import Console
from runner.cli.options import add_commands
from runner.errors import ExitCode, RunnerError, SpecError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (see runner.errors.ExitCode)."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    console = Console(as_json=getattr(arguments, "json", False), colour=getattr(arguments, "color", "auto"))
    if getattr(arguments, "module", None) is None:
        parser.print_help()
        return ExitCode.DONE
    try:
        command = importlib.import_module(f"runner.cli.{arguments.module}")
        code = int(getattr(command, arguments.function)(arguments, console))
        sys.stdout.flush()
        return code
    except SpecError as error:
        console.findings(error.findings, getattr(arguments, "format", "text"))
        return error.exit_code
    except RunnerError as error:
        console.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        console.say("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough (`runner plan | head`); nothing may be written to it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except Exception as error:
        return _bug(error, console)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="runner",
        description="A GitOps runner for machine learning: makes recorded results match the specs in git.",
    )
    parser.add_argument("--version", action="version", version=f"runner {__version__}")
    add_commands(parser)
    return parser


def _bug(error: Exception, console: Console) -> int:
    """A defect: everything needed for a report, on stderr, and exit code 70."""
    import platform
    import traceback

    console.say(f"This is a defect of the runner: {type(error).__name__}: {error}")
    console.say("Please report it with what follows:\n")
    facts = {"runner": __version__, "python": platform.python_version(), "platform": platform.platform()}
    console.say(json.dumps(facts))
    console.say("".join(traceback.format_exception(error)))
    return ExitCode.BUG
