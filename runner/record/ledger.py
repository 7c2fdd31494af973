"""New records in order: numbers, chain, signatures and key index for a batch of runs on top of a state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from runner import __version__
from runner.core.checkpoint import Checkpoint, NoteSignature, origin_of
from runner.core.dsse import Signature
from runner.core.merkle import Frontier, leaf_hash
from runner.core.moments import of_epoch
from runner.core.nouns import Address
from runner.core.predicates import EXTENSION, RECONCILE, RUN, VERIFICATION, Kind
from runner.core.provenance import slsa
from runner.core.recorded import FRESH, Entry, Hit, Verified
from runner.core.records import Head, Record, RunFacts, Stamp, append, chain_fields, run_subjects
from runner.core.verification import Checked, verified_after
from runner.ledger import layout
from runner.ledger.state import State, key_lines
from runner.ledger.verified import verified_lines
from runner.values import dataclass, field, replace

_LOOKED_BACK = 2_000
"""Newest records among which a run is looked for that may have been published without its host's hearing of it."""

Index = dict[str, tuple[int, bool]]
"""Run key to the record that counts for it, and whether that succeeded."""


class Signer(Protocol):
    """Signs what is appended to one ledger, in order."""

    def facts(self) -> Mapping[str, Any]:
        """What the record of a reconcile says about signing."""

    def begin(self, head: Head, frontier: Frontier) -> None:
        """What follows stands on a ledger that ends here."""

    def sign(self, payload: bytes) -> Sequence[Signature]:
        """Sign the next statement."""

    def sign_checkpoint(self, checkpoint: Checkpoint) -> Sequence[NoteSignature]:
        """Sign how long the ledger is now."""


class NoSigner:
    """Signs nothing: no key is configured."""

    def facts(self) -> Mapping[str, Any]:
        """That nothing is signed."""
        return {"source": "none", "keyReadableByStages": False}

    def begin(self, head: Head, frontier: Frontier) -> None:
        """Nothing to remember."""

    def sign(self, payload: bytes) -> Sequence[Signature]:
        """No signature."""
        return ()

    def sign_checkpoint(self, checkpoint: Checkpoint) -> Sequence[NoteSignature]:
        """No signature."""
        return ()


@dataclass
class Batch:
    """Records that were appended, as files, and the numbers they got."""

    head: Head
    frontier: Frontier
    origin: str
    """Name of the ledger; empty until its first record is there."""
    stamp: Stamp
    signer: Signer
    files: dict[str, bytes] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    """Run key to the number that this batch gave to a successful run of it: the last one, where there are several."""
    appended: list[int] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)
    """Files that are sealed."""
    shards: dict[str, Index] = field(default_factory=dict)
    """Files of the key index that change, by their first two digits."""
    sealed_shards: dict[str, Index] = field(default_factory=dict)
    """The same of the index of sealed records."""
    dropped: list[dict[str, Any]] = field(default_factory=list)
    """Runs whose key somebody else had recorded first."""


def begin(base: State | None, now_epoch: float, signer: Signer) -> Batch:
    """An empty batch on top of a state; raises Held where the end of its ledger does not agree with itself."""
    now = of_epoch(now_epoch)
    if base is None:
        batch = Batch(Head(), Frontier(), "", Stamp(__version__, now), signer)
    else:
        end = base.end()
        # A host whose clock is behind does not bring the ledger out of order.
        stamp = Stamp(__version__, max(now, end.recorded_at))
        batch = Batch(base.summary.head, end.frontier, end.origin, stamp, signer)
    signer.begin(batch.head, batch.frontier)
    return batch


def unrecorded(base: State | None, runs: Sequence[RunFacts]) -> list[RunFacts]:
    """Those runs that the state does not have; the others were published before without our hearing of it."""
    return [run for run in runs if base is None or not _is_recorded(base, run)]


def append_runs(
    base: State | None,
    batch: Batch,
    runs: Sequence[RunFacts],
    adopted: Mapping[str, tuple[Hit, RunFacts]],
    *,
    late: bool = False,
) -> None:
    """Records of runs, then copies of those taken over from other refs, and the key index that finds them.

    A key has one accepted result: a run whose key succeeded before is dropped, unless the earlier bytes were lost and
    it was made again (`reason` is `remade`). `late`: what stands stays as it is, and so does what was accepted.
    """
    for run in runs:
        known = _shard(base, batch, run.key).get(run.key) or (base.sealed(run.key) if base else None)
        if known is not None and known[1] and (late or run.reason != "remade"):
            batch.dropped.append(_dropped(base, known[0], run))
            continue
        number = _append_run(batch, run)
        if known is None or not known[1] or run.succeeded:
            _shard(base, batch, run.key)[run.key] = (number, run.succeeded)
        if run.succeeded:
            batch.numbers[run.key] = number
    for key, (hit, run) in adopted.items():
        number = _append_run(batch, run, {"adoptedFrom": {"ref": hit.ref, "sequence": hit.record}})
        _shard(base, batch, key)[key] = (number, True)
        batch.numbers[key] = number


def append_reconcile(batch: Batch, facts: Mapping[str, Any], commit: str) -> None:
    """The record of the reconcile itself: what it was for and what it changed."""
    subject = [{"name": "desired", "digest": {"gitCommit": commit}}]
    stated = {**facts, "runs": list(batch.appended), "dropped": batch.dropped, "signing": dict(batch.signer.facts())}
    _append(batch, RECONCILE, {**chain_fields(batch.head, batch.stamp), "reconcile": stated}, subject)


