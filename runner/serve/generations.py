"""Workers as the supervisor sees them: each with its pipe and its process, and those of one model as a generation."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from typing import Any

from runner.serve import metrics
from runner.serve.confinement import used_bytes
from runner.serve.deaths import Deaths
from runner.serve.settings import Settings

SILENT_SECONDS = 30.0
"""A worker whose loop does not turn for so long is replaced."""


class Worker:
    """One worker."""

    def __init__(self, token: int, generation: Generation, ours: socket.socket) -> None:
        self.token = token
        self.generation = generation
        self.pipe = ours
        self.pid: int | None = None
        self.handle: int | None = None
        self.state = "starting"
        self.has_socket = False
        """Whether it was told to serve, so that it may have met a client."""
        self.began = self.heard = time.monotonic()
        self.busy = 0.0
        self.born_bytes = 0
        """Memory that it had when it was forked, which is the template's."""
        self.numbers: metrics.Numbers | None = None
        """What it last said that it counted."""
        self.until = float("inf")
        """When a draining one is ended."""

    @property
    def settings(self) -> Settings:
        """What it was started with."""
        return self.generation.settings

    def fault(self, now: float) -> str | None:
        """Why it has to be ended; None where it does what it should."""
        limits = self.settings.limits
        if limits.memory_bytes and self.pid is not None:
            used = used_bytes(self.pid)
            if used is not None and used - self.born_bytes > limits.memory_bytes:
                return f"it takes more than {limits.memory_bytes >> 20} MiB of memory"
        if self.state == "starting" and now - self.began > limits.load_seconds:
            return f"it was not ready after {limits.load_seconds:g} s"
        if self.state == "ready" and now - self.began > 3 * limits.load_seconds:
            return "it was ready, and did not take the socket"
        if self.state in ("draining", "drained") and now > self.until:
            return "it did not end after it had drained"
        if self.state == "serving":
            if self.busy > limits.stuck_seconds:
                return f"the model is busy with one call for more than {limits.stuck_seconds:g} s"
            if now - self.heard > min(SILENT_SECONDS, limits.stuck_seconds):
                return "it says nothing any more"
        return None

    def kill(self) -> None:
        """End it at once, with what it started, if it is still there."""
        if self.handle is None or self.pid is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)
        # Also where it is gone itself: the number stays taken while there are any in the group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of what the supervisor holds of it."""
        self.pipe.close()
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None


def end_process(pid: int) -> None:
    """End a process of the template at once, with what it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)  # there is none of this number before the process has made one of its own


class Generation:
    """The workers that serve one version of a model."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.workers: list[Worker] = []
        self.due: list[float] = []
        """When workers in place of those that died are started."""
        self.deaths = Deaths()
        self.is_fallback = False
        """Whether it serves since the version after it kept dying."""

    @property
    def is_ready(self) -> bool:
        """Whether all its workers may answer."""
        return self._all_are("ready", "serving")

    @property
    def is_serving(self) -> bool:
        """Whether all its workers answer."""
        return self._all_are("serving")

    def _all_are(self, *states: str) -> bool:
        enough = len(self.workers) >= self.settings.workers
        return enough and all(worker.state in states for worker in self.workers)

    def fill_up(self, now: float) -> None:
        """Have workers in place of those that died: the first at once, others after a while."""
        for _ in range(self.settings.workers - len(self.workers) - len(self.due)):
            self.due.append(now + self.deaths.wait())


def about(worker: Worker) -> dict[str, Any]:
    """What each event says of a worker."""
    served = worker.settings.served
    known = {"model": served.name, "version": served.version, "pid": worker.pid}
    return {**known, "seconds": round(time.monotonic() - worker.began, 3)}
