"""The trust file: which keys may sign what, from which record to which. It lies outside the repository it judges."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from runner.core.checkpoint import key_hash
from runner.core.dsse import fingerprint, parse_ssh_line
from runner.core.predicates import RUNNER
from runner.core.shapes import compiled
from runner.errors import Finding, InputError, SpecError
from runner.resources import schema_file
from runner.specs.yaml12 import load, locate
from runner.values import dataclass


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """One key and what it is trusted with."""

    public_key: bytes
    keyid: str
    roles: tuple[str, ...] = (RUNNER,)
    first: int = 1
    last: int | None = None
    """Number of the last record it may sign; None without end."""

    def covers(self, sequence: int) -> bool:
        """Whether it is valid for a record."""
        return self.first <= sequence and (self.last is None or sequence <= self.last)


@dataclass(frozen=True, slots=True)
class Trust:
    """All keys that are trusted."""

    keys: tuple[TrustedKey, ...]
    unsigned_to: int = 0
    """Records up to this one were made before there was a key; they need no signature."""

    def named(self, keyid: str) -> TrustedKey | None:
        """The key with this fingerprint."""
        return next((key for key in self.keys if key.keyid == keyid), None)

    def hashed(self, short: bytes, name: str) -> Sequence[TrustedKey]:
        """The keys that a line of a checkpoint may be of, by the short hash and the name in it."""
        return [key for key in self.keys if key_hash(key.public_key, name) == short]


def read_trust(file: Path) -> Trust:
    """The trust file; raises SpecError with everything that is wrong in it, InputError where it cannot be read."""
    try:
        text = file.read_bytes()
    except OSError as error:
        hint = "docs/audit.md shows one; `runner keys generate` prints the line for it"
        raise InputError(f"{file}: {error.strerror}", hint) from error
    return parse_trust(text, file)


def parse_trust(text: bytes, file: Path) -> Trust:
    """What a trust file says; `file` is its name in messages. Raises SpecError with everything that is wrong in it."""
    value = load(text, file=str(file))
    schema = json.loads(schema_file("trust").read_text(encoding="utf-8"))
    wrong = compiled(schema)(value)
    if wrong is not None:
        raise SpecError([Finding(str(file), 1, 1, wrong, "docs/audit.md shows what a trust file holds")])
    keys, findings = [], []
    for number, row in enumerate(value["keys"]):
        try:
            public_key = parse_ssh_line(row["key"])
        except ValueError as error:
            line, column = locate(text, ("keys", number, "key"))
            findings.append(Finding(str(file), line, column, str(error), "the public line of an Ed25519 key"))
            continue
        roles = tuple(row.get("roles", [RUNNER]))
        keys.append(TrustedKey(public_key, fingerprint(public_key), roles, row.get("from", 1), row.get("to")))
    if findings:
        raise SpecError(findings)
    return Trust(tuple(keys), value.get("unsigned", {}).get("to", 0))
