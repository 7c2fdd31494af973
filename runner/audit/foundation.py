"""Whether a recorded state may be built on: its end is signed by who may, it extends what this host has verified
before, and what stands is what signed records say.

All records are read once, where this host has verified nothing before. From then on the cost grows with what is new
since it looked and with how many stages stand, not with history: all records before are held by the Merkle root that
the end is signed with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runner.audit.beside import all_breaks, files_below, later_breaks
from runner.audit.chain import Base, Chain, Examined, Examiner, check_chain, check_checkpoint, signature_breaks
from runner.audit.findings import Breach, Breakage
from runner.audit.lineage import lineage_breaks
from runner.audit.made import Adds
from runner.audit.outside import outside_breaks
from runner.audit.tip import SEGMENT, agrees, read_entry
from runner.core.checkpoint import parse_checkpoint
from runner.core.git_ids import blob_id
from runner.core.merkle import Frontier
from runner.core.nouns import Address
from runner.core.predicates import ENDING, RECONCILE, RUN, VERIFICATION
from runner.core.recorded import Entry, Verified
from runner.core.records import BadRecord, Head, Record
from runner.core.verification import DIFFERS, verified_after
from runner.errors import Held, InputError
from runner.git.read import Reader
from runner.ledger import layout
from runner.ledger.in_place import records_at
from runner.ledger.state import State, Summary
from runner.ledger.verified import verified_lines
from runner.values import dataclass

Vouches = Callable[[Entry], bool]
"""Whether the lock file that evidence names does say so."""


@dataclass(frozen=True, slots=True)
class Pin:
    """The end of a ledger as this host has verified it."""

    commit: str
    """The state commit."""
    trust: str
    """Digest of the trust file that it was held against."""
    base: Base
    desired: str
    """The newest desired commit that was recorded."""
    accepted: int = 0
    """Records up to this one were accepted by a person, whoever signed them."""
    doubted: tuple[Address, ...] = ()
    """Stages whose evidence could not be confirmed."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "commit": self.commit,
            "trust": self.trust,
            "frontier": self.base.frontier.as_text(),
            "digest": self.base.digest,
            "dated": self.base.dated,
            "origin": self.base.origin,
            "desired": self.desired,
            "accepted": self.accepted,
            "doubted": [[address.pipeline, address.stage] for address in self.doubted],
            "whole": True,
        }

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Pin:
        """The inverse of `as_json`; raises ValueError, KeyError or TypeError for anything else.

        Also for what an older runner verified at its end alone, but for what a person accepted.
        """
        if not (row.get("whole") or row["accepted"]):
            raise ValueError("all records were not read yet")
        base = Base(Frontier.parse(row["frontier"]), row["digest"], row["dated"], row["origin"])
        doubted = tuple(Address(pipeline, stage) for pipeline, stage in row["doubted"])
        return Pin(row["commit"], row["trust"], base, row["desired"], int(row["accepted"]), doubted)


@dataclass(frozen=True, slots=True)
class Foundation:
    """What was found of a state."""

    pin: Pin
    """To begin from the next time, where nothing is wrong."""
    found: tuple[Breakage, ...]


def pin_of(reader: Reader, state: State, trust: str, *, accepted: int = 0) -> Pin:
    """The pin of a state as it says itself; raises Held where its end does not agree with itself."""
    end = state.end()
    base = Base(end.frontier, state.summary.head.digest, end.recorded_at, end.origin)
    return Pin(state.commit, trust, base, state.summary.desired, accepted)


