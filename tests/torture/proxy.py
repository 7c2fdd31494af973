"""A TCP proxy that cuts or stops a connection after so many bytes; a process of its own, told what to do by a file.

    python -m tests.torture.proxy PORT TARGET-PORT FOLDER

`FOLDER/fault.json` holds `{"connection": N, "way": "up" or "down", "bytes": B, "how": "cut" or "hang"}` (or nothing);
N counts connections since the file last changed, from 0; `up` is from client to server. `FOLDER/log` gets a line
of JSON for each connection that has ended: its number and the bytes in both directions.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path
from typing import Any


class Proxy:
    """One proxy."""

    def __init__(self, port: int, target: int, folder: Path) -> None:
        self._target = target
        self._folder = folder
        self._version = ""
        self._count = 0
        self._listener = socket.create_server(("127.0.0.1", port))

    def serve(self) -> None:
        """Take connections for ever."""
        while True:
            client, _ = self._listener.accept()
            text = (self._folder / "fault.json").read_text()
            if text != self._version:
                self._version, self._count = text, 0
            fault = json.loads(text or "{}")
            number, self._count = self._count, self._count + 1
            mine = fault if fault.get("connection") == number else {}
            threading.Thread(target=self._connection, args=(client, number, mine), daemon=True).start()

    def _connection(self, client: socket.socket, number: int, fault: dict[str, Any]) -> None:
        server = socket.create_connection(("127.0.0.1", self._target))
        sizes = {"up": 0, "down": 0}
        ways = [(client, server, "up"), (server, client, "down")]
        pumps = [threading.Thread(target=_pump, args=(*way, sizes, fault)) for way in ways]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        client.close()
        server.close()
        with open(self._folder / "log", "a") as log:
            log.write(json.dumps({"connection": number, **sizes}) + "\n")


def _pump(source: socket.socket, sink: socket.socket, way: str, sizes: dict[str, int], fault: dict[str, Any]) -> None:
    limit = fault["bytes"] if fault.get("way") == way else None
    try:
        while data := source.recv(65536):
            if limit is not None and sizes[way] + len(data) > limit:
                sink.sendall(data[: limit - sizes[way]])
                sizes[way] = limit
                if fault["how"] == "hang":
                    while source.recv(65536):
                        pass  # swallowed, until somebody gives up
                for end in (source, sink):
                    end.shutdown(socket.SHUT_RDWR)
                return
            sink.sendall(data)
            sizes[way] += len(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the other direction was cut


if __name__ == "__main__":
    Proxy(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])).serve()
