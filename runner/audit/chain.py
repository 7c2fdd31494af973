"""The records themselves: each in its one form, valid, numbered, chained, dated in order, and signed by who may."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

from runner.audit.findings import Breach, Breakage
from runner.audit.trust import Trust, TrustedKey
from runner.core.checkpoint import Checkpoint, origin_of
from runner.core.dsse import Envelope, pre_authentication
from runner.core.merkle import Frontier, leaf_hash
from runner.core.predicates import RUN
from runner.core.records import BadRecord, Record, opened
from runner.core.statements import Checker
from runner.values import dataclass, field

Verifies = Callable[[bytes, bytes, bytes], bool]
"""Whether a public key made a signature over data."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What the bytes of one record say, wherever they stand."""

    record: Record | None
    """None where they are no record."""
    envelope: Envelope | None
    wrong: str | None
    """Why they are none, or are not valid."""
    leaf: bytes
    digest: str

    @property
    def valid(self) -> Record | None:
        """The record where nothing is wrong with it: only then has it the fields that its kind has."""
        return self.record if self.wrong is None else None


@dataclass
class Examiner:
    """Looks at records one by one; the same bytes are examined once."""

    check: Checker
    verifies: Verifies
    trust: Trust | None = None
    _known: dict[bytes, Examined] = field(default_factory=dict)
    _signed: dict[tuple[bytes, bytes], bool] = field(default_factory=dict)

    def examine(self, data: bytes) -> Examined:
        """What a record's bytes say."""
        found = self._known.get(data)
        if found is None:
            found = self._known[data] = self._examined(data)
        return found

    def signed_by(self, key: TrustedKey, sig: bytes, message: bytes) -> bool:
        """Whether a key made a signature; each is computed once."""
        place = (sig, hashlib.sha256(key.public_key + message).digest())
        if place not in self._signed:
            self._signed[place] = self.verifies(key.public_key, sig, message)
        return self._signed[place]

    def _examined(self, data: bytes) -> Examined:
        leaf, digest = leaf_hash(data), hashlib.sha256(data).hexdigest()
        try:
            record, envelope, statement = opened(data)
            wrong = self.check(statement)
        except BadRecord as error:
            return Examined(None, None, str(error), leaf, digest)
        return Examined(record, envelope, wrong, leaf, digest)


@dataclass(frozen=True, slots=True)
class Base:
    """What is known of the records before those that are examined; as it is here, that there are none."""

    frontier: Frontier = field(default_factory=Frontier)
    digest: str | None = None
    """Of the last of them."""
    dated: str = ""
    """When the last of them was recorded."""
    origin: str = ""

    @property
    def size(self) -> int:
        """How many they are."""
        return self.frontier.size


@dataclass
class Chain:
    """The records of a ledger in order from some number on, examined."""

    data: list[bytes]
    examined: list[Examined]
    frontiers: list[Frontier]
    """Of the tree of all records up to each of these, that before the first of them included."""
    found: list[Breakage]
    signed: int
    """How many records carry a signature."""
    base: Base = field(default_factory=Base)

    @property
    def size(self) -> int:
        """How many records the ledger has, with those that were not examined."""
        return self.base.size + len(self.data)

    @property
    def origin(self) -> str:
        """The name of the ledger; empty where there is no record."""
        return self.base.origin or (origin_of(self.data[0]) if self.data else "")

    def bytes_of(self, number: int) -> bytes:
        """The bytes of a record that was examined."""
        return self.data[number - self.base.size - 1]

    def at(self, number: int) -> Examined | None:
        """A record by its number; None where it is none of those that were examined."""
        place = number - self.base.size - 1
        return self.examined[place] if 0 <= place < len(self.examined) else None

    def frontier(self, size: int) -> Frontier | None:
        """The frontier of the first `size` records; None where they end among those that were not examined."""
        place = size - self.base.size
        return self.frontiers[place] if 0 <= place < len(self.frontiers) else None

    def records(self) -> Iterator[tuple[int, Record]]:
        """Number and record of all that are whole."""
        for number, examined in enumerate(self.examined, self.base.size + 1):
            if examined.record is not None and examined.wrong is None:
                yield number, examined.record


def check_chain(records: Sequence[bytes], examiner: Examiner, *, base: Base | None = None) -> Chain:
    """Examine the records that follow `base`, without one all."""
    base = base or Base()
    chain = Chain([], [], [base.frontier], [], 0, base)
    previous, dated = base.digest, base.dated
    own_runs: dict[str, int] = {}
    for number, data in enumerate(records, base.size + 1):
        examined = examiner.examine(data)
        chain.data.append(data)
        chain.examined.append(examined)
        chain.frontiers.append(chain.frontiers[-1].appended(examined.leaf))
        record, place = examined.record, f"record {number}"
        if record is None or examined.wrong is not None:
            chain.found.append(Breakage(Breach.CHAIN, place, examined.wrong or "not a record"))
        if record is not None and examined.wrong is None:
            chain.signed += record.signed
            chain.found += _place_breaks(record, number, previous, dated, own_runs)
            chain.found += signature_breaks(examined, number, examiner)
            dated = max(dated, record.recorded_at)
        previous = examined.digest
    return chain


