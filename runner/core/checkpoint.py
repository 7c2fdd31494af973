"""Checkpoints: how long a ledger is and the root of its Merkle tree, signed; small enough to be kept elsewhere.

The form is that of signed notes (C2SP signed-note and tlog-checkpoint): origin, number of records, root in base64, an
empty line, and a line for each signature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from runner.values import dataclass, replace

NAME = "gitops-runner"
"""The name that stands before each signature."""
_ORIGIN = "gitops-runner.dev/ledger/"
_ORIGIN_DIGITS = 32
_KEY_HASH_BYTES = 4
_ED25519 = b"\x01"
_DASH = "\u2014"
_SIGNATURE = re.compile(rf"{_DASH} (\S+) (\S+)")


class BadCheckpoint(ValueError):
    """Bytes that are not a checkpoint."""


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """A line below a note: which key (a short hash of it) and what it made of the text."""

    key_hash: bytes
    sig: bytes
    name: str = NAME


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first `size` records of a ledger."""

    origin: str
    size: int
    root: bytes
    signatures: tuple[NoteSignature, ...] = ()

    def text(self) -> bytes:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()

    def as_bytes(self) -> bytes:
        """The whole file."""
        lines = "".join(
            f"{_DASH} {made.name} {base64.b64encode(made.key_hash + made.sig).decode()}\n" for made in self.signatures
        )
        return self.text() + b"\n" + lines.encode()

    def signed(self, *signatures: NoteSignature) -> Checkpoint:
        """The same with these signatures."""
        return replace(self, signatures=signatures)


def origin_of(first_record: bytes) -> str:
    """The name of a ledger: by its first record, which never changes."""
    return _ORIGIN + hashlib.sha256(first_record).hexdigest()[:_ORIGIN_DIGITS]


def key_hash(public_key: bytes, name: str = NAME) -> bytes:
    """The four bytes by which a note names an Ed25519 key."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:_KEY_HASH_BYTES]


def parse_checkpoint(data: bytes) -> Checkpoint:
    """The checkpoint in the bytes of a file; raises BadCheckpoint unless they are in the one form."""
    try:
        text, _, below = data.decode().partition("\n\n")
        origin, size, root = text.split("\n")
        rows = [_SIGNATURE.fullmatch(line) for line in below.split("\n")[:-1]]
        found = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
        signatures = [_signature(row[1], row[2]) for row in rows if row is not None]
    except (ValueError, binascii.Error) as error:
        raise BadCheckpoint("not a checkpoint: it is to be three lines, an empty one, and signatures") from error
    found = found.signed(*signatures)
    if found.as_bytes() != data or found.size < 0 or len(found.root) != hashlib.sha256().digest_size or not origin:
        raise BadCheckpoint("not a checkpoint in its one form")
    return found


def _signature(name: str, text: str) -> NoteSignature:
    raw = base64.b64decode(text, validate=True)
    return NoteSignature(raw[:_KEY_HASH_BYTES], raw[_KEY_HASH_BYTES:], name)
