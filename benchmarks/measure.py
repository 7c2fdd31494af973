"""Measures what a command costs: CPU seconds of its whole process tree, wall seconds and peak memory."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from script import writable_folder

KEEPER = Path(__file__).with_name("keeper.py")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command, or the median of several, took."""

    cpu_seconds: float
    """User and system time of the command and of every process it started."""
    wall_seconds: float
    peak_bytes: int
    """Resident memory of the largest single process of the tree, at its peak."""
    exit_code: int
    runs: int = 1
    """How many measured runs this is the median of."""


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to measure."""

    arguments: tuple[str, ...]
    folder: Path
    env: Mapping[str, str]
    accepted: tuple[int, ...] = (0,)
    """Exit codes that count as done."""


class CommandFailed(Exception):
    """A command ended with an exit code that means its figure would be worthless."""


def measure(command: Command) -> Cost:
    """Run `command` once; raises CommandFailed with the end of what it printed.

    It runs in a session of its own, where no Ctrl-C reaches it: `script.end_processes` ends all of it, or nothing.
    """
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as printed, os.fdopen(reader) as costs:
        try:
            keeper = subprocess.run(
                [sys.executable, "-I", "-S", str(KEEPER), str(writer), *command.arguments],
                cwd=command.folder,
                env=dict(command.env),
                pass_fds=[writer],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                check=False,
            )
        finally:
            os.close(writer)
        cost = Cost(**json.loads(costs.read())) if keeper.returncode == 0 else None
        if cost is None or cost.exit_code not in command.accepted:
            printed.seek(0)
            tail = printed.read().decode(errors="replace")[-2000:]
            how = f"ended with {cost.exit_code}" if cost else "could not be started"
            raise CommandFailed(f"{' '.join(command.arguments)} {how}:\n{tail}")
    return cost


def median_cost(
    command: Callable[[], Command], *, runs: int = 5, warm_up: bool = True, budget_seconds: float = 120.0
) -> Cost:
    """The median of `runs` measured runs after a warm-up.

    `command` is called before each run, outside the measured time, and makes what the run needs. Fewer runs are made,
    never none, once `budget_seconds` of wall time are used up; a command whose warm-up alone uses them is not run
    again, and that one run is the figure. `Cost.runs` tells how many there were.
    """
    began = time.monotonic()
    costs: list[Cost] = []
    first = measure(command()) if warm_up else None
    if first and time.monotonic() - began > budget_seconds:
        return first
    while len(costs) < runs and (not costs or time.monotonic() - began < budget_seconds):
        costs.append(measure(command()))
    return median(costs)


def median(costs: Sequence[Cost]) -> Cost:
    """Each figure's median over some runs of one command."""
    return Cost(
        cpu_seconds=statistics.median(cost.cpu_seconds for cost in costs),
        wall_seconds=statistics.median(cost.wall_seconds for cost in costs),
        peak_bytes=int(statistics.median(cost.peak_bytes for cost in costs)),
        exit_code=costs[-1].exit_code,
        runs=len(costs),
    )


def machine(folder: Path) -> str:
    """One line on the machine: processor, cores, memory, kernel, Python, git, and the file system of `folder`."""
    cores = len(os.sched_getaffinity(0))
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    return (
        f"{_processor()}, {cores} cores, {memory_gib:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"{_file_system(folder)}, Python {platform.python_version()}, git {git}, "
        f"load {os.getloadavg()[0]:.1f} at the start"
    )


def _file_system(folder: Path) -> str:
    """The kind of file system a folder is on, and whether it is an ext4 without a journal.

    There the kernel takes no inode that was freed in the last minutes, and looks for another one at each new file.
    """
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    rows = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    kind = next((row[row.index("-") + 1] for row in rows if row[2] == number), "unknown file system")
    journal = Path(f"/sys/fs/ext4/{Path(f'/sys/dev/block/{number}').resolve().name}/journal_task")
    without = kind == "ext4" and journal.exists() and journal.read_text().strip() == "<none>"
    return f"{kind} without a journal" if without else kind


def chosen_rows(parser: argparse.ArgumentParser, names: Sequence[str], what: str = "row") -> argparse.Namespace:
    """What the command line says, with `rows`, some of these names or none, and `folder`, where to work.

    Ends the process with a message where a row is asked for that is not there. `what`: how people call a row.
    """
    parser.add_argument("rows", nargs="*", metavar=what.upper(), help=f"all, or some of: {', '.join(names)}")
    parser.add_argument(
        "--folder", type=writable_folder, help="where to work; else the system's folder for temporary files"
    )
    options = parser.parse_args()
    unknown = set(options.rows) - set(names)
    if unknown:
        parser.error(f"no such {what}: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return options


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
