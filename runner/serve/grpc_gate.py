"""The Open Inference Protocol V2 over gRPC, on a port of its own: each call becomes a request to the workers.

So it is checked, bounded, counted and logged as any other request is, and a swap is nothing to it: this process opens
no model, and keeps its port as long as the server lives.

`python -m runner.serve.grpc_gate DESCRIPTOR`: orders come over the socket of this number.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import grpc
import grpc.aio

from runner.serve import pipe
from runner.serve.forwarding import Answer, Unreachable, Workers
from runner.serve.grpc_messages import METHODS, SERVICE, messages

_CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT, 404: grpc.StatusCode.NOT_FOUND, 408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED, 429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE, 504: grpc.StatusCode.DEADLINE_EXCEEDED,
}  # fmt: skip
_ID = re.compile(r"[!-~]{1,128}")
_MORE_BYTES = 1 << 16
"""What a message holds beside the tensors."""
_SMALL_BYTES = 64 << 10
"""Messages of up to this size are taken however many large ones there are."""
_TIDY_SECONDS = 1.0
_GRACE_SECONDS = 4.0
_HEADER = "inference-header-content-length"


class _Wrong(Exception):
    """A request that cannot be passed on."""


class Gate:
    """Answers calls by asking the workers."""

    def __init__(self, workers: Workers, most_bytes: int) -> None:
        """most_bytes: of all messages that are being answered at one time."""
        self._workers = workers
        self._most = most_bytes
        self._held = 0
        self._is_tidied = False
        self._messages = messages()

    def handlers(self) -> grpc.GenericRpcHandler:
        """For the server."""
        made = {}
        for name in METHODS:
            asked, said = self._messages[f"{name}Request"], self._messages[f"{name}Response"]
            answering = self._answering(asked, getattr(self, f"_{_snake(name)}"))
            made[name] = grpc.unary_unary_rpc_method_handler(answering, response_serializer=said.SerializeToString)
        handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(SERVICE, made)
        return handler

    def _answering(
        self, kind: Any, answer: Callable[[Any, Mapping[str, str]], Awaitable[Any]]
    ) -> Callable[[bytes, Any], Any]:
        """A call with the headers that it is passed on with; what goes wrong becomes a status of gRPC."""

        async def answered(data: bytes, context: Any) -> Any:
            size = len(data)
            if size > _SMALL_BYTES and self._held + size > self._most:
                self._tidy_after(size)
                text = "too many large requests at a time: try again"
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
            self._held += size
            try:
                return await passed_on(data, context)
            finally:
                self._held -= size
                self._tidy_after(size)

        async def passed_on(data: bytes, context: Any) -> Any:
            headers = {}
            for name, value in context.invocation_metadata() or ():
                if name == "x-request-id" and isinstance(value, str) and _ID.fullmatch(value):
                    headers[name] = value
            left = context.time_remaining()
            if left is not None and 0 < left < 1e5:
                headers["x-request-timeout"] = f"{left:.3f}"
            try:
                return await answer(_decoded(kind, data), headers)
            except _Wrong as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            except Unreachable as error:
                await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            except _Refused as error:
                await context.abort(_CODES.get(error.status, grpc.StatusCode.INTERNAL), str(error))

        return answered

    def _tidy_after(self, size: int) -> None:
        """Give memory back, which the library that speaks gRPC frees in pieces that would stay."""
        if size <= _SMALL_BYTES or self._is_tidied:
            return
        self._is_tidied = True
        asyncio.get_running_loop().call_later(_TIDY_SECONDS, self._tidy)

    def _tidy(self) -> None:
        self._is_tidied = False
        gc.collect()  # an aborted call is part of a cycle, and so is its message
        with contextlib.suppress(AttributeError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)

    async def _told(self, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        answer = await self._workers.ask(path, headers, body)
        if answer.status != 200:
            try:
                text = str(json.loads(answer.body)["error"])
            except (ValueError, LookupError, TypeError):
                text = f"the server answered {answer.status}"
            raise _Refused(answer.status, text)
        return answer

    # ----- the calls

    async def _server_live(self, request: Any, headers: Mapping[str, str]) -> Any:
        return self._messages["ServerLiveResponse"](live=await self._is_well("/v2/health/live", headers))

    async def _server_ready(self, request: Any, headers: Mapping[str, str]) -> Any:
        return self._messages["ServerReadyResponse"](ready=await self._is_well("/v2/health/ready", headers))

    async def _model_ready(self, request: Any, headers: Mapping[str, str]) -> Any:
        path = f"{_path(request.name, request.version)}/ready"
        return self._messages["ModelReadyResponse"](ready=await self._is_well(path, headers))

    async def _is_well(self, path: str, headers: Mapping[str, str]) -> bool:
        try:
            return (await self._workers.ask(path, headers)).status == 200
        except Unreachable:
            return False

    async def _server_metadata(self, request: Any, headers: Mapping[str, str]) -> Any:
        told = json.loads((await self._told("/v2", headers)).body)
        return self._messages["ServerMetadataResponse"](name=told["name"], version=told["version"])

    async def _model_metadata(self, request: Any, headers: Mapping[str, str]) -> Any:
        told = json.loads((await self._told(_path(request.name, request.version), headers)).body)
        return self._messages["ModelMetadataResponse"](**told)

    async def _model_infer(self, request: Any, headers: Mapping[str, str]) -> Any:
        head, tail = request_body(request)
        stated = json.dumps(head).encode()
        path = f"{_path(request.model_name, request.model_version)}/infer"
        answer = await self._told(path, {**headers, _HEADER: str(len(stated))}, b"".join((stated, *tail)))
        length = int(answer.headers.get(_HEADER, len(answer.body)))
        told = json.loads(answer.body[:length])
        return self._response(told, memoryview(answer.body)[length:], raw=bool(request.raw_input_contents))

    def _response(self, told: Mapping[str, Any], tail: memoryview, *, raw: bool) -> Any:
        """raw: whether tensors go as bytes, as they came."""
        made = self._messages["ModelInferResponse"](
            model_name=told["model_name"], model_version=told["model_version"], id=told.get("id", "")
        )
        at = 0
        for output in told["outputs"]:
            tensor = made.outputs.add(name=output["name"], datatype=output["datatype"], shape=output["shape"])
            if raw:
                size = output["parameters"]["binary_data_size"]
                made.raw_output_contents.append(bytes(tail[at : at + size]))
                at += size
                continue
            values = output["data"]
            if output["datatype"] == "BYTES":
                values = [value.encode() for value in values]
            elif output["datatype"].startswith("FP"):
                values = [float("nan") if value is None else value for value in values]
            getattr(tensor.contents, _CONTENTS[output["datatype"]]).extend(values)
        return made


class _Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _decoded(kind: Any, data: bytes) -> Any:
    """A message; raises _Wrong."""
    from google.protobuf.message import DecodeError

    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise _Wrong(f"the message is no {kind.DESCRIPTOR.name}") from error


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _path(name: str, version: str) -> str:
    path = f"/v2/models/{quote(name, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def request_body(request: Any) -> tuple[dict[str, Any], Sequence[bytes]]:
    """A request for predictions as JSON with binary tensors behind it; raises _Wrong."""
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise _Wrong(f"there are {len(request.inputs)} inputs, and raw_input_contents of {len(raw)}")
    inputs: list[dict[str, Any]] = []
    for at, tensor in enumerate(request.inputs):
        told: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if raw:
            told["parameters"] = {"binary_data_size": len(raw[at])}
        else:
            told["data"] = _values(tensor)
        inputs.append(told)
    head: dict[str, Any] = {"inputs": inputs, "parameters": {"binary_data_output": bool(raw)}}
    if request.id:
        head["id"] = request.id
    if request.outputs:
        head["outputs"] = [{"name": output.name} for output in request.outputs]
    return head, raw


def _values(tensor: Any) -> list[Any]:
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        raise _Wrong(f"input `{tensor.name[:80]}`: {tensor.datatype[:20]} has to come as raw_input_contents")
    values = list(getattr(tensor.contents, field))
    if tensor.datatype == "BYTES":
        try:
            return [value.decode() for value in values]
        except UnicodeDecodeError as error:
            raise _Wrong(f"input `{tensor.name[:80]}`: a value is no UTF-8") from error
    # JSON has no other word for what is not a number, and the checks of the server none for infinity.
    return [None if value != value else value for value in values]


async def _serve(supervisor: socket.socket) -> int:
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()
    supervisor.setblocking(False)

    def hear() -> None:
        while True:
            try:
                message, _ = pipe.heard(supervisor)
            except BlockingIOError:
                return
            orders.put_nowait(message)
            if message is None:
                loop.remove_reader(supervisor)
                return

    loop.add_reader(supervisor, hear)
    server: grpc.aio.Server | None = None
    while (order := await orders.get()) is not None:
        if order["do"] == "finish":
            break
        if order["do"] == "gate" and server is None:
            server = await _started(order)
            if server is None:
                pipe.say(supervisor, {"say": "failed", "reason": f"{order['listen']}: it cannot be listened on"})
                return 1
            pipe.say(supervisor, {"say": "listening", "address": order["listen"]})
    if server is not None:
        await server.stop(_GRACE_SECONDS)
    return 0


async def _started(order: Mapping[str, Any]) -> grpc.aio.Server | None:
    options = [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", int(order["body_bytes"]) + _MORE_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 1 << 14),
        ("grpc.max_connection_idle_ms", 300_000),
    ]
    workers = Workers(order["host"], order["port"])
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=int(order["most_calls"]))
    server.add_generic_rpc_handlers((Gate(workers, int(order["bodies_bytes"])).handlers(),))
    try:
        if not server.add_insecure_port(order["listen"]):
            return None
    except RuntimeError:
        return None
    await server.start()
    return server


def main() -> int:
    """Answer until the supervisor is gone, or says that it is enough."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return asyncio.run(_serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    sys.exit(main())
