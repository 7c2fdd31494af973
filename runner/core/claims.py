"""Claims: what a runner says it is running now, so that others need not run it too.

A claim is advice. Safety rests on compare-and-swap alone; a claim that is lost, forged or too old only costs a run.
Whether its runner lives is judged by watching that the claim changes, never by anybody's clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from runner.core.nouns import Address
from runner.values import dataclass, field

EXPIRY_SECONDS = 60.0
"""A claim that did not change for so long, by the watcher's own clock, counts no more."""
_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Claim:
    """What one runner says of itself."""

    id: str
    """The reconcile's id."""
    host: str
    home: str
    """Names the runner's folder on that host: who shares it can tell at once whether the claim's owner lives."""
    actor: str
    trigger: str
    branch: str
    """The state branch that the results go to."""
    desired: str
    keys: Mapping[str, str] = field(default_factory=dict)
    """Run key to the stage that runs, or is going to."""
    waiting: tuple[str, ...] = ()
    """Stages of the desired commit that will run once their inputs are there; their keys are not known yet."""
    since: float = 0.0
    """Seconds since the epoch by the owner's clock; for people."""
    beat: int = 0

    def holds(self, key: str | None, address: Address, desired: str) -> bool:
        """Whether this work is claimed: by its key, or as a stage of the same commit that waits there."""
        return key in self.keys or (desired == self.desired and str(address) in self.waiting)

    def as_json(self) -> dict[str, Any]:
        """Plain values, as they are written."""
        return {
            "schema": 1,
            "id": self.id,
            "host": self.host,
            "home": self.home,
            "actor": self.actor,
            "trigger": self.trigger,
            "branch": self.branch,
            "desired": self.desired,
            "keys": dict(self.keys),
            "waiting": list(self.waiting),
            "since": self.since,
            "beat": self.beat,
        }


def parse_claim(text: str) -> Claim | None:
    """A claim as somebody wrote it; None for anything that is none, since anybody may write there."""
    try:
        row = json.loads(text)
        keys, waiting = row["keys"], row["waiting"]
        if row["schema"] != 1 or not isinstance(keys, dict) or not isinstance(waiting, list):
            return None
        words = {name: str(row[name])[:_LONGEST_TEXT] for name in ("id", "host", "home", "actor", "trigger", "branch")}
        return Claim(
            **words,
            desired=str(row["desired"]),
            keys={str(key): str(stage)[:_LONGEST_TEXT] for key, stage in keys.items()},
            waiting=tuple(str(stage) for stage in waiting),
            since=float(row["since"]),
            beat=int(row["beat"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


@dataclass
class Watch:
    """Which claims are alive, as one process sees them over time."""

    expiry_seconds: float = EXPIRY_SECONDS
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    @property
    def beat_seconds(self) -> float:
        """How often a living runner renews its claim: three beats may be lost."""
        return self.expiry_seconds / 4

    def look(self, found: Mapping[str, str], now_seconds: float) -> frozenset[str]:
        """Names of the claims that count, of those that are there now (name to a version that changes with them).

        `now_seconds` is of a clock that only goes forward. One that is new to us counts until it stood still for the
        whole expiry.
        """
        self._seen = {
            name: known if (known := self._seen.get(name)) and known[0] == version else (version, now_seconds)
            for name, version in found.items()
        }
        return frozenset(name for name, (_, at) in self._seen.items() if now_seconds - at < self.expiry_seconds)


def holder(claims: Iterable[Claim], key: str | None, address: Address, desired: str) -> Claim | None:
    """The claim that holds this work, the first by name where several do."""
    return next((c for c in sorted(claims, key=lambda c: c.id) if c.holds(key, address, desired)), None)
