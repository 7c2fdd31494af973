"""Values checked against the JSON Schemas in `schemas/`, with messages for people and a place for each.

The schemas are the one truth about shapes: they validate here, document the fields and complete them in editors.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from runner.core.shapes import Check, compiled
from runner.errors import Finding
from runner.patterns import regex
from runner.resources import schema_file
from runner.specs.guesses import GUESSES, nearest
from runner.specs.places import Locator
from runner.values import dataclass, replace

_MOST_ERRORS = 5_000
"""Of one document: nobody reads more, and each costs a look at the text."""

KINDS = ("Project", "Pipeline", "Deployment", "Monitor")
"""Kinds of runner documents; `dvc` names the schema of a dvc.yaml."""


def schema_text(kind: str) -> str:
    """The JSON Schema of a kind (`Pipeline`, ...; `dvc` for a dvc.yaml) as it stands in the repository.

    Raises InputError for a kind that does not exist.
    """
    return schema_file(kind).read_text(encoding="utf-8")


@functools.cache
def _schema(kind: str) -> Any:
    return json.loads(schema_text(kind))


@functools.cache
def _fast(kind: str) -> Check:
    return compiled(_schema(kind))


@functools.cache
def _validator(kind: str) -> Any:
    # imported late: start-up, and only where something is wrong
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    if not kind.startswith("stage-"):
        return Draft202012Validator(_schema(kind))
    # Arguments are used as they are: `5.0` folds cannot be dealt out, and with `.nan` every comparison is false.
    exact = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": lambda _, value: type(value) is int or (type(value) is float and math.isfinite(value)),
        }
    )
    strict: Any = extend(Draft202012Validator, type_checker=exact)  # type: ignore[no-untyped-call]
    return strict(_schema(kind))


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding, and the path of the value in its document."""

    finding: Finding
    path: tuple[Any, ...]
    unknown_key: bool = False
    """Whether the path ends with a key that the schema does not know."""
    meant: str | None = None
    """The key that an unknown one is taken for."""


def check(kind: str, value: Any, locator: Locator, top: str = "at the top") -> list[Problem]:
    """Everything in `value` that the schema of its kind does not allow, in the order of the document.

    `top` says where `value` stands: "in `with`" for a part of a document.
    """
    if _fast(kind)(value) is None:
        return []  # nearly always, and in a twentieth of the time; what comes below knows the words for people
    problems: dict[Finding, Problem] = {}
    for error in islice(_validator(kind).iter_errors(value), _MOST_ERRORS):
        for problem in _problems(kind, error, locator, top):
            # Several parts of a schema may say the same of one place, each with a hint of its own: one is enough.
            problems.setdefault(replace(problem.finding, hint=""), problem)
    return [problems[finding] for finding in sorted(problems)]


def _problems(kind: str, error: Any, locator: Locator, top: str) -> Iterator[Problem]:
    path = tuple(error.absolute_path)
    if "propertyNames" in error.relative_schema_path:
        path = (*path, error.instance)
        message = f"`{error.instance}` is not a name that can stand here"
        yield Problem(locator.finding(path, message, _name_hint(error)), path)
    elif error.validator == "additionalProperties":
        yield from _unknown_keys(kind, error, path, locator, top)
    elif error.validator == "required":
        for key in error.validator_value:
            if key not in error.instance:
                message = f"the key `{key}` is missing{_in(path, top)}"
                hint = _about(error.schema.get("properties", {}).get(key, {}))
                yield Problem(locator.finding(path, message, hint), path)
    else:
        message = _MESSAGES.get(error.validator, _general)(error)
        yield Problem(locator.finding(path, f"{_named(path)} {message}", _about(error.schema)), path)


def _unknown_keys(kind: str, error: Any, path: tuple[Any, ...], locator: Locator, top: str) -> Iterator[Problem]:
    known = list(error.schema.get("properties", {}))
    below_meta = _schema(kind)["$defs"].get("runnerFields", {}).get("properties", {}) if "cmd" in known else {}
    unknown = [key for key in error.instance if key not in known]
    for number, key in enumerate(unknown):
        close = nearest(str(key), known) if number < GUESSES else None
        if key in below_meta:
            close, hint = None, f"in a dvc.yaml it stands below `meta`: `meta: {{runner: {{{key}: ...}}}}`"
        else:
            hint = f"did you mean `{close}`?" if close else f"allowed here: {', '.join(known)}"
        finding = locator.finding((*path, key), f"unknown key `{key}`{_in(path, top)}", hint)
        yield Problem(finding, (*path, key), True, close)


