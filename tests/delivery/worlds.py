"""Repositories that release models, and servers that follow them."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sklearn.linear_model import LogisticRegression

from runner.core.digests import md5_hex
from tests.reconcile.worlds import World
from tests.serve.models import ROW, customers, labels, pipeline, write_model
from tests.serve.servers import PATIENCE, REPOSITORY, Server, end_process

PIPELINE = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: churn}
spec:
  stages:
    train:
      cmd: cp -r trained model
      deps: [trained]
      outs: [model]
"""
DEPLOYMENT = """\
---
apiVersion: runner/v1
kind: Deployment
metadata: {name: churn-api}
spec:
  model: {pipeline: churn, out: model}
"""
CLIENTS = 4
_PAUSE = 0.01
"""Seconds between two requests of a client: others need the cores, too."""
PREDICT = "/v1/models/churn-api:predict"
BODY = {"instances": [ROW]}
_NUMBERS = itertools.count(1)


def model_files(folder: Path, **options: Any) -> dict[str, bytes]:
    """The files of a model that is like no other; every other one says the opposite of the one before."""
    number = next(_NUMBERS)
    said = labels(customers())
    said = said if number % 2 else said.map({"yes": "no", "no": "yes"})
    made = write_model(
        folder / f"model-{number}", pipeline(LogisticRegression()), said, "classification",
        facts={"number": number}, **options,
    )  # fmt: skip
    return {f"trained/{file.name}": file.read_bytes() for file in sorted(made.iterdir())}


def object_of(world: World, data: bytes) -> Path:
    """Where the DVC remote has these bytes."""
    md5 = md5_hex(data)
    return world.store / "files" / "md5" / md5[:2] / md5[2:]


def released(world: World, files: Mapping[str, bytes] | None = None, spec: str = PIPELINE + DEPLOYMENT) -> None:
    """Commit a model, a new one where none is given, and reconcile."""
    files = model_files(world.folder) if files is None else files
    world.edit({"runner.yaml": spec, **files})
    world.reconcile()


def until(condition: Callable[[], Any], told: Callable[[], Any] = lambda: "") -> Any:
    """Wait for a condition, and give what it came to; fails when it does not come true."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, told()
        time.sleep(0.02)
    return found


class Pulling(Server):
    """`runner serve --repo` as a process."""

    @property
    def status(self) -> dict[str, Any]:
        """What it says of itself."""
        told: dict[str, Any] = self.told("/status")
        return told

    def serves(self, version: int) -> dict[str, Any]:
        """Wait until it serves a version, and nothing else any more; what it says of itself then."""
        return self.says(lambda told: told["version"] == version and told["state"] == "serving")

    def says(self, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Wait until what it says of itself meets a condition; asked more than once, since an old worker may drain."""
        until(lambda: all(condition(self.status) for _ in range(5)), lambda: self.status)
        return self.status

    def predicts(self) -> str:
        """What it says of the row."""
        said: str = self.told(PREDICT, BODY)["predictions"][0]
        return said


class Clients:
    """Threads that ask for predictions until they are told to stop, and what went wrong."""

    def __init__(self, server: Pulling) -> None:
        self.failures: list[Any] = []
        self.answers = 0
        self._server = server
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.wait(_PAUSE):
            try:
                status, answer, _ = self._server.ask(PREDICT, BODY)
            except OSError as error:
                self.failures.append(error)
                continue
            self.answers += 1
            if status != 200:
                self.failures.append((status, answer))


class Daemon:
    """A git daemon, which may be away for a while."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._command = ["git", "daemon", f"--base-path={folder}", "--export-all", "--reuseaddr"]
        self._command += ["--listen=127.0.0.1", f"--port={port}"]
        self.url = f"git://127.0.0.1:{port}/remote.git"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Daemon:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Answer from now on."""
        if self._process is None:
            self._process = subprocess.Popen(self._command, start_new_session=True)

    def stop(self) -> None:
        """Answer no more."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def pulling(folder: Path, url: str | Path, *options: str, home: str = "server", **environ: str) -> Iterator[Pulling]:
    """A server that follows a repository, on a free port, with a home of its own."""
    command = [sys.executable, "-m", "runner", "serve", "--json", "--listen", "127.0.0.1:0", "--repo", str(url)]
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), "RUNNER_HOME": str(folder / home), **environ}
    with (folder / f"{home}.stderr").open("a") as errors:
        process = subprocess.Popen(
            [*command, "--every", "0.2s", *options], env=variables, stdout=subprocess.PIPE, stderr=errors, text=True,
            cwd=folder,
        )  # fmt: skip
        assert process.stdout is not None
        with process.stdout:
            server = Pulling(process)
            try:
                server.wait_for("following")
                yield server
            finally:
                end_process(process)
