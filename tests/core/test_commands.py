"""Lines of a text are commands of their own, as DVC has it, and what they cannot tell each other is said."""

from __future__ import annotations

import pytest
from dvc.stage.run import _enforce_cmd_list

from runner.core.commands import commands_of, leaning_line
from runner.core.nouns import Address, Stage


def stage(cmd: str | list[str], uses: str = "") -> Stage:
    commands = tuple(cmd) if isinstance(cmd, list) else (cmd,)
    return Stage(Address("p", "s"), commands, cmd_is_list=isinstance(cmd, list), uses=uses)


@pytest.mark.parametrize(
    "cmd", ["one", "one\ntwo\n", "one\r\ntwo\x0bthree\u2028four", ["one\ntwo", "three"], "a \\\n  b", " \n"]
)
def test_commands_are_those_of_dvc_but_for_empty_ones(cmd: str | list[str]) -> None:
    told = [line for line in _enforce_cmd_list(cmd) if line.strip()]
    assert list(commands_of(stage(cmd))) == (told or [cmd])


def test_arguments_of_the_library_may_hold_lines() -> None:
    assert commands_of(stage("runner stage x '--text=a\nb'", uses="x@1")) == ("runner stage x '--text=a\nb'",)


@pytest.mark.parametrize(
    ("cmd", "what"),
    [
        ("python a.py \\\n  --b 1\n", "the backslash at the end of line 1"),
        ("echo\npython - <<'EOF'\nprint(1)\nEOF\n", "the here-document of line 2"),
        ("cd sub\npython a.py\n", "`cd` of line 1"),
        ("export A=1\npython a.py\n", "what is set of line 1"),
        ("A=1\npython a.py\n", "what is set of line 1"),
    ],
)
def test_a_line_that_counts_on_the_shell_of_the_one_before_is_told(cmd: str, what: str) -> None:
    assert what in str(leaning_line(stage(cmd)))
    assert leaning_line(stage([cmd])) is None


@pytest.mark.parametrize(
    "cmd", ["cd sub && x\ny", "A=1 python x\ny", "one", "cd sub\n", "set -e\nx", "python a.py\npython b.py"]
)
def test_lines_that_stand_alone_are_no_matter(cmd: str) -> None:
    assert leaning_line(stage(cmd)) is None
