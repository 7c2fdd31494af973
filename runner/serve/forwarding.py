"""Requests to the workers of this server, over connections that are kept: HTTP/1.1 as far as workers speak it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

_MOST_KEPT = 64
_MOST_HEAD_BYTES = 64 << 10
_CONNECT_SECONDS = 10.0


class Unreachable(Exception):
    """No worker answered."""


class Answer(NamedTuple):
    """What a worker said."""

    status: int
    headers: Mapping[str, str]
    """Names in small letters."""
    body: bytes


class _Stale(Exception):
    """A connection that was closed before it carried anything of this request's answer."""


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Workers:
    """The workers behind one address."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._kept: deque[Connection] = deque()

    async def ask(self, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """GET, or POST where there is a body; raises Unreachable."""
        lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "host: workers"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            lines.append(f"content-length: {len(body)}")
        request = "\r\n".join((*lines, "", "")).encode("latin-1") + (body or b"")
        while self._kept:
            try:
                return await self._over(self._kept.pop(), request)
            except _Stale:
                continue  # it was closed while it rested
        try:
            connecting = asyncio.open_connection(self._host, self._port, limit=_MOST_HEAD_BYTES)
            connection = await asyncio.wait_for(connecting, _CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            raise Unreachable(f"no worker can be reached: {error}") from error
        try:
            return await self._over(connection, request)
        except _Stale as error:
            raise Unreachable("the worker went away before it answered") from error

    async def _over(self, connection: Connection, request: bytes) -> Answer:
        reader, writer = connection
        begun = is_kept = False
        try:
            writer.write(request)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            begun = True
            first, *rest = head.decode("latin-1").split("\r\n")[:-2]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            is_kept = headers.get("connection", "").lower() != "close" and len(self._kept) < _MOST_KEPT
            return Answer(int(first.split(" ")[1]), headers, body)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            if not begun:
                raise _Stale from error
            raise Unreachable("the worker went away in the middle of its answer") from error
        finally:
            if is_kept:
                self._kept.append(connection)
            else:
                with contextlib.suppress(OSError):
                    writer.close()
