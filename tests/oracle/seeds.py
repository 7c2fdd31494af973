"""Which seeds the oracle tests go through: a few in a quick run, as many as `ORACLE_SEEDS` says in a long one."""

from __future__ import annotations

import os

QUICK = 8


def seeds(offset: int = 0, *, one_in: int = 1) -> list[int]:
    """The seeds of one test: others with another `offset`, fewer with a larger `one_in`."""
    count = int(os.environ.get("ORACLE_SEEDS", QUICK))
    return list(range(offset, offset + count, one_in))
