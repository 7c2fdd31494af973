"""The commands of a stage, one after the other, and what a line of text cannot tell the next one.

DVC gives each line of a text to a shell of its own and stops at the first that fails (`_enforce_cmd_list` of
dvc/stage/run.py); items of a list are left as they are. A failure in the middle of a text would else be hidden by the
line after it, and the same stage would be another one for DVC.
"""

from __future__ import annotations

from runner.core.nouns import Stage
from runner.patterns import regex

_LEANING = (
    (regex(r"\\$"), "the backslash at the end"),
    (regex(r"<<-?\s*[\"']?[A-Za-z_]"), "the here-document"),
    (regex(r"^\s*(?:cd|pushd)\s[^;&|]*$"), "`cd`"),
    (regex(r"^\s*(?:export\s|source\s|\.\s|[A-Za-z_][A-Za-z0-9_]*=\S*$)[^;&|]*$"), "what is set"),
)
"""What a line says for the ones below it, alone in its shell."""


def commands_of(stage: Stage) -> tuple[str, ...]:
    """What is run one after the other until one fails: a list's items, or the lines of a text that hold anything.

    A command of the built-in library is one, whatever its arguments hold.
    """
    if stage.cmd_is_list or stage.uses:
        return stage.cmd
    return tuple(line for text in stage.cmd for line in text.splitlines() if line.strip()) or stage.cmd


def leaning_line(stage: Stage) -> str | None:
    """What is to be said of a line that counts on being in one shell with the lines below it; None where none does."""
    if len(stage.cmd) != 1 or "\n" not in stage.cmd[0].strip() or stage.cmd_is_list or stage.uses:
        return None
    for number, line in enumerate(stage.cmd[0].splitlines()[:-1], 1):
        for pattern, what in _LEANING:
            if pattern.search(line):
                return (
                    f"stage {stage.address.stage}: each line of `cmd` is run by a shell of its own, as by DVC; {what} "
                    f"of line {number} does not reach the next one: join them with &&, or call a script"
                )
    return None
