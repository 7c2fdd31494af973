"""Names of state refs, and which of them matters for which commit."""

from __future__ import annotations

STATE = "runner/state"
STATE_OF = "runner/state-of"
PROPOSED = "runner/proposed"
OWN_PREFIX = "runner/"
"""Branches below this prefix belong to the runner; they are never desired."""


def state_branch(watched: str, first: str, record_branch: str | None = None) -> str:
    """Where results of a watched branch are recorded.

    `first` is the branch that the project watches, `record_branch` what it says of the place; a branch may hold its
    own results.
    """
    if record_branch == watched:
        return watched
    return (record_branch or STATE) if watched == first else f"{STATE_OF}/{watched}"


def proposed_branch(name: str) -> str:
    """The state branch of a proposal: a branch's name, or the start of a commit's.

    Slashes are percent-encoded, so that what is left of a proposal `fix` is never in the way of one `fix/login`.
    """
    return f"{PROPOSED}/{flat(name)}"


def flat(name: str) -> str:
    """A branch's name without slashes; no two names become one, and `urllib.parse.unquote` gives it back."""
    return name.replace("%", "%25").replace("/", "%2F")
