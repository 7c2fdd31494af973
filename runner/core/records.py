"""Runs and records: what is known of a run, and statements in a chain that keeps them in order.

Every record is an in-toto Statement v1 in a DSSE envelope, signed where a key is configured. A record file is the
canonical JSON of the envelope and a newline; it holds its sequence number and the SHA-256 of the previous file's raw
bytes, so that nothing can be changed, dropped or swapped without breaking what follows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.core.canonical import plain, plain_bytes
from runner.core.nouns import Address
from runner.core.recorded import MOST_SECONDS, RUNNER, InputSizes, OutFact, Took
from runner.values import dataclass, field

if TYPE_CHECKING:
    from runner.core.dsse import Envelope, Sign
    from runner.core.predicates import Kind

SCHEMA = 1
"""Version of everything below `.runner/`; an older runner refuses to write to a newer one."""

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


class BadRecord(ValueError):
    """Bytes that are not a canonical record."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What happened in one run of a stage: the journal keeps it as it is, the ledger states it."""

    run_id: str
    """Unique for each run, random."""
    address: Address
    key: str
    material: Mapping[str, Any]
    succeeded: bool
    reason: str
    """`ok`, `failed`, `timeout`, `cancelled`, `killed`, `oom`, `outputs` or `restored`."""
    message: str
    """One line for people; empty for a success."""
    desired: str
    """Commit the run was made for."""
    started_at: str
    """ISO 8601, UTC."""
    seconds: float
    outs: tuple[OutFact, ...] = ()
    provenance: str = RUNNER
    exit_code: int | None = None
    signal: int | None = None
    attempts: int = 1
    cpu_seconds: float = 0.0
    max_rss_bytes: int = 0
    isolation: str = ""
    undeclared: tuple[str, ...] = ()
    """Paths it wrote beside its outputs; they were dropped."""
    log_sha256: str = ""
    log_bytes: int = 0
    log_tail: str = ""
    """The last lines of a failed run, redacted."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Metric files to their parsed values, up to 64 KiB in all."""
    started_from: Mapping[str, str] = field(default_factory=dict)
    """Persist outputs to the digest the run started from."""
    host: Mapping[str, Any] = field(default_factory=dict)
    actor: str = ""
    trust: str = "trusted"
    inputs: InputSizes = field(default_factory=dict)
    location: str = ""
    """Where the bytes of outputs are: a DVC remote's name, or `this host`."""

    def took(self, record: int) -> Took | None:
        """What it took, as the record with this number says; None for one that failed or was restored."""
        if not (self.succeeded is True and self.reason == "ok" and self.provenance == RUNNER):
            return None
        if type(self.seconds) not in (int, float) or not 0 <= self.seconds < MOST_SECONDS:
            return None
        return Took(record, round(self.seconds, 3), host_class(self.host))

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, complete."""
        return {
            "runId": self.run_id,
            "pipeline": self.address.pipeline,
            "stage": self.address.stage,
            "key": self.key,
            "material": plain(dict(self.material)),
            "outcome": {
                "succeeded": self.succeeded,
                "reason": self.reason,
                "message": self.message,
                "exitCode": self.exit_code,
                "signal": self.signal,
                "attempts": self.attempts,
            },
            "desired": self.desired,
            "startedAt": self.started_at,
            "seconds": round(self.seconds, 3),
            "usage": {"cpuSeconds": round(self.cpu_seconds, 3), "maxRssBytes": self.max_rss_bytes},
            "outs": [out.as_json() for out in self.outs],
            "provenance": self.provenance,
            "isolation": {"level": self.isolation, "undeclared": list(self.undeclared)},
            "log": {"sha256": self.log_sha256, "bytes": self.log_bytes, "tail": self.log_tail},
            "metrics": plain(dict(self.metrics)),
            "startedFrom": dict(self.started_from),
            "host": plain(dict(self.host)),
            "actor": self.actor,
            "trust": self.trust,
            "inputs": {path: dict(sizes) for path, sizes in self.inputs.items()},
            "location": self.location,
        }

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> RunFacts:
        """The inverse of `as_json`; raises KeyError where a field is missing, ValueError where it is wrong."""
        outcome, usage, log = row["outcome"], row["usage"], row["log"]
        texts = [row[name] for name in ("runId", "pipeline", "stage", "key", "desired", "startedAt", "provenance")]
        texts += [outcome["reason"], outcome["message"], log["tail"], row["actor"], row["location"]]
        mappings = [row[name] for name in ("material", "metrics", "startedFrom", "host", "inputs")]
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(item, dict) for item in mappings):
            raise ValueError("not the facts of a run")
        return RunFacts(
            run_id=row["runId"],
            address=Address(row["pipeline"], row["stage"]),
            key=row["key"],
            material=row["material"],
            succeeded=outcome["succeeded"],
            reason=outcome["reason"],
            message=outcome["message"],
            exit_code=outcome["exitCode"],
            signal=outcome["signal"],
            attempts=outcome["attempts"],
            desired=row["desired"],
            started_at=row["startedAt"],
            seconds=row["seconds"],
            cpu_seconds=usage["cpuSeconds"],
            max_rss_bytes=usage["maxRssBytes"],
            outs=tuple(OutFact.from_json(out) for out in row["outs"]),
            provenance=row["provenance"],
            isolation=row["isolation"]["level"],
            undeclared=tuple(row["isolation"]["undeclared"]),
            log_sha256=log["sha256"],
            log_bytes=log["bytes"],
            log_tail=log["tail"],
            metrics=row["metrics"],
            started_from=row["startedFrom"],
            host=row["host"],
            actor=row["actor"],
            trust=row["trust"],
            inputs=row["inputs"],
            location=row["location"],
        )


def host_class(host: Mapping[str, Any]) -> str:
    """What decides how fast a host is, as far as a record tells: system, machine and cores."""
    words = str(host.get("platform", "")).split()
    cores = host.get("cores")
    return " ".join([*words[:1], *words[-1:], f"{cores:g}" if isinstance(cores, (int, float)) else "?"])


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a ledger: how many records, and the digest of the last one's raw bytes."""

    sequence: int = 0
    digest: str | None = None

    def after(self, data: bytes) -> Head:
        """The end once a record with these bytes is appended."""
        return Head(self.sequence + 1, hashlib.sha256(data).hexdigest())


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who states something, and when."""

    version: str
    """Of the runner."""
    recorded_at: str
    """RFC 3339, UTC, milliseconds; along a ledger it never goes back."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it stands on a ledger."""

    sequence: int
    previous: str | None
    kind: Kind
    predicate: Mapping[str, Any]
    subject: tuple[Mapping[str, Any], ...]
    keyids: tuple[str, ...]
    """Names of the keys that signed it, as it says itself; whether they did is for `runner audit verify` to tell."""

    @property
    def predicate_type(self) -> str:
        """The type of its predicate."""
        return self.kind.predicate_type

    @property
    def signed(self) -> bool:
        """Whether it carries a signature."""
        return bool(self.keyids)

    @property
    def own(self) -> Mapping[str, Any]:
        """The part of the predicate that is the runner's own."""
        return self.kind.own(self.predicate)

    @property
    def recorded_at(self) -> str:
        """When it was appended."""
        return str(self.own["recordedAt"])

    @property
    def run(self) -> RunFacts | None:
        """The run it states; None for a record of another kind."""
        from runner.core.predicates import RUN  # imported late: start-up

        return RunFacts.from_json(self.own["run"]) if self.kind is RUN else None


