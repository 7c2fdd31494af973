"""Approvals in a ledger: what an audit, and the second verifier, say of a release that lacks them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.audit.approvals import Stated, approval_breaks
from runner.audit.chain import Examiner, check_chain
from runner.audit.findings import Breach
from runner.audit.trust import Trust, TrustedKey
from runner.core.approvals import Question, Required, SignOff, envelope_json
from runner.core.dsse import Signature, envelope_bytes, fingerprint, pre_authentication
from runner.core.predicates import APPROVAL, RELEASE
from runner.core.records import Head, Stamp, append, chain_fields
from runner.process.signing_keys import verifies

COMMIT, AT = "c" * 40, "2026-11-22T12:00:00.000Z"
MODEL, MD5 = "e" * 64, "ab" * 16
PLACE = ("churn-api", "production")
Row = dict[str, Any]


class Person:
    """Somebody with a key."""

    def __init__(self, name: str) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self.name = f"{name}@example.org"
        self.private = Ed25519PrivateKey.generate()
        self.public = self.private.public_key().public_bytes_raw()
        self.keyid = fingerprint(self.public)

    def trusted(self, *roles: str, last: int | None = None) -> TrustedKey:
        return TrustedKey(self.public, self.keyid, ("approver",), 1, last, roles, self.name)

    def approval(self, role: str = "risk", said: str = "risk", **asked: str) -> Row:
        """What a record says, of a sign-off as another role where `said` is another."""
        question = Question(*PLACE, "main", COMMIT, MD5, "d" * 64)
        paper = SignOff(question, MODEL, said, True, "seen", "ada", AT)
        payload = paper.payload()
        made = Signature(self.keyid, self.private.sign(pre_authentication(payload)))
        row = {"deployment": PLACE[0], "environment": PLACE[1], "model": MODEL, "md5": MD5, "plan": "d" * 64}
        row |= {"commit": COMMIT, "role": role, "approved": True, "reason": "seen", "at": AT, "signer": "ada"}
        row |= {"keyid": self.keyid, "principal": self.name, "watched": "main", "desired": COMMIT}
        return row | {"envelope": dict(envelope_json(envelope_bytes(payload, [made])))} | asked


ADA, BOB = Person("ada"), Person("bob")
ASKED = [Required("risk").as_json()]


def ledger(approvals: list[Row], required: list[Row], **more: Any) -> list[bytes]:
    """Records of approvals, and of a release that rests on them; of fields only those that are looked at."""
    head, found = Head(), []
    used = [
        {name: row[name] for name in ("role", "keyid", "principal")} | {"record": number}
        for number, row in enumerate(approvals, 1)
    ]
    model = {"sha256": MODEL, "md5": MD5}
    release = {"event": "release", "deployment": PLACE[0], "environment": PLACE[1], "watched": "main"}
    release |= {"desired": COMMIT, "model": model, "required": required, "approvals": used, **more}
    for kind, stated in (*((APPROVAL, row) for row in approvals), (RELEASE, release)):
        predicate = {**chain_fields(head, Stamp("1", AT)), kind.name: stated}
        head, data = append(head, kind, predicate, [{"name": "x", "digest": {"sha256": MODEL}}])
        found.append(data)
    return found


def audit(records: list[bytes], trust: Trust | None = None, asks: Any = None) -> list[tuple[Breach, str]]:
    examiner = Examiner(lambda _statement: None, verifies, trust)
    chain = check_chain(records, Examiner(lambda _statement: None, verifies))
    return [(one.breach, one.message) for one in approval_breaks(chain, examiner, asks)]


def second(records: list[bytes], keys: dict[Person, str] | None) -> set[int]:
    """What the verifier that shares no code with the runner finds of approvals: codes."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples/verify"))
    try:
        own = [importlib.import_module(name) for name in ("approvals", "records", "verify")]
        approvals, read, verify = own
        trust = None
        if keys is not None:
            from runner.core.dsse import ssh_line

            rows = "".join(
                f"  - key: {ssh_line(one.public)} a person\n    approves: [{role}]\n    principal: {one.name}\n"
                for one, role in keys.items()
            )
            trust = verify.read_trust(f"apiVersion: runner/v1\nkind: Trust\nkeys:\n{rows}".encode())
        found, before = set(), []
        read.FIELDS |= {"approval": "envelope", "release": "approvals"}
        for number, data in enumerate(records, 1):
            kind, own_part, *_ = read.read_record(data)
            told = approvals.check("", number, kind, own_part[kind], before, trust)
            found |= {code for code, *_ in told}
            before.append((kind, own_part[kind]))
        return found
    finally:
        sys.path.pop(0)
        for name in ("approvals", "records", "verify", "commits", "outside", "standing"):
            sys.modules.pop(name, None)


