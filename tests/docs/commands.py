"""The commands of the runner with their options, as its parser knows them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from runner.cli.main import build_parser


@dataclass(frozen=True, slots=True)
class Command:
    """A command such as `plan` or `runs list`."""

    name: str
    options: tuple[str, ...]


def commands() -> list[Command]:
    return list(_below(build_parser(), ()))


def _below(parser: argparse.ArgumentParser, names: tuple[str, ...]) -> Iterator[Command]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for name, inner in group.choices.items():
            yield from _below(inner, (*names, name))
    if not groups:
        options = [option for action in parser._actions for option in action.option_strings]
        yield Command(" ".join(names), tuple(option for option in options if option not in ("-h", "--help")))
