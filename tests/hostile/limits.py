"""Specs at the bounds: as much as one may ask for, and how much a plan of it takes.

    python -m tests.hostile.limits        CPU seconds and memory of each, as a table

Memory is asserted by the tests; time belongs to the machine, so it is only shown.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.hostile.ground import Ground
from tests.hostile.kinds import Case, spec, stages
from tests.hostile.store import Content

BOUND_BYTES = 256 << 20
BOUND_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process took."""

    code: int
    cpu_seconds: float
    rss_bytes: int


def _names(letter: str, count: int) -> str:
    return ", ".join(f"{letter}{number}" for number in range(count))


def _chain(count: int) -> dict[str | bytes, Content]:
    rows = [f"s{n}: {{cmd: x, deps: [{'in' if n == 0 else f'o{n - 1}'}], outs: [o{n}]}}" for n in range(count)]
    return stages("\n".join(rows))


_AXIS = "[" + ", ".join(map(str, range(100))) + "]"
CASES: Mapping[str, dict[str | bytes, Content]] = {
    "one harmless stage": stages("a: {cmd: x, deps: [in]}"),
    "1,000 stages in a chain": _chain(1_000),
    "9,000 stages in a chain": _chain(9_000),
    "9,000 stages of one group": stages(
        "a: {foreach: [" + ", ".join(map(str, range(9_000))) + "], do: {cmd: x, deps: [in], outs: ['o${item}']}}"
    ),
    "40,000 outputs of one stage": stages(f"a: {{cmd: x, deps: [in], outs: [{_names('o', 40_000)}]}}"),
    "700 outputs within each other": stages(
        "a: {cmd: x, deps: [in], outs: [" + ", ".join("/".join(["d"] * n) for n in range(1, 700)) + "]}"
    ),
    "40,000 inputs that are missing": stages(f"a: {{cmd: x, deps: [{_names('d', 40_000)}]}}"),
    "40,000 unknown keys": spec("  stages: {}\n" + "".join(f"  k{n}: 1\n" for n in range(40_000))),
    "90,000 values in one list": stages("a: {cmd: x, deps: [in], meta: {m: [" + "1, " * 90_000 + "]}}"),
    "90,000 values by aliases": stages(
        "a: {cmd: x, deps: [in], meta: {x: &x [" + "y, " * 300 + "], z: [" + "*x, " * 290 + "]}}"
    ),
    "1 MiB of one text": stages("a: {cmd: '" + "x" * 1_048_000 + "', deps: [in]}"),
    "30 MiB of text by groups": stages(
        "a: {matrix: {x: " + _AXIS + ", y: " + _AXIS + "}, cmd: '" + "x" * 3_000 + "', deps: [in]}"
    ),
    "1 MiB of brackets": {"runner.yaml": "[" * 1_048_000},
    "100,000 empty documents": {"runner.yaml": "---\n" * 100_000},
}


_LAUNCHER = """
import os, subprocess, sys
null = subprocess.DEVNULL
process = subprocess.Popen(sys.argv[1:], stdout=null, stderr=null)
_, status, usage = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""
"""A small process in between: what a process takes counts from the fork on, and the tests themselves are large."""


def cost(files: Mapping[str | bytes, Content], command: str, folder: Path) -> Cost:
    """What `runner COMMAND` takes for a commit of these files, in a process of its own with empty caches."""
    ground = Ground.create(folder)
    rev = ground.prepared(Case("x", files))
    (folder / "tmp").mkdir()
    env = {**os.environ, **ground.environment(), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    words = [sys.executable, "-c", _LAUNCHER, sys.executable, "-m", "runner", command, rev]
    done = subprocess.run(words, cwd=ground.clone, env=env, capture_output=True, text=True, check=True)
    code, seconds, kilobytes = done.stdout.split()
    return Cost(int(code), float(seconds), int(kilobytes) * 1024)


def _table() -> None:
    bounds = f"CPU (at most {BOUND_SECONDS:g} s) | memory (at most {BOUND_BYTES >> 20} MiB)"
    print(f"| specs | command | exit code | {bounds} |")
    print("|---|---|---|---|---|")
    for name, files in CASES.items():
        for command in ("validate", "plan"):
            with tempfile.TemporaryDirectory() as folder:
                found = cost(files, command, Path(folder) / "ground")
            memory = f"{found.rss_bytes / 2**20:.0f} MiB"
            print(f"| {name} | {command} | {found.code} | {found.cpu_seconds:.2f} s | {memory} |", flush=True)


if __name__ == "__main__":
    _table()
