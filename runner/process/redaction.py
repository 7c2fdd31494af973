"""Removing secret values from a stream of bytes, also where a value is split over reads or wrapped over lines."""

from __future__ import annotations

import re
from collections.abc import Mapping

WRAPPED_LENGTH = 8
"""From this length on, in characters, a value is also found with line ends inside it; a shorter one would be found
by chance."""
LINE_ENDS = b"\r\n"
WRAPPED_ENDS = 4
"""So many bytes of line ends may stand between two characters of a value: an empty line, with carriage returns.
Where the value has line ends itself, as many more."""


class Redactor:
    """Replaces secret values by `[NAME]` in a stream; feed it in order, then call `finish`.

    A value of several lines (a key file) is also found line by line, each line of at least eight characters for itself.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values` maps the name of a secret to its value; empty values are left out."""
        self._names: dict[bytes, bytes] = {}
        for name, value in values.items():
            for part in _parts(value):
                self._names.setdefault(part, b"[" + name.encode() + b"]")
        ordered = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(b"(" + _wrapped(part) + b")" for part in ordered)) if ordered else None
        self._replacements = [self._names[part] for part in ordered]
        self._flat = [part.translate(None, LINE_ENDS) for part in ordered]
        self._first_bytes = frozenset(part[0] for part in self._flat)
        self._longest = max(map(len, self._flat), default=0)
        line_ends = max((len(part) - len(flat) for part, flat in zip(ordered, self._flat, strict=True)), default=0)
        self._widest = self._longest * (1 + WRAPPED_ENDS + 2 * line_ends)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The redacted bytes that are certain by now; what may be the beginning of a value is held back."""
        if self._pattern is None:
            return data
        data = self._held + data
        safe = self._certain_until(data)
        self._held = data[safe:]
        return self._redacted(data[:safe])

    def finish(self) -> bytes:
        """The redacted rest."""
        held, self._held = self._held, b""
        return self._redacted(held)

    def _redacted(self, data: bytes) -> bytes:
        if self._pattern is None:
            return data
        return self._pattern.sub(lambda match: self._replacements[(match.lastindex or 1) - 1], data)

    def _certain_until(self, data: bytes) -> int:
        """Where the part ends that no later byte can turn into a secret: before the first beginning of a value that
        runs to the end.

        A whole value that begins before that point ends before it too or is held with it, so no match is cut.
        """
        window = max(0, len(data) - self._widest)
        tail = data[window:]
        compact = tail.translate(None, LINE_ENDS)
        for index in range(max(0, len(compact) - self._longest + 1), len(compact)):
            if compact[index] in self._first_bytes and self._may_begin(compact[index:]):
                break
        else:
            return len(data)
        cut = window + _position(tail, index)
        for match in self._pattern.finditer(data) if self._pattern else ():
            if match.start() < cut < match.end():
                return match.start()
        return cut

    def _may_begin(self, beginning: bytes) -> bool:
        return any(len(part) > len(beginning) and part.startswith(beginning) for part in self._flat)


def _parts(value: str) -> list[bytes]:
    """A value, and its lines where it has several that are long enough to mean anything."""
    whole = value.encode("utf-8", "surrogateescape")
    if not whole.strip(LINE_ENDS):
        return []
    lines = [line.strip() for line in whole.splitlines()]
    return [whole, *(line for line in lines if len(line) >= WRAPPED_LENGTH and line != whole)]


def _wrapped(part: bytes) -> bytes:
    """A pattern for a value that allows line ends between any two characters, if the value is long enough for that."""
    pieces = [re.escape(bytes([byte])) for byte in part.translate(None, LINE_ENDS)]
    if len(pieces) < WRAPPED_LENGTH:
        return re.escape(part)
    most = WRAPPED_ENDS + 2 * sum(byte in LINE_ENDS for byte in part)
    return (rb"[\r\n]{0,%d}" % most).join(pieces)


def _position(data: bytes, compact_index: int) -> int:
    """Where in `data` the byte stands that is at `compact_index` once line ends are left out."""
    seen = -1
    for position, byte in enumerate(data):
        if byte not in LINE_ENDS:
            seen += 1
            if seen == compact_index:
                return position
    return len(data)
