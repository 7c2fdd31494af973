"""Facts of this host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.process import host, memory_kills


def test_the_facts_of_this_host_are_there() -> None:
    facts = host.this_host()
    assert facts.hostname
    assert facts.user
    assert facts.platform.startswith("Linux ")
    assert 0 < facts.cores <= (os.cpu_count() or 1)
    assert 1 << 26 < facts.memory_bytes <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_affinity_limits_the_cores() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert host.host_resources()[0] <= 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "50000 100000\n", "memory.max": "104857600\n"}, (0.5, 104857600)),
        ({"cpu/cpu.cfs_quota_us": "25000", "cpu/cpu.cfs_period_us": "100000"}, (0.25, None)),
        ({"memory/memory.limit_in_bytes": "209715200\n"}, (None, 209715200)),
        ({"cpu.max": "max 100000\n", "memory.max": "max\n"}, (None, None)),
        ({"cpu/cpu.cfs_quota_us": "-1", "memory/memory.limit_in_bytes": "9223372036854771712"}, (None, None)),
    ],
)
def test_control_groups_limit_cores_and_memory(
    tmp_path: Path, files: dict[str, str], expected: tuple[float | None, int | None]
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    unlimited = host.host_resources(tmp_path / "none")
    assert host.host_resources(tmp_path) == tuple(
        limit if limit is not None else free for limit, free in zip(expected, unlimited, strict=True)
    )


def test_processes_killed_for_want_of_memory_are_counted() -> None:
    assert memory_kills.count() >= 0
    assert memory_kills._source() is not None
