"""The supervisor: owns the listening socket, and has one worker serve on it, whatever becomes of workers.

A new model is loaded by a new worker while the old one serves; only when it says that it is ready does it get the
socket, and only when it serves does the old one drain. Whatever goes wrong before leaves the old one as it is. A worker
that dies or hangs is replaced. The supervisor itself opens no model and imports none of what models need.
"""

from __future__ import annotations

import itertools
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from runner.errors import HostError
from runner.serve import pipe
from runner.serve.settings import Settings, as_json

Event = Mapping[str, Any]
_TICK_SECONDS = 0.2
_SILENT_SECONDS = 30.0
"""A worker whose loop does not turn for so long is replaced."""
_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 10.0
_SOUND_SECONDS = 30.0
"""A worker that lived so long makes earlier deaths forgotten."""
_PASSED_ON = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV",
    "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS", "LD_LIBRARY_PATH",
)  # fmt: skip
"""Of the environment; credentials of whoever started the server are nothing to a model."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class _Worker:
    """One worker, as the supervisor sees it."""

    def __init__(self, token: int, settings: Settings, ours: socket.socket) -> None:
        self.token = token
        self.settings = settings
        self.pipe = ours
        self.pid: int | None = None
        self.handle: int | None = None
        self.state = "starting"
        self.began = self.heard = time.monotonic()
        self.busy = 0.0
        self.facts: dict[str, Any] = {}
        self.until = float("inf")
        """When a draining one is ended."""

    def kill(self) -> None:
        """End it at once, if it is still there."""
        if self.handle is not None:
            try:
                signal.pidfd_send_signal(self.handle, signal.SIGKILL)
            except ProcessLookupError:
                return

    def close(self) -> None:
        """Let go of what the supervisor holds of it."""
        self.pipe.close()
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None


class Supervisor:
    """Serves one model at a time on one socket; `run()` in one thread, everything else from any."""

    def __init__(
        self, listening: socket.socket, tell: Callable[[Event], None], *, key: bytes = b"", environ: Mapping[str, str]
    ) -> None:
        """tell: gets each thing that happens, in the thread of `run()`. key: for columns that the log hashes."""
        self._listening = listening
        self._tell = tell
        self._key = key
        self._environ = {name: environ[name] for name in _PASSED_ON if name in environ} | _ONE_THREAD
        self._selector = selectors.DefaultSelector()
        self._waking, self._waken = socket.socketpair()
        self._waking.setblocking(False)
        self._waken.setblocking(False)
        self._selector.register(self._waking, selectors.EVENT_READ, self._woken)
        self._inbox: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._tokens = itertools.count(1)
        self._workers: dict[int, _Worker] = {}
        self._current: _Worker | None = None
        self._candidate: _Worker | None = None
        self._template: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._about: dict[str, Any] = {}
        self._restart: tuple[float, Settings] | None = None
        self._deaths = 0
        self._stopping = False
        self._stopped = False

    def swap(self, settings: Settings) -> None:
        """Serve this from when it is ready; a model that is being loaded is given up for it."""
        self._post(lambda: self._start_candidate(settings))

    def tell(self, about: Mapping[str, Any]) -> None:
        """What `/status` says beside what the worker knows, from now on."""

        def told() -> None:
            self._about = dict(about)
            if self._current is not None:
                pipe.say(self._current.pipe, {"do": "tell", "about": self._about})

        self._post(told)

    def stop(self) -> None:
        """Answer what has come, and end."""
        self._post(self._begin_to_stop)

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set; raises HostError where no process can be started."""
        try:
            self._start_template()
            while not self._stopped:
                for key, _ in self._selector.select(_TICK_SECONDS):
                    key.data()
                if stop.is_set() and not self._stopping:
                    self._begin_to_stop()
                self._look_round()
        finally:
            self._end_all()

    def _post(self, what: Callable[[], None]) -> None:
        with self._lock:
            self._inbox.append(what)
        try:
            self._waken.send(b"\0")
        except BlockingIOError:
            return  # it wakes anyway

    def _woken(self) -> None:
        self._waking.recv(4096)
        with self._lock:
            waiting, self._inbox = self._inbox, []
        for what in waiting:
            what()

    def _start_template(self) -> None:
        ours, theirs = pipe.pair()
        number = theirs.fileno()
        # -P: the folder that the server was started in is no place to import from
        command = [sys.executable, "-P", "-m", "runner.serve.template", str(number)]
        try:
            self._template = subprocess.Popen(
                command, env=self._environ, pass_fds=(number,), stdin=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            raise HostError(
                f"no process can be started: {error.strerror}", "look at the limits of this host"
            ) from error
        theirs.close()
        ours.setblocking(False)
        self._control = ours
        self._selector.register(ours, selectors.EVENT_READ, self._hear_template)

    def _hear_template(self) -> None:
        assert self._control is not None
        while True:
            try:
                message, _ = pipe.heard(self._control)
            except BlockingIOError:
                return
            if message is None:
                self._template_died()
                return
            if message["say"] == "forked":
                self._forked(message["token"], message["pid"])

    def _template_died(self) -> None:
        assert self._control is not None
        assert self._template is not None
        self._selector.unregister(self._control)
        self._control.close()
        code = self._template.wait()
        if self._stopping:
            return
        self._tell({"event": "template died", "code": code})
        waiting = self._candidate if self._candidate is not None and self._candidate.pid is None else None
        if waiting is not None:
            self._drop(waiting)  # nobody will fork it
        time.sleep(min(_FIRST_WAIT_SECONDS * 2**self._deaths, _LONGEST_WAIT_SECONDS))
        self._deaths += 1
        self._start_template()
        if waiting is not None:
            self._candidate = self._start(waiting.settings)
            self._candidate.facts = waiting.facts

    def _forked(self, token: int, pid: int) -> None:
        worker = self._workers.get(token)
        if worker is None or worker.pid is not None:
            return
        worker.pid = pid
        try:
            worker.handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return  # its pipe ends, and says so

    def _start(self, settings: Settings) -> _Worker:
        assert self._control is not None
        ours, theirs = pipe.pair()
        worker = _Worker(next(self._tokens), settings, ours)
        ours.setblocking(False)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear(worker))
        self._workers[worker.token] = worker
        message = {"token": worker.token, "settings": as_json(settings), "key": self._key.hex()}
        pipe.say(self._control, message, (self._listening.fileno(), theirs.fileno()))
        theirs.close()
        return worker

    def _start_candidate(self, settings: Settings) -> None:
        if self._stopping:
            return
        self._restart = None
        if self._candidate is not None:
            self._tell(self._event("given up", self._candidate))
            self._drop(self._candidate)
        self._candidate = self._start(settings)
        self._tell(self._event("starting", self._candidate))

    def _hear(self, worker: _Worker) -> None:
        while worker.token in self._workers:
            try:
                message, _ = pipe.heard(worker.pipe)
            except BlockingIOError:
                return
            if message is None:
                self._lost(worker)
                return
            worker.heard = time.monotonic()
            self._said(worker, message)

    def _said(self, worker: _Worker, message: dict[str, Any]) -> None:
        said = message.pop("say")
        if said == "started":
            self._forked(worker.token, message["pid"])
        elif said == "alive":
            worker.busy = message["busy"]
        elif said == "ready":
            worker.state = "ready"
            worker.facts = message
            self._tell(self._event("ready", worker, **message))
            if worker is self._candidate:
                pipe.say(worker.pipe, {"do": "tell", "about": self._about})
                pipe.say(worker.pipe, {"do": "serve"})
        elif said == "serving":
            self._took_over(worker)
        elif said == "failed":
            worker.state = "failed"
            self._tell(self._event("failed", worker, reason=message["reason"]))
        elif said == "drained":
            worker.state = "drained"
            self._tell(self._event("drained", worker, cut=message["cut"]))

    def _took_over(self, worker: _Worker) -> None:
        worker.state = "serving"
        old, self._current, self._candidate = self._current, worker, None
        worker.began = time.monotonic()
        self._tell(self._event("serving", worker))
        if old is not None:
            self._drain(old, at_once=False)

    def _drain(self, worker: _Worker, *, at_once: bool) -> None:
        worker.state = "draining"
        seconds = worker.settings.limits.drain_seconds
        worker.until = time.monotonic() + seconds + 5.0
        pipe.say(worker.pipe, {"do": "drain", "seconds": seconds, "at_once": at_once})

    def _lost(self, worker: _Worker) -> None:
        """A worker is gone, or as good as gone."""
        state = worker.state
        self._drop(worker)
        if worker is self._candidate:
            self._candidate = None
            if state != "failed":
                self._tell(self._event("failed", worker, reason=f"the worker died while it was {state}"))
            if self._restart is None and self._current is None and worker.facts.get("again"):
                self._later(worker.settings)
        elif worker is self._current:
            self._current = None
            if not self._stopping:
                self._tell(self._event("died", worker))
                self._again(worker)
        if self._stopping and not self._workers:
            self._stopped = True

    def _again(self, worker: _Worker) -> None:
        """Have another worker serve what this one did, unless a newer model is about to."""
        if time.monotonic() - worker.began > _SOUND_SECONDS:
            self._deaths = 0
        if self._candidate is None:
            self._later(worker.settings)

    def _later(self, settings: Settings) -> None:
        wait = 0.0 if not self._deaths else min(_FIRST_WAIT_SECONDS * 2**self._deaths, _LONGEST_WAIT_SECONDS)
        self._deaths += 1
        self._restart = (time.monotonic() + wait, settings)

    def _look_round(self) -> None:
        now = time.monotonic()
        if self._restart is not None and self._restart[0] <= now and not self._stopping:
            settings, self._restart = self._restart[1], None
            self._candidate = self._start(settings)
            self._candidate.facts = {"again": True}
            self._tell(self._event("starting again", self._candidate))
        for worker in list(self._workers.values()):
            fault = self._fault(worker, now)
            if fault is not None:
                self._tell(self._event("ended", worker, reason=fault))
                self._lost(worker)

    def _fault(self, worker: _Worker, now: float) -> str | None:
        limits = worker.settings.limits
        if worker.state in ("starting", "loaded") and now - worker.began > limits.load_seconds:
            return f"it was not ready after {limits.load_seconds:g} s"
        if worker.state in ("draining", "drained") and now > worker.until:
            return "it did not end after it had drained"
        if worker.state == "serving":
            if worker.busy > limits.stuck_seconds:
                return f"the model is busy with one call for more than {limits.stuck_seconds:g} s"
            if now - worker.heard > min(_SILENT_SECONDS, limits.stuck_seconds):
                return "it says nothing any more"
        return None

    def _drop(self, worker: _Worker) -> None:
        """Forget a worker, and make sure that its process ends."""
        if self._workers.pop(worker.token, None) is None:
            return
        self._selector.unregister(worker.pipe)
        worker.kill()
        worker.close()

    def _event(self, name: str, worker: _Worker, **more: Any) -> Event:
        served = worker.settings.served
        known = {"event": name, "model": served.name, "version": served.version, "pid": worker.pid}
        return {**known, "seconds": round(time.monotonic() - worker.began, 3), **more}

    def _begin_to_stop(self) -> None:
        self._stopping = True
        self._restart = None
        for worker in list(self._workers.values()):
            if worker is self._current:
                self._drain(worker, at_once=True)
            elif worker.state != "draining":
                self._drop(worker)
        self._candidate = None
        self._listening.close()
        if not self._workers:
            self._stopped = True

    def _end_all(self) -> None:
        for worker in list(self._workers.values()):
            self._drop(worker)
        if self._control is not None:
            self._control.close()
        if self._template is not None:
            try:
                self._template.wait(5.0)
            except subprocess.TimeoutExpired:
                self._template.kill()
                self._template.wait()
        self._selector.close()
        self._waking.close()
        self._waken.close()
        self._listening.close()
