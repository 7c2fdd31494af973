"""The stages that come with the runner, as specs see them: what `with` may say, and the command that it stands for.

`uses: NAME` and `with:` are turned into an ordinary stage here, before anything else looks at it: its inputs become
`deps`, and `cmd` is the line that a person could type. The programs themselves are in `runner/stages/`; the shape of
`with` stands in `schemas/stage-NAME.schema.json`, where `#/$defs/input` marks what is an input, and `#/$defs/code`,
`#/$defs/notebook` and `#/$defs/function` mark code of the repository (`runner/specs/stage_code.py`).
"""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from runner.core.units import bytes_of, some_seconds_of
from runner.resources import schema_file
from runner.specs import yaml12
from runner.values import dataclass


@dataclass(frozen=True, slots=True)
class Builtin:
    """A stage of the library."""

    name: str
    version: int
    """Part of the run key: it grows when the same inputs come to other results."""
    outs: tuple[int, int]
    """How many `outs` it writes, at least and at most, in the order that its description gives."""
    metrics: tuple[int, int] = (0, 0)
    """How many `metrics` it writes."""
    plots: tuple[int, int] = (0, 0)
    """How many `plots` it writes."""
    from_project: tuple[str, ...] = ()
    """Keys of `with` that have the Project's words where a stage says none."""

    @property
    def label(self) -> str:
        """What stands in the run key: `train@1`."""
        return f"{self.name}@{self.version}"

    @property
    def kind(self) -> str:
        """The name of its schema."""
        return f"stage-{self.name}"


MANY = 100
BUILTINS: Mapping[str, Builtin] = {
    builtin.name: builtin
    for builtin in (
        Builtin("fetch", 1, outs=(1, 1), metrics=(0, 1)),
        Builtin("profile", 1, outs=(1, 2), metrics=(0, 1)),
        Builtin("validate", 1, outs=(0, 3), metrics=(0, 1)),
        Builtin("split", 1, outs=(1, MANY)),
        Builtin("train", 1, outs=(1, 1), metrics=(0, 1)),
        Builtin("tune", 1, outs=(1, 2), metrics=(0, 1), plots=(0, 2)),
        Builtin("evaluate", 1, outs=(0, 1), metrics=(1, 1), plots=(0, 3)),
        Builtin("fairness", 1, outs=(0, 0), metrics=(1, 1), plots=(0, 1)),
        Builtin("explain", 1, outs=(1, 2), metrics=(0, 1), plots=(0, 2)),
        Builtin("robustness", 1, outs=(0, 0), metrics=(1, 1), plots=(0, 1)),
        Builtin("python", 1, outs=(0, MANY), metrics=(0, MANY), plots=(0, MANY)),
        Builtin("skew", 1, outs=(0, 0), metrics=(1, 1)),
        Builtin("card", 1, outs=(1, 4), from_project=("objective", "kpis", "owners")),
        Builtin("notebook", 1, outs=(0, MANY), metrics=(0, MANY), plots=(0, MANY)),
    )
}
_MARKS: Mapping[str, str] = {
    "#/$defs/input": "",
    **{f"#/$defs/{kind}": kind for kind in ("code", "notebook", "function")},
}
"""Definitions of schemas that mark what a stage reads, with what that is: bytes, a Python module or a folder of them,
a notebook, or a function of a module (`src.features:build`)."""
_LONGEST_COMMAND = 120_000
"""Bytes of the line, which a shell gets as one argument; Linux takes 131,072 (MAX_ARG_STRLEN)."""
_SECTIONS = (("outs", "--out"), ("metrics", "--metrics"), ("plots", "--plots"))


@functools.cache
def schema_of(name: str) -> Mapping[str, Any]:
    """The JSON Schema of the `with` of a built-in stage."""
    schema: dict[str, Any] = json.loads(schema_file(BUILTINS[name].kind).read_text(encoding="utf-8"))
    return schema


def inputs_of(name: str, given: Mapping[str, Any]) -> Iterator[str]:
    """The paths that `with` names as inputs which count by their bytes, in the order of the schema.

    Templates stand in them as they are written.
    """
    yield from (path for path, kind in marked(name, given) if not kind)


