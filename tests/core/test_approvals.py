"""Approvals: which signatures count for a question, and which are void, forged or somebody else's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.approvals import (
    Approver,
    Question,
    Required,
    Signed,
    SignOff,
    plan_digest,
    read_sign_off,
    short_of,
    signed_by,
    tally,
)
from runner.core.dsse import Signature, envelope_bytes, fingerprint, pre_authentication
from runner.values import replace

QUESTION = Question("churn-api", "production", "main", "c" * 40, "ab" * 16, "d" * 64)
SIGNED_AT = "2026-11-22T12:00:00.000Z"


def sign_off(role: str = "risk", approved: bool = True, **more: Any) -> SignOff:
    return SignOff(replace(QUESTION, **more), "e" * 64, role, approved, "seen", "ada", SIGNED_AT)


def signed(who: str, role: str = "risk", approved: bool = True, **more: Any) -> Signed:
    return Signed(sign_off(role, approved, **more), Approver(who, b"", (role,), who))


def test_a_release_waits_for_each_role_and_says_what_to_type() -> None:
    found = tally([Required("risk"), Required("lead")], QUESTION, [signed("ada")])
    assert found.missing == ("lead has to sign: `runner approve churn-api@abababababab --role lead`",)
    assert [(row["role"], row["have"]) for row in found.rows] == [("risk", ["ada"]), ("lead", [])]
    assert not found.used
    staging = tally([Required("risk")], replace(QUESTION, environment="staging"), [])
    assert "--role risk --environment staging`" in staging.missing[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"md5": "0" * 32}, "it is of another model"),
        ({"commit": "1" * 40}, "it is of another commit (111111111111; now it is cccccccccccc)"),
        ({"plan": "2" * 64}, "it is of another plan"),
        ({"deployment": "other"}, ""),
        ({"environment": "staging"}, ""),
        ({"watched": "release"}, ""),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_signature_counts_for_nothing_but_what_it_is_of(change: dict[str, str], told: str) -> None:
    """What was signed elsewhere is nobody's business here; what was signed of another day is void, and says so."""
    found = tally([Required("risk")], QUESTION, [signed("ada", **change)])
    assert not found.used
    assert told in " ".join(found.missing[1:])
    assert len(found.missing) == (2 if told else 1)


def test_one_person_counts_once_and_for_the_role_that_helps_most() -> None:
    required = [Required("risk"), Required("lead")]
    alone = [signed("ada", "risk"), signed("ada", "lead")]
    assert len(tally(required, QUESTION, alone).missing) == 1
    both = tally(required, QUESTION, [*alone, signed("bob", "risk")])
    assert not both.missing
    assert sorted((one.by.name, one.said.role) for one in both.used) == [("ada", "lead"), ("bob", "risk")]
    two = [Required("risk", 2)]
    assert "(1 of 2 signed)" in tally(two, QUESTION, [signed("ada"), signed("ada")]).missing[0]
    assert len(tally(two, QUESTION, [signed("ada"), signed("bob")]).used) == 2
    keys = [Signed(sign_off(), Approver(f"SHA256:{name}", b"", ("risk",), name)) for name in ("ada@x.org", "Ada@X.org")]
    assert "(1 of 2 signed)" in tally(two, QUESTION, keys).missing[0]


def test_a_rejection_holds_whatever_others_signed_until_it_is_void() -> None:
    found = tally([Required("risk")], QUESTION, [signed("ada"), signed("bob", approved=False)])
    assert found.missing[0].startswith("bob rejected it as risk: seen; it waits for another model, plan or commit")
    assert not found.used
    void = signed("bob", approved=False, commit="1" * 40)
    assert not tally([Required("risk")], QUESTION, [signed("ada"), void]).missing
    assert not tally([Required("risk")], QUESTION, [signed("ada"), signed("bob", "cook", approved=False)]).missing


