"""`runner pull`: recorded outputs into a person's working tree."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.core.canonical import canonical_digest
from runner.core.nouns import Address
from runner.core.recorded import OutFact
from runner.data.cache import Cache
from runner.data.hash_index import HashIndex
from runner.data.links import inside
from runner.data.remotes import Remotes
from runner.errors import HostError, InputError
from runner.git.command import path_bytes
from runner.git.tree import EXECUTABLE, SUBMODULE, SYMLINK
from runner.ledger.state import State
from runner.specs.desired import read_desired
from runner.values import dataclass
from runner.wiring.clone import Clone
from runner.wiring.data import remotes_at
from runner.wiring.history import were_recorded
from runner.wiring.home import home_folder

PULLED, THERE, DIFFERS = "pulled", "there", "differs"
"""What can become of an output: brought, there already, or something else is there and was left alone."""

_MEMORY = "pulled"
"""Where it is remembered what was brought."""


@dataclass(frozen=True, slots=True)
class _Ground:
    """Where outputs come from and go to."""

    clone: Clone
    root: Path
    state: State
    cache: Cache
    environ: Mapping[str, str]


def pull_outputs(
    clone: Clone, state: State, wanted: set[Address] | None, *, force: bool, environ: Mapping[str, str]
) -> dict[str, str]:
    """Path to what became of it; nothing is written before all bytes are here.

    Raises InputError for a bare repository and for paths that lead elsewhere, HostError where bytes are nowhere.
    """
    root = clone.reader.worktree
    if root is None:
        raise InputError(f"{clone.reader.git_dir} is a bare repository", "outputs are pulled into a working tree")
    ground = _Ground(
        clone, root, state, Cache(clone.dvc_cache(), HashIndex(home_folder(environ) / "hashes.sqlite")), environ
    )
    entries = [entry for address, entry in state.entries().items() if wanted is None or address in wanted]
    facts = [fact for entry in entries for fact in entry.outs]
    for fact in facts:
        _check_place(root, fact.path)
    present = {fact.path: _present(ground, fact) for fact in facts}
    found = {fact.path: _found(fact, present[fact.path]) for fact in facts}
    if not force:
        own = _own(ground, {path: present[path] or "" for path, what in found.items() if what == DIFFERS})
        found |= dict.fromkeys(own)
    take = [fact for fact in facts if found[fact.path] != THERE and (force or found[fact.path] != DIFFERS)]
    _fetch(ground, [fact for fact in take if not _is_in_git(fact)])
    _hide(clone, [fact.path for fact in facts if fact.cached])
    for fact in take:
        _put(ground, fact)
        clone.cache.put(_MEMORY, _memory_of(ground, fact.path, fact.md5), True)
    taken = {fact.path for fact in take}
    return {path: PULLED if path in taken else what or DIFFERS for path, what in found.items()}


def _hide(clone: Clone, paths: list[str]) -> None:
    """Have git overlook cached outputs, in this clone alone: nobody shall commit by accident what DVC holds."""
    file = clone.reader.common_dir / "info" / "exclude"
    before = file.read_bytes() if file.is_file() else b""
    present = set(before.splitlines())
    lines = [line for line in (b"/" + path_bytes(_escaped(path)) for path in paths) if line not in present]
    if lines:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(before + (b"\n" if before and not before.endswith(b"\n") else b"") + b"\n".join(lines) + b"\n")


def _escaped(path: str) -> str:
    """A path as a pattern of gitignore that matches it alone."""
    escaped = re.sub(r"([\\*?\[\]])", r"\\\1", path)
    return re.sub(r" +$", lambda spaces: "\\ " * len(spaces[0]), escaped)


def _is_in_git(fact: OutFact) -> bool:
    return not fact.cached and fact.git_id is not None


def _check_place(root: Path, path: str) -> None:
    """Nothing recorded may lead out of the working tree, or into git's own folder."""
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise InputError(f"the recorded path {path!r} is not one of the repository", "look at the state branch")
    inside(root, path)


