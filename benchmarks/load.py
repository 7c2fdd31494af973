"""A load generator: connections that each ask again as soon as they are answered, on one core, over loopback.

python -m benchmarks.load HOST PORT PATH BODY_FILE CONNECTIONS SECONDS prints a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import httptools
import uvloop


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, until: float, waits: list[float], bad: list[int]) -> None:
        self._request = request
        self._until = until
        self._waits = waits
        self._bad = bad
        self._parser = httptools.HttpResponseParser(self)
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio."""
        if not self.over.done():
            self._bad.append(0)
            self.over.set_result(None)

    def on_message_complete(self) -> None:
        """See httptools."""
        now = time.perf_counter()
        self._waits.append(now - self._began)
        if self._parser.get_status_code() != 200:
            self._bad.append(self._parser.get_status_code())
        if now < self._until:
            self._ask()
        elif not self.over.done():
            self.over.set_result(None)
            self._transport.close()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._request)


async def _load(host: str, port: int, request: bytes, connections: int, seconds: float) -> dict[str, Any]:
    waits: list[float] = []
    bad: list[int] = []
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    clients = [
        (await loop.create_connection(lambda: Client(request, began + seconds, waits, bad), host, port))[1]
        for _ in range(connections)
    ]
    await asyncio.wait_for(asyncio.gather(*(client.over for client in clients)), seconds + 60)
    took = time.perf_counter() - began
    waits.sort()

    def share(part: float) -> float:
        return round(1000 * waits[min(len(waits) - 1, int(part * len(waits)))], 2)

    return {
        "connections": connections,
        "perSecond": round(len(waits) / took),
        "p50ms": share(0.5),
        "p99ms": share(0.99),
        "bad": len(bad),
    }


def main() -> None:
    """See the module."""
    host, port, path, file, connections, seconds = sys.argv[1:7]
    body = Path(file).read_bytes()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        print(json.dumps(loop.run(_load(host, int(port), head.encode() + body, int(connections), float(seconds)))))


if __name__ == "__main__":
    main()
