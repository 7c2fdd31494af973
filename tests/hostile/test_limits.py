"""Specs at the bounds take no more memory than they may."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.limits import BOUND_BYTES, CASES, cost


@pytest.mark.parametrize("name", CASES)
def test_a_plan_stays_within_its_memory(name: str, tmp_path: Path) -> None:
    found = cost(CASES[name], "plan", tmp_path / "ground")
    assert found.code in (1, 2)
    assert found.rss_bytes <= BOUND_BYTES
