"""A command of the runner in a forked child: as killable as a process of its own, without an interpreter's start."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dvc.repo  # noqa: F401 - imported once, for all children
import git  # noqa: F401 - as above

import runner.cli.reconcile
import runner.wiring.parts  # noqa: F401 - as above
from runner import failpoints
from runner.cli.main import main


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    status: int
    """Exit code; negative for a signal."""
    out: str
    err: str

    @property
    def value(self) -> dict[str, Any]:
        """What it printed as JSON; empty where it was killed before."""
        return dict(json.loads(self.out)) if self.out.strip() else {}


@dataclass(frozen=True)
class Child:
    """A child that runs."""

    pid: int
    out: Path
    err: Path

    def kill(self) -> None:
        """End it as the kernel does for want of memory."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float = 120.0) -> Ended:
        """How it ended; a child that hangs is killed, and fails the test."""
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return Ended(os.waitstatus_to_exitcode(status), self.out.read_text(), self.err.read_text())
            if time.monotonic() > end:
                self.kill()
                os.waitpid(self.pid, 0)
                raise AssertionError(f"a reconcile hangs:\n{self.err.read_text()}")
            time.sleep(0.005)


def start(arguments: list[str], folder: Path, environ: Mapping[str, str], place: Path, points: str = "") -> Child:
    """Start a command in `folder`; what it prints goes below `place`."""
    place.mkdir(parents=True, exist_ok=True)
    number = len(list(place.iterdir()))
    child = Child(0, place / f"{number}.out", place / f"{number}.err")
    for file in (child.out, child.err):
        file.touch()  # the next child has to count these
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Child(pid, child.out, child.err)
    code = 70
    try:
        os.setsid()
        for descriptor, path in ((1, child.out), (2, child.err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - for the child's whole life
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - as above
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        failpoints.arm(points)
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
