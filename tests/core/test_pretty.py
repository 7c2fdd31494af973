"""Our own writer of indented JSON gives the standard library's bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.core.pretty import pretty_text

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_every_value_is_written_as_the_standard_library_writes_it(value: object) -> None:
    assert pretty_text(value) == json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)


def test_a_tuple_is_a_list_and_a_name_that_is_no_text_is_refused() -> None:
    assert pretty_text({"a": (1, ())}) == json.dumps({"a": [1, []]}, indent=1)
    with pytest.raises(TypeError):
        pretty_text({1: 2})
