"""New records in order: numbers, chain and key index for a batch of runs on top of a state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runner import __version__
from runner.core.nouns import Address
from runner.core.recorded import Entry, Hit
from runner.core.records import RECONCILE_PREDICATE, RUN_PREDICATE, Head, RunFacts, append, run_subjects
from runner.ledger import layout
from runner.ledger.state import State, key_lines

Index = dict[str, tuple[int, bool]]
"""Run key to the record that counts for it, and whether that succeeded."""


@dataclass
class Batch:
    """Records that were appended, as files, and the numbers they got."""

    head: Head
    files: dict[str, bytes] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    """Run key to the record that is accepted for it."""
    appended: list[int] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)
    """Files that are sealed."""
    shards: dict[str, Index] = field(default_factory=dict)
    """Files of the key index that change, by their first two digits."""
    sealed_shards: dict[str, Index] = field(default_factory=dict)
    """The same of the index of sealed records."""
    dropped: list[dict[str, Any]] = field(default_factory=list)
    """Runs whose key somebody else had recorded first."""


def append_runs(base: State | None, runs: Sequence[RunFacts], adopted: Mapping[str, tuple[Hit, RunFacts]]) -> Batch:
    """Records of runs, then copies of those taken over from other refs, and the key index that finds them.

    A key has one accepted result: a run whose key succeeded before is dropped, unless the earlier bytes were lost and
    it was made again (`reason` is `remade`). So is a run that was published before without our hearing of it.
    """
    batch = Batch(head=base.summary.head if base else Head())
    for run in runs:
        known = _shard(base, batch, run.key).get(run.key) or (base.sealed_shard(run.key).get(run.key) if base else None)
        if known is not None and (_is_recorded(base, known[0], run) or (known[1] and run.reason != "remade")):
            batch.dropped.append(_dropped(base, known[0], run))
            continue
        number = _append(batch, {"run": run.as_json()}, run)
        if known is None or not known[1] or run.succeeded:
            _shard(base, batch, run.key)[run.key] = (number, run.succeeded)
    for key, (hit, run) in adopted.items():
        number = _append(batch, {"run": run.as_json(), "adoptedFrom": {"ref": hit.ref, "sequence": hit.record}}, run)
        _shard(base, batch, key)[key] = (number, True)
    for rows in batch.shards.values():
        batch.numbers.update({key: number for key, (number, succeeded) in rows.items() if succeeded})
    return batch


def append_reconcile(batch: Batch, facts: Mapping[str, Any], commit: str) -> None:
    """The record of the reconcile itself: what it was for and what it changed."""
    subject = [{"name": "desired", "digest": {"gitCommit": commit}}]
    body = {"reconcile": {**facts, "runs": list(batch.appended), "dropped": batch.dropped}}
    batch.head, data = append(batch.head, RECONCILE_PREDICATE, body, subject, __version__)
    batch.files[layout.record_path(batch.head.sequence)] = data


def write_index(batch: Batch) -> None:
    """The files of the key index as they are after everything was appended and sealed."""
    for folder, shards in ((layout.KEYS, batch.shards), (layout.SEALED_KEYS, batch.sealed_shards)):
        for prefix, rows in shards.items():
            if rows:
                batch.files[f"{folder}/{prefix}"] = key_lines(rows)
            else:
                batch.deletes.append(f"{folder}/{prefix}")


def numbered(entries: Mapping[Address, Entry], batch: Batch) -> dict[Address, Entry]:
    """The entries with the record numbers that the batch gave to their keys."""
    result: dict[Address, Entry] = {}
    for address, entry in entries.items():
        number = batch.numbers.get(entry.key)
        fresh = number is not None and number != entry.record
        result[address] = replace(entry, record=number) if fresh else entry
    return result


def _is_recorded(base: State | None, number: int, run: RunFacts) -> bool:
    record = base.record(number) if base is not None and number <= base.summary.head.sequence else None
    return record is not None and record.run is not None and record.run.run_id == run.run_id


def _dropped(base: State | None, accepted: int, run: RunFacts) -> dict[str, Any]:
    """What is said of a run that is not recorded: whose result counts, and where its own bytes were other ones."""
    row: dict[str, Any] = {"key": run.key, "runId": run.run_id, "acceptedRecord": accepted}
    record = base.record(accepted) if base is not None and accepted <= base.summary.head.sequence else None
    if record is None or record.run is None or record.run.run_id == run.run_id or not run.succeeded:
        return row
    theirs = {out.path: out.md5 for out in record.run.outs}
    differing = sorted(out.path for out in run.outs if theirs.get(out.path) != out.md5)
    return {**row, "differs": differing} if differing else row


def _append(batch: Batch, body: Mapping[str, Any], run: RunFacts) -> int:
    batch.head, data = append(batch.head, RUN_PREDICATE, body, run_subjects(run), __version__)
    batch.files[layout.record_path(batch.head.sequence)] = data
    batch.appended.append(batch.head.sequence)
    return batch.head.sequence


def _shard(base: State | None, batch: Batch, key: str) -> Index:
    prefix = key[:2]
    if prefix not in batch.shards:
        batch.shards[prefix] = dict(base.shard(key)) if base else {}
    return batch.shards[prefix]
