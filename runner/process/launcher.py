"""The runner's end of the keeper: starts it when the first stage needs it, and asks it for a supervisor for each
stage."""

from __future__ import annotations

import atexit
import marshal
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.errors import HostError
from runner.values import dataclass

KEEPER = Path(__file__).with_name("keeper.py")


@dataclass(frozen=True, slots=True)
class Supervised:
    """A stage under its supervisor: the socket that stops it and brings its answer, and the pipe that brings its
    output."""

    control: socket.socket
    output: int

    def ask_to_end(self) -> None:
        """Send SIGTERM to the process group of the running command; no further command starts."""
        self._send(b"t")

    def kill(self) -> None:
        """Kill everything of the stage at once."""
        self._send(b"k")

    def _send(self, order: bytes) -> None:
        try:
            self.control.send(order)
        except OSError:
            return  # it has just ended by itself; its answer, or its end, is read next

    def close(self) -> None:
        """Let go of the stage; one that still runs is killed by its supervisor, which sees the end of the stream."""
        self.control.close()
        os.close(self.output)


class Launcher:
    """One keeper for each process of ours; safe to call from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._owner = 0

    def launch(self, level: bytes, request: Mapping[str, Any]) -> Supervised:
        """Hand a request to a new supervisor at a level (`g`, `p`, `o`; see keeper.py).

        Raises HostError when no process or descriptor can be had.
        """
        payload = marshal.dumps(dict(request))
        try:
            control, far_control = socket.socketpair()
            output, far_output = os.pipe()
        except OSError as error:
            raise HostError(f"a stage cannot be started: {error}", "too many stages at once? lower --jobs") from error
        supervised = Supervised(control, output)
        try:
            self._hand_over(level, [far_control.fileno(), far_output])
            far_control.close()
            control.sendall(len(payload).to_bytes(4, "big") + payload)
        except OSError as error:
            supervised.close()
            raise HostError(
                f"a stage cannot be started: {error}", "the process that starts stages was killed; run it again"
            ) from error
        finally:
            far_control.close()
            os.close(far_output)
        return supervised

    def _hand_over(self, level: bytes, descriptors: list[int]) -> None:
        with self._lock:
            for attempt in (1, 2):
                try:
                    socket.send_fds(self._connected(), [level], descriptors)
                except OSError:
                    self._forget()
                    if attempt == 2:
                        raise
                else:
                    return

    def _connected(self) -> socket.socket:
        """The socket to the keeper, started where it does not run; a fork of the runner starts one of its own."""
        if self._requests is None or self._owner != os.getpid():
            self._requests, far = socket.socketpair()
            self._owner = os.getpid()
            arguments = [sys.executable, "-I", "-S", "-X", "utf8", str(KEEPER), str(far.fileno())]
            with far:
                self._keeper = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[far.fileno()],
                    start_new_session=True,
                    cwd="/",
                    env={"PATH": os.defpath},
                )
        return self._requests

    def _forget(self) -> None:
        if self._requests is not None:
            self._requests.close()
        if self._keeper is not None and self._owner == os.getpid():
            self._keeper.wait()
        self._requests = self._keeper = None

    def close(self) -> None:
        """End the keeper; stages that still run are not touched by this (each ends with its own control socket)."""
        with self._lock:
            self._forget()


def wait_readable(descriptors: list[int], timeout_seconds: float) -> set[int]:
    """Which of the descriptors have data or have ended, waiting no longer than the timeout."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(timeout_seconds * 1000)}


launcher = Launcher()
"""The one of this process."""

atexit.register(launcher.close)
