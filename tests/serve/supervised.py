"""A supervisor in a thread of the test, clients that ask it on and on, and folders that somebody tampered with."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runner.serve.settings import Limits, Served, Settings
from runner.serve.supervisor import Supervisor
from tests.serve.models import ROW
from tests.serve.servers import PATIENCE, REPOSITORY, ask_over, wait_until

PATH = "/v1/models/churn:predict"
BODY = {"instances": [ROW]}


class Running:
    """A supervisor in a thread, and what it told."""

    def __init__(self, listening: socket.socket) -> None:
        self.pid = 0
        self.port = listening.getsockname()[1]
        self.events: list[dict[str, Any]] = []
        self._news = threading.Condition()
        environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self.supervisor = Supervisor(listening, self._told, environ=environ)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.supervisor.run, args=(self.stop,))
        self.thread.start()

    def _told(self, event: Any) -> None:
        with self._news:
            self.events.append(dict(event))
            self._news.notify_all()

    def wait_for(self, event: str, version: str, since: int = 0) -> dict[str, Any]:
        """The first event of this name about a version, of those after the first `since`."""
        return self.wait_for_one_of((event,), version, since)

    def wait_for_one_of(self, events: Sequence[str], version: str, since: int = 0) -> dict[str, Any]:
        """The first event of one of these names, as above."""

        def found() -> list[dict[str, Any]]:
            return [one for one in self.events[since:] if one["event"] in events and one.get("version") == version]

        with self._news:
            assert self._news.wait_for(lambda: bool(found()), PATIENCE), self.events
            return found()[0]

    def serve(self, settings: Settings) -> None:
        """Swap, and wait until it is done; for a moment the old one goes on taking connections, too."""
        since = len(self.events)
        self.supervisor.swap(settings)
        self.pid = self.wait_for("serving", settings.served.version, since)["pid"]

    def serve_alone(self, settings: Settings) -> None:
        """Swap, and wait until the old one takes no connections any more."""
        self.serve(settings)
        wait_until(lambda: {self.status()["pid"] for _ in range(20)} == {self.pid})

    def ask(self, path: str = PATH, body: Any = BODY) -> tuple[int, Any]:
        """One answer over a connection of its own."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            status, answer, _ = ask_over(connection, path, body)
        return status, json.loads(answer)

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def status(self) -> Any:
        return self.ask("/status", None)[1]


@contextlib.contextmanager
def supervised() -> Iterator[Running]:
    """A supervisor on a free port."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    listening.setblocking(False)
    made = Running(listening)
    try:
        yield made
    finally:
        made.stop.set()
        made.thread.join(PATIENCE)
        assert not made.thread.is_alive()


@contextlib.contextmanager
def clients(running: Running, count: int) -> Iterator[list[Any]]:
    """Clients that ask and ask, each over a connection that it keeps; the answers come into the list."""
    answers: list[Any] = []
    done = threading.Event()

    def ask_on() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
        while not done.is_set():
            try:
                answers.append(ask_over(connection, PATH, BODY)[:2])
            except (OSError, http.client.HTTPException) as error:
                answers.append(error)
                connection.close()
        connection.close()

    threads = [threading.Thread(target=ask_on) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        done.set()
        for thread in threads:
            thread.join(PATIENCE)


def exchange(folder: Path, name: str, data: bytes) -> None:
    """As somebody would who can also write the manifest."""
    (folder / name).write_bytes(data)
    told = json.loads((folder / "manifest.json").read_bytes())
    told["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    (folder / "manifest.json").write_text(json.dumps(told))


def of(folder: Path, version: str, workers: int = 1, **limits: float) -> Settings:
    """Settings for a folder."""
    served = Served(str(folder), "churn", version, formats=("skops", "joblib"))
    return Settings(served, Limits(idle_seconds=2.0, **limits), workers=workers)  # type: ignore[arg-type]
