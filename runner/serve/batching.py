"""Requests that wait for the model, brought together: no wait when it is idle, one call for all that came meanwhile.

Everything here runs on the loop's thread but for calls of a model that takes long, which have a thread of their own. A
request of many rows is asked in portions, and others have their turn between two of them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from runner.serve.checks import Column, Rows, arrays_of
from runner.serve.metrics import Metrics
from runner.serve.predictors import Predictor, Said
from runner.serve.refusals import Refused
from runner.serve.settings import Limits

PORTION_ROWS = 4096
_INLINE_SECONDS = 0.001
"""A call that takes less is made on the loop's own thread: to change threads costs as much."""
_SWEEP_SECONDS = 0.05

Then = Callable[[Said | None, Refused | None], None]
"""What is done with what the model said, or why it said nothing; must not raise."""


class _Item:
    """One request that waits."""

    __slots__ = (
        "alone", "arrays", "count", "counted", "deadline", "done", "over", "parts", "probabilities", "rows", "then"
    )  # fmt: skip

    def __init__(self, rows: Rows, probabilities: bool, deadline: float, then: Then, counted: bool) -> None:
        self.rows = rows
        self.count = rows.count
        self.probabilities = probabilities
        self.deadline = deadline
        self.then = then
        self.over = False
        """Whether it has been answered."""
        self.arrays: list[Any] | None = rows.many
        self.done = 0
        self.parts: list[Said] = []
        self.counted = counted
        """Whether it is a prediction that somebody asked for."""
        self.alone = False
        """Whether it may share no call, since one that it was in came to grief."""

    def give(self, said: Said | None, refused: Refused | None = None) -> None:
        """Answer it, once."""
        if not self.over:
            self.over = True
            self.then(said, refused)


