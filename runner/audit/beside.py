"""What lies beside the records of a state that a reconcile is to build on: the key index and what stands.

All records together say what both have to be. Where a host has verified nothing yet, all of them are read once; later
what it has verified says what was so before, and only what is new is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.audit.chain import Chain, Examiner, check_chain
from runner.audit.findings import Breakage
from runner.audit.reading import ledger_files
from runner.audit.releases import FOLDERS, release_breaks
from runner.audit.tip import (
    Before,
    Files,
    check_tip,
    key_breaks,
    object_breaks,
    records_in,
    standing_addresses,
    standing_breaks,
)
from runner.core.predicates import RECONCILE, RUN
from runner.git.read import Reader
from runner.ledger import layout
from runner.ledger.state import State


def all_breaks(reader: Reader, state: State, examiner: Examiner) -> list[Breakage]:
    """Hold all that is recorded against all records, and these against the checkpoint, as an audit does.

    Signatures of single records are not looked at: who signed the checkpoint answers for all that its root is of.
    """
    files = ledger_files(reader, state.commit)
    records, misplaced = records_in(files)
    chain = check_chain(records, Examiner(examiner.check, examiner.verifies))
    # Where records are missing or are none, whatever follows from them is wrong as well; these say it better.
    return misplaced or chain.found or check_tip(files, chain, examiner)


def later_breaks(reader: Reader, state: State, chain: Chain, known: State) -> list[Breakage]:
    """Hold what changed since `known`, which was verified, against the records since then: `chain`."""
    records = _RecordsOf(known)
    before, now = _shards(reader, known, state, chain)
    live = {**now, **dict.fromkeys(state.segments(), b"")}  # their names say up to which number records are sealed
    found = list(key_breaks(live, chain, Before(records, before)))
    before, now = _entries(reader, known, state, chain)
    found += standing_breaks(now, chain, Before(records, before))
    before, now = (ledger_files(reader, one.commit, FOLDERS) for one in (known, state))
    found += release_breaks(now, chain, Before(records, before))
    old, new = (files_below(reader, one.commit, layout.OBJECTS) for one in (known, state))
    return [*found, *object_breaks(_read(reader, new, _changed(old, new)))]


def files_below(reader: Reader, commit: str, folder: str) -> dict[str, str]:
    """Path to id of the files below a folder."""
    tree = reader.tree(commit)
    return {path: entry.oid for path in tree.below(folder) if (entry := tree.get(path)) is not None}


def _shards(reader: Reader, known: State, state: State, chain: Chain) -> tuple[Files, Files]:
    """The files of the key index that differ, or that new records have to be in, as they were and as they are."""
    old, new = (
        files_below(reader, one.commit, layout.KEYS) | files_below(reader, one.commit, layout.SEALED_KEYS)
        for one in (known, state)
    )
    keys = {record.own["run"]["key"] for _, record in chain.records() if record.kind is RUN}
    names = {path.rpartition("/")[2] for path in _changed(old, new)} | {key[:2] for key in keys}
    wanted = {f"{folder}/{name}" for folder in (layout.KEYS, layout.SEALED_KEYS) for name in names}
    return _read(reader, old, wanted), _read(reader, new, wanted)


def _entries(reader: Reader, known: State, state: State, chain: Chain) -> tuple[Files, Files]:
    """What stands for the stages where that differs, or that new records speak of, as it was and as it is."""
    old, new = (files_below(reader, one.commit, layout.RECORDED) for one in (known, state))
    changed = _changed(old, new)
    before, now = _read(reader, old, changed), _read(reader, new, changed)
    looked_at = {str(address) for address in (*standing_addresses(before), *standing_addresses(now))}
    # What records speak of and is as it was, such as a stage that went back to what stood before.
    left = _told_of(chain) - looked_at
    same = {layout.recorded_path(address) for address in (known.entries() if left else ()) if str(address) in left}
    return {**before, **_read(reader, old, same)}, {**now, **_read(reader, new, same)}


def _told_of(chain: Chain) -> set[str]:
    """The stages for which reconciles say that something else stands, or nothing any more."""
    stated = [record.own["reconcile"] for _, record in chain.records() if record.kind is RECONCILE]
    return {stage for row in stated for stage in (*(one["stage"] for one in row["standing"]), *row["removed"])}


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> set[str]:
    return {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}


def _read(reader: Reader, oids: Mapping[str, str], paths: set[str]) -> Files:
    wanted = {path: oids[path] for path in paths if path in oids}
    blobs = reader.blobs(wanted.values())
    return {path: blobs[oid] for path, oid in wanted.items()}


class _RecordsOf(Sequence[bytes]):
    """All records of a state, each read where it is asked for."""

    def __init__(self, state: State) -> None:
        self._state = state

    def __len__(self) -> int:
        return self._state.summary.head.sequence

    def __getitem__(self, place: Any) -> Any:
        return self._state.record_bytes(place + 1) or b""
