"""The runner's end of the keeper: starts it when the first stage needs it, asks it for supervisors, and gives each of
them one stage after the other."""

from __future__ import annotations

import atexit
import marshal
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runner.errors import HostError

KEEPER = Path(__file__).with_name("keeper.py")
_BYTE_CODE = (
    "import sys,_frozen_importlib_external as files;"
    "exec(files.SourceFileLoader('keeper',sys.argv.pop(1)).get_code('keeper'))"
)
"""Runs a program from its byte code, as an import would: compiling it takes longer than all else of the keeper's start,
and the memory that this leaves costs in every fork."""


class Supervised:
    """A stage under its supervisor: the socket that stops it and brings its answer, and the pipe that brings its
    output."""

    def __init__(self, control: socket.socket, output: int, give_back: Callable[[socket.socket], None]) -> None:
        self.control = control
        self.output = output
        self._give_back = give_back
        self._was_stopped = False
        self._is_free = False
        """Whether the supervisor has ended the stage by itself and waits for another one."""

    def ask_to_end(self) -> None:
        """Send SIGTERM to the process group of the running command; no further command starts."""
        self._send(b"t")

    def kill(self) -> None:
        """Kill everything of the stage at once."""
        self._send(b"k")

    def answer(self) -> dict[str, Any] | None:
        """What the supervisor says at the end (see keeper.py); None when it was killed before it could."""
        try:
            head = self._read(4)
            data = self._read(int.from_bytes(head, "big")) if head else None
        except ConnectionError:
            return None
        if not data:
            return None
        answer: dict[str, Any] = marshal.loads(data)
        self._is_free = not self._was_stopped and answer.get("cleared", False)
        return answer

    def _read(self, size_bytes: int) -> bytes | None:
        data = self.control.recv(size_bytes)
        while data and len(data) < size_bytes:
            chunk = self.control.recv(size_bytes - len(data))
            data = data + chunk if chunk else b""
        return data or None

    def _send(self, order: bytes) -> None:
        self._was_stopped = True  # the order may come after the end of this stage, and must not meet the next one
        try:
            self.control.send(order)
        except OSError:
            return  # it has just ended by itself; its answer, or its end, is read next

    def close(self) -> None:
        """Let go of the stage; one that still runs is killed by its supervisor, which sees the end of the stream."""
        os.close(self.output)
        if self._is_free:
            self._give_back(self.control)
        else:
            self.control.close()


class Launcher:
    """One keeper for each process of ours, and the supervisors that it has made; safe to call from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._owner = 0
        self._free: dict[bytes, list[socket.socket]] = {}
        """Supervisors that wait for a stage, by level."""

    def prepare(self, level: bytes, count: int) -> None:
        """Have so many supervisors made at a level for stages that will start soon, without waiting for them.

        Raises HostError or OSError when no process or descriptor can be had.
        """
        with self._lock:
            self._connected()
            for _ in range(count - len(self._free.get(level, ()))):
                made = self._new_supervisor(level)
                self._free.setdefault(level, []).insert(0, made)  # the last is taken first: the one that is there first

    def launch(self, level: bytes, request: Mapping[str, Any]) -> Supervised:
        """Hand a request to a supervisor at a level (`g`, `p`, `o`; see keeper.py).

        Raises HostError when no process or descriptor can be had.
        """
        payload = marshal.dumps(dict(request))
        payload = len(payload).to_bytes(4, "big") + payload
        try:
            output, far_output = os.pipe()
        except OSError as error:
            raise _too_many(error) from error
        try:
            control = self._handed_over(level, payload, far_output)
        except OSError as error:
            os.close(output)
            raise HostError(
                f"a stage cannot be started: {error}", "the process that starts stages was killed; run it again"
            ) from error
        except HostError:
            os.close(output)
            raise
        finally:
            os.close(far_output)
        return Supervised(control, output, lambda free: self._take_back(level, free))

    def _handed_over(self, level: bytes, payload: bytes, output: int) -> socket.socket:
        """The control socket of the supervisor that has the request now: one that waits, else a new one."""
        while True:
            control, is_new = self._supervisor(level)
            try:
                sent = socket.send_fds(control, [payload], [output])
                if sent < len(payload):
                    control.sendall(payload[sent:])
                return control
            except OSError:
                control.close()
                if is_new:
                    raise
                # one that waited has been killed meanwhile

    def _supervisor(self, level: bytes) -> tuple[socket.socket, bool]:
        """The control socket of a supervisor without a stage, and whether it was made for this one."""
        with self._lock:
            self._connected()
            waiting = self._free.get(level)
            if waiting:
                return waiting.pop(), False
            return self._new_supervisor(level), True

    def _new_supervisor(self, level: bytes) -> socket.socket:
        try:
            control, far_control = socket.socketpair()
        except OSError as error:
            raise _too_many(error) from error
        try:
            with far_control:
                self._ask_for_supervisor(level, far_control)
        except OSError:
            control.close()
            raise
        return control

    def _ask_for_supervisor(self, level: bytes, control: socket.socket) -> None:
        for attempt in (1, 2):
            try:
                socket.send_fds(self._connected(), [level], [control.fileno()])
            except OSError:
                self._forget()
                if attempt == 2:
                    raise
            else:
                return

    def _take_back(self, level: bytes, control: socket.socket) -> None:
        with self._lock:
            if self._owner == os.getpid() and self._keeper is not None:
                self._free.setdefault(level, []).append(control)
            else:
                control.close()

    def _connected(self) -> socket.socket:
        """The socket to the keeper, started where it does not run; a fork of the runner starts one of its own.

        Supervisors of a keeper that was killed are left: nobody would clear away after one that is killed too.
        """
        if self._owner == os.getpid() and self._keeper is not None and self._keeper.poll() is not None:
            self._forget()
        if self._requests is None or self._owner != os.getpid():
            self._let_free_go()
            self._requests, far = socket.socketpair()
            self._owner = os.getpid()
            switches = ["-I", "-S", "-X", "utf8", *(["-B"] if sys.dont_write_bytecode else [])]
            arguments = [sys.executable, *switches, "-c", _BYTE_CODE, str(KEEPER), str(far.fileno())]
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

    def _let_free_go(self) -> None:
        for waiting in self._free.values():
            for control in waiting:
                control.close()
        self._free.clear()

    def _forget(self) -> None:
        self._let_free_go()
        if self._requests is not None:
            self._requests.close()
        if self._keeper is not None and self._owner == os.getpid():
            self._keeper.wait()
        self._requests = self._keeper = None

    def close(self) -> None:
        """End the keeper; stages that still run are not touched by this (each ends with its own control socket)."""
        with self._lock:
            self._forget()


def _too_many(error: OSError) -> HostError:
    return HostError(f"a stage cannot be started: {error}", "too many stages at once? lower --jobs")


def wait_readable(descriptors: list[int], timeout_seconds: float) -> set[int]:
    """Which of the descriptors have data or have ended, waiting no longer than the timeout."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(timeout_seconds * 1000)}


launcher = Launcher()
"""The one of this process."""

atexit.register(launcher.close)
