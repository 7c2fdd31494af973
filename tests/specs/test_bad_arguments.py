"""Wrong values of `with` are found by `validate`, with line and column, and no stage would start with them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from runner.errors import InputError
from runner.specs.builtin_stages import BUILTINS, schema_of, text_of
from runner.specs.yaml12 import Path
from runner.stages.program import call_of
from tests.repositories import GitRepo
from tests.specs.readings import DVC_PROJECT, findings_of

HEAD = "apiVersion: runner/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  stages:\n"
OUTS: Mapping[str, Mapping[str, list[str]]] = {
    "card": {"outs": ["c.md"]},
    "evaluate": {"metrics": ["m.json"]},
    "explain": {"outs": ["e.json"]},
    "fairness": {"metrics": ["m.json"]},
    "profile": {"outs": ["p.json"]},
    "robustness": {"metrics": ["m.json"]},
    "split": {"outs": ["a.csv", "b.csv"]},
    "validate": {"outs": ["good.csv", "bad.csv"]},
}
_OF_THE_REPOSITORY = ("is neither in git", "is no secret of this stage", "in the repository (commit its file")
"""What is said of examples whose files are not there."""
VALUES: Mapping[str, Any] = {
    "array": ["word"],
    "boolean": True,
    "null": None,
    "number": 0.5,
    "object": {"word": 1},
    "string": "two words",
}


def outputs(name: str, number: int) -> dict[str, list[str]]:
    """Outputs that a stage takes, in a folder of their own."""
    least = {"outs": ["o.csv"] * BUILTINS[name].outs[0], "metrics": ["m.json"] * BUILTINS[name].metrics[0]}
    stated = {**least, **OUTS.get(name, {})}
    return {section: [f"{number}/{path}" for path in paths] for section, paths in stated.items() if paths}


def meant(root: Any, schema: Any) -> Any:
    """A schema with what it refers to."""
    return {**root["$defs"][schema["$ref"].rpartition("/")[2]], **schema} if "$ref" in schema else schema


def wrong_values(root: Any, schema: Any, value: Any) -> Iterator[tuple[Path, Any]]:
    """A value with one thing in it that its schema does not allow, and where."""
    schema = meant(root, schema)
    if "type" in schema.get("if", ()):
        branch = schema["then" if type(value) is {"string": str, "array": list}[schema["if"]["type"]] else "else"]
        others = [type(VALUES[kind]) for kind in schema["type"]]
        yield from (((), wrong) for kind, wrong in VALUES.items() if kind not in schema["type"])
        found = wrong_values(root, branch, value)
        yield from ((path, wrong) for path, wrong in found if path or not wrong or type(wrong) not in others)
        return
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if kinds:
        known = {*kinds, *(["number"] if "integer" in kinds else [])}
        yield from (((), wrong) for kind, wrong in VALUES.items() if kind not in known)
    if "enum" in schema:
        yield (), "no such word"
    if {"number", "integer"} & {*kinds}:
        yield (), math.nan
        yield (), math.inf
    if "integer" in kinds and "number" not in kinds:
        yield (), 7.0
    for word, step in (("minimum", -1), ("exclusiveMinimum", 0), ("maximum", 1), ("exclusiveMaximum", 0)):
        if word in schema and (not isinstance(value, str)):
            yield (), schema[word] + step
    for word, empty in (("minLength", ""), ("minItems", []), ("minProperties", {})):
        if word in schema and isinstance(value, type(empty)):
            yield (), empty
    if "pattern" in schema:
        yield (), "\x07?"
    if schema.get("uniqueItems") and isinstance(value, list):
        yield (), [value[0], value[0]]
    if isinstance(value, dict):
        if schema.get("additionalProperties") is False:
            yield ("no_such_key",), {**value, "no_such_key": 1}
        yield from (((name,), {k: v for k, v in value.items() if k != name}) for name in schema.get("required", ()))
        for name, inner in value.items():
            told = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            for path, wrong in wrong_values(root, told, inner) if isinstance(told, dict) else ():
                yield (name, *path), {**value, name: wrong}
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for path, wrong in wrong_values(root, schema["items"], value[0]):
            yield path, [wrong, *value[1:]]


def bad_arguments(name: str) -> list[tuple[Path, Any]]:
    """`with` of a stage, each with one wrong thing."""
    schema = schema_of(name)
    found: list[tuple[Path, Any]] = []
    for example in schema["examples"]:
        found += wrong_values(schema, schema, example)
    base = schema["examples"][0]
    for field, inner in schema["properties"].items():
        told = meant(schema, inner)
        values = [*told.get("examples", ()), *told.get("enum", ()), *([told["default"]] if "default" in told else [])]
        kind = told.get("type", "null")
        value = next(iter(values), VALUES[kind if isinstance(kind, str) else kind[0]] if kind != "integer" else 1)
        found += [((field, *path), {**base, field: wrong}) for path, wrong in wrong_values(schema, inner, value)]
    known: dict[str, tuple[Path, Any]] = {}
    for path, given in found:
        known.setdefault(json.dumps(given, sort_keys=True), (path, given))
    return [*known.values()]


def yaml_of(value: Any) -> str:
    return json.dumps(value).replace("NaN", ".nan").replace("-Infinity", "-.inf").replace("Infinity", ".inf")


@pytest.mark.parametrize("name", BUILTINS)
def test_whatever_is_wrong_is_found_at_its_place_and_no_stage_would_start(
    name: str, git_repo: Callable[..., GitRepo]
) -> None:
    bad = bad_arguments(name)
    assert len(bad) > 20
    first = len(HEAD.splitlines()) + 1
    good = [
        f"    s{number}: {yaml_of({'uses': name, 'with': given, **outputs(name, number)})}\n"
        for number, given in enumerate(schema_of(name)["examples"])
    ]
    lines = [
        f"    s{number}: {yaml_of({'uses': name, 'with': given, **outputs(name, number)})}\n"
        for number, (_, given) in enumerate(bad, 100)
    ]
    repo = git_repo({**DVC_PROJECT, "runner.yaml": HEAD + "".join(good + lines)})
    found: dict[int, list[tuple[int, str]]] = {}
    for finding in findings_of(repo):
        file, line, column, message = finding.split(":", 3)
        assert file == "runner.yaml"
        if not any(words in message for words in _OF_THE_REPOSITORY):
            found.setdefault(int(line) - first, []).append((int(column), message))
    assert not [found[number] for number in range(len(good)) if number in found]
    for number, (path, given) in enumerate(bad):
        told = found.get(number + len(good))
        assert told, (path, given)
        assert any(column > lines[number].index('"with"') for column, _ in told), (path, told)
        names = [str(part) for part in path if isinstance(part, str)]
        assert not names or any(f"`{names[-1]}`" in message or f"`{names[0]}`" in message for _, message in told), (
            path,
            told,
        )


@pytest.mark.parametrize("name", BUILTINS)
def test_no_stage_starts_with_wrong_arguments(name: str) -> None:
    schema = schema_of(name)
    for path, given in bad_arguments(name):
        if not isinstance(given, dict):
            continue  # by hand there is nothing but arguments
        inner = schema["properties"].get(path[0] if path else "", {})
        if len(path) == 1 and meant(schema, inner).get("type") == "string":
            continue  # by hand whatever is typed there is text
        words = [f"--{field}={text_of(value)}" for field, value in given.items()]
        written = outputs(name, 0)
        for section, option in (("outs", "out"), ("metrics", "metrics")):
            words += [f"--{option}={file}" for file in written.get(section, ())]
        with pytest.raises(InputError):
            call_of(name, words, {})


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ("uses: split, with: {data: t.csv, parts: [0.5, 0.4]}, outs: [a.csv, b.csv]", "the parts add up to 0.9"),
        ("uses: split, with: {data: t.csv, parts: [1]}, outs: [a.csv, b.csv]", "there are 1 parts and 2 outputs"),
        ("uses: split, with: {data: t.csv, parts: [1]}, outs: [a.tsv]", "a.tsv: a part is written as the table is"),
        (
            "uses: split, with: {data: t.csv, parts: [1], time: a, groups: b}, outs: [a.csv]",
            "`groups` and `time` exclude each other",
        ),
        ("uses: train, with: {CV: {kind: kfold, groups: g}}, outs: [m]", "kfold and `groups` do not go together"),
        ("uses: train, with: {CV: {gap: 2}}, outs: [m]", "`gap` means nothing without `time`"),
        ("uses: train, with: {CV: {time: t, repeats: 2}}, outs: [m]", "time cannot be repeated"),
        ("uses: train, with: {CV: {kind: none}, seeds: 5}, outs: [m]", "`seeds` repeats the cross-validation"),
        ("uses: train, with: {CV: {}, features: [a, y]}, outs: [m]", "`features` names the target `y`"),
        ("uses: train, with: {CV: {}, features: [a], columns: {b: onehot}}, outs: [m]", "which is no feature"),
        ("uses: train, with: {CV: {}, columns: {a: {as: onehot, impute: mean}}}, outs: [m]", "is for numbers"),
        ("uses: train, with: {CV: {}, code: [src/a-b.py]}, outs: [m]", "src/a-b.py cannot be imported"),
        ("uses: tune, with: {SPACE: {a: {low: 2, high: 1}}}, outs: [m]", "low is 2, and high 1"),
        ("uses: tune, with: {SPACE: {a: {low: 0, high: 1, log: true}}}, outs: [m]", "`log` goes with a range above 0"),
        ("uses: tune, with: {SPACE: {a: {low: 0.5, high: 1}}, search: grid}, outs: [m]", "has no end of values"),
        ("uses: tune, with: {SPACE: {a: {low: 1, high: 20000}}, search: grid}, outs: [m]", "more than 10,000 points"),
        ("uses: evaluate, with: {model: m, data: t.csv, task: ranking}, metrics: [m.json]", "judged within groups"),
        ("uses: evaluate, with: {model: m, data: t.csv, top: 3}, metrics: [m.json]", "`top` means nothing for"),
        ("uses: explain, with: {model: m, data: t.csv}, outs: [e.pdf]", "e.pdf: an explanation is written as"),
        ("uses: validate, with: {data: t.csv, contract: c, as_of: '2026-13-01'}, outs: [o.csv]", "`as_of` is no time"),
    ],
)  # fmt: skip
def test_fields_that_do_not_go_together_are_found_too(stage: str, told: str, git_repo: Callable[..., GitRepo]) -> None:
    train = "data: t.csv, target: y, estimator: a.B, cv: "
    tune = "data: t.csv, target: y, candidates: [{estimator: a.B, space: "
    text = stage.replace("CV: ", train)
    text = re.sub(r"SPACE: (\{.*?\}\})", lambda found: f"{tune}{found[1]}}}]", text)
    repo = git_repo({**DVC_PROJECT, "runner.yaml": f"{HEAD}    s: {{{text}}}\n", "t.csv": "y\n1\n", "c": "", "m": ""})
    (finding,) = [found for found in findings_of(repo) if told in found] or [str(findings_of(repo))]
    assert re.match(r"runner\.yaml:6:[1-9][0-9]*: ", finding), finding
