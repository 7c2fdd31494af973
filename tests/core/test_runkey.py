"""The run key: what enters it, and that a changed key always has a reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.canonical import canonical_bytes, plain, restored
from runner.core.nouns import Param, Resources
from runner.core.runkey import Material, differences, key_of, material_of, run_key, shown_apart
from tests.core.facts import stage

BASE = Material(
    cmd="python train.py",
    wdir=".",
    shell="bash",
    deps=(("data.csv", "0" * 32), ("train.py", "1" * 32)),
    params=(("params.yaml", "lr", 0.1),),
    outs=(("model", True, False),),
    env=(("MODE", "fast"),),
)

CHANGES: dict[str, dict[str, Any]] = {
    "cmd": {"cmd": "python train.py -v"},
    "cmd as a list": {"cmd": ("python train.py",)},
    "wdir": {"wdir": "sub"},
    "shell": {"shell": "sh"},
    "dep digest": {"deps": (("data.csv", "2" * 32), ("train.py", "1" * 32))},
    "dep added": {"deps": (*BASE.deps, ("x", "3" * 32))},
    "param": {"params": (("params.yaml", "lr", 0.2),)},
    "param type": {"params": (("params.yaml", "lr", "0.1"),)},
    "out option": {"outs": (("model", False, False),)},
    "out": {"outs": (("models", True, False),)},
    "env": {"env": (("MODE", "slow"),)},
    "seed": {"seed": 1},
    "environment": {"environment": "4" * 64},
    "occasion": {"occasion": "5" * 40},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_could_change_the_result_changes_the_key_and_has_a_reason(change: dict[str, Any]) -> None:
    other = replace(BASE, **change)
    assert run_key(other) != run_key(BASE)
    assert differences(BASE.as_json(), other.as_json())


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("python a.py", "python  a.py", 'cmd changed: "python a.py" → "python␣␣a.py"'),
        ("python a.py", "python a.py\n", 'cmd changed: "python a.py" → "python a.py\\n"'),
        ("python a.py", "python\u00a0a.py", 'cmd changed: "python a.py" → "python\\u00a0a.py"'),
        ("x" * 70 + "1", "x" * 70 + "2", f'cmd changed: …{"x" * 20}1" → …{"x" * 20}2"'),
        (
            "y" * 58 + "a" + "z" * 90,
            "y" * 58 + "z" * 90,
            f"cmd changed: …{'y' * 20}a{'z' * 39}… → …{'y' * 20}{'z' * 40}…",
        ),
    ],
)
def test_commands_that_look_alike_are_shown_so_that_the_difference_is_seen(before: str, after: str, says: str) -> None:
    assert differences(replace(BASE, cmd=before).as_json(), replace(BASE, cmd=after).as_json()) == [says]


def test_a_number_and_the_same_as_text_are_told_apart() -> None:
    changed = replace(BASE, params=(("params.yaml", "lr", "0.1"),))
    assert differences(BASE.as_json(), changed.as_json()) == ['param params.yaml:lr: 0.1 → "0.1"']


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (1, 1.0, "param params.yaml:p: 1 → 1.0"),
        (1, True, "param params.yaml:p: 1 → true"),
        (0.0, -0.0, "param params.yaml:p: 0.0 → -0.0"),
        ([1, {"a": 0}], [1, {"a": False}], 'param params.yaml:p: [1, {"a": 0}] → [1, {"a": false}]'),
        ({"a": {"b": 1}, "c": 1}, {"a": {"b": 1.0}, "c": 1}, "param params.yaml:p.a.b: 1 → 1.0"),
    ],
)
def test_numbers_that_are_equal_and_not_the_same_are_told_apart(before: Any, after: Any, says: str) -> None:
    old, new = (replace(BASE, params=(("params.yaml", "p", value),)) for value in (before, after))
    assert run_key(old) != run_key(new)
    assert differences(old.as_json(), new.as_json()) == [says]


@given(st.text(), st.text())
def test_two_values_that_differ_never_look_alike(one: str, other: str) -> None:
    texts = shown_apart(one, other)
    assert (texts[0] == texts[1]) == (one == other)
    assert max(map(len, texts)) <= 62


def test_equal_material_has_no_differences() -> None:
    assert differences(BASE.as_json(), replace(BASE).as_json()) == []


def test_a_key_can_be_computed_again_from_what_a_record_keeps() -> None:
    assert key_of(BASE.as_json()) == run_key(BASE)


def test_the_key_is_pinned_so_that_no_version_changes_it_by_accident() -> None:
    assert run_key(BASE) == "b144dd76dbd0fd6b119cbc1b359cc7c51a9f69ca404e1aee6e75ced6a367ea41"


def test_names_resources_time_and_secrets_are_not_in_the_key() -> None:
    def key(**more: Any) -> str:
        one = stage("train", ["a"], ["b"], [Param("params.yaml", "lr")], **more)
        return run_key(material_of(one, shell="bash", deps={"a": "0"}, params={("params.yaml", "lr"): 1}))

    other = key(
        resources=Resources(4, 1 << 30), timeout_seconds=5.0, retries=3, mutex=("gpu",), secrets=("T",), desc="words"
    )
    assert key() == other


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_canonical_bytes_do_not_depend_on_the_order_of_keys(value: Any) -> None:
    assert canonical_bytes(value) == canonical_bytes(_reversed(value))


@given(json_values)
def test_plain_is_stable_and_can_be_restored(value: Any) -> None:
    assert plain(plain(value)) == plain(value)
    assert canonical_bytes(restored(plain(value))) == canonical_bytes(value)


@given(json_values, json_values)
def test_there_is_a_reason_wherever_the_key_is_another(before: Any, after: Any) -> None:
    old, new = (replace(BASE, params=(("params.yaml", "p", value),)) for value in (before, after))
    assert (run_key(old) != run_key(new)) == bool(differences(old.as_json(), new.as_json()))


def test_one_and_one_point_zero_are_different() -> None:
    assert canonical_bytes({"a": 1}) != canonical_bytes({"a": 1.0})


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(list(value))}
    return [_reversed(item) for item in value] if isinstance(value, list) else value
