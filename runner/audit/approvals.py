"""Approvals in a ledger: each is what a person signed, and a release has those that its spec asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runner.audit.chain import Chain, Examiner
from runner.audit.findings import Breach, Breakage
from runner.core.approvals import Required, SignOff, read_sign_off, short_of
from runner.core.canonical import plain_bytes
from runner.core.dsse import Envelope, pre_authentication
from runner.core.predicates import APPROVAL, RELEASE
from runner.core.release_files import RELEASE as RELEASED
from runner.core.release_files import SETTINGS
from runner.values import dataclass

_ASKED = ("deployment", "environment", "watched", "commit", "md5", "plan")


@dataclass(frozen=True, slots=True)
class Stated:
    """What the specs of a commit ask for."""

    required: Mapping[tuple[str, str], Sequence[Required]]
    """By deployment and environment."""
    author: str
    """The address of the author of the commit."""


Asks = Callable[[str], Stated | None]
"""What the specs of a commit ask for; None where they cannot be read."""


def approval_breaks(chain: Chain, examiner: Examiner, asks: Asks | None = None) -> Iterator[Breakage]:
    """Hold approvals against their signatures, and releases against what had to be signed."""
    for number, record in chain.records():
        if record.kind is APPROVAL:
            yield from _signature_breaks(number, record.own[APPROVAL.name], examiner)
        elif record.kind is RELEASE and record.own[RELEASE.name]["event"] in (RELEASED, SETTINGS):
            stated = record.own[RELEASE.name]
            yield from _release_breaks(f"record {number}", stated, chain, asks(stated["desired"]) if asks else None)


def _signature_breaks(number: int, row: Mapping[str, Any], examiner: Examiner) -> Iterator[Breakage]:
    place = f"record {number}"
    try:
        said, envelope = read_sign_off(plain_bytes(row["envelope"]) + b"\n")
    except ValueError as error:
        yield Breakage(Breach.CHAIN, place, f"holds what nobody signed: {error}")
        return
    if _told(said, envelope) != {name: row[name] for name in _told(said, envelope)}:
        yield Breakage(Breach.CHAIN, place, "says something else than what was signed")
        return
    if examiner.trust is None:
        return
    key, [made] = examiner.trust.named(row["keyid"]), envelope.signatures
    if key is None:
        yield Breakage(Breach.SIGNATURE, place, f"was approved by {row['keyid']}, whom the trust file does not name")
    elif not examiner.signed_by(key, made.sig, pre_authentication(envelope.payload)):
        yield Breakage(Breach.SIGNATURE, place, f"has an approval that {key.keyid} did not sign")
    elif all(
        row["role"] not in one.roles for one in examiner.trust.approvers(number, number) if one.keyid == key.keyid
    ):
        yield Breakage(Breach.POLICY, place, f"was approved by {key.keyid}, which may not approve as {row['role']}")


def _told(said: SignOff, envelope: Envelope) -> dict[str, Any]:
    """What a record has to say of a sign-off."""
    asked = said.question
    return {name: getattr(asked, name) for name in _ASKED} | {
        "desired": asked.commit,
        "model": said.model,
        "role": said.role,
        "approved": said.approved,
        "reason": said.reason,
        "at": said.at,
        "signer": said.actor,
        "keyid": "".join(made.keyid for made in envelope.signatures),
    }


def _release_breaks(place: str, stated: Mapping[str, Any], chain: Chain, asked: Stated | None) -> Iterator[Breakage]:
    required = stated.get("required", [])
    if asked is not None:
        wanted = asked.required.get((stated["deployment"], stated["environment"]), ())
        if [row.as_json() for row in wanted] != list(required):
            roles = ", ".join(row.role for row in wanted) or "nobody"
            yield Breakage(
                Breach.POLICY, place, f"does not say who had to sign: the specs of its commit ask for {roles}"
            )
            required = [row.as_json() for row in wanted]
    given = []
    for one in stated["approvals"]:
        row = _approval(chain, one["record"])
        if row is None or not _is_of(row, stated) or any(row[name] != one[name] for name in ("role", "keyid")):
            yield Breakage(Breach.CHAIN, place, f"rests on record {one['record']}, which is no approval of it")
            continue
        given.append((row["role"], row["principal"].casefold() or row["keyid"]))
        strict = any(rule["role"] == row["role"] and rule["notAuthor"] for rule in required)
        if strict and asked is not None and row["principal"].casefold() in ("", asked.author.casefold()):
            yield Breakage(Breach.POLICY, place, f"rests on record {one['record']}, by the author of the commit")
    if wrong := short_of(required, given):
        yield Breakage(Breach.POLICY, place, wrong)


def _approval(chain: Chain, number: int) -> Mapping[str, Any] | None:
    examined = chain.at(number)
    record = examined.valid if examined is not None else None
    return record.own[APPROVAL.name] if record is not None and record.kind is APPROVAL else None


def _is_of(row: Mapping[str, Any], stated: Mapping[str, Any]) -> bool:
    """Whether an approval is of this release: the same place, model and commit, on the same branch."""
    same = all(row[name] == stated[name] for name in ("deployment", "environment", "watched", "desired"))
    return same and (row["model"], row["md5"]) == (stated["model"]["sha256"], stated["model"]["md5"])
