"""Requests for explanations: one at a time, in a thread of their own, asking the model in small portions.

The model is asked through the queue that predictions wait in, so that it is asked by one caller at a time, and a
prediction waits for one portion at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from runner.serve.batching import Batcher
from runner.serve.calls import Call, dumped
from runner.serve.checks import Rows, arrays_of
from runner.serve.explaining import Explainer, as_told
from runner.serve.loading import Model
from runner.serve.refusals import Refused
from runner.serve.settings import ExplainSettings

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

_MOST_WAITING = 16
_PORTION_SECONDS = 0.004
_MOST_SECONDS = 0.1
_FIRST_PORTION, _LEAST_PORTION, _MOST_PORTION = 64, 16, 1024


class Explanations:
    """The explanations of one worker."""

    def __init__(
        self,
        explainer: Explainer,
        settings: ExplainSettings,
        model: Model,
        about: dict[str, Any],
        batcher: Batcher,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """about: what each answer begins with, such as the name of the model."""
        self._explainer = explainer
        self._settings = settings
        self._model = model
        self._about = about
        self._batcher = batcher
        self._loop = loop
        self._thread = ThreadPoolExecutor(1, "explain")
        self._waiting = 0
        self._portion = _FIRST_PORTION
        self._least_seconds = _MOST_SECONDS
        """What a call costs for one row."""
        self.rows = 0
        """How many were explained."""

    async def answer(self, call: Call, deadline: float) -> bytes:
        """The body of the answer; raises Refused. deadline: on the loop's clock."""
        most = self._settings.rows
        if call.rows.count > most:
            raise Refused(
                f"expected at most {most} rows to explain in one request, found {call.rows.count}", status=413
            )
        if self._waiting >= _MOST_WAITING:
            raise Refused("too many requests wait for explanations: try again", status=429)
        deadline = min(deadline, self._loop.time() + self._settings.seconds)
        self._waiting += 1
        try:
            told = await self._loop.run_in_executor(self._thread, self._explained, call.rows, deadline)
        finally:
            self._waiting -= 1
        self.rows += call.rows.count
        return dumped({**self._about, "explanations": told})

    def close(self) -> None:
        """Take no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _explained(self, rows: Rows, deadline: float) -> list[dict[str, Any]]:
        """In the thread of explanations."""
        columns = self._model.checks.columns
        arrays = rows.many if rows.many is not None else arrays_of(columns, rows.few or []) if rows.count else []

        def ask(asked: Sequence[Any]) -> Array:
            import numpy

            return numpy.concatenate([self._explainer.outputs(part) for part in self._said(asked, deadline)])

        told = []
        for at in range(rows.count):
            row = [column[at : at + 1] for column in arrays]
            (said,) = self._said(row, deadline)
            found = self._explainer.explain(row, ask)
            told.append(as_told(found, self._model.checks.names, said.predictions.tolist()[0]))
        return told

    def _said(self, arrays: Sequence[Any], deadline: float) -> list[Any]:
        """What the model says of rows, asked in portions that take it a few milliseconds each."""
        count = len(arrays[0])
        found, at = [], 0
        while at < count:
            if self._loop.time() > deadline:
                text = "the explanation was not ready in time: ask for fewer rows, or for fewer evaluations"
                raise Refused(text, status=504)
            part = Rows(min(self._portion, count - at), many=[one[at : at + self._portion] for one in arrays])
            found.append(asyncio.run_coroutine_threadsafe(self._asked(part, deadline), self._loop).result())
            self._learn(part.count, self._batcher.uncounted_seconds)
            at += part.count
        return found

    def _learn(self, count: int, seconds: float) -> None:
        """How many rows to ask at a time: what a call costs however few they are is no reason for few."""
        if count == 1:
            self._least_seconds = min(self._least_seconds, seconds)
        elif count == self._portion:
            wanted = max(_PORTION_SECONDS, 2 * self._least_seconds)
            wished = min(max(int(count * wanted / max(seconds, 1e-6)), count // 2), count * 2)
            self._portion = min(max(wished, _LEAST_PORTION), _MOST_PORTION)

    async def _asked(self, rows: Rows, deadline: float) -> Any:
        return await self._batcher.submit(rows, True, deadline, counted=False)
