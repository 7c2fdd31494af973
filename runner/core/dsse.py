"""DSSE envelopes: a payload, its type, and Ed25519 signatures over both, in one canonical form.

The format is https://github.com/secure-systems-lab/dsse (protocol 1.0). A signature is made over the pre-authentication
encoding of type and payload, never over the JSON around them. A key is named by its fingerprint as OpenSSH shows it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence

from runner.core.canonical import plain_bytes
from runner.values import dataclass

PAYLOAD_TYPE = "application/vnd.in-toto+json"
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
_SSH_TYPE = b"ssh-ed25519"
_START = b'{"payload":"'


class BadEnvelope(ValueError):
    """Bytes that are not an envelope in its one form."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature and the fingerprint of the key that made it."""

    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload and who signed it."""

    payload: bytes
    signatures: tuple[Signature, ...]


Sign = Callable[[bytes], Sequence[Signature]]
"""Signs a payload; no signatures where there is no key."""


def unsigned(_payload: bytes) -> tuple[Signature, ...]:
    """Signs nothing: no key is configured."""
    return ()


def pre_authentication(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """What is signed (PAE of DSSE): both parts with their lengths, so that none can be taken for the other."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def envelope_bytes(payload: bytes, signatures: Sequence[Signature]) -> bytes:
    """The bytes of a record file: canonical JSON and a newline."""
    rows = [{"keyid": made.keyid, "sig": base64.b64encode(made.sig).decode()} for made in signatures]
    end = plain_bytes({"payloadType": PAYLOAD_TYPE, "signatures": rows})
    # Put together by hand: base64 needs no escaping, and this is done for every record that is verified.
    return _START + base64.b64encode(payload) + b'",' + end[1:] + b"\n"


def parse_envelope(data: bytes) -> Envelope:
    """The envelope in the bytes of a file; raises BadEnvelope unless they are canonical to the last bit."""
    try:
        start, end = len(_START), data.find(b'"', len(_START))
        if end < 0:
            raise BadEnvelope("not a record: it is no envelope with a payload")
        body = json.loads(b"{" + data[end + 2 :])  # whatever stands around it: the whole is compared below
        if body["payloadType"] != PAYLOAD_TYPE:
            raise BadEnvelope("not an in-toto statement")
        payload = base64.b64decode(data[start:end], validate=True)
        rows = body["signatures"]
        signatures = tuple(Signature(row["keyid"], base64.b64decode(row["sig"], validate=True)) for row in rows)
        if not all(isinstance(made.keyid, str) for made in signatures):
            raise BadEnvelope("a key is named by a text")
        same = envelope_bytes(payload, signatures) == data
    except BadEnvelope:
        raise
    except (KeyError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise BadEnvelope(f"not a record: {error}") from error
    if not same:
        raise BadEnvelope("not in canonical form")
    return Envelope(payload, signatures)


def fingerprint(public_key: bytes) -> str:
    """The name of a key, `SHA256:…`, as `ssh-keygen -l` shows it."""
    digest = hashlib.sha256(ssh_blob(public_key)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def ssh_blob(public_key: bytes) -> bytes:
    """An Ed25519 public key as ssh sends it (RFC 8709)."""
    return len(_SSH_TYPE).to_bytes(4, "big") + _SSH_TYPE + len(public_key).to_bytes(4, "big") + public_key


def ssh_line(public_key: bytes) -> str:
    """An Ed25519 public key as a line of `authorized_keys`: `ssh-ed25519 AAAA…`."""
    return f"{_SSH_TYPE.decode()} {base64.b64encode(ssh_blob(public_key)).decode()}"


def parse_ssh_line(line: str) -> bytes:
    """The 32 bytes of the public key in such a line; raises ValueError for anything else."""
    words = line.split()
    if len(words) < 2 or words[0] != _SSH_TYPE.decode():
        raise ValueError("not a line `ssh-ed25519 AAAA…`")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("the key is not base64") from error
    public_key = blob[-PUBLIC_KEY_BYTES:]
    if ssh_blob(public_key) != blob:
        raise ValueError("not an Ed25519 key")
    return public_key
