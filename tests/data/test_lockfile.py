"""The text of lock files against DVC's own serialiser and DVC's own files."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.core.nouns import Address, Out, Stage
from runner.data import lockfile
from runner.data.cache import Saved
from runner.data.yaml_text import block
from tests.data import entries

_TRICKY_WORDS = r"""
true True yes no on off null ~ 12345678e01234567890123456789012 1e-3 1e3 010 0o10 0x1f 0b101 12:30 +.5 .5 -.5e+3 08
.inf -.inf .nan 2020-01-01 2020-1-1 - -- --- ... ? : << = _ __ 1_000 -a :a ?a #a a#b a: a:b *a &a !a |a >a %a @a `a
a,b [a] {a} "a" 'a' ${HOME} $(x) ~/x ./x ../x 1.5.2 v1.0 a\\b é 漢字 Ж null.x 0. 5. 1._5 --lr=0.1 ; && | > * a=b
"""
_TRICKY = st.sampled_from(_TRICKY_WORDS.split())
_WORD = st.one_of(
    _TRICKY, st.text("abcxyz-_/.0123456789", min_size=1, max_size=30), st.text("ab", min_size=70, max_size=110)
)
_GAP = st.sampled_from([" "] * 12 + ["  ", "\n", "\n  ", " \n", " '", '"', " #", ": ", "\t", "\\", "   "])


@st.composite
def _command(draw: st.DrawFn) -> str:
    parts = [draw(_WORD)]
    for _ in range(draw(st.integers(0, 25))):
        parts += [draw(_GAP), draw(_WORD)]
    return "".join(parts)


_STRING = st.one_of(
    _TRICKY, _WORD, _command(), st.text(max_size=12), st.sampled_from(["", " ", "\n", " a", "a ", "\ta", "'", '"'])
)
_LEAF = st.one_of(
    _STRING,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.dates(),
    st.integers(0, 16**32 - 1).map("{:032x}".format),
)
_VALUE = st.recursive(
    _LEAF,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_STRING, inner, max_size=3)),
    max_leaves=8,
)


def dvc_text(value: dict[str, Any]) -> str:
    from dvc.utils.serialize import dumps_yaml

    return str(dumps_yaml(value))


def loses(value: dict[str, Any]) -> bool:
    """Whether what ruamel.yaml writes for this does not read back: its folding has such cases."""
    from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml

    try:
        return repr(parse_yaml(dvc_text(value), "x")) != repr(value)
    except YAMLFileCorruptedError:
        return True


@given(st.dictionaries(_STRING, _VALUE, min_size=1, max_size=3))
@settings(max_examples=150)
@example({"a": [[], {}, [[]], [{}], [[1], {"a": [None]}]]})
@example({"a": "x " * 60})
@example({"a" * 99: "b" * 90 + " c"})
@example({"a": {"b": "it's " * 40, "c": "one\ntwo  three " * 20}})
def test_a_block_is_byte_for_byte_what_dvc_writes(entry: dict[str, Any]) -> None:
    whole = {"stages": {"stage": entry}}
    assert lockfile.stage_block("stage", entry) == dvc_text(whole).removeprefix("stages:\n") or loses(whole)
    assert lockfile.entry_text(entry) == dvc_text(entry) or loses(entry)


@given(_command())
@settings(max_examples=150)
def test_a_command_is_folded_where_dvc_folds_it(cmd: str) -> None:
    whole = {"stages": {"s": {"cmd": cmd, "deps": [cmd, {"path": cmd}]}}}
    text = block(whole["stages"], 2)
    assert text == dvc_text(whole).removeprefix("stages:\n") or loses(whole)


@given(_VALUE)
@settings(max_examples=150)
def test_what_was_written_reads_back_the_same(value: Any) -> None:
    from dvc.utils.serialize import parse_yaml

    back = parse_yaml(lockfile.entry_text({"value": value}), "x")["value"]
    assert _comparable(back) == _comparable(value)


def _comparable(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, dict):
        return {key: _comparable(item) for key, item in value.items()}
    return value


def test_objects_that_are_shared_are_written_twice() -> None:
    shared = {"when": datetime.date(2020, 1, 1), "n": [1, 2]}
    text = lockfile.stage_block("s", {"cmd": "x", "params": {"params.yaml": {"a": shared, "b": shared}}})
    assert "&" not in text
    assert text.count("2020-01-01") == 2


def test_an_entry_has_the_order_and_the_relative_paths_of_dvc() -> None:
    stage = Stage(Address("dvc.yaml", "train"), ("python t.py",), wdir="sub", outs=(Out("sub/model"), Out("m.json")))
    entry = entries.entry(
        stage,
        deps={
            "sub/t.py": Saved("1" * 32, 3, isexec=True),
            "data": Saved("2" * 32 + ".dir", 9, 2),
            "s3://b/k": {"etag": "e"},
        },
        params={"sub/z.yaml": {"b": 1, "a": [1]}, "sub/params.yaml": {"lr": 0.1}, "params.yaml": {"x": None}},
        outs={"sub/model": Saved("3" * 32, 1), "m.json": Saved("4" * 32, 1)},
    )
    assert list(entry) == ["cmd", "deps", "params", "outs"]
    assert [row["path"] for row in entry["deps"]] == ["../data", "s3://b/k", "t.py"]
    assert list(entry["deps"][0].items()) == [
        ("path", "../data"),
        ("hash", "md5"),
        ("md5", "2" * 32 + ".dir"),
        ("size", 9),
        ("nfiles", 2),
    ]
    assert entry["deps"][1] == {"path": "s3://b/k", "etag": "e"}
    assert entry["deps"][2]["isexec"] is True
    assert [(file, list(values)) for file, values in entry["params"].items()] == [
        ("params.yaml", ["lr"]),
        ("../params.yaml", ["x"]),
        ("z.yaml", ["a", "b"]),
    ]
    assert [row["path"] for row in entry["outs"]] == ["../m.json", "model"]


@pytest.mark.parametrize("entries", [{}, {"a": {"cmd": "x"}}, {"b@1": {"cmd": ["x", "y"]}, "a": {"cmd": "z"}}])
def test_a_whole_file_is_what_dvc_writes(entries: dict[str, Any]) -> None:
    assert lockfile.dumps(entries) == dvc_text({"schema": "2.0", "stages": entries})