def test_the_author_of_a_commit_does_not_count_where_the_spec_says_so() -> None:
    strict = [Required("risk", not_author=True)]
    assert "ada is the author" in tally(strict, QUESTION, [signed("ada")], "ADA").missing[-1]
    assert not tally(strict, QUESTION, [signed("bob")], "ada").missing
    assert not tally([Required("risk")], QUESTION, [signed("ada")], "ada").missing
    nameless = Signed(sign_off(), Approver("SHA256:x", b"", ("risk",)))
    assert "`principal`" in tally(strict, QUESTION, [nameless], "ada").missing[-1]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["risk", "lead", "law"])), max_size=8))
def test_what_is_used_is_enough_and_of_as_many_people(given_: list[tuple[str, str]]) -> None:
    required = [Required("risk", 2), Required("lead")]
    found = tally(required, QUESTION, [signed(who, role) for who, role in given_])
    rows = [row.as_json() for row in required]
    assert bool(found.used) is not bool(found.missing)
    if found.used:
        assert short_of(rows, [(one.said.role, one.by.name) for one in found.used]) == ""
    else:  # no choice of three people would do: of each pair of roles there are too few
        risk, lead = ({who for who, role in given_ if role == name} for name in ("risk", "lead"))
        assert len(risk) < 2 or not lead or len(risk | lead) < 3


def test_a_release_is_short_of_roles_and_of_people() -> None:
    rows = [Required("risk", 2).as_json()]
    assert short_of(rows, [("risk", "a")]) == "has 1 of 2 signatures of risk"
    assert short_of(rows, [("risk", "a"), ("risk", "a")]) == "counts one person twice"
    assert short_of(rows, [("risk", "a"), ("risk", "b")]) == ""


class Key:
    """A real key."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self.private = Ed25519PrivateKey.generate()
        self.public = self.private.public_key().public_bytes_raw()

    def approver(self, *roles: str) -> Approver:
        return Approver(fingerprint(self.public), self.public, roles, "ada")

    def envelope(self, said: SignOff, payload: bytes | None = None) -> bytes:
        made = self.private.sign(pre_authentication(said.payload()))
        return envelope_bytes(payload or said.payload(), [Signature(fingerprint(self.public), made)])


def test_only_an_approver_of_the_role_signs_and_only_what_the_envelope_holds() -> None:
    from runner.process.signing_keys import verifies

    key, other = Key(), Key()
    said = sign_off()
    found = signed_by(key.envelope(said), [key.approver("risk")], verifies)
    assert (found.said, found.by.name) == (said, "ada")
    forged = key.envelope(said, sign_off(md5="0" * 32).payload())
    for data, approvers, why in (
        (other.envelope(said), [key.approver("risk")], "whom the trust file does not name"),
        (key.envelope(said), [key.approver("lead")], "who may not sign as risk"),
        (forged, [key.approver("risk")], "did not make"),
        (envelope_bytes(said.payload(), []), [key.approver("risk")], "no signature"),
        (b"{}\n", [], "it is no sign-off"),
        (b"\n", [], "it is no sign-off"),
        (key.envelope(replace(said, at="soon")), [key.approver("risk")], "in its one form"),
        (key.envelope(replace(said, reason="x" * 2000)), [key.approver("risk")], "it is no sign-off"),
    ):
        with pytest.raises(ValueError, match="it ") as caught:
            signed_by(data, approvers, verifies)
        assert why in str(caught.value)


@given(st.binary(max_size=200))
def test_what_anybody_pushes_is_a_sign_off_or_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="sign-off"):
        read_sign_off(data)


def test_a_plan_is_another_once_spec_gates_or_versions_change_and_not_for_words() -> None:
    row = {"name": "good", "value": 0.8, "message": "0.8 is at least 0.6"}
    told = {"commit": "c"}
    plan = plan_digest("s", [row], (2, 1), told)
    assert plan == plan_digest("s", [row | {"message": "in other words"}], (2, 1), told)
    others = [
        plan_digest("t", [row], (2, 1), told),
        plan_digest("s", [row | {"value": 0.9}], (2, 1), told),
        plan_digest("s", [], (2, 1), told),
        plan_digest("s", [row], (3, 1), told),
        plan_digest("s", [row], (2, None), told),
        plan_digest("s", [row], (2, 1), {"commit": "d"}),
    ]
    assert plan not in others
    assert len(set(others)) == len(others)
