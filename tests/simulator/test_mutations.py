"""Every guard that is taken out is missed: a simulation that finds nothing without them would prove nothing."""

from __future__ import annotations

import pytest

from tests.simulator.mutations import GUARDS, plots, without
from tests.simulator.world import broken, seldom_collected

WITHIN = 1_000
"""Lives in which a missing guard has to be noticed."""


@pytest.mark.slow
@pytest.mark.parametrize("guard", GUARDS)
def test_a_missing_guard_is_noticed(guard: str) -> None:
    with without(guard) as rules, seldom_collected():
        assert any(broken(plot, rules) for plot in plots(guard, WITHIN)), f"nobody misses {guard}"
