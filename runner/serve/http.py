"""HTTP on the inherited socket: uvicorn's protocol with bounds of ours on what a slow or greedy client may take."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any, Protocol, runtime_checkable

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from runner.serve.settings import Limits

_MOST_HEAD_BYTES = 64 << 10
_QUICK_BYTES = 64 << 10
"""A body of up to this size is answered without a task of its own, if it came in one piece."""
_BACKLOG = 2048
_QUIET_SECONDS = 0.05
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n"
    b'content-length: 37\r\n\r\n{"error":"too many connections here"}'
)
_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_INVALID = "Invalid HTTP request received."
_UPGRADE = b"pgrade:"
_UPGRADES = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


Write = Callable[[int, bytes, Sequence[tuple[bytes, bytes]]], None]
"""Writes status, body and headers."""


class Application(Protocol):
    """What answers."""

    draining: bool
    """Whether each answer says that it is the last of its connection."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request (see ASGI)."""


@runtime_checkable
class QuickApplication(Application, Protocol):
    """What also answers some requests without a task of their own."""

    def quick_path(self, url: bytes) -> str | None:
        """The path of what may be asked for in the quick way, None for all else."""

    def quick(self, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, client: str, write: Write) -> None:
        """Answer a request that came whole: `write` is called now, or when there is an answer."""


