"""The trust file: which keys may sign what, from which record to which. It lies outside the repository it judges."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runner.core.approvals import Approver
from runner.core.checkpoint import key_hash
from runner.core.dsse import fingerprint, parse_ssh_line
from runner.core.predicates import APPROVER, RUNNER
from runner.errors import InputError, SpecError
from runner.specs.places import Locator
from runner.specs.schemas import check
from runner.specs.yaml12 import Path as Place
from runner.specs.yaml12 import load
from runner.values import dataclass

_WHAT = "the trust file"
_KIND = re.compile(rb"""^[\s{]*(?:[^#\n]*[,{])?\s*["']?kind["']?\s*:\s*["']?Trust\b""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """One key and what it is trusted with."""

    public_key: bytes
    keyid: str
    roles: tuple[str, ...] = (RUNNER,)
    first: int = 1
    last: int | None = None
    """Number of the last record it may sign; None without end."""
    approves: tuple[str, ...] = ()
    """The roles that it may sign approvals for."""
    principal: str = ""
    """Who holds it; empty where the file does not say."""

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

    def approvers(self, first: int, last: int) -> list[Approver]:
        """The keys that may sign approvals which are taken over in these records, from the first to the last."""
        return [
            Approver(key.keyid, key.public_key, key.approves, key.principal)
            for key in self.keys
            if APPROVER in key.roles and key.covers(first) and key.covers(last)
        ]

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
    _check_is_one(text, file)
    locator = Locator(str(file), lambda: text)
    try:
        value = load(text, file=str(file))
    except SpecError as error:
        raise SpecError(error.findings, _WHAT) from error
    findings = [problem.finding for problem in check("trust", value, locator)]
    rows = value.get("keys") if isinstance(value, dict) else None
    keys: list[TrustedKey] = []
    for number, row in enumerate(rows if isinstance(rows, list) else ()):
        key = _key_of(row, keys, lambda part, *said: findings.append(locator.finding(part, *said)), ("keys", number))
        keys += [key] if key is not None else []
    if findings:
        raise SpecError(findings, _WHAT)
    return Trust(tuple(keys), value.get("unsigned", {}).get("to", 0))


def _check_is_one(text: bytes, file: Path) -> None:
    """Raise InputError, which quotes nothing, for what is something else: a key or a token may be named by mistake."""
    hint = "docs/audit.md shows a trust file; `runner keys generate` prints the line for it"
    if b"PRIVATE KEY-----" in text:
        raise InputError(f"{file}: this is a private key, not a trust file", hint)
    if text.strip() and not _KIND.search(text):
        raise InputError(
            f"{file}: this is no trust file: it must be a mapping with `apiVersion`, `kind: Trust` and `keys`", hint
        )


def _key_of(row: Any, others: Sequence[TrustedKey], wrong: Callable[..., None], place: Place) -> TrustedKey | None:
    """The key of one row; says what is wrong with it beside its shape."""
    if not isinstance(row, dict):
        return None  # the schema has said so
    first, last = row.get("from", 1), row.get("to")
    if type(first) is int and type(last) is int and 1 <= last < first:
        hint = "the first record that the key signed, and the last one"
        wrong((*place, "to"), f"the key would end with record {last}, before it begins with {first}", hint)
    if not isinstance(row.get("key"), str):
        return None
    try:
        public_key = parse_ssh_line(row["key"])
    except ValueError as error:
        wrong((*place, "key"), str(error), "the public line of an Ed25519 key")
        return None
    if any(other.public_key == public_key for other in others):
        wrong((*place, "key"), "this key stands here twice", "give it one row, with all of its `roles`")
    approves = row.get("approves", [])
    roles = row.get("roles", [APPROVER] if approves else [RUNNER])
    if approves and isinstance(roles, list) and APPROVER not in roles:
        wrong((*place, "roles"), "a key that `approves` has the role `approver`, too", "add it to `roles`")
    return TrustedKey(
        public_key,
        fingerprint(public_key),
        tuple(roles) if isinstance(roles, list) else (),
        first,
        last,
        tuple(one for one in approves if isinstance(one, str)) if isinstance(approves, list) else (),
        str(row.get("principal", "")),
    )
