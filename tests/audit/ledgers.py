"""Ledgers for audits, made in memory by the runner's own functions: a snapshot of `.runner/` for each state commit."""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runner.audit.chain import Examiner
from runner.audit.history import Step
from runner.audit.reading import Ledger
from runner.audit.trust import Trust, TrustedKey
from runner.audit.verify import Report, judge, judge_since
from runner.core.checkpoint import BadCheckpoint, Checkpoint, NoteSignature, key_hash, parse_checkpoint
from runner.core.dsse import Signature, fingerprint, pre_authentication, ssh_line
from runner.core.git_ids import blob_id
from runner.core.merkle import Frontier
from runner.core.nouns import Address
from runner.core.recorded import Entry, OutFact, Verified
from runner.core.records import Head, Record, RunFacts, parse_record
from runner.core.replay import Replay
from runner.core.verification import Checked
from runner.ledger import layout
from runner.ledger.state import End, Summary, parse_key_lines, pretty_bytes
from runner.ledger.verified import parse_verified_lines
from runner.process.signing_keys import verifies
from runner.record.ledger import (
    NoSigner,
    Signer,
    append_reconcile,
    append_runs,
    append_verification,
    begin,
    numbered,
    write_checkpoint,
    write_index,
)
from runner.record.sealing import seal
from runner.record.standing import entry_of
from runner.wiring.signing import statement_checker

Snapshot = Mapping[str, bytes]
COMMIT = "c" * 40
DIGITS = 40
_START = 1_767_225_600.0