def _in(path: tuple[Any, ...], top: str) -> str:
    names = [part for part in path if isinstance(part, str)]
    return f" in `{names[-1]}`" if names else f" {top}"


def _named(path: tuple[Any, ...]) -> str:
    names = [str(part) for part in path]
    if not names:
        return "the document"
    if isinstance(path[-1], int) and len(path) > 1:
        return f"item {path[-1] + 1} of `{names[-2]}`"
    return f"`{names[-1]}`"


_TYPE_WORDS = {
    "string": "text",
    "object": "a mapping",
    "array": "a list",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


_TEMPLATE = r"^[^$]*\$\{[^}]*\}"
"""The pattern of fields that are no text, and may be given by one: `${...}`."""


def _type(error: Any) -> str:
    types = error.validator_value
    if error.schema.get("pattern") == _TEMPLATE:
        types = [name for name in types if name != "string"]
    kind = "the text " if isinstance(error.instance, str) else ""  # `2` in quotes looks like a number
    return f"must be {_words(types)}, not {kind}{_word_of(error.instance)}"


def _pattern(error: Any) -> str:
    if error.validator_value != _TEMPLATE:
        return f"cannot be {_word_of(error.instance)}"
    types = [name for name in error.schema["type"] if name != "string"]
    return f"must be {_words(types)}, not the text {_word_of(error.instance)}"


def _words(types: Any) -> str:
    names = [_TYPE_WORDS[name] for name in ([types] if isinstance(types, str) else types)]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _word_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, Mapping):
        return "a mapping"
    if type(value).__name__ in ("date", "datetime"):
        return f"the date {value}: put it in quotes"
    return "a list" if isinstance(value, list) else f"`{str(value)[:60]}`"


def _general(error: Any) -> str:
    return str(error.message)[:200]


def _any_of(error: Any) -> str:
    required = [key for option in error.validator_value for key in option.get("required", ())]
    if required:
        return f"needs one of: {', '.join(f'`{key}`' for key in required)}"
    return f"cannot be {_word_of(error.instance)}"


_MESSAGES: Mapping[str, Any] = {
    "type": _type,
    "enum": lambda error: (
        f"must be one of {', '.join(map(str, error.validator_value))}, not {_word_of(error.instance)}"
    ),
    "const": lambda error: f"must be `{error.validator_value}`, not {_word_of(error.instance)}",
    "pattern": _pattern,
    "minLength": lambda error: "must not be empty",
    "minItems": lambda error: "must not be empty",
    "minProperties": lambda error: "must not be empty",
    "maxItems": lambda error: f"has more than {error.validator_value} items",
    "uniqueItems": lambda error: "holds the same item twice",
    "minimum": lambda error: f"must be at least {error.validator_value}, not {error.instance}",
    "exclusiveMinimum": lambda error: f"must be more than {error.validator_value}, not {error.instance}",
    "exclusiveMaximum": lambda error: f"must be less than {error.validator_value}, not {error.instance}",
    "maximum": lambda error: f"must be at most {error.validator_value}, not {error.instance}",
    "anyOf": _any_of,
}


_FIRST_WORDS = regex(r"(?:`?(?:true|false)`?: )?(?:`[^`]*`|[^`])*?(?=[.:;](?: |$)|$)")
"""Up to the first stop that stands in no code; `true: ...` says what a value means, and is nothing without the rest."""


def _about(schema: Any) -> str:
    """What the schema says of a field, and an example."""
    if not isinstance(schema, Mapping):
        return ""
    told = _FIRST_WORDS.match(str(schema.get("description", "")))
    text = told[0] if told else ""
    examples = schema.get("examples")
    if examples and not isinstance(examples[0], (dict, list)):
        text += f"; for example: {examples[0]}" if text else f"for example: {examples[0]}"
    return text


def _name_hint(error: Any) -> str:
    if error.absolute_path and error.absolute_path[-1] == "env":
        return "a variable's name: letters, digits and underscores"
    return "use letters, digits, hyphens and underscores"
