"""Names of state refs, and which of them matters for which commit."""

from __future__ import annotations

import re

STATE = "runner/state"
STATE_OF = "runner/state-of"
PROPOSED = "runner/proposed"
OWN_PREFIX = "runner/"
"""Branches below this prefix belong to the runner; they are never desired."""


def state_branch(watched: str, first: str) -> str:
    """The state branch of a watched branch; `first` is the project's own one."""
    return STATE if watched == first else f"{STATE_OF}/{watched}"


def proposed_branch(name: str) -> str:
    """The state branch of a proposal: a branch's name, or the start of a commit's."""
    return f"{PROPOSED}/{name}"


def is_commit_name(text: str) -> bool:
    """Whether a revision is the name of a commit rather than of a branch."""
    return re.fullmatch(r"[0-9a-f]{7,64}", text) is not None
