"""`runner serve`: a model over HTTP."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
from pathlib import Path
from typing import Any

from runner.cli.console import Console
from runner.cli.serve_settings import with_options
from runner.cli.stopping import stopping
from runner.errors import ExitCode, HostError, InputError
from runner.report.style import Style
from runner.serve.settings import Served, Settings
from runner.serve.supervisor import Event, Supervisor
from runner.values import replace

_MOST_KEY_BYTES = 4096


def serve(arguments: argparse.Namespace, console: Console) -> int:
    """Serve a model folder, or what is released of a Deployment, until SIGTERM or SIGINT."""
    _check_installed()
    if arguments.repo is not None and arguments.model is None:
        from runner.cli.serve_repo import serve_repo  # imported late: who names a folder needs no git

        return serve_repo(arguments, console)
    if arguments.model is None or arguments.repo is not None:
        what = "no model is named" if arguments.model is None else "a folder and a repository are named"
        raise InputError(
            what, "say which folder: runner serve --model models/churn; or which repository: runner serve --repo URL"
        )
    folder = Path(arguments.folder or ".") / arguments.model
    settings = Settings(
        served=Served(
            folder=str(folder.absolute()),
            name=arguments.name or folder.absolute().name,
            version=arguments.model_version,
            digest=arguments.digest,
        )
    )
    settings = with_options(settings, arguments)
    key = key_of(arguments.log_key)
    failures: list[str] = []
    with stopping() as (stop, _), listening_on(arguments.listen) as listening:
        url = url_of(listening)

        def tell(event: Event) -> None:
            say_of(console, {"schema": 1, "url": url, **event}, line_of(event, url))
            if event["event"] == "serving":
                served.append(event)
            if event["event"] == "grpc failed" or (event["event"] == "failed" and not served):
                failures.append(str(event["reason"]))
                supervisor.stop()

        served: list[Event] = []
        supervisor = Supervisor(listening, tell, key=key, environ=os.environ, grpc=grpc_address(arguments.grpc))
        supervisor.swap(replace(settings, served=replace(settings.served, url=url)))
        supervisor.run(stop)
    if failures:
        raise InputError(f"the model is not served: {failures[0]}")
    return ExitCode.DONE


def say_of(console: Console, row: Event, line: str) -> None:
    """Tell an event, where somebody listens; a full disk, or a pipe that nobody reads, ends no server."""
    console.say(Style.safe(line))
    with contextlib.suppress(HostError):
        console.row(row)


def line_of(event: Event, url: str) -> str:
    """An event of the supervisor for people."""
    what = f"{event.get('model', '')} version {event.get('version', '')}"
    known = {
        "grpc": f"gRPC at {event.get('address')}",
        "grpc died": "what speaks gRPC died, and is started again",
        "starting": f"loading {what}",
        "ready": f"{what} is ready after {event.get('seconds', 0):.1f} s, by {event.get('way')}",
        "serving": f"serving {what} at {url}",
        "drained": f"{what} has answered all that came",
        "died": f"the worker of {what} died",
        "starting again": f"loading {what} again",
    }
    return known.get(event["event"]) or f"{event['event']}: {what}: {event.get('reason', '')}"


def key_of(file: str | None) -> bytes:
    """The key of a file; raises InputError."""
    if file is None:
        return b""
    try:
        with Path(file).open("rb") as opened:
            key = opened.read(_MOST_KEY_BYTES).strip()
    except OSError as error:
        raise InputError(
            f"{file}: it cannot be read: {error.strerror}", "name a file with a long random text"
        ) from error
    if len(key) < 16:
        raise InputError(f"{file}: the key has less than 16 bytes", "make one with `openssl rand -hex 32`")
    return key


def url_of(listening: socket.socket) -> str:
    """Where a socket is reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listening_on(where: str) -> socket.socket:
    """A socket that listens; raises InputError or HostError."""
    host, _, port = where.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise InputError(f"--listen {where}: expected an address and a port", "such as 127.0.0.1:8080, or [::1]:8080")
    try:
        found: Any = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        made = socket.socket(found[0], socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(found[4])
            made.listen(2048)
            made.setblocking(False)
        except OSError:
            made.close()
            raise
    except OSError as error:
        raise HostError(f"--listen {where}: {error.strerror}", "choose another address or port") from error
    return made


def grpc_address(where: str | None) -> str | None:
    """Where gRPC is spoken, checked; raises InputError."""
    if where is None:
        return None
    import importlib.util

    if importlib.util.find_spec("grpc") is None:
        raise InputError("to speak gRPC, grpcio is needed, and not installed", "pip install 'gitops-runner[grpc]'")
    host, _, port = where.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) <= 65535:
        raise InputError(f"--grpc {where}: expected an address and a port", "such as 127.0.0.1:8081, or [::1]:8081")
    return where


def _check_installed() -> None:
    import importlib.util

    lacking = [
        name
        for name in ("httptools", "orjson", "prometheus_client", "uvicorn", "uvloop")
        if importlib.util.find_spec(name) is None
    ]
    if lacking:
        text = f"to serve models, {', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} needed, and not installed"
        raise InputError(text, "pip install 'gitops-runner[serve]'")