@dataclass(frozen=True)
class TestKey:
    """A key of a test."""

    __test__ = False
    private: Ed25519PrivateKey

    @staticmethod
    def of(seed: str) -> TestKey:
        """Always the same key for the same text."""
        return TestKey(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest()))

    @property
    def public_key(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def keyid(self) -> str:
        return fingerprint(self.public_key)

    def trusted(self, **more: Any) -> TrustedKey:
        return TrustedKey(self.public_key, self.keyid, **more)

    def facts(self) -> Mapping[str, Any]:
        return {"source": "file", "keyReadableByStages": True}

    def begin(self, head: Head, frontier: Frontier) -> None:
        """It signs whatever it is given: this is also the key of those who do harm."""

    def sign(self, payload: bytes) -> Sequence[Signature]:
        return (Signature(self.keyid, self.private.sign(pre_authentication(payload))),)

    def sign_checkpoint(self, checkpoint: Checkpoint) -> Sequence[NoteSignature]:
        return (NoteSignature(key_hash(self.public_key), self.private.sign(checkpoint.text())),)


KEY = TestKey.of("the runner")
OTHER = TestKey.of("somebody else")
TRUST = Trust((KEY.trusted(),))


class MemoryState:
    """What the ledger's functions ask of a state, from a snapshot."""

    def __init__(self, files: Snapshot) -> None:
        self.files = files
        row = json.loads(files[layout.STATE])
        self.summary = Summary(row["desired"], Head(row["sequence"], row["digest"]), row["location"])

    def end(self) -> End:
        checkpoint = parse_checkpoint(self.files[layout.CHECKPOINT])
        last = self.record(self.summary.head.sequence)
        assert last is not None
        frontier = Frontier.parse(self.files[layout.FRONTIER].decode())
        return End(frontier, checkpoint.origin, last.recorded_at)

    def shard(self, key: str) -> dict[str, tuple[int, bool]]:
        return dict(parse_key_lines(self.files.get(layout.keys_path(key), b"").decode()))

    def sealed_shard(self, key: str) -> dict[str, tuple[int, bool]]:
        return dict(parse_key_lines(self.files.get(layout.sealed_keys_path(key), b"").decode()))

    def sealed(self, key: str) -> tuple[int, bool] | None:
        return self.sealed_shard(key).get(key)

    def verified_shard(self, key: str) -> dict[str, Verified]:
        return dict(parse_verified_lines(self.files.get(layout.verified_path(key), b"").decode()))

    def record(self, sequence: int) -> Record | None:
        data = self.record_bytes(sequence)
        return None if data is None else parse_record(data)

    def record_bytes(self, sequence: int) -> bytes | None:
        return self.files.get(layout.record_path(sequence))

    def record_files(self) -> list[int]:
        return sorted(int(path[-14:-5]) for path in self.files if path.startswith(layout.RECORDS + "/"))


@dataclass
class Story:
    """A ledger that grows commit by commit."""

    signer: Signer = field(default_factory=lambda: KEY)
    kept: int = 2_000
    segment: int = 1_000
    snapshots: list[dict[str, bytes]] = field(default_factory=list)
    entries: dict[Address, Entry] = field(default_factory=dict)
    trust: str = "trusted"
    clock: float = _START

    @property
    def tip(self) -> dict[str, bytes]:
        return self.snapshots[-1]

    def commit(self, runs: Sequence[RunFacts], *, removed: Sequence[Address] = (), late: bool = False) -> None:
        """A state commit with these runs; what succeeds stands."""
        self.clock += 60
        before = dict(self.entries)
        base: Any = MemoryState(self.tip) if self.snapshots else None
        batch = begin(base, self.clock, self.signer)
        append_runs(base, batch, runs, {})
        for run in () if late else runs:
            if run.succeeded and run.key in batch.numbers:
                known = before.get(run.address)
                fresh = entry_of(run, known.times if known is not None else ())
                self.entries |= numbered({run.address: fresh}, batch)
        for address in removed:
            self.entries.pop(address, None)
        append_reconcile(batch, self._facts(before, [a for a in removed if a in before], late), COMMIT)
        seal(base, batch, kept=self.kept, segment=self.segment)
        write_index(batch)
        write_checkpoint(batch)
        files = dict(self.tip) if self.snapshots else {}
        for path in batch.deletes:
            files.pop(path, None)
        files |= batch.files
        files = {path: data for path, data in files.items() if not path.startswith(layout.RECORDED + "/")}
        files |= {layout.recorded_path(a): pretty_bytes(entry.as_json()) for a, entry in self.entries.items()}
        files[layout.STATE] = Summary(COMMIT, batch.head, "this host").as_bytes()
        self.snapshots.append(files)

    def verify(self, numbers: Sequence[int], differing: Sequence[int] = ()) -> None:
        """A state commit that says what came out when the runs of these records were repeated."""
        self.clock += 60
        state: Any = MemoryState(self.tip)
        checked = []
        for number in numbers:
            record = state.record(number)
            assert record is not None
            assert record.run is not None
            outs = tuple(replace(out, md5="0" * 32) if number in differing else out for out in record.run.outs)
            checked.append(Checked(Replay(number, record.run, replace(record.run, outs=outs)), False))
        batch = begin(state, self.clock, self.signer)
        named = ("id", "trigger", "actor", "host", "watched", "branch", "trust", "desired")
        facts = {name: value for name, value in self._facts({}, [], True).items() if name in named}
        append_verification(state, batch, {**facts, "state": "d" * 40}, checked)
        seal(state, batch, kept=self.kept, segment=self.segment)
        write_index(batch)
        write_checkpoint(batch)
        files = {path: data for path, data in self.tip.items() if path not in batch.deletes} | batch.files
        files[layout.STATE] = Summary(COMMIT, batch.head, "this host").as_bytes()
        self.snapshots.append(files)

    def recorded_runs(self) -> list[int]:
        """Numbers of the records of successful runs that are files of their own."""
        state: Any = MemoryState(self.tip)
        records = [(number, state.record(number).run) for number in state.record_files()]
        return [number for number, run in records if run is not None and run.succeeded]

    def _facts(self, before: Mapping[Address, Entry], removed: Sequence[Address], late: bool) -> dict[str, Any]:
        changed = [
            {"stage": str(address), "key": entry.key, "record": entry.record, "provenance": entry.provenance}
            for address, entry in sorted(self.entries.items())
            if before.get(address) != entry
        ]
        return {
            "id": f"reconcile-{len(self.snapshots)}",
            "trigger": "test",
            "actor": "ada",
            "host": {"name": "vm"},
            "watched": "main",
            "branch": "runner/state",
            "location": "this host",
            "trust": self.trust,
            "desired": COMMIT,
            "state": None if not self.snapshots else "d" * 40,
            "late": late,
            "standing": [] if late else changed,
            "removed": [str(address) for address in removed],
            "open": 0,
        }


def run_of(number: int, *, stage: str = "", key: str = "", succeeded: bool = True, **more: Any) -> RunFacts:
    """A small run."""
    out = OutFact(f"out{number}", hashlib.md5(str(number).encode()).hexdigest(), 3)
    facts = RunFacts(
        run_id=f"run-{number}",
        address=Address("p", stage or f"s{number % 7}"),
        key=key or hashlib.sha256(str(number).encode()).hexdigest(),
        material={"cmd": f"make {number}"},
        succeeded=succeeded,
        reason="ok" if succeeded else "failed",
        message="",
        desired=COMMIT,
        started_at="2026-01-01T00:00:00.000+00:00",
        seconds=1.0,
        outs=(out,) if succeeded else (),
        log_sha256="e" * 64,
    )
    return replace(facts, **more)


def story(records: int, *, signer: Signer | None = None, seed: int = 0, **more: Any) -> Story:
    """A ledger with exactly so many records, its commits of different sizes."""
    chance, verifying = random.Random(seed), random.Random(f"verifying {seed}")
    made = Story(signer=signer or KEY, **more)
    number = left = 0
    while (left := records - _size(made)) > 0:
        count = left - 1 if left <= 3 else chance.randint(0, min(5, left - 3))
        runs = []
        for _ in range(count):
            number += 1
            # Some keys fail first and succeed later; some stages come again under a new key.
            failed = chance.random() < 0.2
            runs.append(run_of(number, succeeded=not failed))
            if failed:
                made_later = hashlib.sha256(str(number).encode()).hexdigest()
                if chance.random() < 0.5 and len(runs) < count:
                    runs.append(run_of(number + 100_000, key=made_later, stage=f"s{number % 7}"))
                    break
        removed = [Address("p", f"s{chance.randint(0, 6)}")] if chance.random() < 0.1 else []
        made.commit(runs, removed=removed, late=chance.random() < 0.05 and bool(made.snapshots))
        if records - _size(made) > 0 and verifying.random() < 0.25 and (known := made.recorded_runs()):
            numbers = verifying.sample(known, min(len(known), verifying.randint(1, 3)))
            made.verify(sorted(numbers), [number for number in numbers if verifying.random() < 0.5])
    return made


def _size(made: Story) -> int:
    return MemoryState(made.tip).summary.head.sequence if made.snapshots else 0


def examiner(trust: Trust | None = TRUST) -> Examiner:
    """Looks at records by this trust."""
    return Examiner(statement_checker(), verifies, trust)


def ids_of(snapshot: Snapshot, *more: str) -> dict[str, str]:
    """Paths below `ledger/`, and more, to the ids git gives to the files."""
    paths = (".runner/ledger/", *more)
    return {path: blob_id(data, DIGITS) for path, data in snapshot.items() if path.startswith(paths)}


def ledger_of(snapshots: Sequence[Snapshot]) -> Ledger:
    """What reading these snapshots out of git would give."""
    steps, before = [], dict[str, str]()
    for number, snapshot in enumerate(snapshots):
        now = ids_of(snapshot)
        changes: dict[str, str | None] = {path: oid for path, oid in now.items() if before.get(path) != oid}
        changes |= {path: None for path in before if path not in now}
        state = snapshot.get(layout.STATE)
        state_id = blob_id(state, DIGITS) if state is not None else None
        steps.append(Step(f"{number:040x}", changes, snapshot.get(layout.CHECKPOINT), state_id))
        before = now
    return Ledger("f" * DIGITS, snapshots[-1], tuple(steps), (), True, False)


def audit(
    snapshots: Sequence[Snapshot], looking: Examiner | None = None, *, pinned: Checkpoint | None = None
) -> Report:
    """The runner's own verdict."""
    return judge(ledger_of(snapshots), looking or examiner(), pinned=pinned)


@functools.cache
def independent() -> Any:
    """The second verifier."""
    folder = str(Path(__file__).parents[2] / "examples" / "verify")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("verify")
    finally:
        sys.path.remove(folder)


def trust_text(trust: Trust) -> str:
    """The trust file that says the same, as docs/audit.md shows one."""
    lines = ["apiVersion: runner/v1", "kind: Trust", "keys:"]
    for key in trust.keys:
        lines += [f"  - key: {ssh_line(key.public_key)} a comment   # and another", f"    from: {key.first}"]
        lines += [f"    to: {key.last}"] if key.last is not None else []
        lines += [f"    roles: [{', '.join(key.roles)}]"]
    return "\n".join([*lines, f"unsigned: {{to: {trust.unsigned_to}}}", ""])


def audit_since(snapshots: Sequence[Snapshot], pinned: Checkpoint, looking: Examiner | None = None) -> Report | None:
    """The runner's own verdict from a checkpoint on; None where it has to look at everything."""
    whole = ledger_of(snapshots)
    sizes = [size_of(step.checkpoint) for step in whole.steps]
    if pinned.size not in sizes:
        return None
    place = sizes.index(pinned.size)
    since = replace(whole, steps=whole.steps[place + 1 :], before=snapshots[place])
    return judge_since(since, looking or examiner(), pinned)


def size_of(checkpoint: bytes | None) -> int:
    """How many records a checkpoint names; -1 where it is none."""
    try:
        return parse_checkpoint(checkpoint or b"").size
    except BadCheckpoint:
        return -1


def second_opinion(
    snapshots: Sequence[Snapshot], trust: Trust | None = TRUST, *, pinned: bytes | None = None
) -> list[tuple[int, str, str]]:
    """What examples/verify/verify.py finds: exit code, place and text of each."""
    commits = [
        (f"{number:040x}", ids_of(files, layout.STATE), files.get(layout.CHECKPOINT), None)
        for number, files in enumerate(snapshots)
    ]
    read = None if trust is None else independent().read_trust(trust_text(trust).encode())
    return list(independent().check(snapshots[-1], commits, read, pinned))


def second_code(snapshots: Sequence[Snapshot], trust: Trust | None = TRUST, *, pinned: bytes | None = None) -> int:
    """How examples/verify/verify.py would end."""
    return min((code for code, _, _ in second_opinion(snapshots, trust, pinned=pinned)), default=0)


UNSIGNED = NoSigner()
