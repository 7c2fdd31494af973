"""Facts about this host: for records, and how much of it stages may use."""

from __future__ import annotations

import functools
import os
import pwd
import sys
from pathlib import Path
from typing import Any

from runner.values import dataclass

CGROUPS = Path("/sys/fs/cgroup")
NO_LIMIT_BYTES = 1 << 60
"""Control groups of version 1 say 'no limit' by a number above any memory there is."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where a run took place: cores and memory as far as this process may use them."""

    hostname: str
    platform: str
    python: str
    cores: float
    memory_bytes: int
    user: str


@functools.cache
def this_host() -> Host:
    """The facts of this host, read once."""
    cores, memory_bytes = host_resources()
    return Host(
        hostname=os.uname().nodename,
        platform=platform_name(),
        python=sys.version.split()[0],
        cores=cores,
        memory_bytes=memory_bytes,
        user=_user(),
    )


def platform_name() -> str:
    """System, release and machine."""
    system = os.uname()  # what the module `platform` says of Linux, without its import
    return f"{system.sysname} {system.release} {system.machine}"


def host_json() -> dict[str, Any]:
    """This host as a record has it."""
    host = this_host()
    return {"name": host.hostname, "platform": host.platform, "python": host.python, "cores": host.cores}


def host_resources(cgroups: Path = CGROUPS) -> tuple[float, int]:
    """Cores and bytes of memory that this process may use: the host's, or less where affinity or a control group
    says so."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for folder in _group_folders(cgroups, ""):
        cores = min(cores, _quota_of_version_2(folder))
        memory_bytes = min(memory_bytes, _number(folder / "memory.max"))
    for folder in _group_folders(cgroups, "cpu"):
        cores = min(cores, _quota_of_version_1(folder))
    for folder in _group_folders(cgroups, "memory"):
        memory_bytes = min(memory_bytes, _number(folder / "memory.limit_in_bytes"))
    return cores, memory_bytes


def _user() -> str:
    """The name of the user, or the number where it has none (a container with a bare uid)."""
    named = [os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")]  # as `getpass`, a slow import
    try:
        return next(filter(None, named), None) or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _group_folders(cgroups: Path, controller: str) -> list[Path]:
    """Our control group and all above it, which limit us too; inside a container the topmost is often all that is
    seen."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    root = cgroups / controller if controller else cgroups
    folders = [root]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            parts = [part for part in path.split("/") if part not in ("", "..")]
            folders += [root.joinpath(*parts[:length]) for length in range(1, len(parts) + 1)]
    return folders


def _quota_of_version_2(folder: Path) -> float:
    """Cores that `cpu.max` (quota and period in microseconds) grants."""
    words = _words(folder / "cpu.max")
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0].isdigit() else float("inf")


def _quota_of_version_1(folder: Path) -> float:
    """Cores that quota and period grant; a quota of -1 is no limit."""
    quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    return int(quota[0]) / int(period[0]) if quota and period and quota[0].isdigit() else float("inf")


def _number(path: Path) -> int:
    """A limit in bytes; the word `max`, or no such file, is no limit."""
    words = _words(path)
    return int(words[0]) if words and words[0].isdigit() else NO_LIMIT_BYTES


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []  # not this kind of system
