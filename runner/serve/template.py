"""The template: a process that has imported what every model needs, and forks a worker when it is asked to.

To import scikit-learn takes a second or more. So a worker that died is replaced at once, and a swap costs what loading
the model costs. The template itself never reads a model; a worker is one only after the fork, and shares the
template's memory.

`python -m runner.serve.template DESCRIPTOR`: requests come over the socket of this number.
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import socket
import sys
import time
from typing import Any

from runner.artefacts import skops_file
from runner.serve import pipe
from runner.serve.generations import end_process

_IMPORTS = (
    "numpy", "pandas", "sklearn.pipeline", "sklearn.compose", "sklearn.preprocessing", "sklearn.impute",
    "sklearn.linear_model", "skops.io", "runner.serve.worker", "runner.serve.http", "runner.serve.compiled", "uvloop",
)  # fmt: skip
_LEFT_SECONDS = 45.0
"""How long workers may drain whose supervisor is gone."""
_forked: set[int] = set()
"""Workers that have not been buried."""


def main() -> int:
    """Fork workers until the supervisor is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    waking, waken = socket.socketpair()
    waking.setblocking(False)
    waken.setblocking(False)
    signal.set_wakeup_fd(waken.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    _prepare()
    pipe.say(control, {"say": "warm", "pid": os.getpid()})
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(waking, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is waking:
                    waking.recv(4096)
                    _bury(control)
                    continue
                message, descriptors = pipe.heard(control)
                if message is None:
                    _wait_for_workers(waking)
                    return 0
                if _fork(message, descriptors, (control, waking, waken, selector)):
                    return 0


def _prepare() -> None:
    import gc
    import importlib

    sys.meta_path.insert(0, _WithoutArrow())
    skops_file.import_lightly()
    for name in _IMPORTS:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # pages that the collector writes on are shared no more


class _WithoutArrow:
    """pandas takes pyarrow where it is there: threads that a fork does not take along, and memory that nobody uses."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """See importlib."""
        if name == "pyarrow":
            raise ModuleNotFoundError("pyarrow is not for workers", name=name)


def _fork(message: dict[str, Any], descriptors: list[int], ours: tuple[Any, ...]) -> bool:
    """Answer a request for a worker; True in the worker, once it has come to its end."""
    number = os.fork()
    if number:
        _forked.add(number)
        for descriptor in descriptors:
            os.close(descriptor)
        pipe.say(ours[0], {"say": "forked", "pid": number, "token": message["token"]})
        return False
    code = 70
    try:
        os.setsid()  # so that what a model starts can be ended with it
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        ours[3].close()
        for open_here in ours[:3]:
            open_here.close()
        supervisor = socket.socket(fileno=descriptors[0])
        from runner.serve.settings import from_json
        from runner.serve.worker import work

        code = work(from_json(message["settings"]), supervisor, bytes.fromhex(message["key"]))
    except BaseException as error:  # noqa: BLE001 - whatever it is, this process ends here and says why
        import traceback

        sys.stderr.write("".join(traceback.format_exception(error)))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait_for_workers(waking: socket.socket) -> None:
    """Let workers drain, whose supervisor is gone; those that hang, in a model or before it was loaded, are ended."""
    waking.setblocking(True)
    end = time.monotonic() + _LEFT_SECONDS
    while _forked:
        left = end - time.monotonic()
        if left <= 0:
            for number in _forked:
                end_process(number)
            return
        waking.settimeout(left)
        with contextlib.suppress(TimeoutError):
            waking.recv(4096)
        _bury(None)


def _bury(control: socket.socket | None) -> None:
    while True:
        try:
            number, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not number:
            return
        _forked.discard(number)
        if control is not None:
            pipe.say(control, {"say": "ended", "pid": number, "code": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    sys.exit(main())
