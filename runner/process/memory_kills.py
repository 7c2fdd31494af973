"""How many processes the kernel has killed for want of memory, as far as it tells us."""

from __future__ import annotations

import functools
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def count() -> int:
    """Processes of our control group, or else of the whole host, killed for want of memory so far; 0 where the
    system does not say."""
    source = _source()
    if source is None:
        return 0
    try:
        text = os.pread(_opened(source), 1 << 16, 0)
    except OSError:
        return 0  # the control group has gone: then nobody tells
    words = text[text.find(b"oom_kill ") :].split(maxsplit=2)
    return int(words[1]) if words[:1] == [b"oom_kill"] else 0


@functools.cache
def _opened(source: str) -> int:
    """A descriptor of the file, open for as long as this process lives: it is asked at the beginning of each stage."""
    return os.open(source, os.O_RDONLY | os.O_CLOEXEC)


@functools.cache
def _source() -> str | None:
    """The file with the counter `oom_kill`: version 2 of control groups, version 1, or the host's."""
    for path in (*(folder / name for folder, name in _own_groups()), Path("/proc/vmstat")):
        try:
            if "oom_kill " in path.read_text():
                return str(path)
        except OSError:
            continue  # not this kind of system
    return None


def _own_groups() -> list[tuple[Path, str]]:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    groups: list[tuple[Path, str]] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            groups += [(CGROUPS / path.lstrip("/"), "memory.events"), (CGROUPS, "memory.events")]
        elif "memory" in controllers.split(","):
            groups += [
                (CGROUPS / "memory" / path.lstrip("/"), "memory.oom_control"),
                (CGROUPS / "memory", "memory.oom_control"),
            ]
    return groups
