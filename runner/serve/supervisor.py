"""The supervisor: owns the listening socket, and has workers serve on it, whatever becomes of them.

A new model is loaded by new workers while the old ones serve: by one first, and when that one says that it is ready, by
as many as are asked for. When all are ready they get the socket, and only when they serve do the old ones drain.
Whatever goes wrong before leaves the old ones as they are. A worker that dies or hangs is replaced, and a version whose
workers keep dying by the one that served before it. The supervisor itself opens no model and imports none of what
models need, and what a worker says may be anything.
"""

from __future__ import annotations

import itertools
import os
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from runner.errors import InputError
from runner.serve import metrics, pipe
from runner.serve.companions import Companion, begun
from runner.serve.confinement import used_bytes
from runner.serve.generations import Generation, Worker, about, end_process
from runner.serve.settings import Settings, as_json

Event = Mapping[str, Any]
_TICK_SECONDS = 0.2
_SCRAPE_SECONDS = 1.0
_TEMPLATE_WAIT_SECONDS = 0.1
"""Before the next template is started, where the last one died soon."""
_GATE_SECONDS = 5.0
_GATE_COPIES = 4
"""As often does a message lie in memory on its way through what speaks gRPC."""
_SHIP_SECONDS = 15.0
"""How long files of the prediction log are shipped once the server stops; what is left then goes the next time."""
_PASSED_ON = (
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV",
    "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS", "LD_LIBRARY_PATH",
)  # fmt: skip
"""Of the environment; credentials of whoever started the server are nothing to a model."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class _Scrape:
    """One worker wants the numbers of the others."""

    def __init__(self, asker: Worker, number: int, asked: set[int]) -> None:
        self.asker = asker
        self.number = number
        self.asked = asked
        """Tokens of those that have not answered yet."""
        self.until = time.monotonic() + _SCRAPE_SECONDS


class Supervisor:
    """Serves one model at a time on one socket; `run()` in one thread, everything else from any."""

    def __init__(
        self,
        listening: socket.socket,
        tell: Callable[[Event], None],
        *,
        key: bytes = b"",
        environ: Mapping[str, str],
        grpc: str | None = None,
    ) -> None:
        """tell: gets each thing that happens, in the thread of `run()`. key: for columns that the log hashes.

        grpc: address and port where gRPC is spoken, too.
        """
        self._listening = listening
        self._tell = tell
        self._key = key
        self._whole_environ = environ
        self._environ = {name: environ[name] for name in _PASSED_ON if name in environ} | _ONE_THREAD
        self._selector = selectors.DefaultSelector()
        self._waking, self._waken = socket.socketpair()
        self._waking.setblocking(False)
        self._waken.setblocking(False)
        self._selector.register(self._waking, selectors.EVENT_READ, self._woken)
        self._inbox: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._tokens = itertools.count(1)
        self._workers: dict[int, Worker] = {}
        self._current: Generation | None = None
        self._candidate: Generation | None = None
        self._template: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._template_began = 0.0
        self._before: Settings | None = None
        """What served before the version that serves now."""
        self._about: dict[str, Any] = {}
        self._scrapes: list[_Scrape] = []
        self._gone = metrics.merged(())
        """What workers counted that are no more."""
        self._grpc = grpc
        self._gate: Companion | None = None
        self._gate_until = 0.0
        """How long it may take to answer what it has, once the server stops."""
        self._shipper: Companion | None = None
        self._shipping: dict[str, Any] = {}
        """What `/status` says of it."""
        self._stopping = False
        self._stopped = False

    def swap(self, settings: Settings) -> None:
        """Serve this from when it is ready; a model that is being loaded is given up for it.

        Raises InputError for settings that are too long for a worker.
        """
        if not pipe.fits(self._request(0, settings)):
            text = f"the settings of {settings.served.name} version {settings.served.version} are too long for a server"
            raise InputError(text, f"name fewer types and columns: all of it may take {pipe.MOST_BYTES >> 10} KiB")
        self._post(lambda: self._start_candidate(settings))

    def tell(self, about: Mapping[str, Any]) -> None:
        """What `/status` says beside what the worker knows, from now on."""

        def told() -> None:
            self._about = dict(about)
            self._tell_workers()

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

    # ----- the template

    def _start_template(self) -> None:
        self._template, ours = begun("runner.serve.template", self._environ)
        self._template_began = time.monotonic()
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
        unborn = [worker for worker in self._workers.values() if worker.pid is None]
        for worker in unborn:
            self._drop(worker)  # nobody will fork it
        if time.monotonic() - self._template_began < 10 * _TEMPLATE_WAIT_SECONDS:
            time.sleep(_TEMPLATE_WAIT_SECONDS)
        self._start_template()
        for worker in unborn:
            self._start(worker.generation)

    def _forked(self, token: int, pid: int) -> None:
        worker = self._workers.get(token)
        if worker is None:
            end_process(pid)  # given up before it was there; a model that hangs would go on for ever
            return
        if worker.pid is not None:
            return
        worker.pid = pid
        worker.born_bytes = used_bytes(pid) or 0
        try:
            worker.handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return  # its pipe ends, and says so
        # What a model has started may hold the pipe open when the worker is gone.
        self._selector.register(worker.handle, selectors.EVENT_READ, lambda: self._ended(worker))

    # ----- workers

    def _start(self, generation: Generation) -> Worker:
        assert self._control is not None
        ours, theirs = pipe.pair()
        worker = Worker(next(self._tokens), generation, ours)
        ours.setblocking(False)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear(worker))
        self._workers[worker.token] = worker
        generation.workers.append(worker)
        pipe.say(self._control, self._request(worker.token, generation.settings), (theirs.fileno(),))
        theirs.close()
        return worker

    def _request(self, token: int, settings: Settings) -> Mapping[str, Any]:
        """To the template, for a worker."""
        return {"token": token, "settings": as_json(settings), "key": self._key.hex()}

    def _start_candidate(self, settings: Settings) -> None:
        if self._stopping:
            return
        if self._candidate is not None:
            if self._candidate.workers[0].state != "failed":
                self._tell(_event("given up", self._candidate.workers[0]))
            self._give_up(self._candidate)
        self._candidate = Generation(settings)
        self._tell(_event("starting", self._start(self._candidate)))

    def _give_up(self, generation: Generation) -> None:
        for worker in list(generation.workers):
            self._retire(worker)
        self._candidate = None

    def _retire(self, worker: Worker, *, at_once: bool = False) -> None:
        """Have no more of a worker: it drains where it may have met a client, and ends now where not."""
        if worker.has_socket and worker.state in ("ready", "serving"):
            self._drain(worker, at_once=at_once)
        elif worker.state != "draining":
            self._drop(worker)

    def _hear(self, worker: Worker) -> None:
        while worker.token in self._workers:
            try:
                message, descriptors = pipe.heard(worker.pipe)
                for descriptor in descriptors:
                    os.close(descriptor)
                if message is None:
                    self._lost(worker)
                    return
                self._said(worker, message)
            except BlockingIOError:
                return
            except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
                self._end(worker, "it says what nobody understands")
                return
            worker.heard = time.monotonic()

    def _ended(self, worker: Worker) -> None:
        """The process has ended: hear what it said last."""
        self._hear(worker)
        if worker.token in self._workers:
            self._lost(worker)

    def _said(self, worker: Worker, message: dict[str, Any]) -> None:
        said = message.pop("say")
        if "numbers" in message:
            worker.numbers = metrics.checked(message.pop("numbers"))
        if said == "alive":
            worker.busy = float(message["busy"])
        elif said == "ready" and worker.state == "starting":
            self._is_ready(worker, message)
        elif said == "serving" and worker.state == "ready":
            self._serves(worker)
        elif said == "failed":
            worker.state = "failed"
            self._tell(_event("failed", worker, reason=str(message["reason"])))
        elif said == "drained":
            worker.state = "drained"
            self._tell(_event("drained", worker, cut=message["cut"]))
        elif said == "scrape":
            self._scrape(worker, int(message["number"]))
        elif said == "counted":
            self._counted(worker)

    def _is_ready(self, worker: Worker, facts: dict[str, Any]) -> None:
        worker.state = "ready"
        generation = worker.generation
        if generation is self._current:
            self._tell(_event("ready", worker, **facts))
            self._let_serve(worker)
        elif generation is self._candidate:
            if worker is generation.workers[0]:
                self._tell(_event("ready", worker, **facts))
                for _ in range(generation.settings.workers - 1):
                    self._start(generation)
            if generation.is_ready:
                for one in generation.workers:
                    self._let_serve(one)

    def _tell_workers(self) -> None:
        for worker in self._current.workers if self._current is not None else ():
            self._tell_worker(worker)

    def _tell_worker(self, worker: Worker) -> None:
        pipe.say(worker.pipe, {"do": "tell", "about": {**self._about, **self._shipping}})

    def _let_serve(self, worker: Worker) -> None:
        self._tell_worker(worker)
        # Only now: whatever a model does while it is loaded, it meets no client.
        worker.has_socket = True
        pipe.say(worker.pipe, {"do": "serve"}, (self._listening.fileno(),))

    def _serves(self, worker: Worker) -> None:
        worker.state = "serving"
        worker.began = time.monotonic()
        if worker.generation is self._current:
            self._tell(_event("serving", worker))
        elif worker.generation is self._candidate and worker.generation.is_serving:
            self._take_over(worker.generation)

    def _take_over(self, generation: Generation) -> None:
        old, self._current, self._candidate = self._current, generation, None
        if old is not None and old.settings != generation.settings:
            has_model = old.settings.vacancy is None
            self._before = old.settings if has_model and not generation.is_fallback else None
        self._ship_logs(generation.settings)
        self._open_gate(generation.settings)
        self._tell(_event("serving", generation.workers[0]))
        for worker in list(old.workers) if old is not None else ():
            self._retire(worker)

    def _drain(self, worker: Worker, *, at_once: bool) -> None:
        worker.state = "draining"
        seconds = worker.settings.limits.drain_seconds
        worker.until = time.monotonic() + seconds + 5.0
        pipe.say(worker.pipe, {"do": "drain", "seconds": seconds, "at_once": at_once})

    def _lost(self, worker: Worker, why: str = "") -> None:
        """A worker is gone, or as good as gone. why: where it was ended."""
        state, generation = worker.state, worker.generation
        why = why or f"the worker died while it was {state}"
        self._drop(worker)
        if generation is self._candidate:
            if state != "failed":
                self._tell(_event("failed", worker, reason=why))
            self._give_up(generation)
            if self._current is not None:
                self._current.fill_up(time.monotonic())
        elif generation is self._current and state not in ("draining", "drained") and not self._stopping:
            if state == "serving":
                self._tell(_event("died", worker))
            elif state != "failed":
                self._tell(_event("failed", worker, reason=why))
            self._replace(worker, served=state == "serving")
        if self._stopping and not self._workers:
            self._stopped = True

    def _replace(self, worker: Worker, served: bool) -> None:
        """Have another one in place of one that died, or the version before where too many did."""
        now, limits, generation = time.monotonic(), worker.settings.limits, worker.generation
        generation.deaths.died(now, now - worker.began if served else 0.0)
        times = generation.deaths.within(now, limits.deaths_seconds)
        if times < limits.deaths or self._before is None or self._candidate is not None:
            generation.fill_up(now)
            return
        text = f"its worker died {times} times within {limits.deaths_seconds:g} s"
        before, self._before = self._before, None
        reason = f"{text}: version {before.served.version}, which served before, serves again"
        self._tell(_event("failed", worker, reason=reason))
        self._candidate = Generation(before)
        self._candidate.is_fallback = True
        self._tell(_event("starting again", self._start(self._candidate)))

    def _end(self, worker: Worker, why: str) -> None:
        """End a worker that is at fault: first of all, so that it takes no connection once that is told."""
        worker.kill()
        self._tell(_event("ended", worker, reason=why))
        self._lost(worker, why)

    def _look_round(self) -> None:
        now = time.monotonic()
        if self._current is not None and not self._stopping:
            due = [moment for moment in self._current.due if moment <= now]
            self._current.due = [moment for moment in self._current.due if moment > now]
            for _ in due:
                self._tell(_event("starting again", self._start(self._current)))
        for worker in list(self._workers.values()):
            fault = worker.fault(now) if worker.token in self._workers else None
            if fault is not None:
                self._end(worker, fault)
        for companion in (self._shipper, self._gate):
            if companion is not None and not self._stopping:
                companion.look_round(now)
        if self._gate_until and (self._gate is None or self._gate.pid is None or self._gate_until < now):
            self._gate_until = 0.0
            self._stop_workers()
        for scrape in [one for one in self._scrapes if one.until < now]:
            self._answer(scrape)

    def _drop(self, worker: Worker) -> None:
        """Forget a worker, and make sure that its process ends."""
        if self._workers.pop(worker.token, None) is None:
            return
        worker.generation.workers.remove(worker)
        if worker.numbers is not None:
            self._gone = metrics.merged((self._gone, metrics.of_the_gone(worker.numbers)))
        self._selector.unregister(worker.pipe)
        if worker.handle is not None:
            self._selector.unregister(worker.handle)
        worker.kill()
        worker.close()

    # ----- the prediction log on its way

    def _ship_logs(self, settings: Settings) -> None:
        log = settings.log
        if log is None or not log.to:
            return
        way = {"folder": log.folder, "to": log.to, "format": log.format, "space_bytes": log.space_bytes}
        if self._shipper is None:
            self._shipper = Companion(
                "runner.serve.shipping", self._whole_environ, self._selector, self._heard_of_shipping
            )
            self._shipper.start()
        self._shipper.order({"do": "ship", "way": way})

    def _heard_of_shipping(self, message: Mapping[str, Any]) -> None:
        fault = f"it died with {message['code']}" if message["say"] == "died" else message.get("fault")
        if {"shipping": {"fault": fault}} == self._shipping:
            return
        if fault is not None:
            self._tell({"event": "log not shipped", "reason": fault})
        self._shipping = {"shipping": {"fault": fault}}
        self._tell_workers()

    # ----- gRPC

    def _open_gate(self, settings: Settings) -> None:
        if self._grpc is None or self._gate is not None:
            return
        host, port = self._listening.getsockname()[:2]
        order = {
            "do": "gate",
            "listen": self._grpc,
            "host": {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host),
            "port": port,
            "body_bytes": settings.limits.body_bytes,
            "bodies_bytes": settings.limits.bodies_bytes // _GATE_COPIES,
            "most_calls": settings.limits.connections,
        }
        self._gate = Companion("runner.serve.grpc_gate", self._environ, self._selector, self._heard_of_gate)
        self._gate.start()
        self._gate.order(order)

    def _heard_of_gate(self, message: Mapping[str, Any]) -> None:
        if message["say"] == "listening":
            self._tell({"event": "grpc", "address": message["address"]})
        elif message["say"] == "failed":
            self._tell({"event": "grpc failed", "reason": message["reason"]})
        elif not self._stopping:
            self._tell({"event": "grpc died", "code": message["code"]})

    # ----- numbers

    def _scrape(self, asker: Worker, number: int) -> None:
        others = [one for one in self._workers.values() if one is not asker and one.state in ("serving", "draining")]
        asked = {one.token for one in others if pipe.say(one.pipe, {"do": "count"})}
        scrape = _Scrape(asker, number, asked)
        self._scrapes.append(scrape)
        if not asked:
            self._answer(scrape)

    def _counted(self, worker: Worker) -> None:
        for scrape in list(self._scrapes):
            scrape.asked.discard(worker.token)
            if not scrape.asked:
                self._answer(scrape)

    def _answer(self, scrape: _Scrape) -> None:
        """Say what there is: of a worker that did not answer in time, what it said before."""
        self._scrapes.remove(scrape)
        if scrape.asker.token not in self._workers:
            return
        others = [one.numbers for one in self._workers.values() if one is not scrape.asker and one.numbers is not None]
        shipper = (self._shipper.numbers,) if self._shipper is not None else ()
        numbers = metrics.merged((self._gone, *shipper, *others))
        pipe.say(scrape.asker.pipe, {"do": "counted", "number": scrape.number, "numbers": numbers})

    # ----- the end

    def _begin_to_stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        if self._gate is not None and self._gate.pid is not None:
            self._gate.finish()
            self._gate_until = time.monotonic() + _GATE_SECONDS
        else:
            self._stop_workers()

    def _stop_workers(self) -> None:
        for worker in list(self._workers.values()):
            self._retire(worker, at_once=True)
        self._candidate = None
        self._listening.close()
        if not self._workers:
            self._stopped = True

    def _end_all(self) -> None:
        for worker in list(self._workers.values()):
            self._drop(worker)
        for companion, seconds in ((self._gate, 0.0), (self._shipper, _SHIP_SECONDS)):
            if companion is not None:
                companion.end(seconds)
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


def _event(name: str, worker: Worker, **more: Any) -> Event:
    known = about(worker)
    own = {"event": name, **{name: known[name] for name in ("model", "version", "pid")}}
    return {**own, **known, **more, **own}  # what a worker says of itself is not of another one
