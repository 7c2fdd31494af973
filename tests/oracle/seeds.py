"""Which seeds the oracle tests go through: a few in a quick run, as many as `ORACLE_SEEDS` says in a long one."""

from __future__ import annotations

import os

QUICK = 8


def seeds(offset: int = 0) -> list[int]:
    """The seeds of one test; `offset` lets tests look at different repositories."""
    count = int(os.environ.get("ORACLE_SEEDS", QUICK))
    return [offset + number for number in range(count)]