def marked(name: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """All that `with` names to be read, each with what it is: `code`, `notebook`, `function`, or empty for bytes."""
    yield from _marked(schema_of(name), given)


@functools.cache
def _marks_code(name: str) -> bool:
    return any(f'"{mark}"' in json.dumps(schema_of(name)) for mark, kind in _MARKS.items() if kind)


def uses_code(name: Any) -> bool:
    """Whether what `uses` says is a stage of the library that can use code of the repository."""
    return isinstance(name, str) and name in BUILTINS and _marks_code(name)


def _marked(schema: Mapping[str, Any], value: Any) -> Iterator[tuple[str, str]]:
    if schema.get("$ref") in _MARKS:
        if isinstance(value, str):
            yield value, _MARKS[schema["$ref"]]
    elif isinstance(value, Mapping):
        for key, inner in schema.get("properties", {}).items():
            if key in value:
                yield from _marked(inner, value[key])
        rest = schema.get("additionalProperties")
        if isinstance(rest, Mapping):
            known = schema.get("properties", {})
            for key, inner in value.items():  # in the order of the spec: a set has another one in each process
                if key not in known:
                    yield from _marked(rest, inner)
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for item in value:
            yield from _marked(schema["items"], item)
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _marked(branch, value)


def with_inputs(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """A pipeline's definition in which the stages of the library have the inputs of their `with` among their `deps`."""
    stages = definition.get("stages") or {}
    changed = {name: _with_inputs(stage) for name, stage in stages.items()}
    if all(changed[name] is stage for name, stage in stages.items()):
        return definition
    return {**definition, "stages": changed}


def _with_inputs(stage: Any) -> Any:
    if not isinstance(stage, Mapping):
        return stage
    if isinstance(stage.get("do"), Mapping):
        inner = _with_inputs(stage["do"])
        return stage if inner is stage["do"] else {**stage, "do": inner}
    given = stage.get("with")
    if stage.get("uses") not in BUILTINS or not isinstance(given, Mapping):
        return stage
    deps = list(stage.get("deps") or ())
    more = [path for path in dict.fromkeys(inputs_of(stage["uses"], given)) if path not in deps]
    return {**stage, "deps": [*deps, *more]} if more else stage


def asks_project(definition: Mapping[str, Any]) -> bool:
    """Whether some stage of a pipeline has words of the Project in its `with`."""
    stages = (stage for stage in (definition.get("stages") or {}).values() if isinstance(stage, Mapping))
    named = (stage["do"] if isinstance(stage.get("do"), Mapping) else stage for stage in stages)
    return any(
        isinstance(uses := stage.get("uses"), str) and uses in BUILTINS and BUILTINS[uses].from_project
        for stage in named
    )


def with_project(stage: Any, said: Mapping[str, Any]) -> Any:
    """A resolved stage with the Project's words in its `with`, where it asks for them and says none of its own.

    So they stand in the run key and on the command line like any other argument.
    """
    builtin = BUILTINS.get(stage["uses"]) if isinstance(stage.get("uses"), str) else None
    given = stage.get("with") or {}
    if builtin is None or not isinstance(given, Mapping):
        return stage
    more = {name: said[name] for name in builtin.from_project if name in said and name not in given}
    return {**stage, "with": {**given, **more}} if more else stage


def command_of(stage: Mapping[str, Any]) -> str:
    """The line that runs a resolved stage of the library, as a person would type it.

    Keys of `with` come in the order of the alphabet, so that the order in which they were written is in no run key.
    """
    words = ["runner", "stage", str(stage["uses"])]
    words += [f"--{name}={text}" for name, text in given_of(stage)]
    for section, option in _SECTIONS:
        words += [f"{option}={path}" for path in paths_of(stage, section)]
    return shlex.join(words)


def given_of(stage: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What `with` of a resolved stage says: sorted names, and values as arguments have them."""
    return tuple((str(name), text_of(value)) for name, value in sorted(plain(stage.get("with") or {}).items()))


def paths_of(stage: Mapping[str, Any], section: str) -> list[str]:
    """The paths of `outs`, `metrics` or `plots`, as they are written."""
    return [str(path) for item in stage.get(section) or () for path in (item if isinstance(item, Mapping) else [item])]


def unsayable(value: Any) -> tuple[yaml12.Path, str] | None:
    """The first value of a `with` that no argument can say, with its path: YAML has more than JSON."""
    if isinstance(value, Mapping):
        odd = next((key for key in value if not isinstance(key, str)), None)
        if odd is not None or None in value:
            return (), f"the key `{odd}` in `with` is not text"
    elif not isinstance(value, (str, int, float, list, date, type(None))):
        return (), f"a value in `with` is a {type(value).__name__}, which no argument can be"
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in parts:
        found = unsayable(inner)
        if found is not None:
            return (key, *found[0]), found[1]
    return None


def plain(value: Any) -> Any:
    """A value as JSON can hold it: YAML makes dates of texts that look like one, and here they are texts."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def text_of(value: Any) -> str:
    """A value as an argument: text as it is where it could be nothing else, JSON otherwise."""
    if isinstance(value, str) and not _is_json(value):
        return value
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def value_of(text: str) -> Any:
    """The value of an argument; what is no JSON is text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _is_json(text: str) -> bool:
    return not isinstance(value_of(text), str) or text.lstrip().startswith('"')


def problems_of(
    name: str, stage: Mapping[str, Any], secrets: Collection[str] = ()
) -> Iterator[tuple[yaml12.Path, str, str]]:
    """What a schema cannot say of a resolved stage, such as too many outputs: path, what is wrong, what to do.

    `secrets` are the names of those that it is given.
    """
    builtin = BUILTINS[name]
    for section, (least, most) in (("outs", builtin.outs), ("metrics", builtin.metrics), ("plots", builtin.plots)):
        count = len(paths_of(stage, section))
        if not least <= count <= most:
            wanted = f"{least}" if least == most else f"at least {least}" if count < least else f"at most {most}"
            hint = f"`runner stage {name} --help` says which"
            yield (section,), f"`{name}` writes {wanted} of `{section}`, and {count} are named", hint
    length = len(command_of({**stage, "uses": name}).encode("utf-8", "surrogatepass"))
    if length > _LONGEST_COMMAND:
        longest = max(given_of(stage), key=lambda pair: len(pair[1]), default=("", ""))[0]
        message = f"the command that `{name}` stands for has {length:,} bytes, more than {_LONGEST_COMMAND:,}"
        yield ("with", longest), message, "keep long values in a file, and name that"
    given = plain(stage.get("with"))
    if not isinstance(given, Mapping):
        return
    if name == "validate" and given.get("as_of") == "now" and not stage.get("always_changed"):
        hint = "say `always_changed: true`, or write a date"
        yield ("with", "as_of"), "`as_of: now` asks the clock, and a result that stands is not asked again", hint
    outs = paths_of(stage, "outs")
    tables = sum(not out.lower().endswith(PAGES) for out in outs)
    if name == "validate" and given.get("on_fail") == "quarantine" and tables < 2:
        hint = "name two tables: one for the good rows, one for the bad ones"
        yield ("with", "on_fail"), "rows may be put aside, and `outs` have no place for them", hint
    if name == "profile":
        for index, out in enumerate(outs):
            if not out.lower().endswith((".json", ".html")):
                yield ("outs", index), f"`{out}`: a profile is written as .json or .html", "name it so"
    if name == "notebook" and not str(given.get("notebook", ".ipynb")).lower().endswith(".ipynb"):
        yield ("with", "notebook"), f"`{given['notebook']}` is no notebook by its name", "name a file .ipynb"
    if name == "card":
        yield from cards_of(outs, has_data="data" in given)
    if name == "fetch":
        yield from ((("with", *where), message, hint) for where, message, hint in sources_of(given))
        for where, secret in secrets_of(given):
            if secret not in secrets:
                yield ("with", *where), f"`{secret}` is no secret of this stage", f"say `secrets: [{secret}]`"


PAGES = (".html", ".md")
"""How names of pages for people end."""


def cards_of(outs: Sequence[str], *, has_data: bool) -> Iterator[tuple[yaml12.Path, str, str]]:
    """What is wrong with the `outs` of a `card`: path, message, hint.

    The first output with an ending is the model card, the second one with the same ending the data card.
    """
    for index, out in enumerate(outs):
        ending = out.lower().rpartition(".")[2]
        if f".{ending}" not in PAGES:
            yield ("outs", index), f"`{out}`: a card is written as .md or .html", "name it so"
            continue
        before = sum(other.lower().endswith(f".{ending}") for other in outs[:index])
        if before == 1 and not has_data:
            yield ("outs", index), f"`{out}` would be the data card, and there is no `data`", "name the data in `with`"
        elif before > 1:
            yield ("outs", index), f"`{out}` is a third card with this ending", "name a model card and a data card"


def notebook_outs(outs: Sequence[str]) -> tuple[str | None, str | None]:
    """The executed copy and the page among the `outs` of a `notebook`: the first .ipynb, and the first .html."""
    copy, page = (next((out for out in outs if out.lower().endswith(end)), None) for end in (".ipynb", ".html"))
    return copy, page


_SOURCES = ("file", "url", "url_env", "query")


def sources_of(given: Mapping[str, Any]) -> Iterator[tuple[yaml12.Path, str, str]]:
    """What is wrong with the source that `with` of a `fetch` names: path in `with`, message, hint."""
    named = [source for source in _SOURCES if source in given]
    if len(named) != 1:
        said = f"it names {' and '.join(f'`{source}`' for source in named)}" if named else "it names no source"
        yield (), said, "name one of `file`, `url`, `url_env`, or `query` with `dsn_env`"
    if ("query" in given) != ("dsn_env" in given):
        yield (), "`query` and `dsn_env` belong together", "the query says what, the secret says where"
    if not {"url", "url_env"} & given.keys():
        for field in ("headers", "secret_headers"):
            if field in given:
                yield (field,), f"`{field}` are sent to an address alone", "name `url` or `url_env`, or remove it"
    for field, read in (("max_size", bytes_of), ("timeout", some_seconds_of)):
        if field in given and not read(given[field]):
            hint = "write 200M or 1Gi" if field == "max_size" else "write 90s or 10m"
            yield (field,), f"`{field}` cannot be `{given[field]}`", hint


def secrets_of(given: Mapping[str, Any]) -> Iterator[tuple[yaml12.Path, str]]:
    """The secrets that `with` of a `fetch` names, each with its path in `with`."""
    for field in ("url_env", "dsn_env"):
        if isinstance(given.get(field), str):
            yield (field,), given[field]
    headers = given.get("secret_headers")
    for header, secret in headers.items() if isinstance(headers, Mapping) else ():
        yield ("secret_headers", header), str(secret)
