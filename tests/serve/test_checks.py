"""Few rows and many, lists and arrays: the same values are taken, and the same ones refused."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

from runner.serve.checks import FEW, Checks
from runner.serve.refusals import Refused

MOST = 2**63 - 1


def taken(kind: str, value: Any, dtype: Any, rows: int) -> Any:
    """What the model sees of a column that holds the value so many times; None where it is refused."""
    checks = Checks({"input": {"properties": {"a": {"type": kind}}}}, strict=False, extra=False, most_rows=1000)
    try:
        found = checks.by_column({"a": numpy.full(rows, value, dtype=dtype)})
    except Refused:
        return None
    return found.few[0][0] if found.few is not None else found.many[0][0].item() if found.many else None


@pytest.mark.parametrize(
    ("kind", "value", "dtype", "seen"),
    [
        ("integer", MOST, "i8", MOST),
        ("integer", -(2**63), "i8", -(2**63)),
        ("integer", 2**63, "u8", None),
        ("integer", 2.0**63, "f8", None),
        ("integer", 2**53 + 1, "i8", 2**53 + 1),
        ("integer", 7, "i1", 7),
        ("integer", True, "?", None),
        ("number", True, "?", None),
        ("boolean", True, "?", 1.0),
        ("boolean", 1, "u1", 1.0),
        ("boolean", 2, "u1", None),
        ("number", float("inf"), "f4", None),
        ("number", float("nan"), "f8", None),
    ],
)
def test_few_rows_and_many_are_held_to_the_same(kind: str, value: Any, dtype: str, seen: Any) -> None:
    assert [taken(kind, value, dtype, rows) for rows in (1, FEW + 1)] == [seen, seen]
