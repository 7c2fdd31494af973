"""The forms that a secret takes on its way into a log: plain, line by line, and as common programs encode it."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterator

WRAPPED_LENGTH = 8
"""From this length on, in characters, a form is also found with line ends inside it, and an encoded one is looked for
at all; a shorter one would be found by chance."""
LINE_ENDS = b"\r\n"


def forms(value: str) -> list[bytes]:
    """A value, its lines where it has several that are long enough to mean anything, and each of them encoded.

    Base64 (both alphabets, wherever in the encoded text it stands), hexadecimal, percent-encoded, escaped as in JSON,
    Python, HTML and a shell's quotes.
    """
    whole = value.encode("utf-8", "surrogateescape")
    if not whole.strip(LINE_ENDS):
        return []
    lines = [line.strip() for line in whole.splitlines()]
    parts = [whole, *(line for line in lines if len(line) >= WRAPPED_LENGTH and line != whole)]
    found = dict.fromkeys(parts)
    for part in parts:
        found |= dict.fromkeys(form for form in _encoded(part) if len(form) >= WRAPPED_LENGTH)
    return list(found)


def _encoded(part: bytes) -> Iterator[bytes]:
    yield from _base64(part)
    yield part.hex().encode()
    yield part.hex().upper().encode()
    for safe in ("", "/"):
        quoted = urllib.parse.quote_from_bytes(part, safe).encode()
        yield from (quoted, _lower_percents(quoted), quoted.replace(b"%20", b"+"))
    import html  # imported late: start-up

    text = part.decode("utf-8", "surrogateescape")
    for escaped in (
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        json.dumps(text)[1:-1].replace("/", "\\/"),
        repr(text)[1:-1],
        html.escape(text),
        text.replace("'", "'\\''"),
    ):
        yield escaped.encode("utf-8", "surrogateescape")


def _base64(part: bytes) -> Iterator[bytes]:
    """What base64 makes of it whatever stands before and after: the characters that it alone decides."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + part)
        undecided = {0: 0, 1: 3, 2: 2}[(before + len(part)) % 3]  # padding, and the character before it
        core = encoded[(0, 2, 3)[before] : len(encoded) - undecided]
        whole = [encoded, encoded.rstrip(b"=")] if before == 0 else []
        for form in (*whole, core):
            yield form
            yield form.translate(bytes.maketrans(b"+/", b"-_"))


def _lower_percents(quoted: bytes) -> bytes:
    pieces = quoted.split(b"%")
    return b"%".join([pieces[0], *(piece[:2].lower() + piece[2:] for piece in pieces[1:])])
