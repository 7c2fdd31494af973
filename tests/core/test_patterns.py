"""Expressions that are compiled late are those that would have been compiled early, and all of them are sound."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from runner import patterns

ROOT = Path(patterns.__file__).parent
USERS = sorted(
    ".".join(file.relative_to(ROOT.parent).with_suffix("").parts)
    for file in ROOT.rglob("*.py")
    if "from runner.patterns import" in file.read_text(encoding="utf-8")
)


def test_an_expression_answers_as_a_compiled_one_would() -> None:
    late, early = patterns.regex(r"(a+)b", re.IGNORECASE), re.compile(r"(a+)b", re.IGNORECASE)
    assert late.findall("aab AB b") == early.findall("aab AB b") == ["aa", "A"]
    assert (late.pattern, late.flags, late.sub("x", "aab")) == (early.pattern, early.flags, "x")
    found = late.fullmatch("AAB")
    assert found is not None
    assert found[1] == "AA"


def test_an_expression_is_compiled_at_its_first_use() -> None:
    wrong = patterns.regex("(")
    with pytest.raises(re.error):
        wrong.match("a")


def _all(value: Any) -> list[Any]:
    kind = type(patterns.regex(""))
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return [value] if isinstance(value, kind) else [found for part in parts for found in _all(part)]


@pytest.mark.parametrize("name", USERS)
def test_every_expression_that_is_compiled_late_can_be_compiled(name: str) -> None:
    found = [pattern for value in vars(importlib.import_module(name)).values() for pattern in _all(value)]
    assert found
    for pattern in found:
        assert pattern.groups >= 0
