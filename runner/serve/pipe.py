"""Messages between supervisor, template and workers: JSON, one to a packet, with file descriptors where needed."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

MOST_BYTES = 1 << 17
_MOST_DESCRIPTORS = 4


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a pipe that keeps messages apart."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def fits(message: Mapping[str, Any]) -> bool:
    """Whether it is short enough for one packet."""
    return len(json.dumps(message)) <= MOST_BYTES


def say(pipe: socket.socket, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> bool:
    """Send a message; False where nobody reads any more, or does not keep up, and for one that is too long."""
    data = json.dumps(message).encode()
    if len(data) > MOST_BYTES:
        return False
    try:
        socket.send_fds(pipe, [data], descriptors)
    except (BrokenPipeError, ConnectionError, BlockingIOError):
        return False
    return True


def heard(pipe: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message and the descriptors that came with it; None at the end.

    Raises BlockingIOError where none is there, ValueError for what is no message.
    """
    try:
        data, descriptors, _, _ = socket.recv_fds(pipe, MOST_BYTES, _MOST_DESCRIPTORS)
    except ConnectionError:
        return None, []
    if not data:
        return None, descriptors
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError("a message is an object")
    return message, descriptors