class Batcher:
    """The queue before one model."""

    def __init__(
        self,
        predictor: Predictor,
        columns: Sequence[Column],
        limits: Limits,
        metrics: Metrics,
        seconds: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """seconds: what a call for one row took when the model was warmed."""
        self._predictor = predictor
        self._columns = columns
        self._limits = limits
        self._metrics = metrics
        self._seconds = seconds
        self._loop = loop
        self._waiting: deque[_Item] = deque()
        self._running: Sequence[_Item] = ()
        self._scheduled = False
        self._wait = limits.batch_seconds
        self._timer: asyncio.TimerHandle | None = None
        """Runs while the first request waits for others."""
        self._sweeping = False
        self._thread = ThreadPoolExecutor(1, "model")
        self.uncounted_seconds = 0.0
        """What the last call took that nobody counts."""
        self.busy_since: float | None = None
        """When the call that is being made began, on the monotonic clock."""

    def submit(self, rows: Rows, probabilities: bool, deadline: float, counted: bool = True) -> asyncio.Future[Said]:
        """What the model will say; raises Refused where too many wait.

        deadline: on the loop's clock. counted: whether these are predictions that somebody asked for.
        """
        future: asyncio.Future[Said] = self._loop.create_future()

        def then(said: Said | None, refused: Refused | None) -> None:
            if future.done():
                return
            if said is not None:
                future.set_result(said)
            else:
                future.set_exception(refused or RuntimeError("neither an answer nor a refusal"))

        self.ask(rows, probabilities, deadline, then, counted)
        return future

    def ask(self, rows: Rows, probabilities: bool, deadline: float, then: Then, counted: bool = True) -> None:
        """Ask the model and go on; see `submit()`."""
        if len(self._waiting) >= self._limits.queue:
            raise Refused("too many requests wait for the model: try again", status=429)
        self._waiting.append(_Item(rows, probabilities, deadline, then, counted))
        self._metrics.queue_depth = len(self._waiting)
        if self._wait:
            self._schedule_later()
        else:
            self._schedule()
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def close(self) -> None:
        """Take no more calls; one that is being made goes on."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _schedule(self) -> None:
        if not self._scheduled and not self._running:
            self._scheduled = True
            self._loop.call_soon(self._next)

    def _schedule_later(self) -> None:
        """Wait for others, but not longer than it takes to fill a call."""
        if self._running:
            return
        full = sum(item.count for item in self._waiting) >= self._limits.batch_rows
        if self._timer is not None and full:
            self._timer.cancel()
            self._timer, self._scheduled = None, False
        if full:
            self._schedule()
        elif not self._scheduled:
            self._scheduled = True
            self._timer = self._loop.call_later(self._wait, self._next)

    def _sweep(self) -> None:
        """Answer what has waited too long, also what is being predicted."""
        now = self._loop.time()
        for item in (*self._waiting, *self._running):
            if item.deadline < now:
                item.give(None, Refused("the model did not answer in time", status=504))
        self._sweeping = bool(self._waiting or self._running)
        if self._sweeping:
            self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _next(self) -> None:
        self._scheduled = False
        self._timer = None
        batch = self._batch()
        if not batch:
            return
        rows = sum(item.count for item in batch)
        self._running = batch
        self.busy_since = time.monotonic()
        if rows <= self._limits.batch_rows and self._seconds < _INLINE_SECONDS:
            self._settle(batch, *_called(self._call, batch))
            return
        calling = self._loop.run_in_executor(self._thread, _called, self._call, batch)
        calling.add_done_callback(lambda done: self._settle(batch, *_result_of(done)))

    def _batch(self) -> list[_Item]:
        waiting, most = self._waiting, self._limits.batch_rows
        batch: list[_Item] = []
        rows = 0
        while waiting:
            item = waiting[0]
            if item.over:
                waiting.popleft()
                continue
            if item.count > most or item.arrays is not None or item.alone:
                if not batch:
                    batch.append(waiting.popleft())
                break
            rows += item.count
            if batch and rows > most:
                break
            batch.append(waiting.popleft())
        self._metrics.queue_depth = len(waiting)
        return batch

    def _call(self, batch: Sequence[_Item]) -> Said:
        """Ask the model, on whichever thread this is."""
        first = batch[0]
        if len(batch) == 1:
            if first.arrays is None:
                first.arrays = arrays_of(self._columns, first.rows.few or []) if first.count else []
            if not first.count:
                return _nothing(first.probabilities)
            arrays = first.arrays
            if first.count > PORTION_ROWS:
                arrays = [values[first.done : first.done + PORTION_ROWS] for values in arrays]
        else:
            arrays = arrays_of(self._columns, [row for item in batch for row in item.rows.few or []])
            if not arrays or not len(arrays[0]):
                return _nothing(first.probabilities)
        said = self._predictor.predict(arrays, any(item.probabilities for item in batch))
        if len(said.predictions) != len(arrays[0]):  # whose answer is which, nobody knows
            raise ValueError(f"it says {len(said.predictions)} predictions of {len(arrays[0])} rows")
        return said

    def _settle(self, batch: Sequence[_Item], said: Said | None, error: BaseException | None, seconds: float) -> None:
        self._running = ()
        self.busy_since = None
        rows = 0
        if said is not None:
            rows = len(said.predictions)
            if batch[0].counted:
                self._metrics.predicted(rows, seconds)
            else:
                self.uncounted_seconds = seconds
            if rows <= self._limits.batch_rows:
                self._seconds += 0.1 * (seconds - self._seconds)
            self._hand_out(batch, said)
        elif len(batch) > 1:
            # one request among them is to blame, and the others must not suffer for it
            for item in reversed(batch):
                item.alone = True
                self._waiting.appendleft(item)
        elif not batch[0].over:
            self._metrics.model_errors += 1
            batch[0].give(None, _refusal(error))
        if self._waiting:
            self._schedule()

    def _hand_out(self, batch: Sequence[_Item], said: Said) -> None:
        if len(batch) == 1:
            self._hand_portion(batch[0], said)
            return
        at = 0
        for item in batch:
            end = at + item.count
            shares = said.probabilities
            item.give(Said(said.predictions[at:end], None if shares is None else shares[at:end]))
            at = end

    def _hand_portion(self, item: _Item, said: Said) -> None:
        item.done += len(said.predictions)
        if item.over:
            return
        if item.done < item.count and len(said.predictions):
            item.parts.append(said)
            self._waiting.append(item)
            return
        item.give(_joined([*item.parts, said]) if item.parts else said)


def _called(
    call: Callable[[Sequence[_Item]], Said], batch: Sequence[_Item]
) -> tuple[Said | None, BaseException | None, float]:
    began = time.perf_counter()
    try:
        said = call(batch)
    except Exception as error:  # noqa: BLE001 - a model of any kind
        return None, error, time.perf_counter() - began
    return said, None, time.perf_counter() - began


def _result_of(done: asyncio.Future[Any]) -> tuple[Said | None, BaseException | None, float]:
    error = RuntimeError("the server stops") if done.cancelled() else done.exception()
    return (None, error, 0.0) if error is not None else done.result()


def _refusal(error: BaseException | None) -> Refused:
    if isinstance(error, MemoryError):
        return Refused("there is not enough memory for these rows: send fewer at a time", status=413)
    text = str(error).encode("utf-8", "replace").decode()[:300]
    return Refused(f"the model does not take these rows: {type(error).__name__}: {text}")


def _nothing(probabilities: bool) -> Said:
    import numpy

    return Said(numpy.empty(0), numpy.empty((0, 0)) if probabilities else None)


def _joined(parts: Sequence[Said]) -> Said:
    import numpy

    shares = [part.probabilities for part in parts if part.probabilities is not None]
    return Said(numpy.concatenate([part.predictions for part in parts]), numpy.concatenate(shares) if shares else None)
