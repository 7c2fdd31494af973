"""What was recorded before a repository had a remote: the first reconcile with one takes it over.

The clone's own state branch goes to the remote as it is, so that no result, and no count of a hold-out, is lost.
"""

from __future__ import annotations

from pathlib import Path

from runner.data.cache import Cache
from runner.data.hash_index import HashIndex
from runner.data.moving import take_over
from runner.errors import Held, HostError, InputError, RaceLost
from runner.git.push import PushStatus
from runner.ledger.state import State
from runner.observe import refs
from runner.specs.parse_cache import ParseCache
from runner.wiring.clone import Clone, own_place
from runner.wiring.home import repository_home
from runner.wiring.repository import Repository


def take_over_state(repository: Repository, trust: Path | None) -> str | None:
    """Push the clone's own state branch where the remote has none yet; returns a sentence for people if it did.

    Only asked before the first reconcile of this host with that remote. Raises Held where what the clone has is not of
    the watched branch, or not what the trust file accepts, and RaceLost or HostError where the push does not succeed.
    """
    clone, mirror = repository.clone, repository.mirror
    if clone is None or not clone.has_remote or repository.home.watched.parent.is_dir():
        return None
    watched, branch = clone.policy.watched, clone.policy.project.record_branch or refs.STATE
    ref = f"refs/heads/{branch}"
    tip = clone.reader.ref(ref)
    if tip is None or watched is None or branch == watched:
        return None
    mirror.catch_up()
    newest = mirror.tip(watched)
    if mirror.tip(branch) is not None or newest is None:
        return None
    mirror.take(clone.reader, ref)
    _check(repository, trust, branch, tip, watched, newest)
    _bring_bytes(repository, clone)
    result = mirror.push(tip, branch, None)
    if result.status is PushStatus.LOST_RACE:
        raise RaceLost(f"somebody else began {branch} on {mirror.url} just now", f"look at both; {_ways(branch)}")
    if result.status is not PushStatus.ACCEPTED:
        raise HostError(f"{branch} could not be pushed to {mirror.url}: {result.detail}", result.hint or "try again")
    return f"{branch} at {tip[:12]}, recorded before there was a remote, was pushed to it; this goes on from there"


def _check(repository: Repository, trust: Path | None, branch: str, tip: str, watched: str, newest: str) -> None:
    reader = repository.mirror.reader
    try:
        desired = State(reader, tip).summary.desired
        if not (reader.exists(desired) and reader.is_ancestor(desired, newest)):
            raise Held(f"it is of {desired[:12]}, which is not part of {watched}")
        if trust is not None:
            from runner.wiring.trust import Trusting  # imported late: start-up

            trusting = Trusting(trust, repository.home, ParseCache(repository.home_root / "parsed"))
            trusting.opened(reader, tip, branch, None, [newest])
    except (Held, InputError) as error:
        raise Held(
            f"{branch} at {tip[:12]} is not on the remote, which has none, and was not taken over: {error.message}",
            _ways(branch),
        ) from error


def _ways(branch: str) -> str:
    return f"to go on from it, run `git push origin {branch}`; to begin anew, run `git branch -D {branch}`"


def _bring_bytes(repository: Repository, clone: Clone) -> None:
    """Results lie in the home by the place of the repository; from now on its remote names it."""
    before = repository_home(repository.home_root, own_place(clone.reader)).cache
    cache = repository.cache_root()
    if before != cache and before.is_dir():
        take_over(Cache(cache, HashIndex(repository.home_root / "hashes.sqlite")), before)
