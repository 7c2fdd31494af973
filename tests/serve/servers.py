"""Real servers on free ports of this host, and requests to them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PATIENCE = 90.0
"""Seconds for what takes a second or two on a machine with nothing else to do."""
REPOSITORY = Path(__file__).parents[2]


class Server:
    """`runner serve` as a process, and what it said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self.host, self.port = "127.0.0.1", 0
        self.folder = Path()
        """Where it keeps its logs, for tests that look."""
        self.grpc_port = 0

    def wait_for(self, event: str) -> dict[str, Any]:
        """The next event of this name; fails where the server ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            self.events.append(said)
            if "url" in said:
                self.port = int(said["url"].rpartition(":")[2])
            if said.get("event") == event:
                return said
        raise AssertionError(f"the server ended without {event}: {self.events}")

    def ask(
        self, path: str, body: bytes | str | dict[str, Any] | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of one answer, over a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            return ask_over(connection, path, body, **headers)

    def told(self, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON of an answer that is a success."""
        status, answer, _ = self.ask(path, body, **headers)
        assert status == 200, answer
        return json.loads(answer)

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection((self.host, self.port), PATIENCE)

    def stop(self) -> int:
        """Ask it to end, and say with which code it did."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        self.events += [json.loads(line) for line in self.process.stdout]
        return self.process.wait(PATIENCE)


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for a condition; fails where it does not come true for long."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def ask_over(
    connection: http.client.HTTPConnection, path: str, body: bytes | str | dict[str, Any] | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of one answer; underscores in names of headers are dashes."""
    if isinstance(body, dict):
        body = json.dumps(body)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    given.setdefault("content-type", "application/json")
    connection.request("GET" if body is None else "POST", path, body, given)
    answer = connection.getresponse()
    return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}


def end_process(process: subprocess.Popen[str]) -> None:
    """Have a server end, in an orderly way if it will."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def serving(folder: Path, *options: str, until: str = "serving", errors: Path | None = None) -> Iterator[Server]:
    """A server of one model folder, on a free port."""
    command = [sys.executable, "-m", "runner", "serve", "--json", "--listen", "127.0.0.1:0", "--model", str(folder)]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with contextlib.ExitStack() as stack:
        stderr = stack.enter_context((errors or folder.parent / "stderr.txt").open("w"))
        process = subprocess.Popen(
            [*command, *options], env=environ, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=folder.parent
        )
        assert process.stdout is not None
        stack.enter_context(process.stdout)
        server = Server(process)
        try:
            server.wait_for(until)
            yield server
        finally:
            end_process(process)
