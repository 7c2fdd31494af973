"""What holds a release that its gates let through: signatures that are missing, and a time that has to pass.

It is asked only where everything else says yes, so that whoever releases without it pays nothing for it.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from runner.core.approvals import Question, Signed, Tally, plan_digest, tally, unasked
from runner.core.budgets import Answer, Budget, spent
from runner.core.environments import Environment
from runner.core.gates import Judgement
from runner.core.moments import written
from runner.core.releases import Decision
from runner.ledger.state import State
from runner.observe.observation import Observation
from runner.values import dataclass, field
from runner.wiring.added import author_of

_RECORDS = 64
"""So many records at most are appended before an approval is: its key has to be valid for all of them."""
_NOT_ASKED = "what is signed by now, a reconcile finds out"
_NO_TRUST = (
    "no trust file says whose signatures count: name one with --trust or RUNNER_TRUST, with `approves: [ROLE]` of keys"
)


class Outward(Protocol):
    """What a reconcile may ask of the world."""

    @property
    def has_trust(self) -> bool:
        """Whether a trust file says whose signatures count."""

    def signed(self, first: int, last: int) -> Sequence[Signed]:
        """What people signed whose keys are valid for these records. Raises HostError where it cannot be asked."""

    def failed(self, budget: Budget) -> Answer:
        """How much of what a budget is of failed."""

    def taken_over(self, approvals: Sequence[Mapping[str, Any]]) -> None:
        """These are in the ledger: nobody needs them any more where they were handed in."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A release that its gates let through."""

    deployment: str
    environment: Environment
    md5: str
    told: Mapping[str, Any]
    """Where the model comes from, as a release states it."""
    judgement: Judgement | None
    """None where the gates are not asked again."""
    decision: Decision
    pinned: bool = False
    """Whether a person asks for this very version, which was released before."""


@dataclass(frozen=True, slots=True)
class Held:
    """What holds it, and what it rests on where nothing does."""

    missing: tuple[str, ...] = ()
    used: tuple[Signed, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    """Each role that has to sign."""
    note: str = ""
    """What a plan cannot tell."""

    def unlike(self, sha256: str) -> str:
        """Why signatures are not of these bytes of a model; empty where they are."""
        other = [one for one in self.used if one.said.model != sha256]
        if not other:
            return ""
        theirs = other[0].said.model[:12]
        return f"what {other[0].by.name} signed is of the model {theirs}, and the bytes are those of {sha256[:12]}"

    def records(self) -> tuple[Mapping[str, Any], ...]:
        """What the records of the approvals say."""
        return tuple(_record(one) for one in self.used)


@dataclass(frozen=True, slots=True)
class Holding:
    """Looks at one release after the other, on one state."""

    observation: Observation
    state: State
    moment: str
    """RFC 3339, UTC, milliseconds."""
    watched: str = ""
    outward: Outward | None = field(default=None)
    """None where nothing is asked of the world: in a plan."""

    def of(self, wish: Wish) -> Held:
        """What holds a release now. Raises HostError where the remote cannot be asked."""
        others = (*self._soaking(wish), *self._spent(wish))
        if not wish.environment.approvals:
            return Held(others, note=self._note(wish))
        found = self._signatures(wish)
        return Held((*others, *found.missing), found.used, found.rows, self._note(wish))

    def _note(self, wish: Wish) -> str:
        return "its error budget is asked when it is reconciled" if self._counts(wish) and self.outward is None else ""

    def _counts(self, wish: Wish) -> bool:
        """Whether an error budget counts: not where nothing is served yet, nor where a person names a version."""
        return wish.environment.budget is not None and wish.decision.replaces is not None and not wish.pinned

    def question(self, wish: Wish) -> Question:
        """What people sign for a release."""
        conditions = [row.as_json() for row in wish.judgement.conditions] if wish.judgement is not None else []
        told = {name: wish.told[name] for name in ("stage", "run", "key", "commit", "evidence")}
        becomes = wish.decision
        plan = plan_digest(wish.environment.spec, conditions, (becomes.version, becomes.replaces), told)
        place = wish.deployment, wish.environment.name, self.watched
        return Question(*place, self.observation.commit, wish.md5, plan)

    def _signatures(self, wish: Wish) -> Tally:
        required, question = wish.environment.approvals, self.question(wish)
        if self.outward is None:
            return unasked(required, question, _NOT_ASKED)
        if not self.outward.has_trust:
            return unasked(required, question, _NO_TRUST)
        number = self.state.summary.head.sequence + 1
        author = author_of(self.observation.reader, self.observation.commit)
        return tally(required, question, self.outward.signed(number, number + _RECORDS), author)

    def _spent(self, wish: Wish) -> tuple[str, ...]:
        """Why the error budget holds it."""
        budget = wish.environment.budget
        if budget is None or self.outward is None or not self._counts(wish):
            return ()
        why = spent(budget, self.outward.failed(budget))
        return (why,) if why else ()

    def _soaking(self, wish: Wish) -> tuple[str, ...]:
        seconds, source = wish.environment.soak_seconds, wish.environment.source
        if not seconds or not source:
            return ()
        live = self.state.release_files(wish.deployment, source).live
        if live is None:  # it was removed there; what was released before may still be asked for by its version
            return ()
        until = _later(live["at"], seconds)
        if self.moment >= until:
            return ()
        return (f"v{live['version']} of {source} has to stand there until {until} before it comes here",)


def _later(moment: str, seconds: float) -> str:
    begin = datetime.datetime.fromisoformat(moment)
    left = (datetime.datetime.max.replace(tzinfo=datetime.UTC) - begin).total_seconds()
    return written(begin + datetime.timedelta(seconds=int(min(seconds, left))))


def _record(one: Signed) -> Mapping[str, Any]:
    said, asked = one.said, one.said.question
    return {
        "deployment": asked.deployment,
        "environment": asked.environment,
        "model": said.model,
        "md5": asked.md5,
        "plan": asked.plan,
        "commit": asked.commit,
        "role": said.role,
        "approved": said.approved,
        "reason": said.reason,
        "at": said.at,
        "signer": said.actor,
        "keyid": one.by.keyid,
        "principal": one.by.principal,
        "envelope": dict(one.envelope),
    }
