"""Approvals: what a person signs about a release, whose signature counts for which role, and which are still missing.

A signature is over one question: this model, by this plan, at this commit, in this environment. The answer to another
question is void, whoever gave it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.core.canonical import canonical_bytes, canonical_digest
from runner.core.dsse import BadEnvelope, Envelope, parse_envelope, pre_authentication
from runner.core.records import STATEMENT_TYPE, BadRecord, parse_statement
from runner.core.releases import PRODUCTION
from runner.values import dataclass, field

if TYPE_CHECKING:
    from runner.core.gates import Judgement

SIGN_OFF_TYPE = "https://gitops-runner.dev/predicates/sign-off/v1"
"""The predicate type of what a person signs; the record that takes it over is of the type `approval`."""
SHOWN = 12
"""Digits of a digest that are shown to be typed."""
FEWEST = 8
"""Digits of a digest that have to be typed."""
_QUESTION = ("deployment", "environment", "watched", "commit", "md5", "plan")
_MOST_TEXT = 1000
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", re.ASCII)

Verifies = Callable[[bytes, bytes, bytes], bool]
"""Whether a public key made a signature over data."""


@dataclass(frozen=True, slots=True)
class Required:
    """So many people of a role have to sign."""

    role: str
    count: int = 1
    not_author: bool = False
    """Whether the author of the commit does not count."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, as a release states it."""
        return {"role": self.role, "count": self.count, "notAuthor": self.not_author}


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be signed."""

    deployment: str
    environment: str
    watched: str
    """The watched branch."""
    commit: str
    """The commit whose specs ask."""
    md5: str
    """The model by DVC's digest."""
    plan: str
    """Digest of what the spec says in this environment, of what the gates said, and of what would be replaced."""

    @property
    def digest(self) -> str:
        """The beginning of the model's digest, for people to type."""
        return self.md5[:SHOWN]

    @property
    def place(self) -> tuple[str, str, str]:
        """What it is about, whatever is asked of it."""
        return self.deployment, self.environment, self.watched

    def command(self, role: str) -> str:
        """What a person of a role types."""
        where = "" if self.environment == PRODUCTION else f" --environment {self.environment}"
        return f"runner approve {self.deployment}@{self.digest} --role {role}{where}"


@dataclass(frozen=True, slots=True)
class SignOff:
    """What a person says to a question."""

    question: Question
    model: str
    """SHA-256 that names the model, of bytes that were read where it was signed."""
    role: str
    approved: bool
    reason: str
    actor: str
    """The user who signed, as the host knows him."""
    at: str
    """When, by the clock of that host: RFC 3339, UTC, milliseconds."""

    def payload(self) -> bytes:
        """The statement whose signature counts, in its one form."""
        asked = self.question
        name = f"deployment:{asked.deployment}/{asked.environment}"
        return canonical_bytes(
            {
                "_type": STATEMENT_TYPE,
                "subject": [{"name": name, "digest": {"sha256": self.model}}],
                "predicateType": SIGN_OFF_TYPE,
                "predicate": {
                    "deployment": asked.deployment,
                    "environment": asked.environment,
                    "watched": asked.watched,
                    "commit": asked.commit,
                    "md5": asked.md5,
                    "plan": asked.plan,
                    "model": self.model,
                    "role": self.role,
                    "approved": self.approved,
                    "reason": self.reason,
                    "actor": self.actor,
                    "at": self.at,
                },
            }
        )


@dataclass(frozen=True, slots=True)
class Paper:
    """What is going to be signed."""

    said: SignOff
    version: int | None
    replaces: int | None
    judgement: Judgement | None
    """None where the gates are not asked again: the same model, served otherwise, or one that was released before."""
    why: str
    """What the release would be, in words."""

    def as_json(self, keyid: str, ref: str) -> dict[str, Any]:
        """Plain JSON, for `--json`."""
        said, asked = self.said, self.said.question
        gates = [row.as_json() for row in self.judgement.conditions] if self.judgement is not None else []
        return {
            "schema": 1,
            "deployment": asked.deployment,
            "environment": asked.environment,
            "version": self.version,
            "replaces": self.replaces,
            "model": said.model,
            "md5": asked.md5,
            "plan": asked.plan,
            "commit": asked.commit,
            "watched": asked.watched,
            "gates": gates,
            "role": said.role,
            "approved": said.approved,
            "reason": said.reason,
            "keyid": keyid,
            "ref": ref,
        }


