"""Going back: which version is served again in place of one that failed, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runner.core.release_files import ROLLBACK, WITHDRAWN, Memory
from runner.core.targets import Deployed

OF_THE_MODEL = (
    "model", "format", "stage", "run", "key", "commit", "serving", "settings", "spec", "evidence", "metrics",
)  # fmt: skip
"""Of a release, what a rollback to it says again."""


def version_before(
    live: Mapping[str, Any], memory: Memory, deployed: Deployed | None, stated: Callable[[int], Any]
) -> int | None:
    """The version that comes back by itself in place of the one that stands; None where there is none.

    What a command deployed well last, and what no command had to deploy; nothing that was rolled back, nor the same
    again. `stated` gives what the record of this number says.
    """
    rejected = {(row.md5, row.spec) for row in memory.rejected}
    versions = {row.version for row in memory.rejected}
    for version in sorted(memory.versions, reverse=True):
        if version >= live["version"] or version in versions:
            continue
        release = stated(memory.versions[version])
        is_same = (release["model"]["md5"], release["settings"]) == (live["model"]["md5"], live["settings"])
        if is_same or (release["model"]["md5"], release["spec"]) in rejected:
            continue
        has_command = "command" in release["serving"].get("target", {})
        if not has_command or (deployed is not None and deployed.good == version):
            return version
    return None


def rollback_of(
    older: Mapping[str, Any], of: int, live: Mapping[str, Any], version: int, rejected: Mapping[str, Any]
) -> dict[str, Any]:
    """What the record of a rollback says: the older release as it was, and what is not tried again."""
    return {
        **{name: older[name] for name in OF_THE_MODEL},
        "event": ROLLBACK,
        "deployment": live["deployment"],
        "environment": live["environment"],
        "version": version,
        "replaces": live["version"],
        "reason": rejected["reason"],
        "gate": None,
        "approvals": [],
        "quarantined": dict(rejected),
        "of": of,
    }


def withdrawal_of(live: Mapping[str, Any], rejected: Mapping[str, Any]) -> dict[str, Any]:
    """What the record says of a version that is taken back, with none before it."""
    return gone_of(live, WITHDRAWN, rejected["reason"]) | {"quarantined": dict(rejected)}


def gone_of(live: Mapping[str, Any], event: str, reason: str) -> dict[str, Any]:
    """What a record says where nothing is served any more."""
    nothing = dict.fromkeys(("version", "model", "format", "stage", "run", "key", "commit", "gate", "quarantined"))
    return {
        **nothing,
        "event": event,
        "deployment": live["deployment"],
        "environment": live["environment"],
        "spec": live["spec"],
        "settings": live["settings"],
        "serving": {},
        "replaces": live["version"],
        "reason": reason,
        "approvals": [],
        "evidence": False,
        "metrics": {},
    }


def rejection_of(live: Mapping[str, Any], spec: str, reason: str) -> dict[str, Any]:
    """What is not tried again as long as the spec says the same."""
    return {"version": live["version"], "model": live["model"]["md5"], "spec": spec, "reason": reason}
