"""The thread that asks what is released, again and again, and has the supervisor of the server follow."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from runner.core.moments import of_epoch
from runner.delivery.memory import (
    DRAINED,
    FAILED,
    LOADING,
    Action,
    Answer,
    AskHere,
    Failure,
    GiveUp,
    Memory,
    Swap,
    Vacate,
    happened,
    heard,
)
from runner.delivery.store import Store
from runner.errors import InputError, RunnerError
from runner.values import dataclass, replace

_FIRST_PATIENCE_SECONDS = 5.0
"""So long the remote may think before what was served last is served again."""
_PATIENCE_SECONDS = 3600.0
"""For one look, with all that is fetched."""
_JITTER = 0.1
_MOST_SHOWN = 4000
_MOST_GIVEN = 4
_OVER = {"unreachable": "reachable", "held": "followed"}
"""What is told when something is over that nothing else tells the end of."""


class Looker(Protocol):
    """Knows git and DVC remotes; a process of its own, which may die at any time."""

    def ask(self, question: Mapping[str, Any], patience_seconds: float, stop: threading.Event) -> Answer:
        """An answer; raises HostError where none comes in time."""

    def close(self) -> None:
        """End the process."""


class Server(Protocol):
    """What serves; each of these returns at once."""

    def serve(self, answer: Answer) -> None:
        """Load a release, and serve it from when it is ready; raises InputError for settings that it cannot have."""

    def vacate(self, state: str, why: str, status: int) -> None:
        """Serve no model, and say why."""

    def tell(self, about: Mapping[str, Any]) -> None:
        """What `/status` says beside what the worker knows."""

    def stop(self) -> None:
        """Answer what has come, and end."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is followed, as it may be shown."""

    repo: str
    """Without user and password."""
    branch: str
    deployment: str | None
    environment: str


