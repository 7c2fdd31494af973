"""This host as stages would run on it."""

from __future__ import annotations

from runner.core.estimates import Capacity
from runner.core.records import host_class
from runner.process.host import host_resources, platform_name


def here(jobs: int | None) -> Capacity:
    """This host, with so many stages at once; None for as many as it has cores."""
    cores, memory_bytes = host_resources()
    kind = host_class({"platform": platform_name(), "cores": cores})
    return Capacity(jobs or max(1, int(cores)), cores, memory_bytes, kind)
