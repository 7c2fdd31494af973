"""Control groups with a limit on memory, made for one test where this host lets us make any."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

CGROUPS = Path("/sys/fs/cgroup")
ENTER = 'echo $$ > "$0"/cgroup.procs && exec "$@"'


@dataclass(frozen=True)
class MemoryGroup:
    """A control group whose processes may occupy so much memory between them."""

    folder: Path
    kills_file: str
    """Where the kernel counts the processes of this group that it killed for want of memory."""

    def command(self, words: Sequence[str]) -> list[str]:
        """A command line that runs another one inside this group."""
        return ["sh", "-c", ENTER, str(self.folder), *words]

    def processes(self) -> list[int]:
        """Every process in it, also those of other PID namespaces."""
        return [int(word) for word in (self.folder / "cgroup.procs").read_text().split()]

    def is_empty_within(self, seconds: float) -> bool:
        """Whether nothing lives in it any more; waits for that."""
        end = time.monotonic() + seconds
        while self.processes():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def kills(self) -> int:
        """How many of its processes the kernel killed for want of memory."""
        words = (self.folder / self.kills_file).read_text().split()
        return int(words[words.index("oom_kill") + 1])


@contextlib.contextmanager
def memory_group(limit_bytes: int) -> Iterator[MemoryGroup]:
    """A group of this test's own; skips the test, and says why, where none can be made."""
    tried: list[str] = []
    for parent, limit_file, kills_file in _candidates():
        folder = parent / f"runner-test-{os.getpid()}-{time.monotonic_ns()}"
        try:
            folder.mkdir()
        except OSError as error:
            tried.append(f"{folder}: {error.strerror}")
            continue
        try:
            group = MemoryGroup(folder, kills_file)
            why = _unfit(group, limit_file, limit_bytes)
            if why is None:
                yield group
                return
            tried.append(why)
        finally:
            for pid in _listed(folder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            _removed(folder)
    pytest.skip(f"no control group that limits memory can be made here: {'; '.join(tried) or 'there are none'}")


def _candidates() -> Iterator[tuple[Path, str, str]]:
    """Places for a group, and how its limit and its count of kills are named: below our own group, or above it.

    In version 2 a group that has processes cannot hand memory on to groups below it, so a sibling has to do.
    """
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, limit_file, kills_file = CGROUPS / "memory", "memory.limit_in_bytes", "memory.oom_control"
        elif not controllers:
            root, limit_file, kills_file = CGROUPS, "memory.max", "memory.events"
        else:
            continue
        own = root / path.lstrip("/")
        for parent in dict.fromkeys((own, *own.parents)):
            if parent.is_relative_to(root):
                yield parent, limit_file, kills_file


def _unfit(group: MemoryGroup, limit_file: str, limit_bytes: int) -> str | None:
    """Why a group that was made does not limit memory; None where it does."""
    try:
        if not (group.folder / limit_file).exists():
            return f"{group.folder}: memory is not limited here"
        (group.folder / limit_file).write_text(str(limit_bytes))
        if group.kills() != 0:
            return f"{group.folder}: its count of kills is not its own"
    except (OSError, ValueError) as error:
        return f"{group.folder}: {error}"
    entered = subprocess.run(group.command(["true"]), capture_output=True, text=True, check=False)
    return f"{group.folder}: {entered.stderr.strip()}" if entered.returncode else None


def _listed(folder: Path) -> list[int]:
    try:
        return [int(word) for word in (folder / "cgroup.procs").read_text().split()]
    except OSError:
        return []  # a folder of another kind of file system


def _removed(folder: Path, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            folder.rmdir()
            return
        except OSError:  # whoever was killed is not gone yet
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
