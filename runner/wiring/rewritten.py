"""State branches that lost, on the remote, what was known of them: what a plan says before a reconcile holds.

Without a fetch it tells what the runner's mirror saw last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.errors import Held, InputError
from runner.git.read import Reader
from runner.ledger.in_place import newest_state
from runner.observe import refs
from runner.values import dataclass
from runner.wiring.clone import Clone
from runner.wiring.revision import Aim, watched_tip
from runner.wiring.states import is_rewritten, read_seen


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A state branch that does not hold any more what was known of it."""

    branch: str
    known: str
    """The state commit that was known."""
    now: str | None
    """Where the branch is now; None where it is gone."""
    holds: bool
    """Whether a reconcile of this host holds: it has seen that commit. Else only the clone knew of it."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        accept = f"runner reconcile --accept-state {self.now or 'none'}" if self.holds else None
        return {"branch": self.branch, "known": self.known, "now": self.now, "holds": self.holds, "accept": accept}

    def __str__(self) -> str:
        """A sentence for people: what was known, what is there, what a reconcile does, and what a person can do."""
        by = "this host has seen" if self.holds else "this clone knew"
        now = f"is at {self.now[:12]}" if self.now else "is gone"
        known = self.known[:12]
        text = f"{self.branch} was rewritten on the remote: {known}, which {by}, is not part of it any more; it {now}"
        back = f"push {known} there again"
        if not self.holds:
            return f"{text}. A reconcile of this host goes on from there; if that is not meant, {back} first"
        accept = f"`runner reconcile --accept-state {self.now or 'none'}`"
        return f"{text}. A reconcile holds (exit code 6) until you {back}, or go on from what is there with {accept}"


def rewritten_states(clone: Clone, aim: Aim, before: Mapping[str, str] | None = None) -> list[Rewritten]:
    """Those of the branches that count for a revision.

    `before` is what was known of all of them until the mirror was fetched just now; None where it was not.
    """
    reader = clone.mirror if clone.has_remote else clone.reader
    if reader is None:
        return []
    first = clone.states.first
    names = dict.fromkeys([first, aim.state or first, f"{refs.STATE_OF}/{aim.watched}"])
    found = []
    for branch in names:
        now = _state_of(clone, reader, branch, in_place=branch == aim.watched)
        seen = read_seen(clone.home.seen_state(branch))
        known = (before or {}).get(branch)
        if seen and is_rewritten(reader, branch, seen, now):
            found.append(Rewritten(branch, seen, now, holds=True))
        elif known and branch != aim.watched and not seen and is_rewritten(clone.reader, branch, known, now):
            found.append(Rewritten(branch, known, now, holds=False))
    return found


def left_behind(clone: Clone) -> list[str]:
    """A sentence where only this clone has a state, and a first reconcile with its remote would hold for that."""
    branch, watched = clone.policy.project.record_branch or refs.STATE, clone.policy.watched
    if not clone.has_remote or branch == watched or clone.home.watched.parent.is_dir():
        return []
    theirs = f"refs/remotes/origin/{branch}"
    own, newest = clone.seen.refs(f"refs/heads/{branch}", theirs), watched_tip(clone.seen, watched)
    if len(own) != 1 or theirs in own or newest is None:
        return []
    from runner.ledger.state import State  # imported late: start-up

    try:
        desired = State(clone.reader, own[f"refs/heads/{branch}"]).summary.desired
    except (Held, InputError):
        return []  # whoever reads more of it is told
    if clone.reader.exists(desired) and clone.reader.is_ancestor(desired, newest):
        return []
    text = f"{branch} of this clone is of {desired[:12]}, which is not part of {watched}"
    ways = f"`git push origin {branch}` goes on from it, `git branch -D {branch}` begins anew"
    return [f"{text}; a reconcile holds (exit code 6) if the remote has no {branch}: {ways}"]


def _state_of(clone: Clone, reader: Reader, branch: str, *, in_place: bool) -> str | None:
    """The newest commit of the runner on a branch, as this copy of the remote has it."""
    ref = f"refs/heads/{branch}"
    seen = clone.mirrored if clone.has_remote else clone.seen
    tip = None if seen is None else seen.refs(ref).get(ref)
    if not in_place or tip is None:
        return tip
    try:
        return newest_state(reader, [tip], clone.trusting.ends(reader, branch) if clone.trusting else None)
    except Held:
        return tip  # it never held a state: other commands say so
