"""Values inside nested mappings: how far apart two of them are."""

from __future__ import annotations

from typing import Any

import pytest

from runner.core.leaves import difference


@pytest.mark.parametrize(
    ("before", "after", "gap"),
    [
        (1, 3, 2),
        (0.8, 0.805, 0.005),
        (10**400, 10**400 + 1, 1),
        (10**400, 0.5, None),
        (0.5, 10**400, None),
        (-1e308, 1e308, None),
        (1, True, None),
        ("1", 2, None),
        ({"!float": "nan"}, 1.0, None),
    ],
)
def test_a_difference_is_a_finite_number_or_none(before: Any, after: Any, gap: float | None) -> None:
    assert difference(before, after) == gap
