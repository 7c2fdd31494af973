"""Sealing: older records move, byte for byte, from files of their own into segments, so that a state stays small.

A record is one line of JSON, so a segment is nothing but record files one after the other: the chain of digests runs
through segments as it ran through files.
"""

from __future__ import annotations

from runner.ledger import layout
from runner.ledger.state import State
from runner.record.ledger import Batch

KEPT = 2_000
"""Newest records that stay files of their own (DESIGN §5)."""
SEGMENT = 1_000
"""Records in a segment; sealing begins when so many more than `KEPT` are files."""


def seal(base: State | None, batch: Batch, *, kept: int = KEPT, segment: int = SEGMENT) -> None:
    """Seal the oldest records of `base`, as many whole segments as stand above what is kept; changes the batch."""
    if base is None:
        return
    numbers = base.record_files()
    new = sum(path.startswith(layout.RECORDS + "/") for path in batch.files)
    while len(numbers) + new >= kept + segment and len(numbers) >= segment:
        oldest, numbers = numbers[:segment], numbers[segment:]
        _seal_one(base, batch, oldest)


def _seal_one(base: State, batch: Batch, numbers: list[int]) -> None:
    lines = [base.record_bytes(number) or b"" for number in numbers]
    batch.files[layout.segment_path(numbers[0], numbers[-1])] = b"".join(lines)
    batch.deletes.extend(layout.record_path(number) for number in numbers)
    _move_keys(base, batch, set(numbers))


def _move_keys(base: State, batch: Batch, numbers: set[int]) -> None:
    """Index lines of sealed records go to the index of sealed ones, except where a newer record counts by now."""
    for prefix in (f"{number:02x}" for number in range(256)):
        live = batch.shards[prefix] if prefix in batch.shards else base.shard(prefix)
        moving = {key: found for key, found in live.items() if found[0] in numbers}
        if moving:
            batch.shards[prefix] = {key: found for key, found in live.items() if key not in moving}
            before = batch.sealed_shards.get(prefix) or base.sealed_shard(prefix)
            batch.sealed_shards[prefix] = {**before, **moving}
