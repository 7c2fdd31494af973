"""The fast checker of shapes agrees with the JSON Schema library, on records and on what becomes of them."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import jsonschema
import pytest

from runner.core.predicates import RECONCILE, RUN, VERIFICATION
from runner.core.shapes import UnknownKeyword, compiled
from runner.wiring.signing import predicate_schemas
from tests.audit.ledgers import story
from tests.audit.mutations import records_of

SCHEMAS = predicate_schemas()
STRANGE = [None, True, 0, -1, 1.5, "", "x", "x\n", [], ["x"], {}, {"x": 1}, "a" * 64, "a" * 64 + "\n"]


def _changed(value: Any, chance: random.Random) -> Any:
    """The value with one part of it exchanged, dropped or added."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        name = chance.choice(sorted(value))
        if chance.random() < 0.1:
            return {key: inner for key, inner in value.items() if key != name}
        if chance.random() < 0.1:
            return {**value, "more": 1}
        return {**value, name: _changed(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.7:
        return [_changed(value[0], chance), *value[1:]]
    return chance.choice(STRANGE)


def test_it_agrees_with_the_library_on_two_thousand_predicates() -> None:
    chance = random.Random(5)
    kinds = {kind.predicate_type: kind.name for kind in (RUN, RECONCILE, VERIFICATION)}
    checks = {
        name: (compiled(SCHEMAS[name]), jsonschema.Draft202012Validator(SCHEMAS[name])) for name in kinds.values()
    }
    statements = [json.loads(base64.b64decode(json.loads(data)["payload"])) for data in records_of(story(20).tip)]
    verdicts = set()
    for _ in range(2_000):
        statement = chance.choice(statements)
        ours, theirs = checks[kinds[statement["predicateType"]]]
        value = _changed(statement["predicate"], chance) if chance.random() < 0.95 else statement["predicate"]
        # Python's `$` also stands before a last newline; the library inherits that, the checker does not.
        if not _ends_in_newline(value):
            assert (ours(value) is None) == theirs.is_valid(value), ours(value)
            verdicts.add(ours(value) is None)
    assert verdicts == {True, False}


def _ends_in_newline(value: Any) -> bool:
    return "\\n" in json.dumps(value)


def test_a_last_newline_does_not_slip_through_a_pattern() -> None:
    check = compiled({"type": "string", "pattern": "^[0-9a-f]{4}$"})
    assert check("00ff") is None
    assert check("00ff\n") is not None


def test_a_keyword_that_it_does_not_know_is_refused_rather_than_overlooked() -> None:
    with pytest.raises(UnknownKeyword):
        compiled({"type": "array", "contains": True})