class _Whole:
    """A request that came whole, where uvicorn looks for one of its own."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self) -> None:
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = True
        self.message_event = _NOBODY


class _Nobody:
    def set(self) -> None:
        """Nobody waits."""


_NOBODY = _Nobody()


class Connection(HttpToolsProtocol):
    """One connection: headers have to come in time and be short, and answers have to be read.

    A request that comes whole in one piece, as nearly all do, is answered without a task of its own.
    """

    limits = Limits()
    quickly: QuickApplication | None = None
    _parts: list[bytes] | None = None
    """Of the body of a request that may yet turn out to have come whole."""
    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _in_head = True
    _in_body = False
    _ended = False
    """Whether a request ended in what came last."""
    _head_bytes = 0
    _closing_since: float | None = None
    """When its end was first seen to wait for the client, on the loop's clock."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.write(_FULL)
            transport.close()
            return
        self._timer = self.loop.call_later(self.limits.head_seconds, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._disarm()
        if self._unread is not None:
            self._unread.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self.transport.is_closing():
            return
        if not self._in_body and _UPGRADE in data:
            data = _without_upgrade(data)
        self._ended = False
        super().data_received(data)
        if self._parts is not None:
            try:
                self._give_up_waiting()
            except (httptools.HttpParserError, UnicodeDecodeError):
                self.send_400_response(_INVALID)
        if not self._ended:  # else it began in the middle of what came
            self._head_bytes += len(data)
        if self._in_head and self._head_bytes > _MOST_HEAD_BYTES:
            self._end(_LONG)
        elif self._timer is None and not self.transport.is_closing() and self._is_owed():
            self._timer = self.loop.call_later(self.limits.head_seconds, self._too_slow)

    def _is_owed(self) -> bool:
        """Whether it is the client's turn, and nothing else looks how long it takes: for a head, or what follows none.

        An answer may have been sent before all of its request came, and empty lines may stand between requests.
        """
        return self._in_head or (self.is_idle() and self.timeout_keep_alive_task is None)

    def on_message_begin(self) -> None:
        """See httptools."""
        self._disarm()
        self._in_head = True
        self._head_bytes = 1
        self._unset_keepalive_if_required()  # for one that came in one piece with the one before
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._in_head, self._in_body = False, True
        if self._timer is not None:
            self._disarm()
        if self._may_be_whole():
            self._parts = []
        else:
            super().on_headers_complete()

    def _may_be_whole(self) -> bool:
        parser: Any = self.parser
        return (
            self.quickly is not None
            and parser.get_method() == b"POST"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.expect_100_continue
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.flow.write_paused
        )

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        if self._parts is not None:
            self._parts.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        self._in_body, self._ended = False, True
        parts, quickly = self._parts, self.quickly
        if parts is None or quickly is None:
            super().on_message_complete()
            return
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        path = quickly.quick_path(self.url)
        if path is None or len(body) > _QUICK_BYTES:
            self._give_up_waiting()
            super().on_message_complete()
            return
        self._parts = None
        whole = _Whole()
        self.cycle = whole  # type: ignore[assignment]
        client = self.client[0] if self.client else ""
        quickly.quick(path, self.headers, body, client, lambda *reply: self._answer(whole, *reply))

    def _give_up_waiting(self) -> None:
        """The request is not one of those: all goes its usual way."""
        parts, self._parts = self._parts or [], None
        if self.transport.is_closing():
            return
        super().on_headers_complete()
        for part in parts:
            super().on_body(part)

    def _answer(self, whole: _Whole, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        if whole.disconnected:
            return
        close = not whole.keep_alive or (self.quickly is not None and self.quickly.draining)
        lines = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"connection: close\r\n\r\n" if close else b"\r\n")
        lines.append(body)
        self.transport.write(b"".join(lines))
        whole.response_complete = True
        if close:
            self.transport.close()
        self.on_response_complete()

    def pause_writing(self) -> None:
        """See asyncio."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.limits.request_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """See asyncio."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        self._end(_SLOW if self._in_head and self._head_bytes else b"")

    def end_if_unread(self, now: float) -> None:
        """Cut it off where it is to end, and the client has not taken the last answers for long."""
        if not self.transport.is_closing():
            return
        if self._closing_since is None:
            self._closing_since = now
        elif now - self._closing_since > self.limits.request_seconds:
            self.transport.abort()

    def _end(self, last: bytes) -> None:
        self._disarm()
        if self.transport.is_closing():
            return
        if last and self.is_idle():
            self.transport.write(last)
        self.transport.close()


def _without_upgrade(data: bytes) -> bytes:
    """The data without a wish for another protocol, of which the parser would leave out the body.

    Java's own client wishes for HTTP/2 so, in each first request.
    """
    end = data.find(b"\r\n\r\n")
    head = data if end < 0 else data[:end]
    return _UPGRADES.sub(b"\r\nx-asked:", head) + data[len(head) :]


class Listener:
    """Connections of one worker, on a socket that belongs to another process."""

    def __init__(self, app: Application, limits: Limits) -> None:
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # what clients do wrong is no news
        self._app = app
        self._config = Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]
        )
        self._config.load()
        Connection.limits = limits
        Connection.quickly = app if isinstance(app, QuickApplication) else None
        self.state = ServerState()
        self._server: asyncio.Server | None = None
        self._dating: asyncio.TimerHandle | None = None

    @property
    def draining(self) -> bool:
        """Whether no more connections are taken."""
        return self._app.draining

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self.state.connections)

    async def listen(self, listening: socket.socket) -> None:
        """Take connections from now on."""
        loop = asyncio.get_running_loop()
        self._date(loop)
        self._server = await loop.create_server(self._connection, sock=listening, backlog=_BACKLOG)

    def _connection(self) -> Connection:
        return Connection(config=self._config, server_state=self.state, app_state={})

    def _date(self, loop: asyncio.AbstractEventLoop) -> None:
        """Once a second: the date in all answers, and who does not read them."""
        self.state.default_headers[:] = [(b"date", formatdate(usegmt=True).encode())]
        for connection in list(self.state.connections):
            if isinstance(connection, Connection):
                connection.end_if_unread(loop.time())
        self._dating = loop.call_later(1.0, self._date, loop)

    async def drain(self, seconds: float, at_once: bool) -> int:
        """Take no more connections, and answer what comes on those there are until they end.

        at_once: close those that rest; else they rest as long as they always may, so that no request of a client
        meets a closed door. How many had to be cut off after `seconds`.
        """
        loop = asyncio.get_running_loop()
        self._app.draining = True
        if self._server is not None:
            self._server.close()
        end = loop.time() + seconds
        # One that was taken in this very moment is counted a few turns of the loop later: look again once it is quiet.
        await asyncio.sleep(_QUIET_SECONDS)
        while (self.state.connections or self.state.tasks) and loop.time() < end:
            if at_once:
                self._close_idle()
            await asyncio.sleep(_QUIET_SECONDS)
        self._close_idle()
        left: Any = list(self.state.connections)
        for connection in left:
            connection.transport.abort()
        if self._dating is not None:
            self._dating.cancel()
        return len(left)

    def _close_idle(self) -> None:
        for connection in list(self.state.connections):
            if isinstance(connection, Connection) and connection.is_idle():
                connection.transport.close()
