"""What stands for each stage of a state, taken apart one stage at a time: a plan often asks for few of thousands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from runner.core.nouns import Address
from runner.core.recorded import Entry

_ENOUGH = 4
"""Once this part of all entries was asked for one by one, the rest is read at once, which takes half as long."""
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False)


class Row(NamedTuple):
    """What stands for one stage, unread, and the little of it that is asked for of every stage."""

    address: Address
    record: int | None
    times: Sequence[Sequence[Any]]
    """As `Entry.as_json` has them."""
    line: str
    """The JSON of the entry."""


class Standing:
    """The entries of a state; each was found sound when it was first read from git."""

    def __init__(self, rows: Iterable[Row], known: dict[Address, Entry] | None = None) -> None:
        """`known` are entries that were taken apart already."""
        self.rows = tuple(rows)
        """In the order of their files."""
        self._rows = {row.address: row for row in self.rows}
        self._entries = known or {}

    @staticmethod
    def of(known: Sequence[Row | bytes]) -> Standing:
        """Rows that are known, and the bytes of files; raises ValueError, KeyError or TypeError for other bytes."""
        found: dict[Address, Entry] = {}
        rows = []
        for one in known:
            if not isinstance(one, Row):
                value = json.loads(one)
                entry = Entry.from_json(value)
                found[entry.address] = entry
                one = Row(entry.address, entry.record, value.get("times", ()), _ENCODER.encode(value))
            rows.append(one)
        return Standing(rows, found)

    @staticmethod
    def from_lines(lines: Sequence[str]) -> Standing | None:
        """The inverse of `lines`; None for what that never gives."""
        try:
            pipelines, stages, records, times = json.loads(lines[0])
            addresses = map(Address, pipelines, stages)
            return Standing(map(Row._make, zip(addresses, records, times, lines[1:], strict=True)))
        except (ValueError, LookupError, TypeError, RecursionError):
            return None

    def lines(self) -> list[str]:
        """Lines of text for a cache."""
        heads = zip(*[(*row.address, row.record, row.times) for row in self.rows], strict=True)
        columns = list(heads) or [(), (), (), ()]
        return [_ENCODER.encode(columns), *[row.line for row in self.rows]]

    def addresses(self) -> Iterable[Address]:
        """Every stage something stands for."""
        return self._rows.keys()

    def get(self, address: Address) -> Entry | None:
        """What stands for the stage."""
        found = self._entries.get(address)
        if found is not None or address not in self._rows:
            return found
        if len(self._entries) * _ENOUGH >= len(self._rows):
            return self.entries()[address]
        found = self._entries[address] = Entry.from_json(json.loads(self._rows[address].line))
        return found

    def entries(self) -> dict[Address, Entry]:
        """Everything that stands, by stage."""
        if len(self._entries) < len(self._rows):
            left = [row.line for address, row in self._rows.items() if address not in self._entries]
            read = map(Entry.from_json, json.loads(f"[{','.join(left)}]"))
            known = self._entries | {entry.address: entry for entry in read}
            self._entries = {address: known[address] for address in self._rows}
        return self._entries

    def times(self) -> Iterator[tuple[Address, int | None, list[tuple[float, str]]]]:
        """For each stage the record that stands, and what its newest runs took: seconds and class of host."""
        for row in self.rows:
            yield row.address, row.record, [(seconds, host) for _, seconds, host in row.times]