class Puller:
    """Follows the releases of one Deployment in one environment."""

    def __init__(
        self,
        looker: Looker,
        server: Server,
        store: Store,
        source: Source,
        say: Callable[[Mapping[str, Any]], None],
        *,
        every_seconds: float,
    ) -> None:
        """say: gets each thing that is news for people."""
        self._looker = looker
        self._server = server
        self._store = store
        self._source = source
        self._deployment = source.deployment
        self._say = say
        self._every = every_seconds
        self._memory = Memory()
        self._lock = threading.Lock()
        self._delivered: dict[int, Answer] = {}
        """What was handed to the server, by version."""
        self._told: dict[str, str] = {}
        self._vacant: str | None = None
        self.failure: RunnerError | None = None
        """Why it gave up."""

    def run(self, stop: threading.Event) -> None:
        """Look and follow until `stop` is set."""
        try:
            self._vacate(Vacate(LOADING, f"{self._source.repo} is asked what is released"))
            while not stop.is_set() and self.failure is None:
                self._look_once(stop)
                wait = self._memory.wait_seconds(self._every)
                stop.wait(wait * random.uniform(1 - _JITTER, 1 + _JITTER))
        finally:
            self._looker.close()

    def event(self, event: Mapping[str, Any]) -> None:
        """Hear what happened to a worker; called in the thread of the server, which nothing here may end."""
        try:
            self._hear(event)
        except Exception as error:  # noqa: BLE001 - a full disk, or a defect
            self._news("defect", f"what became of a release is not noted: {type(error).__name__}: {error}")

    def _hear(self, event: Mapping[str, Any]) -> None:
        version = event.get("version")
        if event["event"] == "serving" and version == "" and self._vacant is None:
            # A model that served died again and again, and none served before it.
            with self._lock:
                self._vacant, self._memory = LOADING, replace(self._memory, serving=None)
            self._tell()
        if event["event"] not in ("serving", "failed") or not str(version).isdecimal():
            return
        with self._lock:
            self._memory = happened(
                self._memory,
                event["event"],
                int(str(version)),
                str(event.get("reason", "")),
                time.monotonic(),
                self._every,
            )
            answer = self._delivered.get(int(str(version)))
            if event["event"] == "serving":
                self._vacant = None
                # The supervisor may come back to the one before.
                self._delivered = {number: self._delivered[number] for number in sorted(self._delivered)[-_MOST_GIVEN:]}
        self._tell()
        if event["event"] == "serving" and answer is not None:
            self._store.keep({name: answer[name] for name in ("release", "id", "record", "commit")})

    def _look_once(self, stop: threading.Event) -> None:
        try:
            self._look(stop)
        except Exception as error:  # noqa: BLE001 - a full disk, or a defect: what serves goes on, and so does this
            self._news("defect", f"a look at the releases failed: {type(error).__name__}: {error}")

    def _look(self, stop: threading.Event) -> None:
        begun = self._memory.begun
        short = not begun and self._store.kept() is not None
        question = self._memory.question(time.monotonic())
        self._follow(self._asked(question, _FIRST_PATIENCE_SECONDS if short else _PATIENCE_SECONDS, stop), stop)

    def _asked(self, question: Mapping[str, Any], patience: float, stop: threading.Event) -> Answer:
        try:
            return self._looker.ask(question, patience, stop)
        except RunnerError as error:
            if question["do"] == "here":
                return {"say": "nothing", "why": error.line}
            return {"say": "unreachable", "why": error.line}

    def _follow(self, answer: Answer, stop: threading.Event) -> None:
        if stop.is_set():
            return
        self._deployment = answer.get("deployment") or self._deployment
        with self._lock:
            self._memory, action = heard(self._memory, answer, time.monotonic(), time.time(), self._every)
            known = self._memory
        self._news("unreachable", known.unreachable or "")
        # A release that fails instead is told as such: it is not followed either.
        self._news("held", known.held or "", quiet=answer["say"] == "failed")
        if answer["say"] == "failed":
            self._news("failed", answer["why"], version=answer["version"])
        self._act(action, stop)
        self._tell()

    def _act(self, action: Action, stop: threading.Event) -> None:
        if isinstance(action, Swap):
            self._swap(action.answer)
        elif isinstance(action, AskHere):
            found = self._asked({"do": "here"}, _PATIENCE_SECONDS, stop)
            self._follow({**found, "why": action.why} if found["say"] == "nothing" else found, stop)
        elif isinstance(action, Vacate):
            self._vacate(action)
        elif isinstance(action, GiveUp):
            self.failure = InputError(action.why, action.hint)
            self._server.stop()

    def _swap(self, answer: Answer) -> None:
        release = answer["release"]
        self._news("released", f"{answer['say']}:{release['version']}", version=release["version"], quiet=True)
        with self._lock:
            self._delivered[release["version"]] = answer
        try:
            self._server.serve(answer)
        except RunnerError as error:
            self._news("failed", error.line, version=release["version"])
            with self._lock:
                now = time.monotonic()
                self._memory = happened(self._memory, "failed", release["version"], error.line, now, self._every)

    def _vacate(self, action: Vacate) -> None:
        self._news(action.state, action.why, quiet=action.state == LOADING)
        if action.state == DRAINED:
            self._store.forget()
        if self._vacant != action.state:
            self._vacant = action.state
            self._server.vacate(action.state, action.why, action.status)

    def _news(self, kind: str, text: str, *, quiet: bool = False, **more: Any) -> None:
        """Say something once, until it changes; the empty text says that it is over."""
        before = self._told.get(kind, "")
        self._told[kind] = text
        if text == before or quiet:
            return
        if text:
            self._say({"event": kind, "reason": text, **{name: str(value) for name, value in more.items()}})
        elif kind in _OVER:
            self._say({"event": _OVER[kind]})

    def _tell(self) -> None:
        with self._lock:
            about = self._about(self._memory)
        self._server.tell(about)

    def _about(self, memory: Memory) -> dict[str, Any]:
        source = self._source
        about: dict[str, Any] = {
            "failed": memory.failed and Failure(memory.failed.version, _short(memory.failed.why)).as_json(),
            "held": memory.held and _short(memory.held),
            "loading": memory.loading,
            "source": {
                "repo": source.repo,
                "branch": source.branch,
                "commit": memory.commit,
                "checkedAt": _written(memory.checked_at),
                "fault": memory.unreachable and _short(memory.unreachable),
            },
            "gauges": {
                "release_last_check_success_timestamp_seconds": memory.checked_at or 0.0,
                "release_last_check_successful": float(memory.missed == 0 and memory.checked_at is not None),
                "release_checks_failed": float(memory.missed_ever),
                "release_version": float(memory.serving or 0),
                "release_failed": float(memory.failed is not None),
            },
        }
        if self._vacant is not None:
            about["state"] = FAILED if memory.failed is not None else self._vacant
            why = memory.failed.why if memory.failed is not None else self._told.get(self._vacant)
            about |= {"deployment": self._deployment, "environment": source.environment, "why": why and _short(why)}
        return about


def _short(text: str) -> str:
    """What is shown of a reason: all of it goes to each worker at once."""
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."


def _written(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return of_epoch(seconds, "seconds")
