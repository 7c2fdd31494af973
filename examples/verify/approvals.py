"""What people signed, and whether a release has what had to be signed; for verify.py.

Who had to sign is read from the record of the release. That it is what the specs ask for, `runner audit verify` checks.
"""

from cryptography.exceptions import InvalidSignature

from records import NONSENSE, as_json, need, open_envelope

CHAIN, SIGNATURE, POLICY = 10, 11, 14
ASKED = "deployment environment watched commit md5 plan model role approved reason at"


def check(place, number, kind, part, before, trust):
    """What is wrong with an approval, or with the approvals that a release rests on; `before`: earlier records."""
    try:
        if kind == "approval":
            yield from check_signed(place, number, part, trust)
        elif kind == "release" and part["event"] in ("release", "settings"):
            yield from check_release(place, part, before)
    except NONSENSE:
        yield CHAIN, place, "holds or rests on what nobody signed"


def check_signed(place, number, part, trust):
    """Whether a person signed what the record says, who may sign for that role."""
    statement, made, message = open_envelope(as_json(part["envelope"]))
    [(name, signature)], told = made, statement["predicate"]
    said = {field: part[field] for field in ASKED.split()} | {"actor": part["signer"]}
    need(told == said, name == part["keyid"], part["approved"] is True, part["commit"] == part["desired"])
    need(statement["predicateType"] == "https://gitops-runner.dev/predicates/sign-off/v1")
    keys = [key for key in trust[0] if name in key.names] if trust else []
    try:
        for key in keys:
            key.public.verify(signature, message)
    except InvalidSignature:
        keys = []
    if trust and not keys:
        yield SIGNATURE, place, "has an approval with a wrong signature, or of a key that is not trusted"
    elif trust and not any(_may(key, part["role"], number) for key in keys):
        yield POLICY, place, "has an approval by a key that may not approve in that role"


def _may(key, role, number):
    return "approver" in key.roles and role in key.approves and key.first <= number <= key.last


def check_release(place, part, before):
    """Whether a release has as many approvals of each role as it says it needs, each of another person."""
    given, people = [], set()
    for row in part["approvals"]:
        kind, one = before[row["record"] - 1]
        same = [name for name in ("deployment", "environment", "watched", "desired") if one[name] == part[name]]
        need(kind == "approval", len(same) == 4, one["role"] == row["role"], one["keyid"] == row["keyid"])
        need(one["model"] == part["model"]["sha256"], one["md5"] == part["model"]["md5"], row["record"] > 0)
        given.append(one["role"])
        people.add(one["principal"].casefold() or one["keyid"])
    short = [row["role"] for row in part.get("required", []) if given.count(row["role"]) < row["count"]]
    if short or len(people) < len(given):
        yield POLICY, place, "is a release without the approvals that it needs"
