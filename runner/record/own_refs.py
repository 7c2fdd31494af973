"""Placing and removing refs of the runner's own on a remote: what claims and turns have in common."""

from __future__ import annotations

from typing import Protocol

from runner.core.own_refs import Kind, Refusal
from runner.git.push import PushResult, PushStatus
from runner.ledger.objects import History


class Refs(Protocol):
    """This host's copy of the remote, and its refs: `runner.git.mirror.Mirror`, or the simulator's."""

    @property
    def reader(self) -> History:
        """What the copy holds."""

    def listed(self, *patterns: str) -> dict[str, str]:
        """Refs of the remote as they are now, by full name, without fetching; raises HostError where that fails."""

    def place(self, sha: str, ref: str) -> PushResult:
        """Put a ref that is this runner's alone to a commit, wherever it was."""

    def drop(self, ref: str, expected: str) -> PushResult:
        """Remove a ref if it still is at this commit."""


def place(remote: Refs, kind: Kind, name: str, sha: str, refusal: Refusal) -> tuple[str | None, PushResult | None]:
    """Put a ref of a kind to a commit, in the first place that the remote takes; it is learned which it refuses.

    Gives its full name, None where it is refused everywhere, and what the remote said last.
    """
    result = None
    while not refusal.is_known:
        ref = kind.places[refusal.places] + name
        result = remote.place(sha, ref)
        if result.status is not PushStatus.REFUSED:
            return ref, result
        refusal.places += 1
    return None, result


def remove(remote: Refs, *names: str) -> None:
    """Remove what is listed by these patterns now; raises HostError where the remote cannot be asked."""
    for ref, oid in remote.listed(*names).items():
        remote.drop(ref, oid)
