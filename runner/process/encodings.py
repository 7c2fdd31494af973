"""The forms that a secret takes on its way into a log: plain, line by line, and as common programs encode it."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Iterator

WRAPPED_LENGTH = 8
"""From this length on, in characters, a form is also found with line ends inside it, and an encoded one is looked for
at all; a shorter one would be found by chance."""
LINE_ENDS = b"\r\n"


def forms(value: str) -> list[bytes]:
    """A value, its lines where it has several that are long enough to mean anything, and each of them encoded.

    Base64 (both alphabets, wherever in the encoded text it stands), hexadecimal, percent-encoded, escaped as in JSON,
    Python, HTML, XML and a shell.
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


def spelt_bytes(value: str) -> Iterator[tuple[bytes, int, bytes]]:
    """The hexadecimal digits of a value and of its long lines, with nothing between them; how many bytes they are; and
    what stands in a text that can hold them.

    So `aa:bb`, `AA BB`, `%aa%bb`, `\\xaa\\xbb`, `0xaa, 0xbb`, `&#xaa;` and `\\u00aa` are found where only the digits
    count.
    """
    whole = value.encode("utf-8", "surrogateescape")
    for part in dict.fromkeys((whole.strip(LINE_ENDS), *(line.strip() for line in whole.splitlines()))):
        if len(part) >= WRAPPED_LENGTH:
            for before, mark in ((b"", b""), (b"0", b"0x"), (b"00", b"00")):
                yield b"".join(before + b"%02x" % byte for byte in part), len(part), mark


def _encoded(part: bytes) -> Iterator[bytes]:
    yield from _base64(part)
    if len(part) < WRAPPED_LENGTH:  # a longer one is found by `spelt_bytes`
        yield part.hex().encode()
        yield part.hex().upper().encode()
    for safe in ("", "/"):
        quoted = urllib.parse.quote_from_bytes(part, safe).encode()
        yield from (quoted, _lower_percents(quoted), quoted.replace(b"%20", b"+"))
    text = part.decode("utf-8", "surrogateescape")
    for escaped in (*_as_in_json(text), repr(text)[1:-1], *_as_in_markup(text), *_as_in_a_shell(text)):
        yield escaped.encode("utf-8", "surrogateescape")


def _as_in_json(text: str) -> Iterator[str]:
    """As Python, PHP (with its slashes) and Go (which also escapes what means something in HTML) write it."""
    for is_ascii in (True, False):
        written = json.dumps(text, ensure_ascii=is_ascii)[1:-1]
        yield written
        yield written.replace("/", "\\/")
        for spelt in ("\\u%04x", "\\u%04X"):
            table = {ord(mark): spelt % ord(mark) for mark in "<>&\u2028\u2029"}
            yield written.translate(table)


def _as_in_markup(text: str) -> Iterator[str]:
    """HTML and XML, with each of the names that programs have for quotes, or with quotes as they are."""
    marked = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for single in ("'", "&#x27;", "&#39;", "&#039;", "&apos;"):
        for double in ('"', "&quot;", "&#34;"):
            yield marked.replace("'", single).replace('"', double)


def _as_in_a_shell(text: str) -> Iterator[str]:
    """In single quotes, in double quotes, and without any as by `printf %q`."""
    yield text.replace("'", "'\\''")
    yield text.replace("'", "'\"'\"'")
    yield re.sub(r'(["$`\\])', r"\\\1", text)
    yield re.sub(r"([^\w@%+=:,./-])", r"\\\1", text)


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
