"""What a server that pulls knows, and what follows from an answer or an event: decisions alone, no clock and no I/O.

The rule: what serves is taken away by a release that is ready, or by a removal that git says; by nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.values import dataclass, replace

_LONGEST_UNREACHABLE, _LONGEST_FETCH = 6, 60
_FIRST_LOAD, _LONGEST_LOAD = 6, 360
"""Times between two tries, as multiples of the time between two looks: a minute and ten, a minute and an hour."""
LOADING, WAITING, DRAINED, FAILED = "loading", "waiting", "drained", "failed"
"""What `/status` says of a server without a model."""

Answer = Mapping[str, Any]
"""What the looker says: `say` is one of `same`, `release`, `none`, `gone`, `several`, `failed`, `held`, `unreachable`,
and of what is on this host `kept` or `nothing`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A release that could not be fetched, or not be loaded."""

    version: int | None
    why: str
    lasting: bool = True
    """Whether it is a fault of the release; what is merely out of reach is not."""

    def as_json(self) -> dict[str, Any]:
        """For `/status`."""
        return {"version": self.version, "why": self.why, "lasting": self.lasting}


@dataclass(frozen=True, slots=True)
class Swap:
    """Have this release loaded, and served once it is ready."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Vacate:
    """Serve no model, and say why."""

    state: str
    why: str
    status: int = 503
    """What a request for predictions is answered with."""


@dataclass(frozen=True, slots=True)
class AskHere:
    """Look for what was served last on this host."""

    why: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing can come of this: a person has to say something else."""

    why: str
    hint: str


Action = Swap | Vacate | AskHere | GiveUp | None


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known."""

    begun: bool = False
    """Whether anything was decided yet: a model, or that there is none."""
    commit: str | None = None
    """The state commit that was looked at last."""
    delivered: str | None = None
    """The release file that the server was given."""
    refused: str | None = None
    """The one that could not be fetched or loaded."""
    loading: int | None = None
    serving: int | None = None
    """Versions."""
    failed: Failure | None = None
    held: str | None = None
    """Why what git says now is not followed."""
    unreachable: str | None = None
    """Why git says nothing."""
    missed: int = 0
    """Looks in a row that failed, all in all and since the last that did not."""
    missed_ever: int = 0
    tries: int = 0
    """How often the release was tried in vain."""
    again_at: float | None = None
    """When it is tried again."""
    checked_at: float | None = None
    """When git was last asked with success, in seconds since 1970."""

    def question(self, now: float) -> dict[str, Any]:
        """What to ask the looker."""
        if self.again_at is not None and now >= self.again_at:
            return {"do": "look", "commit": None, "known": [self.delivered]}
        return {"do": "look", "commit": self.commit, "known": [self.delivered, self.refused]}

    def wait_seconds(self, every: float) -> float:
        """From this look to the next one."""
        return every if not self.missed else _doubled(every, self.missed, _LONGEST_UNREACHABLE * every)


def heard(memory: Memory, answer: Answer, now: float, at: float, every: float) -> tuple[Memory, Action]:
    """After an answer of the looker. now: seconds of a clock that never goes back. at: seconds since 1970."""
    said = answer["say"]
    if said in ("unreachable", "held"):
        missed = said == "unreachable"
        known = replace(
            memory,
            commit=memory.commit if missed else answer.get("commit"),
            unreachable=answer["why"] if missed else None,
            held=memory.held if missed else answer["why"],  # who cannot be asked has not said otherwise
            missed=memory.missed + 1 if missed else 0,
            missed_ever=memory.missed_ever + missed,
            checked_at=memory.checked_at if missed else at,
        )
        return known, None if known.begun else AskHere(answer["why"])
    if said == "kept":
        return _loading(memory, answer), Swap(answer)
    if said == "nothing":
        return replace(memory, begun=True), Vacate(LOADING, answer["why"])
    known = replace(memory, commit=answer["commit"], checked_at=at, unreachable=None, missed=0)
    if said == "same" and answer.get("id") is None:
        return known, None  # of a commit that was looked at before, also where it is not followed
    known = replace(known, held=None)
    if said == "same":
        if known.refused != known.delivered == answer["id"]:  # what failed is not asked for any more
            known = replace(known, failed=None, refused=None, tries=0, again_at=None)
        return known, None
    if said == "release":
        return _loading(known, answer), Swap(answer)
    if said == "failed":
        known = _tried(known, answer, now, every)
        return known, None if known.begun else AskHere(answer["why"])
    if said == "several":
        return known, GiveUp(answer["why"], answer["hint"])
    known = replace(known, begun=True, delivered=None, refused=None, loading=None, serving=None)
    known = replace(known, failed=None, tries=0, again_at=None)
    return known, Vacate(DRAINED, answer["why"], 404) if said == "gone" else Vacate(WAITING, answer["why"])


def happened(memory: Memory, event: str, version: int, reason: str, now: float, every: float) -> Memory:
    """After an event of the supervisor about a release; now and every as for `heard`."""
    if event == "serving":
        older = memory.failed is not None and memory.failed.version is not None and memory.failed.version <= version
        # One that failed before and serves now may fail again: then it waits for longer than it did the first time.
        tries = memory.tries if memory.refused == memory.delivered else 0
        settled = replace(memory, tries=tries, again_at=None) if older or memory.failed is None else memory
        failed = None if older else memory.failed
        return replace(settled, serving=version, loading=None, failed=failed)
    if event == "failed" and version in (memory.loading, memory.serving):
        tries = memory.tries + 1
        wait = _doubled(_FIRST_LOAD * every, tries, _LONGEST_LOAD * every)
        known = replace(memory, loading=None, failed=Failure(version, reason), tries=tries, again_at=now + wait)
        return replace(known, delivered=None, refused=memory.delivered or memory.refused)
    return memory


def _loading(memory: Memory, answer: Answer) -> Memory:
    again = memory.refused == answer["id"]
    return replace(
        memory,
        begun=True,
        delivered=answer["id"],
        loading=answer["release"]["version"],
        tries=memory.tries if again else 0,
        again_at=None,
    )


def _tried(memory: Memory, answer: Answer, now: float, every: float) -> Memory:
    tries = memory.tries + 1 if memory.refused == answer["id"] else 1
    wait = _doubled(every, tries, _LONGEST_FETCH * every)
    failed = Failure(answer["version"], answer["why"], answer["lasting"])
    return replace(memory, refused=answer["id"], failed=failed, tries=tries, again_at=now + wait)


def _doubled(first: float, times: int, longest: float) -> float:
    """The time before the next try, after so many of them."""
    return min(first * 2.0 ** min(times - 1, 20), longest)
