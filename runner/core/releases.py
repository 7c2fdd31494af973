"""Releases: whether a model is served in an environment from now on, and what the ledger and its files say of that.

A decision is made of what is recorded, of what the spec says and of the moment, and of nothing else: asked again on
the state that it led to, it keeps what stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from runner.core.canonical import canonical_bytes
from runner.core.gates import Effect
from runner.core.release_files import GONE, REMOVED, ROLLBACK, SETTINGS, Live, Memory
from runner.core.targets import DEPLOY, Standing
from runner.errors import ExitCode
from runner.values import dataclass

PRODUCTION = "production"
"""The environment of a Deployment that names none."""


class Outcome(Enum):
    """What becomes of a deployment in an environment."""

    KEEP = "keep"
    RELEASE = "release"
    SETTINGS = "settings"
    HELD = "held"
    REFUSED = "refused"
    REMOVE = "remove"
    ROLLED_BACK = "rolledBack"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Freeze:
    """A time in which nothing is released."""

    start: str
    """RFC 3339, UTC, milliseconds: the first moment of it."""
    end: str
    """The first moment after it."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The model that would be released."""

    md5: str
    """DVC's digest."""
    pinned: bool = False
    """A person asked for this very version: it was released before, and its gates are not asked again."""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision depends on."""

    candidate: Candidate | None
    why_none: str
    """Why there is no candidate; empty where there is one."""
    live: Live | None
    memory: Memory
    spec: str
    """Digest of all that the spec says of this deployment in this environment."""
    settings: str
    """Digest of what it says to the servers."""
    effect: Effect
    """Of the gates."""
    gates: tuple[str, ...] = ()
    """What the gates, or what blocks them, say where they do not pass."""
    missing: tuple[str, ...] = ()
    """What is to be signed, or is not handled: all that holds beside the gates and the calendar."""
    faults: tuple[str, ...] = ()
    """Why this model may never be served as the spec is."""
    freezes: tuple[Freeze, ...] = ()
    moment: str = ""
    """RFC 3339, UTC, milliseconds."""
    is_asked_for: bool = False
    """Whether a person asks for a version by its number: where there is none of it, that is not passed over."""
    lifted_by: str = "another model or another spec"
    """What would have a model tried again that was taken back, for people."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of it, and why, for people."""

    outcome: Outcome
    why: str
    version: int | None = None
    """The version that is made, or that stands."""
    replaces: int | None = None
    news: bool = False
    """Whether it is recorded: it was not before."""


def decide(now: Situation) -> Decision:
    """What becomes of a deployment in an environment.

    The order of the rules is the order of what a person has to know first. Nothing that is not a release takes away
    what stands.
    """
    live, candidate = now.live, now.candidate
    stands = live.version if live is not None else None
    if candidate is None:
        kept = f"v{stands} stays" if stands is not None else "nothing is released"
        outcome = Outcome.HELD if now.is_asked_for else Outcome.KEEP
        return Decision(outcome, f"{kept}: {now.why_none}", stands)
    same = live is not None and live.md5 == candidate.md5
    if live is not None and same and live.settings == now.settings:
        return Decision(Outcome.KEEP, f"v{live.version} stands", stands)
    if now.faults:
        return _refused(now, now.faults)
    rejected = next((row for row in now.memory.rejected if (row.md5, row.spec) == (candidate.md5, now.spec)), None)
    if rejected is not None:
        # Whatever came in its place would be the next version.
        was = "withdrawn" if rejected.version == now.memory.last else "rolled back"
        why = f"v{rejected.version} was {was} ({rejected.reason}); it waits for {now.lifted_by}"
        return Decision(Outcome.HELD, why, stands)
    if not same and not candidate.pinned:
        if now.effect is Effect.FAIL:
            return _refused(now, now.gates)
        if now.effect is Effect.HOLD:
            return Decision(Outcome.HELD, "; ".join(now.gates), stands)
    if now.missing:
        return Decision(Outcome.HELD, "; ".join(now.missing), stands)
    frozen = next((row for row in now.freezes if row.start <= now.moment < row.end), None)
    if frozen is not None:
        because = f": {frozen.reason}" if frozen.reason else ""
        return Decision(Outcome.HELD, f"nothing is released before {frozen.end}{because}", stands)
    version = max(now.memory.last, stands or 0) + 1
    if same:
        return Decision(Outcome.SETTINGS, f"the model of v{stands}, served otherwise", version, stands, news=True)
    why = f"it replaces v{stands}" if stands is not None else "first release: there is no champion"
    return Decision(Outcome.RELEASE, why, version, stands, news=True)


