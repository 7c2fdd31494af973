"""A request for predictions as the protocols leave it: rows that were found right, and how the answer is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from runner.serve.checks import Rows
from runner.serve.predictors import Said
from runner.serve.refusals import Refused

JSON_TYPE = (b"content-type", b"application/json")


class Call(NamedTuple):
    """What one request asks for."""

    rows: Rows
    probabilities: bool
    reply: Callable[[Said], tuple[bytes, Sequence[tuple[bytes, bytes]]]]
    """The body of the answer, and its headers."""


def json_of(body: bytes) -> Any:
    """The JSON of a body; raises Refused."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the body is no JSON: {str(error)[:200]}") from error


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; raises Refused."""
    told = json_of(body)
    if type(told) is not dict:
        raise Refused("the body is no JSON object")
    return told


def dumped(value: Any) -> bytes:
    """As JSON; what is no finite number becomes null."""
    return orjson.dumps(value, default=str)


def listed(values: Any) -> list[Any]:
    """An array as plain lists."""
    made: list[Any] = values.tolist()
    return made