def check_foundation(
    reader: Reader,
    state: State,
    examiner: Examiner,
    before: Pin | None,
    *,
    trust: str,
    proposal: bool,
    in_place: bool,
    accepted: int,
    vouches: Vouches,
    adds: Adds | None = None,
    whole: bool = False,
) -> Foundation:
    """Look at a state that a reconcile is to build on, from what this host has verified before.

    `before` is of a commit that this one descends from; records up to `accepted` need no signature. `in_place`: it is
    a commit of the runner on the watched branch itself. `whole`: it was found before that this very state is what all
    of its records say. Raises Held where the end does not agree with itself.
    """
    end = state.end()
    size = end.frontier.size
    if before is not None and before.base.size >= size:
        message = f"adds no record to the {before.base.size} that this host has verified in {before.commit[:12]}"
        if size < before.base.size:
            message = f"has {size} records, and this host has verified {before.base.size} in {before.commit[:12]}"
        return Foundation(before, (Breakage(Breach.ROLLBACK, f"commit {state.commit[:12]}", message),))
    chain = _new_records(state, examiner, before, end.frontier, end.origin)
    checkpoint = parse_checkpoint(reader.file(state.commit, layout.CHECKPOINT) or b"")
    summary = _summary(reader, state, chain, before)
    found = [
        *chain.found,
        *check_checkpoint(checkpoint, chain, examiner, layout.CHECKPOINT),
        *_end_breaks(reader, state, chain, summary, end.frontier, before),
        *([] if proposal else proposal_breaks(chain)),
        *([] if before is None else _change_breaks(reader, state, chain, before)),
        *(_parent_breaks(reader, state, chain) if not in_place else ()),
        *(_index_breaks(state, examiner, accepted) if before is None else ()),
        # What a person accepted may be anything; from there on what is new is held against it.
        *(all_breaks(reader, state, examiner) if before is None and not accepted and not whole else ()),
        *([] if before is None else _verified_breaks(reader, state, chain, before)),
        *([] if before is None else later_breaks(reader, state, chain, State(reader, before.commit))),
    ]
    if not in_place and not (accepted and before is None):
        # Specs are read of a commit that trusted records name alone.
        found += _outside(reader, state, adds if not found else None)
    unchanged = before if before is not None and before.trust == trust else None
    standing, doubted = _standing(reader, state, examiner, accepted, unchanged, vouches)
    last = chain.examined[-1]
    base = Base(end.frontier, last.digest, end.recorded_at, checkpoint.origin)
    pin = Pin(state.commit, trust, base, state.summary.desired, accepted, doubted)
    return Foundation(pin, (*found, *standing))


def _outside(reader: Reader, state: State, adds: Adds | None) -> Iterator[Breakage]:
    """What is wrong outside `.runner/`; what stands there has to be read for it, and is looked at by itself."""
    try:
        entries = state.entries()
    except (Held, InputError, ValueError, KeyError, TypeError, AttributeError):
        return  # said of the entry itself
    yield from outside_breaks(reader, state.commit, state.summary.desired, entries, adds)


def record_breaks(examiner: Examiner, number: int, data: bytes) -> list[Breakage]:
    """What is wrong with one record, by itself."""
    examined = examiner.examine(data)
    place = f"record {number}"
    if examined.record is None or examined.wrong is not None:
        return [Breakage(Breach.CHAIN, place, examined.wrong or "not a record")]
    if examined.record.sequence != number:
        return [Breakage(Breach.CHAIN, place, f"says that it is record {examined.record.sequence}")]
    return list(signature_breaks(examined, number, examiner))


def proposal_breaks(chain: Chain) -> Iterator[Breakage]:
    """What was recorded for a proposal never becomes part of the ledger of a watched branch."""
    for number, record in chain.records():
        if record.kind is RECONCILE and record.own["reconcile"]["trust"] == "proposed":
            yield Breakage(Breach.POLICY, f"record {number}", "is of a proposal, and this ledger is none")


def _new_records(state: State, examiner: Examiner, before: Pin | None, frontier: Frontier, origin: str) -> Chain:
    """What was appended since, examined; where this host has verified nothing before, the last record alone."""
    if before is not None:
        records = state.record_range(before.base.size + 1, frontier.size)
        return check_chain(records, examiner, base=before.base)
    data = state.record_range(frontier.size, frontier.size)[0]
    chain = _as_last(data, examiner, frontier, origin)
    chain.found = record_breaks(examiner, frontier.size, data)
    return chain


def _as_last(data: bytes, examiner: Examiner, frontier: Frontier, origin: str) -> Chain:
    """A chain of which nothing but the last record and the frontier after it is known."""
    count = frontier.size - 1
    base = Base(Frontier(count, (b"",) * count.bit_count()), origin=origin)
    return Chain([data], [examiner.examine(data)], [base.frontier, frontier], [], 0, base)


def _summary(reader: Reader, state: State, chain: Chain, before: Pin | None) -> Summary | None:
    """What `state.json` has to say; None where the last record ends no commit."""
    last = chain.examined[-1].valid
    if last is None or last.kind not in ENDING:
        return None
    newest = [examined.valid for examined in reversed(chain.examined)]
    desired = next(filter(None, map(_desired, newest)), None)
    if desired is None:
        desired = before.desired if before is not None else _older(_desired, state)
    location = next(filter(None, map(_location, newest)), None)
    if location is None:
        known = State(reader, before.commit).summary.location if before is not None else None
        location = known or _older(_location, state)
    desired = desired or str(last.own[last.kind.name]["desired"])
    return Summary(desired, Head(chain.size, chain.examined[-1].digest), location or "")


