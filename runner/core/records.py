"""Records: signed statements of what happened, and the chain that keeps them in order.

Every record is an in-toto Statement v1 in a DSSE envelope (unsigned until a key is configured). A record file is the
canonical JSON of the envelope and a newline; it holds its sequence number and the SHA-256 of the previous file's raw
bytes, so that nothing can be changed, dropped or swapped without breaking what follows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.core.canonical import canonical_bytes, plain
from runner.core.nouns import Address
from runner.core.recorded import RUNNER, InputSizes, OutFact

SCHEMA = 1
"""Version of everything below `.runner/`; an older runner refuses to write to a newer one."""

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
RUN_PREDICATE = "https://gitops-runner.dev/predicates/run/v1"
RECONCILE_PREDICATE = "https://gitops-runner.dev/predicates/reconcile/v1"


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
        """The inverse of `as_json`; raises KeyError where a field is missing."""
        outcome, usage, log = row["outcome"], row["usage"], row["log"]
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


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a ledger: how many records, and the digest of the last one's raw bytes."""

    sequence: int = 0
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it stands on a ledger."""

    sequence: int
    previous: str | None
    predicate_type: str
    predicate: Mapping[str, Any]
    subject: tuple[Mapping[str, Any], ...]
    signed: bool

    @property
    def run(self) -> RunFacts | None:
        """The run it states; None for a record of another kind."""
        if self.predicate_type != RUN_PREDICATE:
            return None
        return RunFacts.from_json(self.predicate["run"])


def run_subjects(run: RunFacts) -> list[dict[str, Any]]:
    """In-toto subjects of a run: the run by its key, then each output by DVC's digest."""
    subjects: list[dict[str, Any]] = [{"name": f"run:{run.address}", "digest": {"sha256": run.key}}]
    for out in run.outs:
        algorithm = "dvcDirMd5" if out.md5.endswith(".dir") else "md5"
        subjects.append({"name": out.path, "digest": {algorithm: out.md5.removesuffix(".dir")}})
    return subjects


def append(
    head: Head, predicate_type: str, predicate: Mapping[str, Any], subject: list[dict[str, Any]], version: str
) -> tuple[Head, bytes]:
    """The bytes of the next record after `head`, and the new head."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": subject,
        "predicateType": predicate_type,
        "predicate": {
            "schema": SCHEMA,
            "sequence": head.sequence + 1,
            "previous": head.digest,
            "runnerVersion": version,
            **predicate,
        },
    }
    data = envelope(canonical_bytes(statement))
    return Head(head.sequence + 1, hashlib.sha256(data).hexdigest()), data


def envelope(payload: bytes) -> bytes:
    """An unsigned DSSE envelope around a payload, as the bytes of a record file."""
    body = {"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE, "signatures": []}
    return canonical_bytes(body) + b"\n"


def parse_record(data: bytes) -> Record:
    """The record in the bytes of a file; raises BadRecord unless they are canonical to the last bit."""
    try:
        body = json.loads(data)
        payload = base64.b64decode(body["payload"], validate=True)
        statement = json.loads(payload)
        canonical = canonical_bytes(body) + b"\n" == data and canonical_bytes(statement) == payload
        spare = base64.b64encode(payload).decode() != body["payload"]
        if not canonical or spare or set(body) != {"payload", "payloadType", "signatures"}:
            raise BadRecord("not in canonical form")
        if body["payloadType"] != PAYLOAD_TYPE or statement["_type"] != STATEMENT_TYPE:
            raise BadRecord("not an in-toto statement")
        predicate = statement["predicate"]
        return Record(
            sequence=predicate["sequence"],
            previous=predicate["previous"],
            predicate_type=statement["predicateType"],
            predicate=predicate,
            subject=tuple(statement["subject"]),
            signed=bool(body["signatures"]),
        )
    except (KeyError, TypeError, AttributeError, RecursionError, binascii.Error, UnicodeError) as error:
        raise BadRecord(f"not a record: {error}") from error
    except json.JSONDecodeError as error:
        raise BadRecord(f"not JSON: {error}") from error