def check_checkpoint(checkpoint: Checkpoint, chain: Chain, examiner: Examiner, place: str) -> list[Breakage]:
    """Whether a checkpoint is of the beginning of this chain, and signed by who may."""
    found: list[Breakage] = []
    if checkpoint.origin != chain.origin:
        found.append(Breakage(Breach.ROLLBACK, place, f"is of another ledger, {checkpoint.origin}"))
    elif checkpoint.size > chain.size:
        message = f"names {checkpoint.size} records, and there are {chain.size}: the end was cut off"
        found.append(Breakage(Breach.ROLLBACK, place, message))
    elif (frontier := chain.frontier(checkpoint.size)) is None or frontier.root() != checkpoint.root:
        message = f"names another root for the first {checkpoint.size} records: they are not those that were recorded"
        found.append(Breakage(Breach.ROLLBACK, place, message))
    return [*found, *_note_breaks(checkpoint, chain, examiner, place)]


def _place_breaks(
    record: Record, number: int, previous: str | None, dated: str, own_runs: dict[str, int]
) -> Iterator[Breakage]:
    place = f"record {number}"
    if record.sequence != number:
        yield Breakage(Breach.CHAIN, place, f"says that it is record {record.sequence}")
    if record.previous != previous:
        yield Breakage(Breach.CHAIN, place, "does not follow from the bytes of the record before it")
    if record.recorded_at < dated:
        yield Breakage(Breach.CHAIN, place, f"is dated {record.recorded_at}, before a record that precedes it")
    if record.kind is RUN and "adoptedFrom" not in record.own:
        run_id = record.own["run"]["runId"]
        if run_id in own_runs:
            yield Breakage(Breach.CHAIN, place, f"states the run of record {own_runs[run_id]} again")
        own_runs.setdefault(run_id, number)


def signature_breaks(examined: Examined, number: int, examiner: Examiner) -> Iterator[Breakage]:
    """What is wrong with the signatures of a record under its number."""
    trust, envelope, record, place = examiner.trust, examined.envelope, examined.record, f"record {number}"
    if trust is None or envelope is None or record is None:
        return
    if not envelope.signatures:
        if number > trust.unsigned_to:
            yield Breakage(Breach.SIGNATURE, place, "is not signed")
        return
    message = pre_authentication(envelope.payload)
    good: list[TrustedKey] = []
    for made in envelope.signatures:
        key = trust.named(made.keyid)
        if key is not None and examiner.signed_by(key, made.sig, message):
            good.append(key)
        elif key is not None:
            yield Breakage(Breach.SIGNATURE, place, f"has a signature that {key.keyid} did not make")
    if not good:
        if not any(trust.named(made.keyid) for made in envelope.signatures):
            names = ", ".join(made.keyid for made in envelope.signatures)
            yield Breakage(Breach.SIGNATURE, place, f"is signed by nobody who is trusted, but by {names}")
        return
    roles = record.kind.roles(record.predicate)
    if not any(set(key.roles) & set(roles) for key in good):
        yield Breakage(Breach.POLICY, place, f"is signed by {good[0].keyid}, which may not sign a {record.kind.name}")
    elif not any(key.covers(number) and set(key.roles) & set(roles) for key in good):
        yield Breakage(Breach.POLICY, place, f"is signed by {good[0].keyid}, which is not valid for this record")


def _note_breaks(checkpoint: Checkpoint, chain: Chain, examiner: Examiner, place: str) -> Iterator[Breakage]:
    trust = examiner.trust
    if trust is None or (not checkpoint.signatures and checkpoint.size <= trust.unsigned_to):
        return
    text = checkpoint.text()
    pairs = [(key, made) for made in checkpoint.signatures for key in trust.hashed(made.key_hash, made.name)]
    good = [key for key, made in pairs if examiner.signed_by(key, made.sig, text)]
    if not checkpoint.signatures:
        yield Breakage(Breach.SIGNATURE, place, "is not signed")
    elif not pairs:
        yield Breakage(Breach.SIGNATURE, place, "is signed by nobody who is trusted")
    elif len(good) < len(pairs):  # one that is wrong spoils a note, as C2SP signed-note has it
        key = next(key for key, _ in pairs if key not in good)
        yield Breakage(Breach.SIGNATURE, place, f"has a signature that {key.keyid} did not make")
    elif not any(key.covers(checkpoint.size) and _may_end(key, checkpoint.size, chain) for key in good):
        yield Breakage(Breach.POLICY, place, f"is signed by {good[0].keyid}, which may not end this ledger")


def _may_end(key: TrustedKey, size: int, chain: Chain) -> bool:
    """Whoever may sign the last record may say that it is the last one."""
    examined = chain.at(size)
    last = examined.record if examined is not None else None
    return last is None or bool(set(key.roles) & set(last.kind.roles(last.predicate)))