def _location(record: Record | None) -> str | None:
    """Where a reconcile says that bytes are; None for other records."""
    return str(record.own["reconcile"]["location"]) if record is not None and record.kind is RECONCILE else None


def _older(told: Callable[[Record | None], str | None], state: State) -> str | None:
    """What the records before the last one tell, the newest first, as far as they can be read."""
    try:
        return next(filter(None, map(told, state.records())), None)
    except (BadRecord, KeyError, TypeError):
        return None  # then state.json is found to say something else


def _desired(record: Record | None) -> str | None:
    """The commit that a reconcile made the newest one; None for late ones and for other records."""
    if record is None or record.kind is not RECONCILE or record.own["reconcile"]["late"]:
        return None
    return str(record.own["reconcile"]["desired"])


def _end_breaks(
    reader: Reader,
    state: State,
    chain: Chain,
    summary: Summary | None,
    frontier: Frontier,
    before: Pin | None,
) -> Iterator[Breakage]:
    if summary is None:
        yield Breakage(Breach.ROLLBACK, f"record {chain.size}", "is the last one, and ends no commit")
    elif reader.file(state.commit, layout.STATE) != summary.as_bytes():
        yield Breakage(Breach.ROLLBACK, layout.STATE, "does not say what follows from the records")
    if before is not None and chain.frontiers[-1] != frontier:
        message = f"is of another ledger than the {before.base.size} records that this host has verified"
        yield Breakage(Breach.ROLLBACK, layout.FRONTIER, message)


def _change_breaks(reader: Reader, state: State, chain: Chain, before: Pin) -> Iterator[Breakage]:
    """What changed below `ledger/` beside appending, and sealing byte for byte."""
    below = f"{layout.ROOT}/ledger"
    old, new = reader.at([(before.commit, below), (state.commit, below)])
    if old is None or new is None:
        yield Breakage(Breach.ROLLBACK, below, "is gone")
        return
    changes = {f"{below}/{path}": oid for path, oid in reader.tree_changes([(old, new)])[0].items()}
    known = State(reader, before.commit)
    digits = len(state.commit)
    sealed = [layout.segment_range(path) for path, oid in changes.items() if SEGMENT.fullmatch(path) and oid]
    for path, oid in sorted(changes.items()):
        if path in (layout.CHECKPOINT, layout.FRONTIER):
            continue
        number = layout.record_number(path)
        if number is not None and oid is None:
            good = any(first <= number <= last for first, last in sealed)
        elif number is not None:
            good = number > chain.base.size and oid == blob_id(chain.bytes_of(number), digits)
        elif SEGMENT.fullmatch(path) and oid is not None:
            first, last = layout.segment_range(path)
            middle = min(last, chain.base.size)
            records = known.record_range(first, middle) if first <= middle else []
            good = last <= chain.size
            records += chain.data[: last - chain.base.size] if good and last > chain.base.size else []
            good = good and oid == blob_id(b"".join(records), digits)
        else:
            good = False
        if not good:
            yield Breakage(Breach.ROLLBACK, path, "was changed, and records are only ever appended")


def _parent_breaks(reader: Reader, state: State, chain: Chain) -> list[Breakage]:
    """A commit of the runner appends to its first parent, and its last record names its parents.

    On a watched branch a commit counts as one of the runner's for appending (runner/ledger/in_place.py).
    """
    place, size, parents = f"commit {state.commit[:12]}", chain.size, reader.commit(state.commit).parents
    found = []
    if parents and parents != (state.summary.desired,) and records_at(reader, parents[0]) >= size:
        found.append("changes files and appends no record: the runner did not make it")
    if any(parent != state.summary.desired for parent in parents[1:]):
        found.append("is a merge that the runner did not make")
    if found:
        return [Breakage(Breach.ROLLBACK, place, text) for text in found]
    return list(lineage_breaks(state.commit, parents, size, chain.examined[-1].valid))


