"""Requests wait for others where they are told to, and never longer than that takes to be of use."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy

from runner.serve.batching import Batcher
from runner.serve.checks import Column, Rows
from runner.serve.metrics import Metrics
from runner.serve.predictors import Said
from runner.serve.refusals import Refused
from runner.serve.settings import Limits
from tests.serve.servers import PATIENCE

COLUMNS = [Column("age", "number", False, None, None, None, "a number")]
LONG = 3600.0


class Counting:
    """Says the age itself, and remembers how many rows it was asked for at a time."""

    way = "table"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict(self, columns: Any, probabilities: bool) -> Said:
        self.asked.append(len(columns[0]))
        return Said(numpy.asarray(columns[0]), None)


def asked(rows: list[int], **limits: Any) -> list[int]:
    """How many rows the model was asked for at a time, where requests of so many rows come at once."""

    async def ask_all() -> None:
        loop = asyncio.get_running_loop()
        batcher = Batcher(model, COLUMNS, Limits(**limits), Metrics(), 0.0, loop)
        given = [Rows(count, few=[[float(count)]] * count) for count in rows]
        said = await asyncio.gather(*(batcher.submit(one, False, loop.time() + LONG) for one in given))
        assert [one.predictions.tolist() for one in said] == [[float(count)] * count for count in rows]
        batcher.close()

    model = Counting()
    asyncio.run(asyncio.wait_for(ask_all(), PATIENCE))
    return model.asked


def test_requests_wait_for_others_until_a_call_is_full() -> None:
    assert asked([1, 2, 1], batch_rows=4, batch_seconds=LONG) == [4]
    assert asked([2, 2, 4], batch_rows=4, batch_seconds=LONG) == [4, 4]


def test_a_request_that_no_other_can_join_does_not_wait() -> None:
    assert asked([7], batch_rows=4, batch_seconds=LONG) == [7]


def test_a_request_that_stays_alone_is_answered_when_the_time_is_over() -> None:
    assert asked([1], batch_rows=4, batch_seconds=0.01) == [1]
    assert asked([1], batch_rows=4) == [1]


def test_no_request_gets_what_was_said_of_another_where_the_model_leaves_rows_out() -> None:
    class Careless(Counting):
        def predict(self, columns: Any, probabilities: bool) -> Said:
            return Said(numpy.asarray([age for age in columns[0] if age > 0]), None)

    async def ask_all() -> list[Any]:
        loop = asyncio.get_running_loop()
        batcher = Batcher(Careless(), COLUMNS, Limits(), Metrics(), 0.0, loop)
        given = [Rows(len(ages), few=[[age] for age in ages]) for ages in ([-1.0], [2.0], [3.0, -1.0])]
        waiting = (batcher.submit(one, False, loop.time() + LONG) for one in given)
        said = await asyncio.gather(*waiting, return_exceptions=True)
        batcher.close()
        return said

    left_out, sound, short = asyncio.run(asyncio.wait_for(ask_all(), PATIENCE))
    assert sound.predictions.tolist() == [2.0]
    assert [type(one) for one in (left_out, short)] == [Refused, Refused]
    assert "it says 1 predictions of 2 rows" in str(short)
