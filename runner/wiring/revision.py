"""What a revision means in a clone: commit, branch, how far it is trusted, which state it is compared with."""

from __future__ import annotations

from runner.core.nouns import Trust
from runner.errors import InputError
from runner.git.command import is_oid
from runner.git.read import Reader
from runner.git.seen_refs import SeenRefs
from runner.ledger.in_place import desired_at
from runner.observe import refs
from runner.values import dataclass
from runner.wiring.states import StateRefs

_REMOTE = "refs/remotes/origin/"
_HEADS = "refs/heads/"


@dataclass(frozen=True, slots=True)
class Aim:
    """What a plan of one revision is for."""

    commit: str
    trust: Trust
    state: str | None
    """The state branch that counts for it, None where nothing is known of any."""
    watched: str | None
    """The watched branch by name; None where nothing tells."""
    request: str | None
    """What a reconcile of the same has to be asked for: None for the watched branch, else a branch or a commit."""


def aimed(reader: Reader, states: StateRefs, rev: str | None, watched: str | None) -> Aim:
    """What a plan of `rev` (HEAD by default) is for; raises InputError for a revision that is not here."""
    commit = desired_at(reader, reader.resolve(rev or "HEAD"))
    branch = branch_named(reader, rev)
    if branch is not None and f"{refs.STATE_OF}/{branch}" in states.tips and branch != watched:
        return Aim(commit, Trust.TRUSTED, f"{refs.STATE_OF}/{branch}", branch, branch)
    first = states.first if states.first in states.tips else None
    if branch is not None and branch == watched:
        return Aim(commit, Trust.TRUSTED, first, watched, None)
    tip = watched_tip(reader, watched)
    if watched is None or (tip is not None and reader.is_ancestor(commit, tip)):
        is_newest = tip is not None and desired_at(reader, tip) == commit
        return Aim(commit, Trust.TRUSTED, first, watched, None if is_newest else commit)
    branch = branch or _branch_at(reader, commit)
    own = refs.proposed_branch(branch or commit[:12])
    return Aim(commit, Trust.PROPOSED, own if own in states.tips else first, watched, branch or commit)


def branch_named(reader: Reader, rev: str | None) -> str | None:
    """The branch that a revision names, here or on `origin`; None for anything else (a tag, a commit, `HEAD~1`)."""
    if rev in (None, "HEAD", "@"):
        return reader.current_branch()
    name = str(rev)
    for prefix in (_HEADS, _REMOTE, "heads/", "remotes/origin/", "origin/"):
        if name.startswith(prefix):
            name = name.removeprefix(prefix)
            break
    if is_oid(name) or not _may_be_branch(name):
        return None
    found = reader.refs(_HEADS + name, _REMOTE + name)
    return name if _HEADS + name in found or _REMOTE + name in found else None


def watched_name(reader: Reader) -> str | None:
    """The branch to look at first, as far as a clone can tell without the network: the remote's default one."""
    current = reader.current_branch()
    text = reader.own_text(f"{_REMOTE}HEAD")
    target = text.removeprefix(f"ref: {_REMOTE}")
    if target != text:
        return target
    if current in ("main", "master"):
        return current
    if reader.remote_url() is None:  # a bare repository, or a worktree of one: its HEAD is no place to work in
        main = Reader(reader.common_dir).current_branch() if reader.common_dir != reader.git_dir else current
        return main or current
    names = [name.removeprefix(_REMOTE) for name in reader.refs(_REMOTE)]
    own = [name for name in names if name != "HEAD" and not name.startswith(refs.OWN_PREFIX)]
    usual = [name for name in ("main", "master") if name in own]
    return usual[0] if usual else own[0] if len(own) == 1 else current


def watched_tip(reader: Reader | SeenRefs, watched: str | None) -> str | None:
    """The newest commit of the watched branch that this clone knows of on the remote, else its own."""
    if watched is None or not _may_be_branch(watched):
        return None
    found = reader.refs(_REMOTE + watched, _HEADS + watched)
    return found.get(_REMOTE + watched) or found.get(_HEADS + watched)


def remote_revision(reader: Reader, rev: str | None) -> str | None:
    """A revision in words that the remote understands: a branch by its name, all else as a full commit id."""
    if rev is None:
        return None
    branch = None if rev in ("HEAD", "@") else branch_named(reader, rev)
    if branch is not None:
        return branch
    try:
        return reader.resolve(rev)
    except InputError:
        return rev  # the remote may know it


def _branch_at(reader: Reader, commit: str) -> str | None:
    for prefix in (_REMOTE, _HEADS):
        for name, tip in reader.refs(prefix).items():
            branch = name.removeprefix(prefix)
            if tip == commit and branch != "HEAD" and not branch.startswith(refs.OWN_PREFIX):
                return branch
    return None


def _may_be_branch(name: str) -> bool:
    return bool(name) and not any(letter in " ~^:?*[\\\x7f" or letter < " " for letter in name) and "@{" not in name
