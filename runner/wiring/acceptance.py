"""`reconcile --accept-state SHA`: a person goes on from a state branch that was rewritten."""

from __future__ import annotations

from runner.errors import InputError
from runner.observe import refs
from runner.wiring.repository import Repository


def accept_state(repository: Repository, sha: str, branch: str = refs.STATE) -> None:
    """Forget what this host has seen of the branch, if it is at `sha` now; raises InputError otherwise."""
    repository.mirror.fetch()
    tip = repository.mirror.reader.ref(f"refs/heads/{branch}")
    if (tip or "none") != sha and not (tip or "").startswith(sha if len(sha) >= 7 else "-"):
        raise InputError(
            f"{branch} is at {tip or 'no commit'}, not at {sha}", "look at it again, then say its full name"
        )
    seen = repository.home.seen(branch)
    seen.unlink(missing_ok=True)
