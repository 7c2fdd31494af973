"""Specs before they are committed: the working tree as a tree object in a throw-away object store."""

from __future__ import annotations

from runner.core.nouns import Desired
from runner.specs.desired import read_desired
from runner.wiring.clone import Clone


def validated(clone: Clone, rev: str | None) -> Desired:
    """The specs at a revision, or else in the working tree; raises SpecError with every finding."""
    if rev is not None or clone.reader.worktree is None:
        return read_desired(clone.reader, clone.reader.resolve(rev or "HEAD"), clone.cache)
    from runner.git.draft import draft_commit  # imported late: only the working tree needs it

    with draft_commit(clone.reader) as (reader, commit):
        return read_desired(reader, commit, clone.cache)
