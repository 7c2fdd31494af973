"""A first pipeline from the answers to a few questions: its name, the command of its first stage, what that writes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection

from runner.values import dataclass

_PLAIN = re.compile(r"[A-Za-z][\w./=-]*(?: [\w./=-]+)+")
"""Commands that YAML reads as the text that they are."""
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Answers:
    """What a person said of their first stage."""

    command: str
    pipeline: str
    outs: tuple[str, ...]
    """Paths that it writes, from the root of the repository."""


def first_specs(answers: Answers, tree_paths: Collection[str]) -> str:
    """Text of a `runner.yaml` with one pipeline of one stage; what the command names of the repository are its deps."""
    deps = _named(answers.command, tree_paths)
    outs = [path for path in answers.outs if path not in deps]
    lines = [
        "apiVersion: runner/v1",
        "kind: Pipeline",
        f"metadata: {{name: {json.dumps(as_name(answers.pipeline, 'main'))}}}",
        "spec:",
        "  stages:",
        f"    {_stage_name(deps)}:",
        f"      cmd: {_scalar(answers.command)}",
    ]
    lines += [f"      deps: {_list(deps)}"] if deps else ["      # deps: files that it reads, the program itself too"]
    lines += [f"      outs: {_list(outs)}"] if outs else ["      # outs: files and folders that it writes"]
    if not deps and not outs:
        lines.append("      # While it has neither, it runs once for every commit.")
    return "\n".join(lines) + "\n"


def as_name(text: str, otherwise: str) -> str:
    """A text as the name of a document or stage; `otherwise` where nothing is left of it."""
    return _FOREIGN.sub("-", text)[:_LONGEST_NAME].strip("-_") or otherwise


def _named(command: str, tree_paths: Collection[str]) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:  # an open quotation mark: the shell will say so
        words = command.split()
    return [path for path in dict.fromkeys(word.removeprefix("./") for word in words) if path in tree_paths]


def _stage_name(deps: list[str]) -> str:
    program = deps[0].rpartition("/")[2].partition(".")[0] if deps else ""
    return json.dumps(as_name(program, "first"))


def _scalar(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _list(paths: list[str]) -> str:
    return "[" + ", ".join(json.dumps(path, ensure_ascii=False) for path in paths) + "]"
