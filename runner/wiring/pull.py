"""`runner pull`: recorded outputs into a person's working tree."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from runner.core.actions import Action
from runner.core.canonical import canonical_digest
from runner.core.nouns import Address
from runner.core.recorded import OutFact
from runner.data.cache import Cache
from runner.data.faults import DamagedObjects, MissingObjects, host_errors
from runner.data.hash_index import HashIndex
from runner.data.links import inside
from runner.data.moving import copy_from
from runner.data.remotes import Remotes
from runner.errors import ExitCode, HostError, InputError, RunnerError
from runner.git.command import path_bytes
from runner.git.read import Reader
from runner.git.tree import EXECUTABLE, SUBMODULE, SYMLINK
from runner.ledger.state import State
from runner.observe import refs
from runner.specs.desired import read_desired
from runner.values import dataclass, field
from runner.wiring.clone import Clone
from runner.wiring.data import remotes_at
from runner.wiring.history import were_recorded
from runner.wiring.home import RepositoryHome, home_folder, repository_homes

PULLED, THERE, DIFFERS, MISSING = "pulled", "there", "differs", "missing"
"""What can become of an output: brought, there already, something else is there and was left alone, not to be had."""

_MEMORY = "pulled"
"""Where it is remembered what was brought."""

_MOST_FAULTS = 3
"""Of so many outputs in a row that a remote fails for, for other reasons than the objects, the rest is not tried."""


class _NotHere(HostError):
    """Bytes that are in no cache that is known here, where no DVC remote could have them."""


@dataclass(frozen=True, slots=True)
class Lost:
    """An output that could not be brought, and why."""

    address: Address
    fact: OutFact
    error: RunnerError
    proposal: str | None = None
    """The branch whose results these are; None for those of the watched one."""

    @property
    def is_made_again(self) -> bool:
        """Whether its stage makes it again where a person asks for another try."""
        return isinstance(self.error, (DamagedObjects, MissingObjects, _NotHere))

    @property
    def advice(self) -> str:
        """What helps beside that."""
        if isinstance(self.error, DamagedObjects):
            return ""  # who makes it again replaces what is damaged
        if isinstance(self.error, MissingObjects):
            return "push what is missing from a clone or a host that has it: `dvc push`"
        return self.error.hint

    def as_json(self) -> dict[str, str]:
        """Plain values."""
        return {
            "pipeline": self.address.pipeline,
            "stage": self.address.stage,
            "path": self.fact.path,
            "digest": self.fact.md5,
            "message": self.error.message,
            "hint": "; or ".join(filter(None, (self.advice, made_again([self])))),
        }


def made_again(rows: Sequence[Lost]) -> str:
    """The command that has lost outputs made again; empty where it helps none of them."""
    stages = sorted({str(row.address) for row in rows if row.is_made_again})
    of = next((f"{shlex.quote(row.proposal)} " for row in rows if row.proposal is not None), "")
    return f"`runner reconcile {of}--retry {' '.join(stages)}` makes {_it(rows)} again" if stages else ""


def _it(rows: Sequence[Lost]) -> str:
    count = sum(row.is_made_again for row in rows)
    return "it" if len(rows) == 1 else "them" if count == len(rows) else f"{count} of them"


@dataclass(frozen=True, slots=True)
class Pulled:
    """What came of a pull."""

    outputs: dict[str, str]
    """Path to what became of the output."""
    lost: tuple[Lost, ...]
    """Those that could not be brought, in order of their paths."""
    damaged: Mapping[str, bool] = field(default_factory=dict)
    """Objects that were found damaged in the cache of this host, and whether it has good bytes of them again."""

    @property
    def exit_code(self) -> ExitCode:
        """That of the worst that happened: bytes may be there later, what differs stays as it is."""
        if any(row.error.exit_code is ExitCode.HOST for row in self.lost):
            return ExitCode.HOST
        return ExitCode.INPUT if self.lost or DIFFERS in self.outputs.values() else ExitCode.DONE


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
) -> Pulled:
    """Bring outputs, as many as can be had; each one is written once all of its bytes are here.

    Raises InputError for a bare repository and for paths that lead elsewhere; then nothing is written.
    """
    root = clone.reader.worktree
    if root is None:
        raise InputError(f"{clone.reader.git_dir} is a bare repository", "outputs are pulled into a working tree")
    damaged: list[str] = []
    index = HashIndex(home_folder(environ) / "hashes.sqlite")
    cache = Cache(clone.dvc_cache(), index, on_damaged=lambda md5, _: damaged.append(md5))
    ground = _Ground(clone, root, state, cache, environ)
    entries = {address: entry for address, entry in state.entries().items() if wanted is None or address in wanted}
    facts = [fact for entry in entries.values() for fact in entry.outs]
    makers = {fact.path: address for address, entry in entries.items() for fact in entry.outs}
    for fact in facts:
        _check_place(root, fact.path)
    present = {fact.path: _present(ground, fact) for fact in facts}
    found = {fact.path: _found(fact, present[fact.path]) for fact in facts}
    if not force:
        own = _own(ground, {path: present[path] or "" for path, what in found.items() if what == DIFFERS})
        found |= dict.fromkeys(own)
    take = [fact for fact in facts if found[fact.path] != THERE and (force or found[fact.path] != DIFFERS)]
    errors = _fetch(ground, [fact for fact in take if not _is_in_git(fact)])
    _hide(clone, [fact.path for fact in facts if fact.cached or present[fact.path] is None])
    for fact in take:
        if fact.path not in errors and (error := _brought(ground, fact)) is not None:
            errors[fact.path] = error
    taken = {fact.path: MISSING if fact.path in errors else PULLED for fact in take}
    outputs = {path: taken.get(path) or what or DIFFERS for path, what in found.items()}
    known = {fact.path: fact for fact in take}
    ref = (clone.own_ref() or "") if errors else ""
    name = ref.removeprefix(f"{refs.PROPOSED}/")
    proposal = None if name == ref else unquote(name)
    lost = [Lost(makers[path], known[path], error, proposal) for path, error in sorted(errors.items())]
    return Pulled(outputs, tuple(lost), {md5: cache.has(md5) for md5 in damaged})


def not_of_head(clone: Clone, state: State, wanted: set[Address] | None) -> tuple[str, list[Address]]:
    """The commit that HEAD asks for, and those stages whose recorded results a reconcile of it would not keep."""
    head = clone.aim().commit
    if head == state.summary.desired:
        return head, []
    pulled = [address for address in state.entries() if wanted is None or address in wanted]
    try:
        outline, _ = clone.outline()
    except RunnerError:  # whoever plans HEAD is told; its results are not these in any case
        return head, pulled
    kept = {line.address for line in outline.lines if line.action is Action.KEEP}
    return head, [address for address in pulled if address not in kept]


def _brought(ground: _Ground, fact: OutFact) -> RunnerError | None:
    """Write one output whose bytes are here; what keeps it from being written is given back, since others may do."""
    try:
        with host_errors(f"write {fact.path}"):
            _put(ground, fact)
    except RunnerError as error:
        return error
    ground.clone.cache.put(_MEMORY, _memory_of(ground, fact.path, fact.md5), True)
    return None


def _hide(clone: Clone, paths: list[str]) -> None:
    """Have git overlook outputs, in this clone alone: nobody shall commit by accident what is recorded elsewhere.

    What git tracks it goes on tracking, whatever is said here.
    """
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


def _fetch(ground: _Ground, facts: Sequence[OutFact]) -> dict[str, RunnerError]:
    """Bring what the cache lacks, from others of this host or from the DVC remotes, each output from its own one.

    Returns path to what kept it away.
    """
    lacking, failed = _still_lacking(ground, [fact for fact in facts if _is_lacking(ground, fact)])
    if not lacking:
        return {}
    try:
        remotes, named = _remotes(ground), _remote_names(ground)
    except RunnerError as error:
        return {fact.path: error for fact in lacking}
    errors: dict[str, RunnerError] = {}
    groups: dict[tuple[str, bool], list[OutFact]] = {}
    for fact in lacking:
        name = named.get(fact.path) or remotes.default_name()
        if name is None:
            errors[fact.path] = failed.get(fact.path) or _NotHere(
                f"the bytes of {fact.path} are in no cache that is known here, and there is no DVC remote",
                "where they were made, configure a DVC remote, so that results travel (`dvc remote add -d NAME URL`)",
            )
        else:
            groups.setdefault((name, fact.legacy), []).append(fact)
    for (name, legacy), group in groups.items():
        try:
            remotes.pull([fact.md5 for fact in group], name, legacy=legacy)
        except RunnerError as error:
            errors |= _one_by_one(ground, remotes, name, group, error)
    return errors


def _still_lacking(ground: _Ground, lacking: list[OutFact]) -> tuple[list[OutFact], dict[str, RunnerError]]:
    """What is lacking after a look into the runner's own caches of the same repository, and what failed there, by path.

    They hold what was made before there was a DVC repository here, and what was made without this clone, as a daemon
    does (`--repo`). What is lacking is copied: a reconcile may be at work there.
    """
    failed: dict[str, RunnerError] = {}
    own = ground.clone.home
    homes = [own, *(home for home in repository_homes(home_folder(ground.environ)) if home != own)]
    for home in homes:
        if home.cache == ground.cache.root or not lacking:
            continue
        there = Cache(home.cache, ground.cache.index)
        found = [
            fact for fact in lacking if there.has(fact.md5, fact.legacy) or ground.cache.has(fact.md5, fact.legacy)
        ]
        if not found or (home != own and not _knows(home, ground.state)):
            continue
        for fact in found:
            try:
                copy_from(ground.cache, home.cache, fact.md5, fact.legacy)
            except RunnerError as error:
                failed[fact.path] = error
        lacking = [fact for fact in lacking if _is_lacking(ground, fact)]
    return lacking, failed


def _knows(home: RepositoryHome, state: State) -> bool:
    """Whether the runner has this very state there: by another URL it is the same repository, and no stranger's."""
    return home.mirror.is_dir() and Reader(home.mirror).exists(state.commit)


