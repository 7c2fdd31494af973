"""This host as stages would run on it."""

from __future__ import annotations

from runner.core.estimates import Capacity
from runner.core.records import host_class
from runner.process.host import this_host


def here(jobs: int | None) -> Capacity:
    """This host, with so many stages at once; None for as many as it has cores."""
    host = this_host()
    kind = host_class({"platform": host.platform, "cores": host.cores})
    return Capacity(jobs or max(1, int(host.cores)), host.cores, host.memory_bytes, kind)
