"""Processes of the server's own code beside its workers: one ships files of the prediction log, one speaks gRPC.

None opens a model. A model that dies, hangs or is swapped is nothing to them; and one of them that dies is started
again, and no worker notices.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runner.errors import HostError
from runner.serve import metrics, pipe
from runner.serve.deaths import Deaths

_WAIT_SECONDS = 0.2


def begun(
    module: str, environ: Mapping[str, str], descriptors: Sequence[int] = ()
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A program of ours and the pipe to it, which never blocks; it is given its end and the descriptors by number.

    Raises HostError.
    """
    ours, theirs = pipe.pair()
    number = theirs.fileno()
    try:
        process = subprocess.Popen(
            # -P: the folder that the server was started in is no place to import from
            [sys.executable, "-P", "-m", module, str(number), *map(str, descriptors)],
            env=environ,
            pass_fds=(number, *descriptors),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        raise HostError(f"no process can be started: {error.strerror}", "look at the limits of this host") from error
    finally:
        theirs.close()
    ours.setblocking(False)
    return process, ours


class Companion:
    """One of them; everything here runs on the supervisor's thread."""

    def __init__(
        self,
        module: str,
        environ: Mapping[str, str],
        selector: selectors.BaseSelector,
        heard: Callable[[Mapping[str, Any]], None],
        descriptors: Sequence[int] = (),
    ) -> None:
        """heard: gets what it says, and `{"say": "died", "code": N}`. descriptors: what it inherits, in this order."""
        self._module = module
        self._environ = dict(environ)
        self._selector = selector
        self._heard = heard
        self._descriptors = tuple(descriptors)
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: socket.socket | None = None
        self._orders: list[Mapping[str, Any]] = []
        self._began = self._due = 0.0
        self._deaths = Deaths()
        self.numbers = metrics.merged(())

    @property
    def pid(self) -> int | None:
        """Of its process."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Raises HostError."""
        self._process, ours = begun(self._module, self._environ, self._descriptors)
        self._pipe = ours
        self._began = time.monotonic()
        self._selector.register(ours, selectors.EVENT_READ, self._hear)
        for order in self._orders:
            pipe.say(ours, order)

    def order(self, message: Mapping[str, Any]) -> None:
        """Say something that also holds for whatever comes in its place."""
        if message in self._orders:
            return
        self._orders.append(message)
        if self._pipe is not None:
            pipe.say(self._pipe, message)

    def look_round(self, now: float) -> None:
        """Start it again when that is due."""
        if self._process is None and self._due and self._due <= now:
            self._due = 0.0
            self.start()

    def _hear(self) -> None:
        while self._pipe is not None:
            try:
                message, _ = pipe.heard(self._pipe)
            except BlockingIOError:
                return
            if message is None:
                self._died()
                return
            self.numbers = message.pop("numbers", self.numbers)
            self._heard(message)

    def _died(self) -> None:
        assert self._process is not None
        code = self._process.wait()
        self._forget()
        now = time.monotonic()
        self._deaths.died(now, now - self._began)
        self._due = now + self._deaths.wait() + _WAIT_SECONDS
        self._heard({"say": "died", "code": code})

    def _forget(self) -> None:
        self._process = None
        if self._pipe is not None:
            self._selector.unregister(self._pipe)
            self._pipe.close()
            self._pipe = None

    def finish(self) -> None:
        """Have it do what is left, and end."""
        if self._pipe is not None:
            pipe.say(self._pipe, {"do": "finish"})

    def end(self, seconds: float) -> None:
        """Have it do what is left, for so long at most; where it died before it could, another one does it."""
        until = time.monotonic() + seconds
        if self._process is not None and self._ended_well(until):
            return
        if self._orders and time.monotonic() < until:
            with contextlib.suppress(HostError):  # what is left waits on the disk for the next server
                self.start()
                self._ended_well(until)

    def _ended_well(self, until: float) -> bool:
        """Whether it did what was left; it is gone afterwards, so or so."""
        assert self._process is not None
        self.finish()
        try:
            code = self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            code = self._process.wait()
        self._forget()
        return code == 0
