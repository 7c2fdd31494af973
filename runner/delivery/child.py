"""The looker as a process of its own: what git and cloud libraries do there neither kills a server nor fills memory.

One question and one answer at a time, a line of JSON each. A process that has grown is ended after its answer, and the
next question starts another one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from runner.errors import HostError
from runner.values import dataclass

_TICK_SECONDS = 0.2
_MOST_ANSWER_BYTES = 16 << 20
_LAST_SECONDS = 5.0
_GIT_TIMEOUT, _GIT_SECONDS = "RUNNER_GIT_TIMEOUT", "300"
"""A server asks again and again: it need not wait for one answer as long as a reconcile does."""
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Followed:
    """What a server follows, as its looker has to know it."""

    url: str
    branches: tuple[str, ...]
    """Where releases may be recorded; the first one that is there counts."""
    deployment: str | None
    environment: str
    home: str
    """The server's own folder."""
    trust: str | None = None
    """The trust file."""
    accept: str | None = None
    """A commit of a state branch that was rewritten, which a person goes on from."""


class Child:
    """A looker in another process; it is started when it is asked."""

    def __init__(self, module: str, followed: Followed, environ: Mapping[str, str]) -> None:
        """module: what is run."""
        # -P: the folder that the server was started in is no place to import from
        self._command = [sys.executable, "-P", "-m", module]
        self._first = json.dumps(asdict(followed)).encode() + b"\n"
        self._environ = {_GIT_TIMEOUT: _GIT_SECONDS, **environ}
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, question: Mapping[str, Any], patience_seconds: float, stop: threading.Event) -> dict[str, Any]:
        """See Looker."""
        try:
            line = self._answered(json.dumps(question).encode() + b"\n", time.monotonic() + patience_seconds, stop)
            answer: dict[str, Any] = json.loads(line)
        except TimeoutError as error:
            self.close()
            raise HostError(f"no answer within {patience_seconds:g} s", "it is asked again") from error
        except (OSError, ValueError) as error:
            self.close()
            raise HostError(f"the process that looks after releases failed: {error}", "it is started again") from error
        if answer.pop("heavy", False):
            self.close()
        return answer

    def close(self) -> None:
        """See Looker."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()  # it ends what it has started, which is in groups of their own
        try:
            process.wait(_LAST_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()

    def _answered(self, question: bytes, until: float, stop: threading.Event) -> bytes:
        process = self._process
        if process is None or process.poll() is not None:
            self.close()
            process = self._process = subprocess.Popen(
                self._command,
                env=self._environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            question = self._first + question
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(question)
        process.stdin.flush()
        number, answer = process.stdout.fileno(), b""
        readable = select.poll()  # `select` knows no descriptor above 1,023
        readable.register(number, select.POLLIN)
        while not answer.endswith(b"\n"):
            if stop.is_set() or time.monotonic() > until:
                raise TimeoutError
            if not readable.poll(_TICK_SECONDS * 1000):
                continue
            more = os.read(number, _READ_BYTES)
            if not more or len(answer) > _MOST_ANSWER_BYTES:
                raise ValueError("it ended without an answer")
            answer += more
        return answer