@dataclass(frozen=True, slots=True)
class Approver:
    """A key whose signature counts, as the trust file has it."""

    keyid: str
    public_key: bytes
    roles: tuple[str, ...]
    principal: str = ""
    """Who holds it, such as an address, in any case of letters; empty where the trust file does not say."""

    @property
    def name(self) -> str:
        """For people."""
        return self.principal or self.keyid

    @property
    def person(self) -> str:
        """Who counts once: the same address in other letters is the same person."""
        return self.principal.casefold() or self.keyid


@dataclass(frozen=True, slots=True)
class Signed:
    """A sign-off, and who signed it."""

    said: SignOff
    by: Approver
    envelope: Mapping[str, Any] = field(default_factory=dict)
    """As it was signed, as plain JSON."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What signatures come to."""

    missing: tuple[str, ...]
    """What holds the release, in words; empty where all that is needed is there."""
    used: tuple[Signed, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    """Each role with how many signed, for `--json`."""


def plan_digest(
    spec: str, conditions: Sequence[Mapping[str, Any]], becomes: tuple[int | None, int | None], told: Mapping[str, Any]
) -> str:
    """The digest of the plan of a release.

    It is of what the spec says, what the gates said without their words, the version that it becomes and the one that
    it replaces, and where the model comes from.
    """
    gates = [_without_words(row) for row in conditions]
    return canonical_digest({"spec": spec, "gates": gates, "versions": list(becomes), "model": dict(told)})


def read_sign_off(data: bytes) -> tuple[SignOff, Envelope]:
    """What a file of a sign-off says, whoever signed it; raises ValueError for what is none."""
    try:
        envelope = parse_envelope(data)
        statement = parse_statement(envelope.payload)
        row = statement["predicate"]
        question = Question(*(_text(row[name]) for name in _QUESTION))
        said = SignOff(
            question,
            model=_text(row["model"]),
            role=_text(row["role"]),
            approved=row["approved"] is True,
            reason=_text(row["reason"]),
            actor=_text(row["actor"]),
            at=_text(row["at"]),
        )
    except (BadEnvelope, BadRecord, KeyError, TypeError) as error:
        raise ValueError(f"it is no sign-off: {error}") from error
    shapes = ((_SHA256, said.model), (_SHA256, question.plan), (_COMMIT, question.commit), (_MOMENT, said.at))
    if said.payload() != envelope.payload or not all(shape.fullmatch(text) for shape, text in shapes):
        raise ValueError("it is no sign-off in its one form")
    return said, envelope


def signed_by(data: bytes, approvers: Sequence[Approver], verifies: Verifies) -> Signed:
    """A sign-off that somebody signed who may sign for its role; raises ValueError that says why it does not count."""
    said, envelope = read_sign_off(data)
    if len(envelope.signatures) != 1:
        raise ValueError("it carries no signature, or several")
    [made] = envelope.signatures
    by = next((one for one in approvers if one.keyid == made.keyid), None)
    if by is None:
        raise ValueError(f"it is signed by {made.keyid}, whom the trust file does not name as an approver")
    if not verifies(by.public_key, made.sig, pre_authentication(envelope.payload)):
        raise ValueError(f"it has a signature that {made.keyid} did not make")
    if said.role not in by.roles:
        raise ValueError(f"it is signed by {by.name}, who may not sign as {said.role}")
    return Signed(said, by, envelope_json(data))


def envelope_json(data: bytes) -> Mapping[str, Any]:
    """An envelope as plain JSON; its canonical form is the same bytes again."""
    import json  # imported late: start-up

    found: Mapping[str, Any] = json.loads(data)
    return found


def tally(required: Sequence[Required], asked: Question, signed: Sequence[Signed], author: str = "") -> Tally:
    """Which signatures count for a question, and what is missing.

    One person counts once, for whichever role lets the most roles be filled. `author` is the author of the commit, by
    the address that git has. A rejection by anybody who is asked holds, whatever the others say.
    """
    roles = {row.role for row in required}
    ours = [one for one in signed if one.said.question.place == asked.place and one.said.role in roles]
    current = [one for one in ours if one.said.question == asked]
    rejected = [one for one in current if not one.said.approved]
    chosen = _chosen(required, [one for one in current if one.said.approved], author)
    missing, rows = [], []
    for row in required:
        have = [one for one, role in chosen if role == row.role]
        names = [one.by.name for one in have]
        rows.append({**row.as_json(), "have": names, "command": asked.command(row.role)})
        if len(have) < row.count:
            missing.append(_words(row, len(have), asked))
    said = [_rejection(one, asked) for one in rejected]
    if said or missing:
        void = [_void(one, asked) for one in ours if one.said.question != asked]
        apart = [_author(one) for one in current if one.said.approved and _is_author(one, required, author)]
        return Tally((*said, *missing, *void, *apart), (), tuple(rows))
    return Tally((), tuple(one for one, _ in chosen), tuple(rows))


def unasked(required: Sequence[Required], asked: Question, why: str) -> Tally:
    """The same where nobody can say what is signed: all of it is missing, and why that is."""
    rows = [{**row.as_json(), "have": [], "command": asked.command(row.role)} for row in required]
    return Tally((*(_words(row, 0, asked) for row in required), why), (), tuple(rows))


def short_of(required: Sequence[Mapping[str, Any]], given: Sequence[tuple[str, str]]) -> str:
    """Which role a release lacks signatures of, by roles and people of those that it has; empty where it has all."""
    if len({who for _, who in given}) < len(given):
        return "counts one person twice"
    for row in required:
        have = sum(role == row["role"] for role, _ in given)
        if have < row["count"]:
            return f"has {have} of {row['count']} signatures of {row['role']}"
    return ""


def _chosen(required: Sequence[Required], signed: Sequence[Signed], author: str) -> list[tuple[Signed, str]]:
    """Signatures and the role that each counts for, as many as can be: a matching of people and places to fill."""
    places = [row for row in required for _ in range(row.count)]
    by_person: dict[str, dict[str, Signed]] = {}
    for one in signed:
        by_person.setdefault(one.by.person, {})[one.said.role] = one
    taken: dict[int, str] = {}

    def seat(person: str, tried: set[int]) -> bool:
        for number, row in enumerate(places):
            one = by_person[person].get(row.role)
            if one is None or number in tried or _is_author(one, [row], author):
                continue
            tried.add(number)
            if number not in taken or seat(taken[number], tried):
                taken[number] = person
                return True
        return False

    for person in sorted(by_person):
        seat(person, set())
    return [(by_person[person][places[number].role], places[number].role) for number, person in sorted(taken.items())]


def _is_author(one: Signed, required: Sequence[Required], author: str) -> bool:
    """Whether it does not count because of who wrote the commit; of a key without a name nobody knows whose it is."""
    strict = any(row.not_author for row in required if row.role == one.said.role)
    return strict and (not one.by.principal or one.by.principal.casefold() == author.casefold())


def _words(row: Required, have: int, asked: Question) -> str:
    count = f" ({have} of {row.count} signed)" if row.count > 1 else ""
    return f"{row.role} has to sign{count}: `{asked.command(row.role)}`"


def _rejection(one: Signed, asked: Question) -> str:
    because = f": {one.said.reason}" if one.said.reason else ""
    how = f"it waits for another model, plan or commit, or for `{asked.command(one.said.role)}` by the same key"
    return f"{one.by.name} rejected it as {one.said.role}{because}; {how}"


def _void(one: Signed, asked: Question) -> str:
    theirs = one.said.question
    what = "model" if theirs.md5 != asked.md5 else "commit" if theirs.commit != asked.commit else "plan"
    names = f" ({theirs.commit[:12]}; now it is {asked.commit[:12]})" if what == "commit" else ""
    return f"what {one.by.name} signed as {one.said.role} is void: it is of another {what}{names}"


def _author(one: Signed) -> str:
    if not one.by.principal:
        return f"what {one.by.keyid} signed does not count: without a `principal` nobody knows that it is no author"
    return f"what {one.by.name} signed does not count: {one.by.name} is the author of the commit"


def _without_words(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in ("message", "against", "slices")}
    if "slices" in row:
        kept["slices"] = [_without_words(one) for one in row["slices"]]
    return kept


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MOST_TEXT or not (value.isprintable() or not value):
        raise TypeError("a field is no text")
    return value
