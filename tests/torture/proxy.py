"""A git server whose connections are cut or stop after so many bytes; a process of its own, told what to do by a file.

    python -m tests.torture.proxy REPOSITORIES FOLDER

`FOLDER/port` gets the port it listens on. Each connection gets a `git daemon` of its own that serves `REPOSITORIES`.
`FOLDER/fault.json` holds `{"connection": N, "way": "up" or "down", "bytes": B, "how": "cut" or "hang"}` (or nothing);
N counts connections since the file last changed, from 0; `up` is from client to server. `FOLDER/log` gets a line of
JSON for each connection when it begins and, with the bytes in both directions, when it and its server have ended.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any


class Proxy:
    """One server."""

    def __init__(self, repositories: Path, folder: Path) -> None:
        self._command = ["git", "daemon", "--inetd", f"--base-path={repositories}", "--export-all"]
        self._command += ["--enable=receive-pack", str(repositories)]
        self._folder = folder
        self._version = ""
        self._count = 0
        self._writing = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))

    def serve(self) -> None:
        """Take connections for ever."""
        ready = self._folder / "port.new"
        ready.write_text(str(self._listener.getsockname()[1]))
        ready.rename(self._folder / "port")
        while True:
            client, _ = self._listener.accept()
            text = (self._folder / "fault.json").read_text()
            if text != self._version:
                self._version, self._count = text, 0
            fault = json.loads(text or "{}")
            number, self._count = self._count, self._count + 1
            mine = fault if fault.get("connection") == number else {}
            self._log({"connection": number, "begins": True})
            threading.Thread(target=self._connection, args=(client, number, mine), daemon=True).start()

    def _connection(self, client: socket.socket, number: int, fault: dict[str, Any]) -> None:
        here, there = socket.socketpair()
        server = subprocess.Popen(self._command, stdin=there, stdout=there, stderr=subprocess.DEVNULL, cwd="/")
        there.close()
        sizes = {"up": 0, "down": 0}
        ways = [(client, here, "up"), (here, client, "down")]
        pumps = [threading.Thread(target=_pump, args=(*way, sizes, fault)) for way in ways]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        client.close()
        here.close()
        server.wait()
        self._log({"connection": number, **sizes})

    def _log(self, row: dict[str, Any]) -> None:
        with self._writing, open(self._folder / "log", "a") as log:
            log.write(json.dumps(row) + "\n")


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
    os.environ.pop("GIT_DIR", None)
    Proxy(Path(sys.argv[1]), Path(sys.argv[2])).serve()