def _present(ground: _Ground, fact: OutFact) -> str | None:
    """Digest of what is where the output goes: empty for what is no file and no folder, None where nothing is."""
    target = ground.root / fact.path
    if not os.path.lexists(target):
        return None
    if target.is_symlink() or not (target.is_file() or target.is_dir()):
        return ""
    return ground.cache.hash(target).md5


def _found(fact: OutFact, present: str | None) -> str | None:
    """Whether the output is there, or something else; None where nothing is."""
    if present is None:
        return None
    return THERE if present == fact.md5 else DIFFERS


def _own(ground: _Ground, differing: Mapping[str, str]) -> set[str]:
    """Those of these paths, each with the digest of what is there, that hold what the runner itself made or brought.

    What `pull` wrote is remembered; what else a run ever left at the path stands in the ledger. Either can be had
    again, so it may be replaced by what is recorded now; anything else is somebody's work.
    """
    known = {path: md5 for path, md5 in differing.items() if md5}
    own = {path for path, md5 in known.items() if ground.clone.cache.get(_MEMORY, _memory_of(ground, path, md5))}
    left = {path: md5 for path, md5 in known.items() if path not in own}
    return own | were_recorded(ground.state, left)


def _memory_of(ground: _Ground, path: str, md5: str) -> str:
    return canonical_digest([ground.clone.url, path, md5])


def _fetch(ground: _Ground, facts: Sequence[OutFact]) -> None:
    """Bring what the cache lacks from the DVC remotes, each output from its own one."""
    lacking = [fact for fact in facts if ground.cache.missing(fact.md5, legacy=fact.legacy)]
    if not lacking:
        return
    remotes = _remotes(ground)
    named = _remote_names(ground)
    groups: dict[tuple[str, bool], list[OutFact]] = {}
    for fact in lacking:
        name = named.get(fact.path) or remotes.default_name()
        if name is None:
            raise HostError(
                f"the bytes of {_names(lacking)} are on another host, and there is no DVC remote",
                "configure a DVC remote, so that results travel (`dvc remote add -d NAME URL`)",
            )
        groups.setdefault((name, fact.legacy), []).append(fact)
    for (name, legacy), group in groups.items():
        remotes.pull([fact.md5 for fact in group], name, legacy=legacy)


def _remotes(ground: _Ground) -> Remotes:
    reader = ground.clone.reader
    configs = [path for path in reader.tree(ground.state.commit).files if f"/{path}".endswith("/.dvc/config")]
    outermost = min(configs, key=lambda path: (path.count("/"), path), default=".dvc/config")
    dvc_root = outermost.removesuffix(".dvc/config").rstrip("/") or "."
    folder = ground.root / dvc_root / ".dvc"
    here = folder if folder.is_dir() else None
    return remotes_at(reader, ground.state.commit, dvc_root, here, ground.environ, ground.cache)


def _remote_names(ground: _Ground) -> dict[str, str]:
    """Outputs that the specs send to a DVC remote of their own."""
    commit = ground.state.summary.desired
    if not ground.clone.reader.exists(commit):
        return {}
    desired = read_desired(ground.clone.reader, commit, ground.clone.cache)
    return {out.path: out.remote for stage in desired.stages() for out in stage.outs if out.remote is not None}


def _put(ground: _Ground, fact: OutFact) -> None:
    target = ground.root / fact.path
    target.parent.mkdir(parents=True, exist_ok=True)
    if fact.git_id is None or fact.cached:
        ground.cache.materialise(fact.md5, target, writable=True, isexec=fact.isexec, legacy=fact.legacy)
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    if not fact.md5.endswith(".dir"):
        _write(target, ground.clone.reader.blob(fact.git_id), fact.isexec)
        return
    tree = ground.clone.reader.tree(fact.git_id)
    for path, entry in tree.files.items():
        if entry.mode not in (SYMLINK, SUBMODULE):
            _write(target / path, ground.clone.reader.blob(entry.oid), entry.mode == EXECUTABLE)


def _write(file: Path, data: bytes, isexec: bool) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    if isexec:
        file.chmod(file.stat().st_mode | 0o111)


def _names(facts: Sequence[OutFact]) -> str:
    return ", ".join(fact.path for fact in facts[:5]) + (f" and {len(facts) - 5} more" if len(facts) > 5 else "")
