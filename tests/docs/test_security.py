"""The threats of SECURITY.md are held by tests that exist, and every hostile mechanism is named there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.pages import ROOT, page
from tests.hostile.catalogue import MECHANISMS


def _rows() -> list[tuple[str, str, str]]:
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", page("SECURITY.md"), re.MULTILINE)
    return [row for row in rows if row[0] != "threat" and not row[0].startswith("-")]


ROWS = _rows()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_threat_is_held_by_a_test_that_exists(row: tuple[str, str, str]) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row[2])
    assert named
    for file, function in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        tests = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
        assert not function or function in tests
        assert any(name.startswith("test_") for name in tests)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_a_threat_names_of_the_corpus_is_in_it(row: tuple[str, str, str]) -> None:
    listed = re.findall(r"`tests/hostile/test_corpus\.py`: ([^`;|]+)", row[2])
    names = {name.strip() for part in listed for name in part.split(",")}
    assert names <= MECHANISMS.keys()


def test_every_mechanism_of_the_corpus_belongs_to_a_threat() -> None:
    told = " ".join(row[2] for row in ROWS)
    assert [name for name in MECHANISMS if name not in told] == []
