"""A worker: one model, loaded and tried, then served until it is told to drain.

What it says over its pipe: `started`, `loaded`, `ready` or `failed` with the reason, `serving`, `alive` each second,
and `drained`. What it is told: `serve`, `tell` (more for `/status`), `drain`. A pipe that ends means that the
supervisor is gone: the worker drains and ends, too.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from datetime import UTC, datetime
from typing import Any

from runner import __version__
from runner.errors import RunnerError
from runner.serve import open_inference, pages, pipe
from runner.serve.app import App
from runner.serve.batching import Batcher
from runner.serve.checks import arrays_of
from runner.serve.loading import Model, load
from runner.serve.metrics import Metrics
from runner.serve.prediction_log import PredictionLog
from runner.serve.predictors import Said
from runner.serve.settings import Settings

_ALIVE_SECONDS = 1.0
_WARM_CALLS = 5


def work(settings: Settings, listening: socket.socket, supervisor: socket.socket, key: bytes) -> int:
    """The whole life of a worker; the exit code of its process. key: for columns that the log hashes."""
    if settings.vacancy is not None:
        from runner.serve import vacant

        return vacant.work(settings, settings.vacancy, listening, supervisor)
    began = time.monotonic()
    pipe.say(supervisor, {"say": "started", "pid": os.getpid()})
    try:
        model = load(settings)
        pipe.say(supervisor, {"say": "loaded", "seconds": round(time.monotonic() - began, 3)})
        log = _log_of(settings, model, key)
        warm, seconds = _warmed(model)
    except RunnerError as error:
        pipe.say(supervisor, {"say": "failed", "reason": error.line[:4000]})
        return 1
    except Exception as error:  # noqa: BLE001 - a model of any kind; whoever started us gets the reason
        reason = f"{settings.served.folder}: {type(error).__name__}: {str(error)[:1000]}"
        pipe.say(supervisor, {"say": "failed", "reason": reason})
        return 1
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        return loop.run(_Worker(settings, model, log, warm, seconds, supervisor).serve(listening, began))


def _log_of(settings: Settings, model: Model, key: bytes) -> PredictionLog | None:
    if settings.log is None:
        return None
    served = settings.served
    about = {"model": served.name, "version": served.version, "digest": model.artefact.manifest}
    return PredictionLog(settings.log, model.checks.names, model.artefact.classes, about, key)


def _warmed(model: Model) -> tuple[Said | None, float]:
    """What the model says of the first row of its example, and how long that takes once it is warm."""
    example = model.artefact.example
    rows = model.checks.split(example["columns"], example["data"]).few or []
    if not rows:
        return None, 1.0
    said, seconds = None, 1.0
    for _ in range(_WARM_CALLS):
        began = time.perf_counter()
        said = model.predictor.predict(arrays_of(model.checks.columns, rows[:1]), model.probable)
        seconds = min(seconds, time.perf_counter() - began)
    return said, seconds


class _Worker:
    """A worker whose model may answer."""

    def __init__(
        self,
        settings: Settings,
        model: Model,
        log: PredictionLog | None,
        warm: Said | None,
        seconds: float,
        supervisor: socket.socket,
    ) -> None:
        self._settings = settings
        self._model = model
        self._log = log
        self._warm = warm
        self._seconds = seconds
        self._supervisor = supervisor
        self._metrics = Metrics()
        self._told: dict[str, Any] = {}
        self._since: str | None = None
        self._orders: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def serve(self, listening: socket.socket, began: float) -> int:
        """Wait for the word to serve, and then for the word to drain."""
        from runner.serve.http import Listener

        loop = asyncio.get_running_loop()
        settings, limits = self._settings, self._settings.limits
        self._batcher = Batcher(
            self._model.predictor, self._model.checks.columns, limits, self._metrics, self._seconds, loop
        )
        listener = self._listener = Listener(self._app(), limits)
        self._supervisor.setblocking(False)
        loop.add_reader(self._supervisor, self._hear)
        ready = {"say": "ready", "seconds": round(time.monotonic() - began, 3), "way": self._model.predictor.way}
        facts = {"digest": self._model.artefact.manifest, "format": self._model.format, "notes": self._model.notes}
        pipe.say(self._supervisor, {**ready, **facts})
        beating = loop.create_task(self._beat())
        code = 0
        while (order := await self._orders.get()) is not None:
            if order["do"] == "serve":
                await listener.listen(listening)
                self._since = _now()
                pipe.say(self._supervisor, {"say": "serving", "version": settings.served.version})
            elif order["do"] == "tell":
                self._told = order["about"]
            elif order["do"] == "drain":
                cut = await listener.drain(order["seconds"], order["at_once"])
                pipe.say(self._supervisor, {"say": "drained", "cut": cut})
                break
        else:
            await listener.drain(limits.drain_seconds, at_once=True)
        beating.cancel()
        self._batcher.close()
        if self._log is not None:
            await loop.run_in_executor(None, self._log.close)
        return code

    def _app(self) -> App:
        served = self._settings.served
        metadata = (
            open_inference.server_metadata(__version__),
            open_inference.model_metadata(self._model, served.name, served.version, self._output()),
        )
        info = {
            "name": served.name,
            "version": served.version,
            "digest": self._model.artefact.manifest,
            "format": self._model.format,
            "way": self._model.predictor.way,
        }
        return App(
            self._model,
            served.name,
            served.version,
            self._settings.limits,
            self._batcher,
            self._metrics,
            self._metrics.registry(info, self._counted, lambda: dict(self._told.get("gauges", {}))),
            self._log,
            self._facts,
            pages.pages_of(self._model, served.name, served.version),
            metadata,
        )

    def _output(self) -> str:
        return open_inference.output_datatype(self._warm) if self._warm is not None else "FP64"

    def _hear(self) -> None:
        while True:
            try:
                message, _ = pipe.heard(self._supervisor)
            except BlockingIOError:
                return
            self._orders.put_nowait(message)
            if message is None:
                asyncio.get_running_loop().remove_reader(self._supervisor)
                return

    async def _beat(self) -> None:
        """Say each second that the loop turns, and since when the model has been busy with one call."""
        while True:
            since = self._batcher.busy_since
            busy = 0.0 if since is None else round(time.monotonic() - since, 3)
            pipe.say(self._supervisor, {"say": "alive", "busy": busy, "connections": self._listener.connections})
            await asyncio.sleep(_ALIVE_SECONDS)

    def _counted(self) -> dict[str, float]:
        if self._log is None:
            return {}
        return {
            "prediction_log_rows": self._log.written_rows,
            "prediction_log_dropped_rows": self._log.dropped_rows,
        }

    def _facts(self) -> dict[str, Any]:
        """What `/status` says."""
        served = self._settings.served
        told: dict[str, Any] = {
            "model": served.name,
            "version": served.version,
            "digest": self._model.artefact.manifest,
            "format": self._model.format,
            "predicts": self._model.predictor.way,
            "since": self._since,
            "state": "draining" if self._listener.draining else "serving",
            "pid": os.getpid(),
            "runner": __version__,
            "notes": list(self._model.notes),
        }
        if self._log is not None:
            told["predictionLog"] = {**self._counted(), "fault": self._log.fault}
        return {**told, **served.about, **{name: value for name, value in self._told.items() if name != "gauges"}}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