def _index_breaks(state: State, examiner: Examiner, accepted: int) -> Iterator[Breakage]:
    """Each line of the index of verifications is what signed records say that it names."""
    results: dict[int, set[tuple[str, str]]] = {}
    for key, row in sorted(state.verifications().items()):
        for number in sorted({row.newest, row.differed or row.newest} - results.keys()):
            data = state.record_bytes(number)
            yield from record_breaks(examiner, number, data) if data is not None and number > accepted else ()
            results[number] = _results(examiner.examine(data).valid) if data is not None else set()
        newest = {result for named, result in results[row.newest] if named == key}
        is_marked = row.differed is None or (key, DIFFERS) in results[row.differed]
        if not newest or not is_marked or (DIFFERS in newest and row.differed != row.newest):
            message = f"does not say what the verifications of {key[:12]} say"
            yield Breakage(Breach.BYTES, layout.verified_path(key), message)


def _results(record: Record | None) -> set[tuple[str, str]]:
    """What a verification came to: run keys, each with a result."""
    runs = record.own["verification"]["runs"] if record is not None and record.kind is VERIFICATION else ()
    return {(row["key"], row["result"]) for row in runs}


def _verified_breaks(reader: Reader, state: State, chain: Chain, before: Pin) -> Iterator[Breakage]:
    """The index of verifications is what this host has verified before, and what new records add to it."""
    known = State(reader, before.commit)
    wanted: dict[str, dict[str, Verified]] = {}
    for number, record in chain.records():
        for row in record.own["verification"]["runs"] if record.kind is VERIFICATION else ():
            rows = wanted.setdefault(layout.verified_path(row["key"]), dict(known.verified_shard(row["key"])))
            rows[row["key"]] = verified_after(rows.get(row["key"]), number, row["result"])
    old, new = (files_below(reader, commit, layout.VERIFIED) for commit in (before.commit, state.commit))
    digits = len(state.commit)
    expected = old | {path: blob_id(verified_lines(rows), digits) for path, rows in wanted.items()}
    for path in sorted(path for path in expected.keys() | new.keys() if expected.get(path) != new.get(path)):
        yield Breakage(Breach.BYTES, path, "does not say what the verifications say")


def _standing(
    reader: Reader, state: State, examiner: Examiner, accepted: int, before: Pin | None, vouches: Vouches
) -> tuple[list[Breakage], tuple[Address, ...]]:
    """What is wrong with what stands, and the stages whose evidence nobody confirms."""
    here = files_below(reader, state.commit, layout.RECORDED)
    there = (
        files_below(reader, before.commit, layout.RECORDED)
        if before is not None and reader.exists(before.commit)
        else {}
    )
    new = {path: oid for path, oid in here.items() if there.get(path) != oid}
    blobs = reader.blobs(new.values())
    found: list[Breakage] = []
    doubted = [
        address
        for address in (before.doubted if before is not None else ())
        if layout.recorded_path(address) in here.keys() - new.keys()
    ]
    for path, oid in sorted(new.items()):
        entry = read_entry(blobs[oid])
        if entry is None or layout.recorded_path(entry.address) != path:
            found.append(Breakage(Breach.BYTES, path, "is not an entry in its one form"))
        elif entry.record is None:
            doubted += [] if vouches(entry) else [entry.address]
        else:
            found += _entry_breaks(state, examiner, accepted, entry, entry.record, path)
    return found, tuple(sorted(doubted))


def _entry_breaks(
    state: State, examiner: Examiner, accepted: int, entry: Entry, number: int, path: str
) -> list[Breakage]:
    data = state.record_bytes(number)
    if data is None:
        return [Breakage(Breach.BYTES, path, f"names record {number}, which is not there")]
    found = record_breaks(examiner, number, data) if number > accepted else []
    run = _run(examiner.examine(data))
    if not found and not (run is not None and agrees(entry, run) and entry.provenance == run["provenance"]):
        found = [Breakage(Breach.BYTES, path, f"does not say what record {number} says")]
    return found


def _run(examined: Examined) -> Mapping[str, Any] | None:
    record = examined.valid
    return record.own["run"] if record is not None and record.kind is RUN else None


def end_is_signed(reader: Reader, examiner: Examiner, commit: str) -> bool:
    """Whether the end of the ledger at a commit is signed by who may, as far as its last record and checkpoint tell."""
    try:
        state = State(reader, commit)
        number = state.summary.head.sequence
        data, frontier = state.record_bytes(number), state.end().frontier
        checkpoint = parse_checkpoint(reader.file(commit, layout.CHECKPOINT) or b"")
    except (Held, InputError):
        return False  # not even the end of a ledger
    if data is None:
        return False
    found = record_breaks(examiner, number, data)
    chain = _as_last(data, examiner, frontier, checkpoint.origin)
    return not [*found, *check_checkpoint(checkpoint, chain, examiner, ""), *proposal_breaks(chain)]
