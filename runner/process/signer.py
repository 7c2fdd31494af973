"""The signer: a small program that alone holds the signing key, and signs nothing but records that follow each other.

It is run as `python -I signer.py`, once for each reconcile (once for all rounds of a daemon), and speaks over its
standard streams: a length in four bytes, then JSON, both ways. It checks itself what it signs: canonical bytes, a known
kind, valid by its schema, numbered and chained after the record before. It computes the checkpoint itself.

    {"op": "open", "key": {"file" | "data" | "agent", "socket": …}, "schemas": {kind: schema}}  → {"publicKey": …}
    {"op": "begin", "sequence": …, "digest": …, "frontier": …}   the ledger that the next records follow
    {"op": "sign", "payload": base64}                             → {"sig": base64}
    {"op": "checkpoint", "text": base64}                          → {"sig": base64}

Every answer may be `{"error": …, "hint": …}`; after one to `sign`, only `begin` and `open` are heard.
"""

from __future__ import annotations

import base64
import ctypes
import json
import sys
from pathlib import Path
from typing import IO, Any, Protocol

if __name__ == "__main__":
    # Started without the caller's import path (-I), so that nothing of a working folder is ever imported here.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from runner.core.checkpoint import BadCheckpoint, parse_checkpoint
from runner.core.dsse import Signature, envelope_bytes, fingerprint, pre_authentication
from runner.core.merkle import Frontier, leaf_hash
from runner.core.predicates import BY_TYPE
from runner.core.records import BadRecord, Head, parse_statement
from runner.core.statements import Checker, checker
from runner.process.signing_keys import BadKey, agent_key, file_key, key_of

_PR_SET_DUMPABLE = 4
_LONGEST = 256 << 20


class Refused(Exception):
    """Something that is not signed: why, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Key(Protocol):
    """A signing key, wherever it is."""

    @property
    def public_key(self) -> bytes:
        """Its 32 public bytes."""

    def sign(self, data: bytes) -> bytes:
        """The Ed25519 signature over the data."""


class Session:
    """One key and the ledger that is being appended to."""

    def __init__(self, key: Key, check: Checker) -> None:
        self._key = key
        self._keyid = fingerprint(key.public_key)
        self._check = check
        self._least = 0
        self._head: Head | None = None
        self._recorded_at = ""
        self._frontier = Frontier()

    @property
    def public_key(self) -> bytes:
        """The public part of the key."""
        return self._key.public_key

    def begin(self, request: dict[str, Any]) -> None:
        """Go on from another end of the ledger: after a lost race it is a later one, never an earlier."""
        head, frontier = Head(request["sequence"], request["digest"]), Frontier.parse(request["frontier"])
        if head.sequence < self._least or frontier.size != head.sequence:
            raise Refused(f"the ledger has gone back to record {head.sequence}, this signer has seen {self._least}")
        self._least, self._head, self._frontier, self._recorded_at = head.sequence, head, frontier, ""

    def sign(self, payload: bytes) -> bytes:
        """The signature over the next statement; raises Refused, and then for all that would follow it."""
        head, self._head = self._head, None
        if head is None:
            raise Refused("no ledger was named that this statement follows")
        try:
            statement = parse_statement(payload)
            wrong = self._check(statement)
        except (BadRecord, KeyError, TypeError) as error:
            raise Refused(f"not a statement: {error}") from error
        if wrong is not None:
            raise Refused(f"the statement is not valid: {wrong}", "this is a defect of the runner; please report it")
        own = BY_TYPE[statement["predicateType"]].own(statement["predicate"])
        if (own["sequence"], own["previous"]) != (head.sequence + 1, head.digest):
            raise Refused(f"the statement says it is record {own['sequence']}; record {head.sequence + 1} is next")
        if own["recordedAt"] < self._recorded_at:
            raise Refused("the statement is dated before the one that it follows")
        sig = self._key.sign(pre_authentication(payload))
        data = envelope_bytes(payload, [Signature(self._keyid, sig)])
        self._head, self._recorded_at = head.after(data), own["recordedAt"]
        self._frontier = self._frontier.appended(leaf_hash(data))
        return sig

    def checkpoint(self, text: bytes) -> bytes:
        """The signature over a checkpoint of exactly what was signed; raises Refused for any other."""
        try:
            said = parse_checkpoint(text + b"\n")
        except BadCheckpoint as error:
            raise Refused(str(error)) from error
        if self._head is None or (said.size, said.root) != (self._head.sequence, self._frontier.root()):
            raise Refused("the checkpoint is of other records than those that were signed")
        return self._key.sign(text)


def answer(request: dict[str, Any], session: Session | None) -> tuple[dict[str, Any], Session | None]:
    """What to say to one request, and the session from then on."""
    try:
        if request["op"] == "open":
            session = Session(opened(request["key"]), checker(request["schemas"]))
            return {"publicKey": session.public_key.hex()}, session
        if session is None:
            raise Refused("no key was opened")
        if request["op"] == "begin":
            session.begin(request)
            return {}, session
        if request["op"] == "sign":
            sig = session.sign(base64.b64decode(request["payload"]))
        elif request["op"] == "checkpoint":
            sig = session.checkpoint(base64.b64decode(request["text"]))
        else:
            raise Refused(f"there is no {request['op']!r}")
        return {"sig": base64.b64encode(sig).decode()}, session
    except (Refused, BadKey) as refused:
        return {"error": str(refused), "hint": refused.hint}, session


def opened(source: dict[str, str]) -> Key:
    """The key from a file, from bytes, or in an agent; raises BadKey where it is none that can be used."""
    if "agent" in source:
        return agent_key(source["agent"], source.get("socket", ""))
    if "file" in source:
        return file_key(Path(source["file"]))
    return key_of(source["data"].encode(), "RUNNER_SIGNING_KEY_DATA")


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until the runner closes its end."""
    session: Session | None = None
    while (request := receive(requests)) is not None:
        said, session = answer(request, session)
        send(answers, said)


def receive(stream: IO[bytes]) -> dict[str, Any] | None:
    """The next message; None at the end of the stream."""
    length = int.from_bytes(stream.read(4), "big")
    if not 0 < length <= _LONGEST:
        return None
    data = stream.read(length)
    message: dict[str, Any] | None = json.loads(data) if len(data) == length else None
    return message


def send(stream: IO[bytes], message: dict[str, Any]) -> None:
    """Write one message."""
    data = json.dumps(message).encode()
    stream.write(len(data).to_bytes(4, "big") + data)
    stream.flush()


if __name__ == "__main__":
    # Nobody of the same user may look into this process: no core file, no ptrace, no /proc/PID/mem.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    serve(sys.stdin.buffer, sys.stdout.buffer)
