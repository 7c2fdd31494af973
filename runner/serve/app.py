"""The application: a table of routes, and the way of one request from its headers to its answer.

Raw ASGI: a framework on this way would cost more than the arithmetic of most models.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.serve import mlflow, open_inference, tf_serving
from runner.serve.batching import Batcher
from runner.serve.calls import JSON_TYPE, Call, discarded, dumped, identity_of
from runner.serve.loading import Model
from runner.serve.metrics import Metrics
from runner.serve.predictors import Said
from runner.serve.refusals import Refused
from runner.serve.settings import Limits

if TYPE_CHECKING:
    from runner.serve.access_log import AccessLog
    from runner.serve.explanations import Explanations
    from runner.serve.prediction_log import PredictionLog

_LARGE_BYTES = 256 << 10
"""A body of this size is read by another thread, so that others go on."""
_SMALL_BYTES = 64 << 10
"""Bodies of up to this size are taken however many large ones there are."""
_GONE = 499
"""The status of a request whose client went away, as nginx has it; nobody reads it but those who read logs."""
_SECONDS = re.compile(rb"\d{1,6}(\.\d{1,6})?")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE = (b"connection", b"close")

Reply = tuple[int, bytes, Sequence[tuple[bytes, bytes]]]


class Asked(NamedTuple):
    """What the headers of a request say that matters here."""

    content_type: str
    length: int | None
    request_id: str
    deadline: float
    json_length: str | None


class _Way:
    """What is known of a request on its way."""

    __slots__ = ("explains", "rows", "unread")

    def __init__(self, unread: bool, explains: bool) -> None:
        self.explains = explains
        self.unread = unread
        """Whether some of the body may still have to come."""
        self.rows = 0


class Route(NamedTuple):
    """One row of the table: for metrics the name, and for each method what answers."""

    name: str
    methods: dict[str, Any]
    explains: bool = False
    """Whether what answers is explained, not predicted."""


class App:
    """One model, over HTTP."""

    def __init__(
        self,
        model: Model,
        name: str,
        version: str,
        limits: Limits,
        batcher: Batcher,
        metrics: Metrics,
        scraped: Callable[[], Awaitable[tuple[bytes, str]]],
        log: PredictionLog | None,
        access: AccessLog | None,
        explanations: Explanations | None,
        facts: Callable[[], dict[str, Any]],
        pages: dict[str, tuple[tuple[bytes, bytes], bytes]],
        metadata: tuple[dict[str, Any], dict[str, Any]],
    ) -> None:
        """scraped: the page `/metrics` and its type. facts: what `/status` says.

        pages: what else may be asked for, by path. metadata: of the server and of the model, in the words of the Open
        Inference Protocol.
        """
        self._model = model
        self._name = name
        self._version = version
        self._limits = limits
        self._batcher = batcher
        self._metrics = metrics
        self._scraped = scraped
        self._log = log
        self._access = access
        self._explanations = explanations
        self._facts = facts
        self._loop = asyncio.get_running_loop()
        self._parsers = ThreadPoolExecutor(1, "parse")
        self._bodies = 0
        self._prefix = os.urandom(6).hex()
        self._count = 0
        self.draining = False
        """Whether each answer says that it is the last of its connection."""
        self._routes = self._table(pages, metadata)
        self._quick = {
            path.encode(): path
            for path, route in self._routes.items()
            if "POST" in route.methods and not route.explains
        }

    def _table(
        self,
        pages: dict[str, tuple[tuple[bytes, bytes], bytes]],
        metadata: tuple[dict[str, Any], dict[str, Any]],
    ) -> dict[str, Route]:
        def fixed(body: bytes, *headers: tuple[bytes, bytes]) -> Callable[[], Reply]:
            return lambda: (200, body, headers)

        def get(name: str, answer: Callable[[], Reply | Awaitable[Reply]]) -> Route:
            return Route(name, {"GET": answer, "HEAD": answer})

        server, model = metadata
        checks = self._model.checks
        infer = Route("/v2/models/infer", {"POST": lambda body, asked: open_inference.call_of(
            body, asked.json_length, self._model, self._name, self._version)})  # fmt: skip
        invocations = Route(
            "/invocations", {"POST": lambda body, asked: mlflow.call_of(body, asked.content_type, checks)}
        )
        predict = Route("/v1/models:predict", {"POST": lambda body, asked: tf_serving.call_of(body, checks)})
        ready = fixed(dumped({"name": self._name, "ready": True}), JSON_TYPE)
        status = get("/v1/models", fixed(tf_serving.status_of(self._name, self._version), JSON_TYPE))
        made = {
            "/invocations": invocations,
            "/ping": get("/ping", fixed(b"\n", _TEXT)),
            "/health": get("/health", fixed(b"\n", _TEXT)),
            "/version": get("/version", fixed(server["version"].encode(), _TEXT)),
            "/v2": (metadata_of_server := get("/v2", fixed(dumped(server), JSON_TYPE))),
            "/v2/": metadata_of_server,  # as the protocol's own document has it
            "/v2/health/live": get("/v2/health/live", fixed(dumped({"live": True}), JSON_TYPE)),
            "/v2/health/ready": get("/v2/health/ready", fixed(dumped({"ready": True}), JSON_TYPE)),
            "/v1/models": get("/v1/models", fixed(dumped({"models": [self._name]}), JSON_TYPE)),
            "/status": get("/status", lambda: (200, dumped(self._facts()), (JSON_TYPE,))),
            "/metrics": get("/metrics", self._metrics_page),
        }
        for base in (f"/v2/models/{self._name}", f"/v2/models/{self._name}/versions/{self._version}"):
            made[base] = get("/v2/models", fixed(dumped(model), JSON_TYPE))
            made[f"{base}/ready"] = get("/v2/models/ready", ready)
            made[f"{base}/infer"] = infer
        for base in (f"/v1/models/{self._name}", f"/v1/models/{self._name}/versions/{self._version}"):
            made[base] = status
            made[f"{base}:predict"] = predict
        if self._explanations is not None:
            made["/explain"] = Route("/explain", invocations.methods, explains=True)
            for base in ("", f"/versions/{self._version}"):
                own = f"/models/{self._name}{base}"
                made[f"/v2{own}/explain"] = Route("/v2/models/explain", infer.methods, explains=True)
                made[f"/v1{own}:explain"] = Route("/v1/models:explain", predict.methods, explains=True)
        for path, (kind, body) in pages.items():
            made[path] = get(path, fixed(body, kind))
        return made

    async def _metrics_page(self) -> Reply:
        text, kind = await self._scraped()
        return 200, text, ((b"content-type", kind.encode()),)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request (see ASGI)."""
        began = time.perf_counter()
        self._metrics.in_flight += 1
        method, path = scope["method"], scope["path"]
        route = self._routes.get(path)
        request_id, status = "", _GONE
        way = _Way(method not in ("GET", "HEAD"), route is not None and route.explains)
        try:
            try:
                asked = self._asked(scope["headers"])
                request_id = asked.request_id
                if route is None:
                    raise self._no_route(path)
                answer = route.methods.get(method)
                if answer is None:
                    raise _WrongMethod(method, route)
                if method == "POST":
                    status, body, headers = await self._predicted(answer, asked, receive, way)
                else:
                    reply = answer()
                    status, body, headers = reply if type(reply) is tuple else await reply
            except Refused as refused:
                status, body, headers = self._refusal(refused, request_id)
            except Exception as error:  # noqa: BLE001 - the last resort: the client gets an answer, the log the error
                status, body, headers = self._refusal(self._defect(error), request_id)
            await self._send(send, receive, status, body, headers, request_id, way.unread)
        finally:
            self._metrics.in_flight -= 1
            known = method if method in ("GET", "HEAD", "POST") else "other"
            seconds = time.perf_counter() - began
            self._metrics.answered(known, route.name if route else "other", status, seconds)
            if self._access is not None:
                client = (scope["client"] or ("",))[0]
                self._access.offer((time.time(), request_id, client, method, path, status, seconds, way.rows))

    def quick_path(self, url: bytes) -> str | None:
        """The path of what may be asked for in the quick way, None for all else."""
        return self._quick.get(url)

    def quick(
        self,
        path: str,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        client: str,
        write: Callable[[int, bytes, Sequence[tuple[bytes, bytes]]], None],
    ) -> None:
        """Answer a request for predictions that came whole: `write` is called now, or when the model has answered."""
        began = time.perf_counter()
        self._metrics.in_flight += 1
        route = self._routes[path]
        request_id = ""
        call: Call | None = None

        def refuse(refused: Refused) -> None:
            end(*self._refusal(refused, request_id))

        def end(status: int, reply: bytes, more: Sequence[tuple[bytes, bytes]]) -> None:
            length = (b"content-length", b"%d" % len(reply))
            write(status, reply, (*more, length, (b"x-request-id", request_id.encode())))
            self._metrics.in_flight -= 1
            seconds = time.perf_counter() - began
            self._metrics.answered("POST", route.name, status, seconds)
            if self._access is not None:
                rows = call.rows.count if call is not None else 0
                self._access.offer((time.time(), request_id, client, "POST", path, status, seconds, rows))

        def then(said: Said | None, refused: Refused | None) -> None:
            self._bodies -= len(body)
            try:
                if said is None or call is None:
                    raise refused or Refused("no answer", status=500)
                reply, more = call.reply(said)
                self._keep(request_id, call, said, len(body))
            except Refused as known:
                refuse(known)
            except Exception as error:  # noqa: BLE001 - as below
                refuse(self._defect(error))
            else:
                end(200, reply, more)

        try:
            asked = self._asked(headers)
            request_id = asked.request_id
            if len(body) > self._limits.body_bytes:
                raise self._too_large()
            call = route.methods["POST"](body, asked)
            self._batcher.ask(call.rows, call.probabilities, asked.deadline, then)
            self._bodies += len(body)
        except Refused as refused:
            refuse(refused)
        except Exception as error:  # noqa: BLE001 - the last resort: the client gets an answer, the log the error
            refuse(self._defect(error))

    def _keep(self, request_id: str, call: Call, said: Said, size: int) -> None:
        """Log what was said, and count what is no number. size: of the body."""
        if self._log is not None:
            self._log.offer(request_id, call.rows, said, size)
        if said.predictions.dtype.kind == "f":
            total = float(said.predictions.sum())
            if total - total != 0.0:
                self._count_not_finite(said.predictions)

    def _defect(self, error: Exception) -> Refused:
        self._metrics.model_errors += 1
        _report(error)
        return Refused(f"a defect of the server: {type(error).__name__}", status=500)

    def _asked(self, headers: Sequence[tuple[bytes, bytes]]) -> Asked:
        """Raises Refused."""
        content_type, length, json_length, request_id, seconds = "", None, None, "", self._limits.request_seconds
        for name, value in headers:
            if name == b"content-type":
                content_type = value.decode("latin-1")
            elif name == b"content-length":
                length = int(value) if value.isdigit() and len(value) < 20 else None
            elif name == b"x-request-id":
                request_id = identity_of(((name, value),))
            elif name == b"x-request-timeout":
                if not _SECONDS.fullmatch(value):
                    raise Refused("x-request-timeout: expected seconds, such as 2.5")
                seconds = min(seconds, float(value))
            elif name == b"inference-header-content-length":
                json_length = value.decode("latin-1")
            elif name == b"content-encoding" and value.lower() not in (b"", b"identity"):
                raise Refused("a compressed body is not taken: send it as it is", status=415)
        if not request_id:
            self._count += 1
            request_id = f"{self._prefix}-{self._count}"
        return Asked(content_type, length, request_id, self._loop.time() + seconds, json_length)

    def _no_route(self, path: str) -> Refused:
        shown = path[:100].encode("utf-8", "replace").decode()
        known = f"/v2/models/{self._name}/infer, /invocations, /v1/models/{self._name}:predict; /docs tells more"
        if path.endswith(("/explain", ":explain")) and self._explanations is None:
            text = "nothing is explained here: say `explain: true` in the Deployment, or --explain"
            return Refused(f"{shown}: {text}", status=404)
        if path.startswith(("/v1/models/", "/v2/models/")):
            return Refused(f"{shown}: served here is the model `{self._name}`, version {self._version}", status=404)
        return Refused(f"{shown}: there is no such path; there are {known}", status=404)

    async def _predicted(
        self,
        answer: Callable[[bytes, Asked], Call],
        asked: Asked,
        receive: Callable[[], Awaitable[Any]],
        way: _Way,
    ) -> Reply:
        size = asked.length or 0
        if size > self._limits.body_bytes:
            raise self._too_large()
        if size > _SMALL_BYTES and self._bodies + size > self._limits.bodies_bytes:
            raise _too_many_bodies()
        held = [0]
        try:
            body = await self._body(receive, asked, held)
            way.unread = False
            if len(body) < _LARGE_BYTES:
                call = answer(body, asked)
            else:
                call = await self._loop.run_in_executor(self._parsers, answer, body, asked)
            way.rows = call.rows.count
            if way.explains:
                assert self._explanations is not None
                return 200, await self._explanations.answer(call, asked.deadline), (JSON_TYPE,)
            said = await self._batcher.submit(call.rows, call.probabilities, asked.deadline)
            reply, headers = call.reply(said)
        finally:
            self._bodies -= held[0]
        self._keep(asked.request_id, call, said, len(body))
        return 200, reply, headers

    def _count_not_finite(self, predictions: Any) -> None:
        import numpy

        self._metrics.not_finite += int((~numpy.isfinite(predictions)).sum())

    async def _body(self, receive: Callable[[], Awaitable[Any]], asked: Asked, held: list[int]) -> bytes:
        """The whole body; raises Refused. held: how much of the budget for bodies it has, which grows."""
        parts: list[bytes] = []
        more = True
        while more:
            message = await self._received(receive, asked.deadline)
            part, more = message["body"], message["more_body"]
            parts.append(part)
            # What has come counts, not what was announced: a client that sends nothing takes nothing from others.
            self._bodies += len(part)
            held[0] += len(part)
            if held[0] > self._limits.body_bytes:
                raise self._too_large()
            if held[0] > _SMALL_BYTES and self._bodies > self._limits.bodies_bytes:
                raise _too_many_bodies()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _received(self, receive: Callable[[], Awaitable[Any]], deadline: float) -> Any:
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise Refused("the body did not arrive in time", status=408) from None
        if message["type"] != "http.request":
            raise Refused("the client went away", status=408)
        return message

    def _too_large(self) -> Refused:
        return Refused(f"the body is larger than {self._limits.body_bytes} bytes", status=413)

    def _refusal(self, refused: Refused, request_id: str) -> Reply:
        headers = [JSON_TYPE]
        if refused.status in (429, 503):
            headers.append((b"retry-after", b"1"))
        if isinstance(refused, _WrongMethod):
            headers.append((b"allow", ", ".join(refused.allowed).encode()))
        return refused.status, dumped(refused.document(request_id)), headers

    async def _send(
        self,
        send: Any,
        receive: Any,
        status: int,
        body: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        request_id: str,
        discard: bool,
    ) -> None:
        said = [*headers, (b"content-length", str(len(body)).encode()), (b"x-request-id", request_id.encode())]
        if self.draining or discard:
            said.append(_CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": said})
        if discard:
            # A connection that is closed while its body arrives is reset, and the client never reads the answer.
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await discarded(receive, self._limits.head_seconds)
            body = b""
        await send({"type": "http.response.body", "body": body})


def _too_many_bodies() -> Refused:
    return Refused("too many large requests at a time: try again", status=429)


class _WrongMethod(Refused):
    def __init__(self, method: str, route: Route) -> None:
        self.allowed = sorted(route.methods)
        super().__init__(f"{method[:20]} is not possible here, {' and '.join(self.allowed)} are", status=405)


def _report(error: Exception) -> None:
    import sys
    import traceback

    sys.stderr.write("".join(traceback.format_exception(error)))
