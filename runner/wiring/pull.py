"""`runner pull`: recorded outputs into a person's working tree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runner.core.nouns import Address
from runner.core.recorded import OutFact
from runner.data.cache import Cache
from runner.data.hash_index import HashIndex
from runner.errors import HostError, InputError
from runner.ledger.state import State
from runner.wiring.clone import Clone
from runner.wiring.data import remotes_at
from runner.wiring.home import home_folder


def pull_outputs(
    folder: Path, clone: Clone, state: State, wanted: set[Address] | None, *, force: bool, environ: Mapping[str, str]
) -> dict[str, str]:
    """Path to what was done with it: `pulled`, `there` or `differs`; raises HostError where bytes are nowhere."""
    root = clone.reader.worktree
    if root is None:
        raise InputError(f"{folder} is a bare repository", "outputs are pulled into a working tree")
    cache = Cache(clone.dvc_cache(), HashIndex(home_folder(environ) / "hashes.sqlite"))
    facts = [
        fact for address, entry in state.entries().items() if wanted is None or address in wanted for fact in entry.outs
    ]
    _fetch(clone, state, cache, [fact for fact in facts if fact.cached], environ)
    return {fact.path: _pull_one(root, clone, cache, fact, force) for fact in facts}


def _fetch(clone: Clone, state: State, cache: Cache, facts: list[OutFact], environ: Mapping[str, str]) -> None:
    lacking = [fact for fact in facts if cache.missing(fact.md5, legacy=fact.legacy)]
    if not lacking:
        return
    configs = [path for path in clone.reader.tree(state.commit).files if path.endswith(".dvc/config")]
    dvc_root = min(configs, key=len, default=".dvc/config").removesuffix("/.dvc/config").removesuffix(".dvc/config")
    folder = (clone.reader.worktree or Path()) / dvc_root / ".dvc"
    remotes = remotes_at(
        clone.reader, state.commit, dvc_root or ".", folder if folder.is_dir() else None, environ, cache
    )
    if remotes.default_name() is None:
        names = ", ".join(fact.path for fact in lacking[:5])
        raise HostError(f"the bytes of {names} are on another host", "configure a DVC remote, so that results travel")
    remotes.pull([fact.md5 for fact in lacking])


def _pull_one(root: Path, clone: Clone, cache: Cache, fact: OutFact, force: bool) -> str:
    target = root / fact.path
    parent = target.parent.resolve()
    if parent != root.resolve() and root.resolve() not in parent.parents:
        raise InputError(f"{fact.path} goes through a link that leaves the repository", "replace the link by a folder")
    if target.exists():
        if cache.hash(target).md5 == fact.md5:
            return "there"
        if not force:
            return "differs"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not fact.cached and fact.git_id is not None:
        target.write_bytes(clone.reader.blob(fact.git_id))
    else:
        cache.materialise(fact.md5, target, writable=True, isexec=fact.isexec, legacy=fact.legacy)
    return "pulled"