def run_subjects(run: RunFacts) -> list[dict[str, Any]]:
    """In-toto subjects of a run: the run by its key, then each output by DVC's digest."""
    subjects: list[dict[str, Any]] = [{"name": f"run:{run.address}", "digest": {"sha256": run.key}}]
    for out in run.outs:
        algorithm = "dvcDirMd5" if out.md5.endswith(".dir") else "md5"
        subjects.append({"name": out.path, "digest": {algorithm: out.md5.removesuffix(".dir")}})
    return subjects


def chain_fields(head: Head, stamp: Stamp) -> dict[str, Any]:
    """What every record says of itself and of the one before it."""
    return {
        "schema": SCHEMA,
        "sequence": head.sequence + 1,
        "previous": head.digest,
        "recordedAt": stamp.recorded_at,
        "runnerVersion": stamp.version,
    }


def append(
    head: Head, kind: Kind, predicate: Mapping[str, Any], subject: list[dict[str, Any]], sign: Sign | None = None
) -> tuple[Head, bytes]:
    """The bytes of the next record after `head`, and the new head; the predicate has its `chain_fields` already."""
    from runner.core.dsse import envelope_bytes, unsigned  # imported late: start-up
    from runner.core.predicates import RUN

    statement = {
        "_type": STATEMENT_TYPE,
        "subject": subject,
        "predicateType": kind.predicate_type,
        # A run is plain as it is, and there are many of them.
        "predicate": predicate if kind is RUN else plain(predicate),
    }
    payload = plain_bytes(statement)
    data = envelope_bytes(payload, (sign or unsigned)(payload))
    return head.after(data), data


def parse_record(data: bytes) -> Record:
    """The record in the bytes of a file; raises BadRecord unless they are canonical to the last bit."""
    return opened(data)[0]


def run_told(data: bytes) -> Mapping[str, Any] | None:
    """What a record says of a run, as it stands there; None for any other, and for what is no record.

    Neither its form nor its signature is looked at, which takes most of the time: enough for an estimate, and for
    nothing that is decided.
    """
    import base64  # imported late: start-up

    from runner.core.predicates import EXTENSION

    try:
        run = json.loads(base64.b64decode(json.loads(data)["payload"]))["predicate"][EXTENSION]["run"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return run if isinstance(run, dict) else None


def opened(data: bytes) -> tuple[Record, Envelope, Mapping[str, Any]]:
    """The same, with its envelope and its statement."""
    from runner.core.dsse import BadEnvelope, parse_envelope  # imported late: start-up
    from runner.core.predicates import BY_TYPE

    try:
        envelope = parse_envelope(data)
        statement = parse_statement(envelope.payload)
        kind = BY_TYPE[statement["predicateType"]]
        predicate = statement["predicate"]
        own = kind.own(predicate)
        record = Record(
            sequence=own["sequence"],
            previous=own["previous"],
            kind=kind,
            predicate=predicate,
            subject=tuple(statement["subject"]),
            keyids=tuple(signature.keyid for signature in envelope.signatures),
        )
    except BadEnvelope as error:
        raise BadRecord(str(error)) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise BadRecord(f"not a record: {error}") from error
    return record, envelope, statement


def parse_statement(payload: bytes) -> dict[str, Any]:
    """The in-toto statement in a payload; raises BadRecord unless it is one, in canonical JSON."""
    try:
        statement = json.loads(payload)
        if plain_bytes(statement) != payload:
            raise BadRecord("not in canonical form")
        if statement["_type"] != STATEMENT_TYPE or set(statement) != _MEMBERS:
            raise BadRecord("not an in-toto statement")
    except BadRecord:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadRecord(f"not a statement: {error}") from error
    found: dict[str, Any] = statement
    return found


_MEMBERS = {"_type", "subject", "predicateType", "predicate"}
