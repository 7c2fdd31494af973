"""The compiled checker, which valid specs go through alone, allows nothing that JSON Schema does not allow."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runner.core.shapes import compiled
from runner.errors import SpecError
from runner.specs import yaml12
from runner.specs.schemas import KINDS, schema_text
from tests.hostile.fuzzing import mutated

_MUTATIONS = 250
SCHEMAS = {kind: json.loads(schema_text(kind)) for kind in (*KINDS, "dvc")}


def _values() -> Iterator[tuple[str, Any]]:
    """Values of mutated specs, each with the schema that it is checked by."""
    for number in range(_MUTATIONS):
        files = mutated(random.Random(f"schemas-{number}"))
        for file, kind in (("runner.yaml", "Pipeline"), ("dvc.yaml", "dvc")):
            try:
                documents = yaml12.load_all(files.get(file, b""), file=file)
            except SpecError:
                continue
            yield from ((kind, document.value) for document in documents)


def test_both_checkers_agree_on_mutated_specs() -> None:
    checks = {kind: compiled(schema) for kind, schema in SCHEMAS.items()}
    judges = {kind: Draft202012Validator(schema) for kind, schema in SCHEMAS.items()}
    verdicts = [
        (checks[kind](value) is None, judges[kind].is_valid(value), kind, str(value)[:500]) for kind, value in _values()
    ]
    assert [row for row in verdicts if row[0] != row[1]] == []
    assert {row[0] for row in verdicts} == {True, False}


@pytest.mark.parametrize(
    "schema",
    [
        {"exclusiveMinimum": 0},
        {"exclusiveMaximum": 2},
        {"maximum": 1, "minimum": 0},
        {"minProperties": 1},
        {"oneOf": [{"type": "string"}, {"type": "object"}, {"type": ["string", "array"]}]},
        {"if": {"type": "array"}, "then": {"items": {"type": "string"}}, "else": {"type": "string"}},
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
        {"if": {"type": "integer"}, "else": {"type": "null"}},
    ],
    ids=lambda schema: " ".join(schema),
)
def test_both_checkers_agree_on_each_keyword(schema: dict[str, Any]) -> None:
    values: list[Any] = [
        None,
        True,
        False,
        -1,
        0,
        1,
        2,
        0.5,
        2.5,
        "",
        "x",
        [],
        ["x"],
        [1],
        {},
        {"a": 1},
        {"a": 1, "b": 2},
    ]
    check, judge = compiled(schema), Draft202012Validator(schema)
    assert [check(value) is None for value in values] == [judge.is_valid(value) for value in values]