def _refused(now: Situation, why: Sequence[str]) -> Decision:
    stands = now.live.version if now.live is not None else None
    news = now.candidate is not None and now.memory.refused != (now.candidate.md5, now.spec)
    return Decision(Outcome.REFUSED, "; ".join(why), stands, news=news)


def removals(stated: Sequence[str], released: Sequence[str], allowed: bool) -> tuple[tuple[str, ...], str]:
    """The deployments with releases that no spec names any more, and why they are left where they are.

    More than half of all, and two at least, are taken away only where the Project says so: more often than not a
    folder was lost, or a merge went wrong.
    """
    gone = tuple(sorted(set(released) - set(stated)))
    if allowed or len(gone) < 2 or 2 * len(gone) <= len(set(released)):
        return gone, ""
    names = ", ".join(gone[:5]) + (" ..." if len(gone) > 5 else "")
    return gone, (
        f"{len(gone)} of {len(set(released))} Deployments with releases are gone at this commit ({names}), and they "
        "go on being served; `release: {allowRemoval: true}` in the Project would drain them"
    )


def digest_of(value: Any) -> str:
    """The SHA-256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def model_digest(files: Sequence[Mapping[str, Any]]) -> str:
    """The SHA-256 that names a model: of the paths and digests of its files."""
    return digest_of([[row["path"], row["sha256"]] for row in files])


def subject_of(verdict: Verdict) -> str:
    """What the message of a commit says of a verdict."""
    found, stated = verdict.decision, verdict.release
    where = "" if verdict.environment == PRODUCTION else f" in {verdict.environment}"
    if verdict.deploy is not None:
        ended = verdict.deploy["outcome"]["succeeded"]
        words = ("Deploy", "Fail to deploy") if verdict.deploy["event"] == DEPLOY else ("Undeploy", "Fail to undeploy")
        return f"{words[0 if ended else 1]} {verdict.deployment} v{verdict.deploy['version']}{where}"
    if stated is None:
        return f"Refuse {verdict.deployment}{where}"
    if stated["event"] in GONE:
        return f"{'Remove' if stated['event'] == REMOVED else 'Withdraw'} {verdict.deployment}{where}"
    said = {ROLLBACK: "Roll back", SETTINGS: "Serve"}
    return f"{said.get(stated['event'], 'Release')} {verdict.deployment} v{found.version}{where}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided of a deployment in an environment, and what is recorded of it."""

    deployment: str
    environment: str
    decision: Decision
    gate: Mapping[str, Any] | None = None
    """What a gate record says of it, beside what all records of a commit say; None where there is nothing new."""
    release: Mapping[str, Any] | None = None
    """The same of a release record."""
    deploy: Mapping[str, Any] | None = None
    """The same of the outcome of a command."""
    standing: Standing | None = None
    """What is known of it where it is put to use."""
    approvals: tuple[Mapping[str, Any], ...] = ()
    """The same of the records of the approvals that the release rests on."""
    asked: tuple[Mapping[str, Any], ...] = ()
    """Each role that has to sign, with who signed and what a person of it types."""
    code: ExitCode = ExitCode.DONE
    """What a reconcile ends with because this could not be decided here."""

    @property
    def is_to_do(self) -> bool:
        """Whether a reconcile has something to record, or a command to run."""
        return self.decision.news or (self.standing is not None and self.standing.is_to_do)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, for `--json`."""
        found = self.decision
        return {
            "deployment": self.deployment,
            "environment": self.environment,
            "outcome": found.outcome.value,
            "why": found.why,
            "version": found.version,
            "replaces": found.replaces,
            "target": None if self.standing is None else self.standing.as_json(),
            "approvals": [dict(row) for row in self.asked],
        }
