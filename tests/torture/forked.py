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

import configobj  # noqa: F401 - imported once, for all children, as all of these
import dvc.repo  # noqa: F401
import git  # noqa: F401
import jsonschema.validators  # noqa: F401

import runner.cli.reconcile
import runner.data.dvcignore
import runner.data.lockfile
import runner.data.runcache
import runner.data.yaml_text
import runner.wiring.parts  # noqa: F401
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
        """What it printed as JSON; empty where it was killed before that, or in the middle."""
        if not self.out.strip() or (self.was_killed and not self.out.endswith("}\n")):
            return {}
        return dict(json.loads(self.out))

    @property
    def was_killed(self) -> bool:
        """Whether SIGKILL found it alive."""
        return self.status == -signal.SIGKILL


@dataclass(frozen=True)
class Child:
    """A child that runs."""

    pid: int
    out: Path
    err: Path

    def kill(self) -> None:
        """End it as the kernel does for want of memory."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float = 600.0) -> Ended:
        """How it ended; a child that hangs is killed, and fails the test."""
        ended = self.ended_within(seconds)
        if ended is None:
            self.kill()
            os.waitpid(self.pid, 0)
            raise AssertionError(f"a reconcile hangs:\n{self.err.read_text()}")
        return ended

    def ended_within(self, seconds: float) -> Ended | None:
        """How it ended, as soon as it does; None where it still runs after so long."""
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return Ended(os.waitstatus_to_exitcode(status), self.out.read_text(), self.err.read_text())
            left = end - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(0.005, left))

    def wait_until_held(self) -> None:
        """Return when a child that is to be held stands still."""
        os.waitpid(self.pid, os.WUNTRACED)

    def is_traced(self) -> bool:
        """Whether a tracer is attached to it."""
        return "TracerPid:\t0\n" not in Path(f"/proc/{self.pid}/status").read_text()

    def go_on(self) -> None:
        """Let a child that is held begin."""
        os.kill(self.pid, signal.SIGCONT)


def start(
    arguments: list[str],
    folder: Path,
    environ: Mapping[str, str],
    place: Path,
    points: str = "",
    *,
    held: bool = False,
) -> Child:
    """Start a command in `folder`; what it prints goes below `place`. With `held` it stands still before it begins."""
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
        if held:
            os.kill(os.getpid(), signal.SIGSTOP)
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
