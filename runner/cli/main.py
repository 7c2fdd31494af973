"""The entry point: parse the arguments, run the command, turn errors into messages and exit codes."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from runner import __version__
from runner.cli.options import add_commands, add_common, check_none_empty, examples, needs_value, options_of
from runner.cli.parser import Formatter, Parser, UsageMistake, speak_english

if TYPE_CHECKING:
    from runner.cli.console import Console


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (see runner.errors.ExitCode)."""
    if argv is not None:
        return _run(list(argv))
    # Thousands of stages are many objects that stay; looking through them for circles took a third of a plan.
    gc.set_threshold(400_000, 50, 100)
    speak_english()
    try:
        code = _run(sys.argv[1:])
    except SystemExit as end:  # of --help and --version
        if not isinstance(end.code, int):
            raise
        code = end.code
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End this process once all is said: taking apart all modules and values takes a tenth of the time of a plan."""
    threading = sys.modules.get("threading")
    others = threading.enumerate() if threading is not None else []
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (OSError, ValueError, AttributeError):
        sys.exit(code)  # nobody reads it, or it is closed: as ever
    if sum(not thread.daemon for thread in others) > 1:
        sys.exit(code)  # which waits for them
    atexit._run_exitfuncs()
    os._exit(code)


def _run(words: list[str]) -> int:
    try:
        arguments = _parsed(words)
        check_none_empty(words)
    except UsageMistake as mistake:
        return _usage(mistake, words)
    if getattr(arguments, "module", None) is None:
        arguments.parser.print_help()
        return 0
    from runner.cli.console import Console  # imported late: start-up of --help and --version

    return _called(arguments, Console(as_json=arguments.json, colour=arguments.color))


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """The arguments, by a parser that knows one command alone: nineteen take a tenth of the time of a short plan."""
    try:
        return build_parser(words).parse_args(words)
    except UsageMistake:
        return build_parser().parse_args(words)  # which says of all commands what is wrong


def build_parser(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """The parser of all commands; where `words` are given, of the one that they name."""
    parser = Parser(
        prog="runner",
        description="A GitOps runner for machine learning: makes recorded results match the specs in git.",
        epilog=examples(
            "init                 # write a first runner.yaml; then commit and push it",
            "plan                 # what would run, and why",
            "reconcile            # run it, and record the results on the branch runner/state",
            "status               # what stands for each stage",
            "COMMAND --help       # the options of a command, with examples",
        ),
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"runner {__version__}", help="show the version")
    add_common(parser)
    parser.set_defaults(folder=None, json=False, color="auto", parser=parser)
    add_commands(parser, words)
    return parser


def _called(arguments: argparse.Namespace, console: Console) -> int:
    import importlib  # imported late: start-up

    from runner.errors import ExitCode, RunnerError, SpecError

    try:
        command = importlib.import_module(f"runner.cli.{arguments.module}")
        return int(getattr(command, arguments.function)(arguments, console))
    except SpecError as error:
        console.findings(error, error.findings, getattr(arguments, "format", "text"))
        return error.exit_code
    except RunnerError as error:
        console.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        console.interrupted()
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, people get a report
        from runner.cli.faults import host_fault, report  # imported late: rare

        fault = host_fault(error)
        if fault is not None:
            console.error(fault)
            return fault.exit_code
        report(error, console)
        return ExitCode.BUG


def _usage(mistake: UsageMistake, words: Sequence[str]) -> int:
    from runner.cli.console import Console  # imported late: start-up of --help and --version
    from runner.errors import InputError

    hint, message = mistake.hint, mistake.message
    missing = re.fullmatch(r"(\S*?)(?:/-\w)?: expected (?:one|at least one) argument", message)
    if missing:
        message = needs_value(build_parser(), words, missing[1])
    stray = mistake.message.removeprefix("unrecognized arguments: ")
    if stray != mistake.message:  # told by the parser above the command's
        import difflib  # imported late: start-up

        prog, known = options_of(build_parser(), words)
        names = {name.lstrip("-"): name for name in known}  # dashes alone make nothing alike
        close = difflib.get_close_matches(stray.split()[0].partition("=")[0].lstrip("-"), names, n=1)
        hint = f"did you mean {names[close[0]]}? " if close else ""
        hint += f"`{prog} --help` shows what it takes"
    error = InputError(message, hint)
    Console(as_json="--json" in words).error(error)
    return error.exit_code
