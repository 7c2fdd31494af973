"""What all built-in stages have in common: arguments by their schema, help from it, errors for people.

A stage is a function of a `Call`; `program()` makes a `main` of it, for `runner stage NAME` and for
`python -m runner.stages.NAME`.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.errors import InputError, RunnerError
from runner.specs import schemas
from runner.specs.builtin_stages import BUILTINS, MANY, schema_of, value_of
from runner.specs.guesses import nearest
from runner.specs.places import Locator
from runner.specs.stage_rules import faults_of
from runner.values import dataclass

_OUTPUTS = ("out", "metrics", "plots")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a stage."""

    name: str
    given: Mapping[str, Any]
    """What `with` says, by the stage's schema."""
    outs: tuple[Path, ...]
    metrics: tuple[Path, ...]
    plots: tuple[Path, ...]
    seed: int
    """From RUNNER_SEED, which the field `seed` of a stage sets; 0 without it."""

    def get(self, name: str, default: Any = None) -> Any:
        """A value of `with`, or the default where it is not given."""
        return self.given.get(name, default)


def program(name: str, run: Callable[[Call], None]) -> Callable[..., int]:
    """The `main` of a stage: returns its exit code, and says on stderr what went wrong."""

    def main(words: Sequence[str] | None = None) -> int:
        words = sys.argv[1:] if words is None else words
        if any(word in ("-h", "--help") for word in words):
            sys.stdout.write(help_of(name))
            return 0
        try:
            run(call_of(name, words, os.environ))
        except RunnerError as error:
            sys.stderr.write(f"{name}: {error}\n")
            return int(error.exit_code)
        return 0

    return main


def call_of(name: str, words: Sequence[str], environ: Mapping[str, str]) -> Call:
    """The call that a command line means.

    Raises InputError: an argument is unknown, missing or of the wrong type, or an output too many or too few.
    """
    given, outputs = arguments_of(name, words)
    problems = schemas.check(BUILTINS[name].kind, given, Locator("", lambda: ""), "among its arguments")
    if problems:
        told = [f"{problem.finding.message} ({problem.finding.hint})" for problem in problems]
        raise InputError("\n  ".join(told), f"`runner stage {name} --help` shows what it takes")
    _check_counts(name, outputs)
    faults = [(message, hint) for _, message, hint in faults_of(name, given, outputs["out"])]
    if faults:
        *others, (last, hint) = faults
        raise InputError("\n  ".join([*(f"{message} ({todo})" for message, todo in others), last]), hint)
    out, metrics, plots = (tuple(map(Path, outputs[option])) for option in _OUTPUTS)
    return Call(name, given, out, metrics, plots, _seed(environ))


def arguments_of(name: str, words: Sequence[str]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """What a command line gives, values by name and paths by kind of output, before any of it is checked.

    Raises InputError: an argument is unknown, or has no value.
    """
    schema = schema_of(name)
    given: dict[str, Any] = {}
    outputs: dict[str, list[str]] = {option: [] for option in _OUTPUTS}
    for option, text in _pairs(name, words):
        if option in outputs:
            outputs[option].append(text)
        elif option in schema["properties"]:
            given[option] = _value(_meant(schema, schema["properties"][option]), text)
        else:
            close = nearest(option, [*schema["properties"], *_OUTPUTS])
            hint = f"did you mean --{close}?" if close else f"`runner stage {name} --help` lists what it takes"
            raise InputError(f"--{option} is no argument of this stage", hint)
    return given, outputs


def _seed(environ: Mapping[str, str]) -> int:
    text = environ.get("RUNNER_SEED", "0")
    if not text.isascii() or not text.isdigit() or int(text) >= 1 << 32:
        raise InputError(f"RUNNER_SEED is `{text[:40]}`, which is no seed", "give a whole number from 0 to 4294967295")
    return int(text)


def _pairs(name: str, words: Sequence[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("--"):
            raise InputError(f"`{word}` is no argument", f"`runner stage {name} --help` lists what it takes")
        option, equals, text = word[2:].partition("=")
        if not equals:
            following = next(rest, None)
            if following is None:
                raise InputError(f"--{option} needs a value", f"write --{option}=VALUE")
            text = following
        pairs.append((option, text))
    return pairs


def _meant(schema: Mapping[str, Any], inner: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stands behind a reference to a definition of the schema."""
    reference = inner.get("$ref")
    found: Mapping[str, Any] = schema["$defs"][reference.removeprefix("#/$defs/")] if reference else inner
    return found


def _value(schema: Mapping[str, Any], text: str) -> Any:
    """Where only text may stand, a person need not quote what could be a number."""
    value = value_of(text)
    is_text = schema.get("type") == "string"
    return text if is_text and not isinstance(value, str) else value


def _check_counts(name: str, outputs: Mapping[str, Sequence[str]]) -> None:
    builtin = BUILTINS[name]
    for option, (least, most) in zip(_OUTPUTS, (builtin.outs, builtin.metrics, builtin.plots), strict=True):
        if not least <= len(outputs[option]) <= most:
            wanted = str(least) if least == most else f"{least} or more" if most == MANY else f"{least} to {most}"
            raise InputError(f"it takes {wanted} of --{option}, and {len(outputs[option])} are given", "name each file")


def help_of(name: str) -> str:
    """What a stage does and takes, from its schema."""
    schema, builtin = schema_of(name), BUILTINS[name]
    lines = [f"usage: runner stage {name} --NAME=VALUE ...", "", schema["description"], "", "arguments:"]
    required = schema.get("required", ())
    for option, inner in schema["properties"].items():
        words = inner.get("description", "")
        words += f" Default: {inner['default']!r}." if "default" in inner else ""
        words += " Required." if option in required else ""
        lines += [f"  --{option}={_type_of(schema, inner)}", f"      {words}"]
        meant = _meant(schema, inner)
        lines += [f"      Example: {_example(meant, option, example)}" for example in inner.get("examples", ())[:1]]
    for option, (least, most) in zip(_OUTPUTS, (builtin.outs, builtin.metrics, builtin.plots), strict=True):
        if most:
            times = f"{least}" if least == most else f"{least} or more" if most == MANY else f"{least} to {most}"
            lines += [f"  --{option}=PATH", f"      What it writes; {times} of them."]
    lines += ["", "Values are JSON, or text. RUNNER_SEED is the seed of what is random.", ""]
    return "\n".join(lines)


def _example(schema: Mapping[str, Any], option: str, example: Any) -> str:
    """An argument as a shell takes it: text as it is, where it is not read as something else, and all else as JSON."""
    is_plain = isinstance(example, str) and _value(schema, example) == example
    return shlex.quote(f"--{option}={example if is_plain else json.dumps(example, ensure_ascii=False)}")


def _type_of(schema: Mapping[str, Any], inner: Mapping[str, Any]) -> str:
    if inner.get("$ref") == "#/$defs/input":
        return "PATH"
    if inner.get("$ref") == "#/$defs/function":
        return "MODULE:NAME"
    kind = _meant(schema, inner).get("type", "JSON")
    return "|".join(kind) if isinstance(kind, list) else str(kind).upper()
