"""What stands of a deployment in an environment, and what is remembered beside it: two files below `.runner/`.

Both follow from the records alone, so that an audit makes the same files again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.values import dataclass, field

RELEASE, SETTINGS, ROLLBACK, REMOVED = "release", "settings", "rollback", "removed"
"""What a release record says: another model, the same one served otherwise, an older one again, or nothing any more."""
WITHDRAWN = "withdrawn"
"""And of a version that failed and has none before it: it is taken back, and nothing stands."""
GONE = (REMOVED, WITHDRAWN)
"""After these nothing stands."""
_MOST_REMEMBERED = 100
"""Rejected models of one environment; the oldest is forgotten."""
FILE_FIELDS = (
    "deployment", "environment", "version", "model", "format", "stage", "run", "key", "commit", "at", "serving", "spec",
    "settings", "replaces",
)  # fmt: skip
"""Of a release record, what the file for the servers says, too."""
REFUSED = "refused"
"""What a gate record says of a model that the gates refuse."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A model that a rollback took away; it is not tried again as long as the spec says the same."""

    md5: str
    spec: str
    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class Live:
    """The release that stands."""

    version: int
    md5: str
    settings: str


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a deployment in an environment beside what stands."""

    last: int = 0
    """The newest version there ever was; none is used twice."""
    versions: Mapping[int, int] = field(default_factory=dict)
    """Each version, and the record of its release."""
    rejected: tuple[Rejected, ...] = ()
    refused: tuple[str, str] | None = None
    """Model and spec that the gates refused last, so that it is recorded once."""


def memory_from(row: Mapping[str, Any] | None) -> Memory:
    """What the file of an environment remembers; raises KeyError, TypeError or ValueError for what is none."""
    if row is None:
        return Memory()
    refused = row["refused"]
    return Memory(
        last=row["last"],
        versions={int(version): int(record) for version, record in row["versions"]},
        rejected=tuple(Rejected(one["model"], one["spec"], one["version"], one["reason"]) for one in row["quarantine"]),
        refused=None if refused is None else (refused["model"], refused["spec"]),
    )


def live_from(row: Mapping[str, Any] | None) -> Live | None:
    """What a release file says; raises KeyError or TypeError for what is none."""
    return None if row is None else Live(row["version"], row["model"]["md5"], row["settings"])


@dataclass(frozen=True, slots=True)
class Files:
    """The two files of a deployment in an environment, as values; None where there is none."""

    live: Mapping[str, Any] | None
    memory: Mapping[str, Any] | None


def out_of_order(before: Files, stated: Mapping[str, Any]) -> str:
    """Why a release cannot follow on what stands; empty where it can."""
    stands = before.live["version"] if before.live is not None else None
    last = before.memory["last"] if before.memory is not None else 0
    if stated["replaces"] != stands:
        return f"replaces v{stated['replaces']}, and v{stands} stood"
    if stated["event"] in GONE:
        return "" if stands is not None else "removes what was not released"
    if stated["version"] != last + 1 or stated["model"] is None:
        return f"is of version {stated['version']}, and {last + 1} is the next one"
    return ""


def after_release(before: Files, number: int, stated: Mapping[str, Any]) -> Files:
    """The files once record `number` states a release, a rollback or a removal."""
    memory = dict(before.memory or _fresh(stated))
    model = stated["model"]["md5"] if stated["model"] is not None else None
    rejected = [row for row in memory["quarantine"] if row["model"] != model]
    if stated["quarantined"] is not None:
        rejected.append(dict(stated["quarantined"]))
    memory["quarantine"] = rejected[-_MOST_REMEMBERED:]
    if stated["event"] in GONE:
        return Files(None, memory)
    memory |= {"last": stated["version"], "versions": [*memory["versions"], [stated["version"], number]]}
    return Files(live_file(number, stated), memory)


def live_file(number: int, stated: Mapping[str, Any]) -> dict[str, Any]:
    """What servers and commands are told of the release that record `number` states."""
    return {"schema": 1, "record": number} | {name: stated[name] for name in FILE_FIELDS}


def after_gate(before: Files, number: int, stated: Mapping[str, Any]) -> Files:
    """The files once record `number` states a verdict: a refusal is remembered, and a pass is not."""
    memory = dict(before.memory or _fresh(stated))
    refused = {"model": stated["md5"], "spec": stated["spec"], "record": number}
    memory["refused"] = refused if stated["outcome"] == REFUSED else None
    return Files(before.live, memory)


def _fresh(stated: Mapping[str, Any]) -> dict[str, Any]:
    names = {"schema": 1, "deployment": stated["deployment"], "environment": stated["environment"]}
    return names | {"last": 0, "versions": [], "quarantine": [], "refused": None}
