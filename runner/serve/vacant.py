"""A worker without a model: while nothing is released, or nothing any more, somebody has to say so.

It answers health checks, `/status` and `/metrics`, and every other request with what is the matter.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from runner import __version__
from runner.serve import metrics, open_inference, pipe
from runner.serve.calls import JSON_TYPE, discarded, dumped, identity_of
from runner.serve.metrics import Metrics
from runner.serve.refusals import Refused
from runner.serve.settings import Settings, Vacancy

_RETRY_SECONDS = b"5"


def work(settings: Settings, vacancy: Vacancy, supervisor: socket.socket) -> int:
    """The whole life of such a worker; the exit code of its process."""
    import uvloop

    pipe.say(supervisor, {"say": "started", "pid": os.getpid()})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        return loop.run(_serve(settings, vacancy, supervisor))


async def _serve(settings: Settings, vacancy: Vacancy, supervisor: socket.socket) -> int:
    from runner.serve.http import Listener

    app, orders = Vacant(settings, vacancy), asyncio.Queue[dict[str, Any] | None]()
    listener, loop = Listener(app, settings.limits), asyncio.get_running_loop()
    supervisor.setblocking(False)

    listening: list[socket.socket] = []

    def hear() -> None:
        message, descriptors = pipe.heard(supervisor)
        listening.extend(socket.socket(fileno=descriptor) for descriptor in descriptors)
        if message is not None and message["do"] == "count":
            pipe.say(supervisor, {"say": "counted", "numbers": app.numbers()})
            return
        orders.put_nowait(message)
        if message is None:
            loop.remove_reader(supervisor)

    loop.add_reader(supervisor, hear)
    pipe.say(supervisor, {"say": "ready", "seconds": 0.0, "way": "vacant"})
    beating = loop.create_task(_beat(supervisor, listener, app))
    while (order := await orders.get()) is not None:
        if order["do"] == "serve":
            await listener.listen(listening[0])
            pipe.say(supervisor, {"say": "serving", "version": ""})
        elif order["do"] == "tell":
            app.told = order["about"]
        elif order["do"] == "drain":
            cut = await listener.drain(order["seconds"], order["at_once"])
            pipe.say(supervisor, {"say": "drained", "cut": cut, "numbers": app.numbers()})
            break
    else:
        await listener.drain(settings.limits.drain_seconds, at_once=True)
    beating.cancel()
    return 0


async def _beat(supervisor: socket.socket, listener: Any, app: Vacant) -> None:
    while True:
        told = {"busy": 0.0, "connections": listener.connections, "numbers": app.numbers()}
        pipe.say(supervisor, {"say": "alive", **told})
        await asyncio.sleep(1.0)


class Vacant:
    """No model, over HTTP."""

    def __init__(self, settings: Settings, vacancy: Vacancy) -> None:
        self._vacancy = vacancy
        self._settings = settings
        self._metrics = Metrics()
        self._count, self._prefix = 0, os.urandom(6).hex()
        self.told: dict[str, Any] = {}
        """What the supervisor says of the state of things."""
        self.draining = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request (see ASGI)."""
        method, path = scope["method"], scope["path"]
        self._count += 1
        identity = identity_of(scope["headers"]) or f"{self._prefix}-{self._count}"
        status, body, headers = self._reply(path, identity)
        known = path if path in ("/status", "/metrics", "/v2", "/v2/health/live", "/v2/health/ready") else "other"
        self._metrics.answered(method if method in ("GET", "HEAD", "POST") else "other", known, status, 0.0)
        said = [*headers, (b"content-length", str(len(body)).encode()), (b"x-request-id", identity.encode())]
        if self.draining or method not in ("GET", "HEAD"):
            said.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": said})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        if method not in ("GET", "HEAD"):
            await discarded(receive, self._settings.limits.head_seconds)
        await send({"type": "http.response.body", "body": b""})

    def _reply(self, path: str, identity: str) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        if path == "/status":
            return 200, dumped(self._status()), [JSON_TYPE]
        if path == "/metrics":
            text, kind = metrics.page(self.numbers(), None, self.told.get("gauges", {}))
            return 200, text, [(b"content-type", kind.encode())]
        if path == "/v2":
            return 200, dumped(open_inference.server_metadata(__version__)), [JSON_TYPE]
        if path == "/v2/health/live":
            return 200, dumped({"live": True}), [JSON_TYPE]
        health = path in ("/v2/health/ready", "/ping", "/health")
        status = 503 if health else self._vacancy.status
        told: dict[str, Any] = Refused(self._why(), status=status).document(identity)
        if health:
            told["ready"] = False
        retry = [(b"retry-after", _RETRY_SECONDS)] if status == 503 else []
        return status, dumped(told), [JSON_TYPE, *retry]

    def _why(self) -> str:
        return str(self.told.get("why") or self._vacancy.why)

    def _status(self) -> dict[str, Any]:
        served = self._settings.served
        known = {"version": None, "digest": None, "since": None, "state": self._vacancy.state, "pid": os.getpid()}
        told = {name: value for name, value in self.told.items() if name != "gauges"}
        return {**known, "runner": __version__, "why": self._vacancy.why, **served.about, **told}

    def numbers(self) -> metrics.Numbers:
        """What it counted."""
        return self._metrics.numbers({})