def _is_lacking(ground: _Ground, fact: OutFact) -> bool:
    try:
        return bool(ground.cache.missing(fact.md5, legacy=fact.legacy))
    except DamagedObjects:  # a listing that is none: another one may be on the remote
        return True


def _one_by_one(
    ground: _Ground, remotes: Remotes, name: str, group: Sequence[OutFact], first: RunnerError
) -> dict[str, RunnerError]:
    """After an error the outputs that are not here yet are asked for one at a time: path to what kept it away."""
    errors: dict[str, RunnerError] = {}
    damaged = set(first.md5s) if isinstance(first, DamagedObjects) else set()
    faults = 0
    for fact in group:
        if not _is_lacking(ground, fact):
            continue
        if faults >= _MOST_FAULTS:
            errors[fact.path] = first
            continue
        if fact.md5 in damaged:  # it was brought, and seen to be; once is enough
            errors[fact.path] = DamagedObjects([fact.md5], remotes.described(name))
            continue
        try:
            remotes.pull([fact.md5], name, legacy=fact.legacy)
        except RunnerError as error:
            errors[fact.path] = error
            faults = 0 if isinstance(error, (DamagedObjects, MissingObjects)) else faults + 1
    return errors


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
    _make_room(ground.root, target.parent)
    if fact.git_id is None or fact.cached:
        ground.cache.materialise(fact.md5, target, writable=True, isexec=fact.isexec, legacy=fact.legacy)
        return
    files = _files_in_git(ground, fact, fact.git_id)  # all of them before what is there goes
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    for path, (data, isexec) in files.items():
        _write(target / path, data, isexec)


def _files_in_git(ground: _Ground, fact: OutFact, git_id: str) -> dict[str, tuple[bytes, bool]]:
    """Relative path (empty for a file) to the bytes of an output that git holds, and whether it may be executed."""
    reader = ground.clone.reader
    if not fact.md5.endswith(".dir"):
        return {"": (reader.blob(git_id), fact.isexec)}
    entries = {
        path: entry for path, entry in reader.tree(git_id).files.items() if entry.mode not in (SYMLINK, SUBMODULE)
    }
    return {path: (reader.blob(entry.oid), entry.mode == EXECUTABLE) for path, entry in entries.items()}


def _make_room(root: Path, folder: Path) -> None:
    """Have the folder that an output goes into; raises InputError where a file stands in its place."""
    for part in reversed([folder, *folder.parents]):
        if part.is_relative_to(root) and part.exists() and not part.is_dir():
            raise InputError(f"a file stands at {part.relative_to(root)}, where a folder is needed", "move it away")
    folder.mkdir(parents=True, exist_ok=True)


def _write(file: Path, data: bytes, isexec: bool) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    if isexec:
        file.chmod(file.stat().st_mode | 0o111)
