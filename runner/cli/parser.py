"""The parser of all commands: `argparse`, with mistakes in our own words and without what makes it slow to start."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import Any, NoReturn

EXAMPLES = "examples:"


class UsageMistake(Exception):
    """The arguments are wrong: what, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Formatter(argparse.HelpFormatter):
    """Leaves examples as they are, a line each; all else fits the terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if not text.startswith(EXAMPLES):
            return super()._fill_text(text, width, indent)
        return "\n".join(indent + line for line in text.split("\n"))


class Parser(argparse.ArgumentParser):
    """Raises UsageMistake where argparse would print and exit with 2, which means something else here."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong in our own words."""
        raise UsageMistake(*_in_words(message, self))

    def _print_message(self, message: str, file: Any = None) -> None:
        if sys.stdout is None:  # started without one (`>&-`): nobody listens
            return
        try:
            super()._print_message(message, file)
            sys.stdout.flush()
        except OSError:  # whoever read us has seen enough (`runner --help | head`)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)


def speak_english() -> None:
    """Have argparse look for no translations, in this process: its words are matched below, and to look for each takes
    longer than to parse a line. What it asks for may be None, as the title of a group that has none."""
    vars(argparse)["_"] = lambda text: text


def _columns() -> int:
    """The width of the terminal, as the module `shutil` has it, which compressors come along with."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and len(said) < 6 and int(said):
        return int(said)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):  # none, or it is closed, or no terminal
        return 80


def _in_words(message: str, parser: argparse.ArgumentParser) -> tuple[str, str]:
    """What argparse says, as a sentence and what to do."""
    help_ = f"`{parser.prog} --help` shows what there is"
    choice = re.match(r"argument (.+?): invalid choice: '?(.*?)'? \(choose from (.*)\)$", message)
    if choice is None:
        return message.removeprefix("argument "), help_
    what, said, known = choice[1], choice[2], re.findall(r"[\w-]+", choice[3])
    import difflib  # imported late: start-up

    close = difflib.get_close_matches(said, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
    if what == "COMMAND":
        return f"there is no command {said!r}", hint
    return (f"`{parser.prog}` has no action {said!r}" if what == "ACTION" else f"{what} cannot be {said!r}"), hint
