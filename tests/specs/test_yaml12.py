"""YAML is read as ruamel.yaml reads it for DVC, within bounds."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from runner.errors import SpecError
from runner.specs import yaml12

PLAIN = """
1 -1 +1 010 0o10 08 0x1F 0b101 1_000 1e3 1e-3 1E5 1.5 .5 +.5 -.5 1. 1.e3 .5e3 .5e+3 .inf -.inf +.Inf .nan -.nan
yes no on off y n true True TRUE tRue false null Null NULL ~ nUll 12:30 12:30:45 190:20:30.15 2024-01-01 2024-1-1
2024-01-01T10:00:00Z 2024-01-01T10:00:00+02:00 1e400 12345678e012 0o18 0b12 0xZZ - -- _1 1_ __ = << <<x . .. ...
1.2.3 0.1.0 ~x +1_2 -_ +_ 0_ 0o_7 0x_1 1__2.3 1_e3 nan inf Infinity +inf 0.0 -0.0 -0 00 0_0 1e 1e+ e1 0e0 1.5e3_0
+0x1F -0o7 0b -0b1 é 日本 1a 1d 9999999999999999999999 true_ 2024-13-01 2024-02-30T10:00:00 2024-01-01T1:00:00.123
2024-01-01T10:00:00-0530 '1e3' "1"
"""
SCALARS = [
    *PLAIN.split(),
    "2024-01-01 10:00:00",
    "2024-01-01 10:00:00.5 +01:00",
    "a b",
    "!!str 12",
    "!!int '12'",
    "!!float 1",
    "!!int 0o17",
    "! 12",
    "!!bool true",
    "!!null x",
    "!!binary aGVsbG8=",
    "! 'x'",
    "!!timestamp 2024-01-01",
]

DOCUMENTS = [
    "a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n",
    "a: &x {b: 1}\nb: &y {b: 2, q: 1}\nd:\n  z: 1\n  <<: [*x, *y]\n  y: 2\n",
    "? [1, 2]\n: 3\n",
    "{a: 1, b}",
    '{"a":1}',
    "a:\n- b\n- c\n",
    "a: |\n  x\n  y\n",
    "a: >-\n  x\n  y\n\n  z\n",
    "",
    "# only a comment\n",
    "---\n",
    "'<<': 1",
    "%YAML 1.2\n---\na: 1\n",
    "a: !!str",
    "~: 1",
    "1: 2\n'1': 3",
    "a: 1\r\nb: 2\r\n",
    "\ufeffa: 1",
    "a: b #c",
    "a: b#c",
    "!!set {a, b}",
    "a: &x [1, 2]\nb: *x\n",
    "<<: {a: 1}\nb: 2",
]


def by_ruamel(text: str) -> tuple[bool, Any]:
    try:
        return True, YAML(typ="safe").load(text)
    except (YAMLError, ValueError):
        return False, None


def by_us(text: str) -> tuple[bool, Any]:
    try:
        return True, yaml12.load(text, file="x.yaml")
    except SpecError:
        return False, None


def comparable(value: Any) -> Any:
    """Types told apart, and the moments of times compared, whatever class their zone has."""
    if isinstance(value, dict):
        return ["map", *([comparable(key), comparable(item)] for key, item in value.items())]
    if isinstance(value, (list, tuple, set)):
        return [type(value).__name__, *map(comparable, sorted(value, key=str) if isinstance(value, set) else value)]
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return [type(value).__name__, repr(value)]


@pytest.mark.parametrize("form", ["a: {}\n", "- {}\n", "{}: 1\n", "{}\n"], ids=["value", "item", "key", "document"])
def test_plain_scalars_are_what_ruamel_makes_of_them(form: str) -> None:
    texts = [form.replace("{}", scalar) for scalar in SCALARS]

    ours = {text: comparable(by_us(text)) for text in texts}

    assert ours == {text: comparable(by_ruamel(text)) for text in texts}


@pytest.mark.parametrize("text", DOCUMENTS)
def test_documents_are_what_ruamel_makes_of_them(text: str) -> None:
    assert comparable(by_us(text)) == comparable(by_ruamel(text))


@given(st.text(alphabet="0123456789+-._eExobnNaAiIfFtTzZ: ~", min_size=1, max_size=8))
@settings(max_examples=400, deadline=None)
def test_any_short_scalar_is_what_ruamel_makes_of_it(text: str) -> None:
    text = f"a: {text.strip()}\n"

    assert comparable(by_us(text)) == comparable(by_ruamel(text))


FINDINGS = {
    "a: b: c": "x.yaml:1:5: not YAML: a `:` stands where no key can be",
    "\tb: 1": "x.yaml:1:1: not YAML: a tab or a reserved character stands where a value starts",
    "a: 'x": "x.yaml:1:6: not YAML: the file ends inside a quoted text",
    "a: [1, 2": "x.yaml:2:1: not YAML: a list in brackets is not closed",
    "a: {x: 1": "x.yaml:2:1: not YAML: a mapping in braces is not closed",
    "a\nb: 1": "x.yaml:2:2: not YAML: a `:` stands where no key can be",
    'a: "\\q"': "x.yaml:1:5: not YAML: an unknown escape in double quotes",
    "a: \x07": "x.yaml:1:4: not YAML: a control character",
    "!!python/object:os.system x": "x.yaml:1:1: the tag !!python/object:os.system is not allowed",
    "- !foo bar": "x.yaml:1:3: the tag !foo is not allowed",
    "d:\n  <<: 3\n": "x.yaml:2:7: `<<` merges mappings only",
    "d:\n  <<: *x\n": "x.yaml:2:7: the alias *x stands for nothing complete before it",
    "a: &a [*a]\n": "x.yaml:1:8: the alias *a stands for nothing complete before it",
    "? {a: 1}\n: 3\n": "x.yaml:1:3: a mapping or a list cannot be a key",
    "a: 1\nb: 2\na: 3\n": "x.yaml:3:1: the key `a` stands here twice",
    "--- 1\n--- 2\n": "x.yaml:2:5: a second YAML document starts here",
    "a: 2024-13-01": "x.yaml:1:4: `2024-13-01` looks like a number or a date and is none (month must be in 1..12)",
    "%YAML 1.1\n---\na: 1\n": "x.yaml:1:1: a %YAML 1.1 directive is not supported",
    "a: 1\n<<<<<<< HEAD\nb: 2\n=======\n": "x.yaml:2:1: the file holds merge-conflict markers",
}


@pytest.mark.parametrize("text", FINDINGS)
def test_broken_yaml_is_told_in_plain_words(text: str) -> None:
    with pytest.raises(SpecError) as raised:
        yaml12.load(text, file="x.yaml")

    (finding,) = raised.value.findings
    assert f"{finding.file}:{finding.line}:{finding.column}: {finding.message}" == FINDINGS[text]
    assert finding.hint


def test_all_duplicate_keys_are_told_at_once() -> None:
    with pytest.raises(SpecError) as raised:
        yaml12.load("a: 1\na: 2\nb:\n  c: 1\n  c: 2\n", file="x.yaml")

    assert [(finding.line, finding.column) for finding in raised.value.findings] == [(2, 1), (5, 3)]


BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{last}'] * 9)}]\n" for last, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGE_BOMB = "a: &a {x1: 1, x2: 2}\n" + "".join(
    f"{name}: &{name} {{<<: [*{last}, *{last}, *{last}, *{last}], {name}: *{last}}}\n"
    for last, name in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "more than 100000 values once aliases are expanded"),
        (MERGE_BOMB, "more than 100000 values once aliases are expanded"),
        ("[" * 300_000, "more than 50 levels of nesting"),
        ("{a: " * 100_000, "more than 50 levels of nesting"),
        ("x" * (1 << 20) + "y", "the file is larger than 1 MiB"),
        ("[" + "1," * 200_000, "more than 100000 values once aliases are expanded"),
    ],
    ids=["aliases", "merges", "brackets", "braces", "size", "items"],
)
def test_bombs_are_refused_before_they_go_off(text: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        yaml12.load(text, file="x.yaml")

    assert [finding.message for finding in raised.value.findings] == [message]


def test_lock_files_take_no_aliases() -> None:
    with pytest.raises(SpecError) as raised:
        yaml12.load("a: &a 1\nb: *a\n", file="dvc.lock", bounds=yaml12.DVC_LOCK_BOUNDS)

    assert str(raised.value.findings[0]).startswith("dvc.lock:2:4: the alias *a is not allowed in this file")


def test_keys_and_items_are_located() -> None:
    text = "a:\n  b:\n  - x\n  - y: 1\nc: {d: 2}\n---\nsecond: 1\n"

    assert yaml12.locate(text, ("a",)) == (1, 1)
    assert yaml12.locate(text, ("a", "b", 1)) == (4, 5)
    assert yaml12.locate(text, ("a", "b", 1, "y")) == (4, 5)
    assert yaml12.locate(text, ("c", "d")) == (5, 5)
    assert yaml12.locate(text, ("c", "nope")) == (5, 1)
    assert yaml12.locate(text, ("second",), document=1) == (7, 1)
    assert yaml12.locate("a: [", ("a",)) == (0, 0)