def append_verification(base: State, batch: Batch, facts: Mapping[str, Any], checked: Sequence[Checked]) -> None:
    """The record of what repetitions of recorded runs came to, and the index that finds it by their keys."""
    subject = [
        {"name": f"run:{row.replay.before.address}", "digest": {"sha256": row.replay.before.key}} for row in checked
    ]
    stated = {**facts, "runs": [row.as_json() for row in checked], "signing": dict(batch.signer.facts())}
    _append(batch, VERIFICATION, {**chain_fields(batch.head, batch.stamp), "verification": stated}, subject)
    shards: dict[str, dict[str, Verified]] = {}
    for row in checked:
        key = row.replay.before.key
        rows = shards.setdefault(layout.verified_path(key), dict(base.verified_shard(key)))
        rows[key] = verified_after(rows.get(key), batch.head.sequence, row.result)
    batch.files |= {path: verified_lines(rows) for path, rows in shards.items()}


def recorded_verification(base: State, reconcile_id: str, after: int) -> int | None:
    """The number of the verification that a reconcile recorded after some record; None where it recorded none."""
    for number in range(base.summary.head.sequence, after, -1):
        record = base.record(number)
        stated = record.own.get(VERIFICATION.name) if record is not None and record.kind is VERIFICATION else None
        if isinstance(stated, Mapping) and stated.get("id") == reconcile_id:
            return number
    return None


def write_index(batch: Batch) -> None:
    """The files of the key index as they are after everything was appended and sealed."""
    for folder, shards in ((layout.KEYS, batch.shards), (layout.SEALED_KEYS, batch.sealed_shards)):
        for prefix, rows in shards.items():
            if rows:
                batch.files[f"{folder}/{prefix}"] = key_lines(rows)
            else:
                batch.deletes.append(f"{folder}/{prefix}")


def write_checkpoint(batch: Batch) -> None:
    """How long the ledger is now and the root of its tree, signed, and what the next batch needs to go on."""
    checkpoint = Checkpoint(batch.origin, batch.frontier.size, batch.frontier.root())
    batch.files[layout.CHECKPOINT] = checkpoint.signed(*batch.signer.sign_checkpoint(checkpoint)).as_bytes()
    batch.files[layout.FRONTIER] = batch.frontier.as_text().encode()


def numbered(entries: Mapping[Address, Entry], batch: Batch) -> dict[Address, Entry]:
    """The entries with the record numbers that the batch gave to their keys."""
    result: dict[Address, Entry] = {}
    for address, entry in entries.items():
        number = batch.numbers.get(entry.key)
        fresh = number is not None and number != entry.record
        result[address] = _with_number(entry, number) if fresh and number is not None else entry
    return result


def _with_number(entry: Entry, number: int) -> Entry:
    times = tuple(took._replace(record=number) if took.record == FRESH else took for took in entry.times)
    return replace(entry, record=number, times=times)


def _is_recorded(base: State, run: RunFacts) -> bool:
    """Whether the record that counts for the key states this very run, or an older one does.

    A key has several records where it failed, or where its bytes were lost, on several hosts.
    """
    known = base.known(run.key)
    if known is None:
        return False
    number, succeeded = known
    if _states(base.record(number), run):
        return True
    is_dropped = succeeded and run.reason != "remade"
    return not is_dropped and any(_states(record, run) for record in islice(base.records(), _LOOKED_BACK))


def _states(record: Record | None, run: RunFacts) -> bool:
    return record is not None and record.run is not None and record.run.run_id == run.run_id


def _dropped(base: State | None, accepted: int, run: RunFacts) -> dict[str, Any]:
    """What is said of a run that is not recorded: whose result counts, and where its own bytes were other ones."""
    row: dict[str, Any] = {"key": run.key, "runId": run.run_id, "acceptedRecord": accepted}
    record = base.record(accepted) if base is not None and accepted <= base.summary.head.sequence else None
    if record is None or record.run is None or not run.succeeded:
        return row
    theirs = {out.path: out.md5 for out in record.run.outs}
    differing = sorted(out.path for out in run.outs if theirs.get(out.path) != out.md5)
    return {**row, "differs": differing} if differing else row


def _append_run(batch: Batch, run: RunFacts, more: Mapping[str, Any] | None = None) -> int:
    own = {**chain_fields(batch.head, batch.stamp), "run": run.as_json(), **(more or {})}
    _append(batch, RUN, {**slsa(run, batch.stamp.version), EXTENSION: own}, run_subjects(run))
    batch.appended.append(batch.head.sequence)
    return batch.head.sequence


def append_stated(batch: Batch, kind: Kind, predicate: Mapping[str, Any], subject: list[dict[str, Any]]) -> None:
    """One more record, of a predicate that has its `chain_fields` already."""
    _append(batch, kind, predicate, subject)


def _append(batch: Batch, kind: Kind, predicate: Mapping[str, Any], subject: list[dict[str, Any]]) -> None:
    batch.head, data = append(batch.head, kind, predicate, subject, batch.signer.sign)
    batch.frontier = batch.frontier.appended(leaf_hash(data))
    batch.origin = batch.origin or origin_of(data)
    batch.files[layout.record_path(batch.head.sequence)] = data


def _shard(base: State | None, batch: Batch, key: str) -> Index:
    prefix = key[:2]
    if prefix not in batch.shards:
        batch.shards[prefix] = dict(base.shard(key)) if base else {}
    return batch.shards[prefix]
