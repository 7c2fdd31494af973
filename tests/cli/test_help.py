"""Help for newcomers: every command has examples that it takes, and fits whatever reads it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

import pytest

from runner.cli.main import build_parser
from tests.cli.command import call, spawn
from tests.cli.worlds import Team


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of all commands below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)


PARSERS = {parser.prog: parser for parser in parsers(build_parser())}


@pytest.mark.parametrize("name", PARSERS)
def test_every_command_has_examples_that_it_takes(name: str) -> None:
    title, *lines = (PARSERS[name].epilog or "").splitlines()
    assert title == "examples:"
    assert lines
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[1] == "COMMAND":
            continue
        arguments = build_parser().parse_args(words[1:])
        assert arguments.module
        assert " ".join(words).startswith(name)


@pytest.mark.parametrize("name", PARSERS)
def test_every_option_says_what_it_does(name: str) -> None:
    silent = [action.dest for action in PARSERS[name]._actions if not action.help and action.dest != "==SUPPRESS=="]
    assert [dest for dest in silent if dest not in ("COMMAND", "ACTION")] == []


def test_runner_alone_shows_its_commands_and_the_first_steps(team: Team) -> None:
    answer = call(team.path)
    assert answer.code == 0
    assert "runner init " in answer.out
    assert answer.out == call(team.path, "--help").out


@pytest.mark.parametrize("words", [["--help"], ["runs", "--help"]], ids=str)
def test_help_shows_nothing_that_stands_for_a_missing_text(team: Team, words: list[str]) -> None:
    assert "None" not in call(team.path, *words).out.split()


def test_a_folder_with_the_name_of_a_command_does_not_hide_the_others(team: Team) -> None:
    assert "reconcile" in call(team.path, "-C", "status", "--help").out


def test_help_fits_a_narrow_terminal(team: Team) -> None:
    answer = spawn(team.path, "reconcile", "--help", env={"COLUMNS": "40"})
    text = answer.out.partition("\n\n")[2].partition("examples:")[0]  # what is to be copied is one line each
    assert max(map(len, text.splitlines())) <= 40


def test_who_reads_one_line_of_help_does_not_hurt(team: Team) -> None:
    answer = spawn(team.path, shell='for n in 1 2 3; do runner reconcile --help | true; echo "${PIPESTATUS[0]}"; done')
    assert (answer.out, answer.err) == ("0\n0\n0\n", "")
    assert spawn(team.path, shell="runner --help >&-; echo $?").out == "0\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["plan", "--jsn"], "did you mean --json? `runner plan --help` shows what it takes"),
        (["runs", "list", "--limt=3"], "did you mean --limit? `runner runs list --help` shows what it takes"),
        (["plan", "--zzzz"], "`runner plan --help` shows what it takes"),
        (["daemon", "--frob"], "`runner daemon --help` shows what it takes"),
        (["--versoin"], "did you mean --version? `runner --help` shows what it takes"),
    ],
)
def test_an_option_that_is_not_there_leads_to_the_one_that_is(words: list[str], hint: str, team: Team) -> None:
    answer = call(team.path, *words)
    assert (answer.code, answer.err.splitlines()[1].strip()) == (1, hint)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["daemon", "--interval", "-1s"], "--interval: -1s is no time; say 30s, 5m or 1h"),
        (["runs", "list", "--limit"], "--limit needs a value"),
        (["plan", "--out", "--all"], "--out needs a value"),
        (["plan", "--out", "-x"], "--out needs a value; one that begins with a dash is written --out=-x"),
    ],
)
def test_an_option_without_a_value_that_it_takes_says_what_it_needs(words: list[str], said: str, team: Team) -> None:
    answer = call(team.path, *words)
    assert (answer.code, answer.err.splitlines()[0]) == (1, f"error: {said}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", ""], "an argument is empty"),
        (["reconcile", "--trust", ""], "--trust: the value is empty"),
        (["audit", "verify", "--pinned="], "--pinned: the value is empty"),
        (["daemon", "--repo", " "], "--repo: the URL is empty"),
    ],
)
def test_a_variable_that_is_not_set_does_not_mean_the_default(words: list[str], said: str, team: Team) -> None:
    answer = call(team.path, *words)
    assert (answer.code, said in answer.err) == (1, True)


@pytest.mark.parametrize("locale", ["C", "POSIX", "xx_XX.ISO-8859-1"])
def test_a_locale_without_unicode_is_no_obstacle(locale: str, team: Team) -> None:
    environ = {"LC_ALL": locale, "LANG": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    answer = spawn(team.path, "plan", "--all", env=environ)
    assert (answer.code, answer.err) == (2, "")
    assert answer.out.isascii()


def test_a_plan_with_nothing_but_a_failure_left_ends_with_2_as_its_help_says(team: Team) -> None:
    assert set(call(team.path, "plan", "--json").json["summary"]) == {"keep", "failed"}
    assert call(team.path, "plan").code == 2
    said = " ".join(call(team.path, "plan", "--help").out.split())
    assert "with 2 where any is not, also where it only waits or stands failed" in said
