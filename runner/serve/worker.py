"""A worker: one model, loaded and tried, then served until it is told to drain.

What it says over its pipe: `started`, `loaded`, `ready` or `failed` with the reason, `serving`, `alive` each second
with its numbers, `scrape` (it wants those of the others), and `drained`. What it is told: `serve`, with the socket that
listens, `tell` (more for `/status`), `count` and `counted` (numbers, asked for and given), `drain`. A pipe that ends
means that the supervisor is gone: the worker drains and ends, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from runner import __version__
from runner.core.moments import of_epoch
from runner.errors import InputError, RunnerError
from runner.serve import metrics, open_inference, pages, pipe
from runner.serve.access_log import AccessLog
from runner.serve.app import App
from runner.serve.batching import Batcher
from runner.serve.checks import arrays_of
from runner.serve.confinement import confine
from runner.serve.explaining import Explainer
from runner.serve.explanations import Explanations
from runner.serve.loading import Model, load, same
from runner.serve.metrics import Metrics
from runner.serve.prediction_log import PredictionLog
from runner.serve.predictors import Said
from runner.serve.settings import Served, Settings
from runner.values import replace

_ALIVE_SECONDS = 1.0
_COLLECTED_AFTER = (50_000, 20, 50)
_SWITCH_SECONDS = 0.0005
"""How long the thread of a log may keep the one that answers waiting."""
_WARM_CALLS = 128
_WARM_SECONDS = 2.0
_SCRAPE_SECONDS = 1.5


def work(settings: Settings, supervisor: socket.socket, key: bytes) -> int:
    """The whole life of a worker; the exit code of its process. key: for columns that the log hashes."""
    if settings.vacancy is not None:
        from runner.serve import vacant

        return vacant.work(settings, settings.vacancy, supervisor)
    began = time.monotonic()
    pipe.say(supervisor, {"say": "started", "pid": os.getpid()})
    output = os.dup(1)
    os.dup2(2, 1)  # what a model prints is neither an event of the server nor a line of its access log
    try:
        notes = confine(settings.limits.memory_bytes, network=settings.network)
        model = load(settings)
        model = replace(model, notes=(*model.notes, *notes))
        pipe.say(supervisor, {"say": "loaded", "seconds": round(time.monotonic() - began, 3)})
        log = _log_of(settings, model, key)
        explainer = Explainer(model, settings.explain) if settings.explain is not None else None
        access = AccessLog(settings.access, settings.served.version, output) if settings.access is not None else None
        warm, seconds = _warmed(model)
    except RunnerError as error:
        pipe.say(supervisor, {"say": "failed", "reason": error.line[:4000]})
        return 1
    except Exception as error:  # noqa: BLE001 - a model of any kind; whoever started us gets the reason
        reason = f"{settings.served.folder}: {type(error).__name__}: {str(error)[:1000]}"
        pipe.say(supervisor, {"say": "failed", "reason": reason})
        return 1
    import uvloop

    # What is there now stays; and what a request leaves is let go without the collector, which would only cost time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)
    sys.setswitchinterval(_SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        return loop.run(_Worker(settings, model, (log, access), explainer, warm, seconds, supervisor).serve(began))


def _log_of(settings: Settings, model: Model, key: bytes) -> PredictionLog | None:
    if settings.log is None:
        return None
    served = settings.served
    about = {"model": served.name, "version": served.version, "digest": _digest(served, model)}
    kinds = {column.name: column.kind for column in model.checks.columns}
    kinds[""] = "number" if model.artefact.classes is None else "string"
    return PredictionLog(settings.log, model.checks.names, model.artefact.classes, about, key, kinds)


def _digest(served: Served, model: Model) -> Any:
    """What names the model in logs and metrics: what `/status` says."""
    return served.about.get("digest", model.artefact.manifest)


def _warmed(model: Model) -> tuple[Said | None, float]:
    """What the model says of the first row of its example, and how long that takes once it is warm.

    It is asked often, since some that are broken are so from the second time or the hundredth on. Raises InputError for
    one that does not say the same each time.
    """
    example = model.artefact.example
    rows = model.checks.split(example["columns"], example["data"], bounded=False).few or []
    if not rows:
        return None, 1.0
    first: Said | None = None
    seconds, until = 1.0, time.monotonic() + _WARM_SECONDS
    for _ in range(_WARM_CALLS):
        began = time.perf_counter()
        try:
            said = model.predictor.predict(arrays_of(model.checks.columns, rows[:1]), model.probable)
        except Exception as error:
            text = f"asked again, it cannot predict its own example: {type(error).__name__}: {str(error)[:200]}"
            raise InputError(text, "train it again, with the versions in environment.txt") from error
        seconds = min(seconds, time.perf_counter() - began)
        first = first or said
        if not same(said, first):
            raise InputError("asked again, it says another thing of its own example", "train it again")
        if time.monotonic() > until:
            break
    return first, seconds


class _Worker:
    """A worker whose model may answer."""

    def __init__(
        self,
        settings: Settings,
        model: Model,
        logs: tuple[PredictionLog | None, AccessLog | None],
        explainer: Explainer | None,
        warm: Said | None,
        seconds: float,
        supervisor: socket.socket,
    ) -> None:
        self._settings = settings
        self._model = model
        self._log, self._access = logs
        self._explainer = explainer
        self._explanations: Explanations | None = None
        self._warm = warm
        self._seconds = seconds
        self._supervisor = supervisor
        self._metrics = Metrics()
        self._told: dict[str, Any] = {}
        self._since: str | None = None
        self._listening: socket.socket | None = None
        self._scrape_count = 0
        self._scraping: asyncio.Task[list[metrics.Numbers]] | None = None
        self._scrapes: dict[int, asyncio.Future[metrics.Numbers]] = {}
        self._orders: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def serve(self, began: float) -> int:
        """Wait for the word to serve, and then for the word to drain."""
        from runner.serve.http import Listener

        loop = asyncio.get_running_loop()
        settings, limits = self._settings, self._settings.limits
        self._batcher = Batcher(
            self._model.predictor, self._model.checks.columns, limits, self._metrics, self._seconds, loop
        )
        if self._explainer is not None:
            assert settings.explain is not None
            about = {"model_name": settings.served.name, "model_version": settings.served.version}
            explained = (self._explainer, settings.explain, self._model, about, self._batcher, loop)
            self._explanations = Explanations(*explained)
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
                assert self._listening is not None
                await listener.listen(self._listening)
                self._since = of_epoch(time.time(), "seconds")
                pipe.say(self._supervisor, {"say": "serving", "version": settings.served.version})
            elif order["do"] == "tell":
                self._told = order["about"]
            elif order["do"] == "drain":
                cut = await listener.drain(order["seconds"], order["at_once"])
                pipe.say(self._supervisor, {"say": "drained", "cut": cut, "numbers": self._numbers()})
                break
        else:
            await listener.drain(limits.drain_seconds, at_once=True)
        beating.cancel()
        self._batcher.close()
        if self._explanations is not None:
            self._explanations.close()
        for log in (self._log, self._access):
            if log is not None:
                await loop.run_in_executor(None, log.close)
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
            "digest": _digest(served, self._model),
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
            lambda: self._scraped(info),
            self._log,
            self._access,
            self._explanations,
            self._facts,
            pages.pages_of(self._model, served, explains=self._explanations is not None),
            metadata,
        )

    def _output(self) -> str:
        return open_inference.output_datatype(self._warm) if self._warm is not None else "FP64"

    def _hear(self) -> None:
        while True:
            try:
                message, descriptors = pipe.heard(self._supervisor)
            except BlockingIOError:
                return
            if descriptors:
                self._listening = socket.socket(fileno=descriptors[0])
            if message is not None and message["do"] == "count":
                pipe.say(self._supervisor, {"say": "counted", "numbers": self._numbers()})
                continue
            if message is not None and message["do"] == "counted":
                waiting = self._scrapes.pop(message["number"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message["numbers"])
                continue
            self._orders.put_nowait(message)
            if message is None:
                asyncio.get_running_loop().remove_reader(self._supervisor)
                return

    async def _beat(self) -> None:
        """Say each second that the loop turns, and since when the model has been busy with one call."""
        while True:
            since = self._batcher.busy_since
            busy = 0.0 if since is None else round(time.monotonic() - since, 3)
            told = {"busy": busy, "connections": self._listener.connections, "numbers": self._numbers()}
            pipe.say(self._supervisor, {"say": "alive", **told})
            await asyncio.sleep(_ALIVE_SECONDS)

    def _numbers(self) -> metrics.Numbers:
        return self._metrics.numbers(self._counted())

    async def _scraped(self, info: Mapping[str, str]) -> tuple[bytes, str]:
        """The numbers of all workers; of this one alone where the supervisor does not answer."""
        if self._scraping is None or self._scraping.done():
            self._scraping = asyncio.get_running_loop().create_task(self._others())
        others = await asyncio.shield(self._scraping)  # one at a time: however many ask, nobody's pipe is filled
        return metrics.page(metrics.merged([*others, self._numbers()]), info, self._told.get("gauges", {}))

    async def _others(self) -> list[metrics.Numbers]:
        """What the other workers counted, as the supervisor says it; empty where it does not answer."""
        self._scrape_count += 1
        waiting: asyncio.Future[metrics.Numbers] = asyncio.get_running_loop().create_future()
        self._scrapes = {self._scrape_count: waiting}
        if pipe.say(self._supervisor, {"say": "scrape", "number": self._scrape_count}):
            with contextlib.suppress(TimeoutError):
                return [await asyncio.wait_for(waiting, _SCRAPE_SECONDS)]
        return []

    def _counted(self) -> dict[str, float]:
        counted: dict[str, float] = {}
        if self._log is not None:
            counted["prediction_log_rows"] = self._log.written_rows
            counted["prediction_log_dropped_rows"] = self._log.dropped_rows
        if self._access is not None:
            counted["access_log_lines"] = self._access.written
            counted["access_log_dropped_lines"] = self._access.dropped
        if self._explanations is not None:
            counted["explanations"] = self._explanations.rows
        return counted

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
            "workers": self._settings.workers,
            "runner": __version__,
            "notes": list(self._model.notes),
        }
        if self._log is not None:
            told["predictionLog"] = {
                "prediction_log_rows": self._log.written_rows,
                "prediction_log_dropped_rows": self._log.dropped_rows,
                "fault": self._log.fault,
            }
        if self._access is not None:
            told["accessLog"] = {
                "lines": self._access.written, "dropped": self._access.dropped, "fault": self._access.fault
            }  # fmt: skip
        return {**told, **served.about, **{name: value for name, value in self._told.items() if name != "gauges"}}
