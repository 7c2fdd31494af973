"""A request for predictions as the protocols leave it: rows that were found right, and how the answer is written."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import orjson

from runner.serve.checks import Rows
from runner.serve.predictors import Said
from runner.serve.refusals import Refused

_ID = re.compile(rb"[!-~]{1,128}")
_DISCARDED_BYTES = 64 << 20
JSON_TYPE = (b"content-type", b"application/json")


class Call(NamedTuple):
    """What one request asks for."""

    rows: Rows
    probabilities: bool
    reply: Callable[[Said], tuple[bytes, Sequence[tuple[bytes, bytes]]]]
    """The body of the answer, and its headers."""


def identity_of(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """What a client calls its request; empty where it says nothing that can be passed on."""
    found = [value for name, value in headers if name == b"x-request-id" and _ID.fullmatch(value)]
    return found[-1].decode("ascii") if found else ""


async def discarded(receive: Callable[[], Awaitable[Any]], seconds: float) -> None:
    """Take the rest of a body that nobody wants, for so long at most.

    A connection that is closed while its body arrives is reset, and the client never reads the answer.
    """
    left = _DISCARDED_BYTES
    try:
        async with asyncio.timeout(seconds):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message["more_body"]:
                    return
                left -= len(message["body"])
    except TimeoutError:
        return


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