def test_a_release_with_its_approvals_is_whole() -> None:
    records = ledger([ADA.approval(), BOB.approval()], [Required("risk", 2).as_json()])
    trust = Trust((ADA.trusted("risk"), BOB.trusted("risk", "lead")))
    assert audit(records, trust) == []
    assert second(records, {ADA: "risk", BOB: "lead, risk"}) == set()
    assert audit(ledger([], [])) == []


def test_a_release_without_what_its_spec_asked_for_is_found() -> None:
    """A runner that records a release as if nobody had to sign is found by the specs of the commit."""

    def asks(commit: str) -> Stated:
        assert commit == COMMIT
        return Stated({PLACE: [Required("risk")]}, "eve@example.org")

    found = audit(ledger([], []), asks=asks)
    assert [breach for breach, _ in found] == [Breach.POLICY, Breach.POLICY]
    assert "the specs of its commit ask for risk" in found[0][1]
    assert found[1][1] == "has 0 of 1 signatures of risk"
    assert audit(ledger([], [], event="rollback"), asks=asks) == []
    assert audit(ledger([ADA.approval()], ASKED), asks=asks) == []
    assert audit(ledger([], []), asks=lambda commit: None) == []


def test_the_author_of_the_commit_is_no_approver_where_the_spec_says_so() -> None:
    strict = Required("risk", not_author=True)
    records = ledger([ADA.approval()], [strict.as_json()])
    found = audit(records, asks=lambda commit: Stated({PLACE: [strict]}, "ADA@example.org"))
    assert found == [(Breach.POLICY, "rests on record 1, by the author of the commit")]
    assert audit(records, asks=lambda commit: Stated({PLACE: [strict]}, "bob@example.org")) == []


FORGED = [
    ("too few", [ADA.approval()], [Required("risk", 2).as_json()], 14),
    ("one person twice", [ADA.approval(), ADA.approval()], [Required("risk", 2).as_json()], 14),
    (
        "one person in other letters",
        [ADA.approval(), ADA.approval(principal="ADA@EXAMPLE.ORG")],
        [Required("risk", 2).as_json()],
        14,
    ),
    ("as another role", [ADA.approval("risk", "lead")], ASKED, 10),
    ("of another model", [ADA.approval(model="0" * 64)], ASKED, 10),
    ("of another environment", [ADA.approval(environment="staging")], ASKED, 10),
    ("of another commit", [ADA.approval(commit="1" * 40, desired="1" * 40)], ASKED, 10),
    ("by another key", [ADA.approval(keyid=BOB.keyid)], ASKED, 10),
    ("of a key that nobody trusts", [BOB.approval()], ASKED, 11),
    ("nothing signed", [ADA.approval(envelope={})], ASKED, 10),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("what", "approvals", "required", "code"), FORGED, ids=[row[0] for row in FORGED])
def test_forged_approvals_are_found_by_both(what: str, approvals: list[Row], required: list[Row], code: int) -> None:
    records = ledger(approvals, required)
    assert min(int(breach) for breach, _ in audit(records, Trust((ADA.trusted("risk", "lead"),)))) == code
    assert min(second(records, {ADA: "risk, lead"})) == code


def test_a_key_that_may_not_approve_or_not_any_more_is_found() -> None:
    records = ledger([ADA.approval()], ASKED)
    assert [breach for breach, _ in audit(records, Trust((ADA.trusted("lead"),)))] == [Breach.POLICY]
    assert second(records, {ADA: "lead"}) == {14}
    later = ledger([BOB.approval(), ADA.approval()], [Required("risk", 2).as_json()])
    ended = Trust((ADA.trusted("risk", last=1), BOB.trusted("risk")))
    assert [breach for breach, _ in audit(later, ended)] == [Breach.POLICY]
    assert [one.name for one in ended.approvers(1, 1)] == [ADA.name, BOB.name]
    assert [one.name for one in ended.approvers(1, 2)] == [BOB.name]  # it may be recorded as either of them
