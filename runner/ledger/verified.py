"""The index of verifications: a run key, the newest record that verified it, and the newest that found other bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runner.core.recorded import Verified

_NEVER = "-"


def verified_lines(rows: Mapping[str, Verified]) -> bytes:
    """The bytes of one file of the index."""
    lines = (f"{key} {found.newest} {found.differed or _NEVER}\n" for key, found in sorted(rows.items()))
    return "".join(lines).encode()


def parse_verified_lines(text: str) -> Iterator[tuple[str, Verified]]:
    """The lines of one file of the index; raises ValueError where one is none."""
    for line in text.splitlines():
        key, newest, differed = line.split(" ")
        yield key, Verified(int(newest), None if differed == _NEVER else int(differed))
