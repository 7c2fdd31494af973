"""Bytes without those that do not count, and where the others stood."""

from __future__ import annotations

import itertools
from collections.abc import Iterator


class Strip:
    """Which bytes do not count, and which count as others."""

    def __init__(self, left_out: bytes, table: bytes | None = None) -> None:
        """`table`: for `bytes.translate`, what each byte that counts counts as."""
        self.left_out = left_out
        self.table = table
        self.counts = bytes(byte not in left_out for byte in range(256))

    def of(self, data: bytes) -> bytes:
        """The bytes that count."""
        return data.translate(self.table, self.left_out)


class Stripped:
    """Bytes, and those of them that count."""

    def __init__(self, data: bytes, strip: Strip) -> None:
        self.data = data
        self.left = strip.of(data)
        self._strip = strip
        self._positions: list[int] | None = None

    def position(self, index: int) -> int:
        """Where in `data` the byte stands that is at `index` of `left`."""
        if len(self.left) == len(self.data):
            return index
        if self._positions is None:
            self._positions = list(itertools.compress(range(len(self.data)), self.data.translate(self._strip.counts)))
        return self._positions[index]

    def spans(self, searched: bytes) -> Iterator[tuple[int, int]]:
        """Where in `data` this begins and ends, each time it is in `left`; nothing for no bytes."""
        index = self.left.find(searched) if searched else -1
        while index >= 0:
            yield self.position(index), self.position(index + len(searched) - 1) + 1
            index = self.left.find(searched, index + 1)
