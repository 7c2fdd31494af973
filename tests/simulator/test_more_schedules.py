"""The second part of the lives in test_schedules.py: a file is one worker's, and they are for two."""

from __future__ import annotations

import pytest

from tests.simulator.test_schedules import check


@pytest.mark.slow
def test_nothing_is_broken_in_the_second_part_of_the_lives() -> None:
    check(1)
