"""What stands is the same, asked for one stage at a time or for all, and what a cache gave back is looked at."""

from __future__ import annotations

import pytest

from runner.core.canonical import plain_bytes
from runner.core.nouns import Address
from runner.core.recorded import Entry, OutFact, Took
from runner.ledger.standing import Standing
from tests.counted import calls

ENTRIES = {
    Address("p", f"s{number}"): Entry(
        address=Address("p", f"s{number}"),
        key=f"{number:064x}",
        provenance="runner",
        material={"cmd": 'echo "a\nb"', "version": 1},
        outs=(OutFact(f"ö{number}\udcff", f"{number:032x}", 3),),
        record=number,
        times=(Took(number, 1.5, "Linux x86_64 2"),) if number % 2 else (),
    )
    for number in range(20)
}
FILES = [plain_bytes(entry.as_json()) for entry in ENTRIES.values()]
LINES = Standing.of(FILES).lines()


def kept() -> Standing:
    """What a cache gives back."""
    standing = Standing.from_lines(LINES)
    assert standing is not None
    return standing


def test_what_was_kept_is_what_was_read() -> None:
    assert Standing.of(FILES).entries() == kept().entries() == ENTRIES
    assert list(kept().addresses()) == list(kept().entries()) == list(ENTRIES)
    assert kept().lines() == LINES
    assert Standing.of([kept().rows[0], *FILES[1:]]).lines() == LINES


def test_each_stage_is_taken_apart_when_it_is_asked_for_and_the_rest_at_once_when_many_are() -> None:
    standing = kept()
    with calls(Entry.from_json) as called:
        found = [standing.get(address) for address in list(ENTRIES)[:5]]
        assert called == {"from_json": 5}
        found += [standing.get(address) for address in list(ENTRIES)[4:]]
    assert called == {"from_json": len(ENTRIES)}
    assert found == [*list(ENTRIES.values())[:5], *list(ENTRIES.values())[4:]]
    assert list(standing.entries()) == list(ENTRIES)
    assert standing.get(Address("p", "another")) is None


def test_times_are_told_without_taking_anything_apart() -> None:
    standing = kept()
    with calls(Entry.from_json) as called:
        times = {address: (record, took) for address, record, took in standing.times()}
    assert called == {}
    assert times == {
        address: (entry.record, [(took.seconds, took.host) for took in entry.times])
        for address, entry in ENTRIES.items()
    }


def test_nothing_stands_where_there_are_no_files() -> None:
    lines = Standing(()).lines()
    standing = Standing.from_lines(lines)
    assert standing is not None
    assert (standing.entries(), list(standing.addresses()), standing.lines()) == ({}, [], lines)


@pytest.mark.parametrize("lines", [[], [""], ["{"], ["[]"], ["7"], LINES[:-1], [*LINES, "{}"], ["[[],[],[],[]]", "{}"]])
def test_lines_that_never_were_kept_are_as_good_as_none(lines: list[str]) -> None:
    assert Standing.from_lines(lines) is None


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", FILES[0].replace(b'"s0"', b"0"), FILES[0][:-9]])
def test_bytes_that_are_no_entry_are_refused_when_they_are_first_read(data: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Standing.of([*FILES, data])
