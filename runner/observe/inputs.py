"""The inputs of a desired commit as the planner asks for them: digests of files and folders in git, and parameters.

A folder is listed as DVC would list it in a clean checkout of the state branch: what `.dvcignore` names is left out,
and a `.gitignore` holds the lines of the outputs beside it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from runner.core.canonical import canonical_digest, plain_digest
from runner.core.digests import Member, folder_digest, md5_hex
from runner.core.nouns import Desired, Stage, is_external
from runner.errors import InputError
from runner.git.read import Reader
from runner.git.tree import EXECUTABLE, Tree
from runner.ledger.state import Memo
from runner.observe.memo import DigestMemo
from runner.specs.parse_cache import ParseCache
from runner.specs.places import parents

if TYPE_CHECKING:
    from runner.data.walk import Ignoring
    from runner.specs.modules import Meanings

_RUNNING_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""What an environment that names no interpreter is built with."""
_DIGESTS = "digests"
_MANY_DIGESTS = 10_000
"""A list of more is not kept: each commit that changes one file would keep another."""
_WHOLE_BYTES = 16 << 20
_LOCK_LIMIT_BYTES = 64 << 20
_PARAMS_LIMIT_BYTES = 16 << 20
_IGNORE_LIMIT_BYTES = 1 << 20
"""Larger blobs are digested in chunks."""
_SYMLINK, _SUBMODULE = "120000", "160000"


class GitInputs:
    """Answers the planner's questions about one commit; implements `runner.core.recorded.Inputs`."""

    def __init__(
        self,
        reader: Reader,
        tree: Tree,
        *,
        memo: DigestMemo,
        cache: ParseCache,
        ignores: Callable[[str], bool],
        ignore_digest: str,
        ignored_in: Callable[[str], Ignoring | None],
        overlay: Mapping[str, bytes],
    ) -> None:
        self._reader = reader
        self._tree = tree
        self._memo = memo
        self._cache = cache
        self._ignores = ignores
        self._ignore_digest = ignore_digest
        self._ignored_in = ignored_in
        self._overlay = overlay
        """Files that are on the state branch and in every worktree with other bytes than in the commit."""
        self._overlay_md5 = {path: md5_hex(data) for path, data in overlay.items()}
        self._probed: dict[str, str] = {}
        self._digests: dict[str, str] = {}
        self._parsed: dict[str, Mapping[str, Any] | None] = {}
        self._meanings: Meanings | None = None

    def prefetch(self, stages: Iterable[Stage]) -> None:
        """Digest every file that these stages read, in few reads."""
        paths = {path for stage in stages for path in stage.deps}
        entries = [entry for entry in map(self._tree.get, paths) if entry is not None]
        oids = sorted({entry.oid for entry in entries if entry.mode not in (_SYMLINK, _SUBMODULE)})
        if not oids:
            return
        if len(oids) > _MANY_DIGESTS:
            self._digest_blobs(set(oids))
            return
        # The same blobs as the last time are one file to read; a database has to be opened and asked for each.
        key = plain_digest(oids)
        known = self._cache.get_lines(_DIGESTS, key)
        if known is not None and len(known) == len(oids):
            self._digests.update(zip(oids, known, strict=True))
        else:
            found = self._digest_blobs(set(oids))
            self._cache.put_lines(_DIGESTS, key, [found[oid] for oid in oids])

    def file_digest(self, path: str) -> str | None:
        """MD5 of a file; None where there is none."""
        if path in self._overlay_md5:
            return self._overlay_md5[path]
        entry = self._tree.get(path)
        if entry is None or entry.mode == _SUBMODULE:
            return None
        if entry.mode == _SYMLINK:
            raise InputError(
                f"{path} is a symbolic link; a stage cannot depend on one",
                "depend on the file it points to",
            )
        known = self._digests.get(entry.oid)
        return known if known is not None else self._digest_blobs({entry.oid})[entry.oid]

    def folder(self, path: str) -> tuple[Member, ...] | None:
        """Members of a folder, ignored ones left out; None where nothing is there."""
        start = 0 if path == "." else len(path) + 1
        names = [name for name in self._names_below(path) if not self._ignores(name)]
        oids = {self._tree.files[name].oid for name in names if name not in self._overlay_md5}
        digests = self._digest_blobs(oids)
        members = [(name[start:], self._overlay_md5.get(name) or digests[self._tree.files[name].oid]) for name in names]
        return tuple(members) or None

    def folder_digest(self, path: str) -> str | None:
        """Digest of a folder; remembered by tree id and by what is ignored and laid over."""
        oid = self._tree.folder(path)
        if oid is None and not any(True for _ in self._names_below(path)):
            return None
        over = sorted((name, md5) for name, md5 in self._overlay_md5.items() if _is_below(name, path))
        name = f"folder2:{oid}:{canonical_digest([path, self._ignore_digest, over])}"
        known = self._memo.get_many([name]).get(name)
        if known is not None:
            return known
        members = self.folder(path)
        if members is None:
            return None
        digest = folder_digest(members)
        self._memo.put_many({name: digest})
        return digest

    def params(self, file: str) -> Mapping[str, Any] | None:
        """The parsed parameter file at the commit."""
        if file not in self._parsed:
            self._parsed[file] = self._remembered_params(file)
        return self._parsed[file]

    def parse_params(self, file: str, data: bytes) -> Mapping[str, Any]:
        """Parse parameters as DVC does, by the suffix of the file's name."""
        from runner.specs.params import load_params  # imported late: start-up

        return load_params(data, file)

    def lookup(self, params: Mapping[str, Any], key: str) -> tuple[bool, Any]:
        """Whether a dotted key is there, and its value."""
        from runner.specs.params import MISSING, lookup  # imported late: start-up

        value = lookup(dict(params), key)
        return value is not MISSING, value

    def environment_digest(self, lock: str, python: str | None) -> str | None:
        """SHA-256 over the lock file's bytes and the interpreter's version; None where there is no such file."""
        entry = self._tree.get(lock)
        if entry is None or entry.mode in (_SYMLINK, _SUBMODULE):
            return None
        digest = hashlib.sha256(self._reader.blob(entry.oid, _LOCK_LIMIT_BYTES))
        digest.update(f"\0{python or _RUNNING_PYTHON}".encode())
        return digest.hexdigest()

    def meaning(self, path: str, kind: str) -> tuple[str, int] | None:
        """The digest of what a file says, and its size in bytes; None where it counts by its bytes."""
        entry = self._tree.get(path)
        if entry is None or entry.mode in (_SYMLINK, _SUBMODULE):
            return None
        if self._meanings is None:
            from runner.specs.modules import meanings_in  # imported late: few specs name code

            self._meanings = meanings_in(self._reader, self._cache)
        found = self._meanings.of(entry.oid, kind)
        return (found.digest, found.size_bytes) if found.digest else None

    def is_executable(self, path: str) -> bool:
        """Whether the commit has an executable file there."""
        entry = self._tree.get(path)
        return entry is not None and entry.mode == EXECUTABLE

    def is_ignored(self, path: str) -> bool:
        """Whether a `.dvcignore` leaves the file out of folders."""
        return self._ignores(path)

    def ignored_in(self, out: str) -> Ignoring | None:
        """What `.dvcignore` files leave out of an output; None where there are none."""
        return self._ignored_in(out)

    def probe(self, path: str) -> str | None:
        """What somebody found who looked at an input outside the repository."""
        return self._probed.get(path)

    def learn(self, path: str, digest: str) -> None:
        """Remember what was found outside the repository."""
        self._probed[path] = digest

    def _remembered_params(self, file: str) -> Mapping[str, Any] | None:
        entry = self._tree.get(file)
        if entry is None or entry.mode in (_SYMLINK, _SUBMODULE):
            return None
        from runner.specs.params import load_params_cached  # imported late: start-up

        # By one key with whoever else reads parameters: what a name makes of bytes must not be taken for another's.
        known = load_params_cached(entry.oid, None, file, self._cache)
        if known is None:
            known = load_params_cached(entry.oid, self._reader.blob(entry.oid, _PARAMS_LIMIT_BYTES), file, self._cache)
        return known

    def _names_below(self, path: str) -> Iterable[str]:
        below = self._tree.below(path)
        yield from (name for name in below if self._tree.files[name].mode not in (_SYMLINK, _SUBMODULE))
        yield from (name for name in self._overlay if _is_below(name, path) and name not in self._tree.files)

    def _digest_blobs(self, oids: set[str]) -> dict[str, str]:
        missing = {oid for oid in oids if oid not in self._digests}
        if missing:
            known = self._memo.get_many(missing)
            self._digests.update(known)
            fresh = self._computed(sorted(missing - known.keys()))
            self._digests.update(fresh)
            self._memo.put_many(fresh)
        return {oid: self._digests[oid] for oid in oids}

    def _computed(self, oids: list[str]) -> dict[str, str]:
        result: dict[str, str] = {}
        large: list[str] = []
        with self._reader.each_blob(oids, limit_bytes=_WHOLE_BYTES) as blobs:
            for oid, found in blobs:
                if found is not None and found.data is not None:
                    result[oid] = md5_hex(found.data)
                else:
                    large.append(oid)
        return result | {oid: self._streamed(oid) for oid in large}

    def _streamed(self, oid: str) -> str:
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in self._reader.stream(oid):
            digest.update(chunk)
        return digest.hexdigest()


def overlay_files(desired: Desired, tree: Tree, reader: Reader, cache: Memo) -> dict[str, bytes]:
    """The `.gitignore` files as they are once every cached output has its line in the one beside it, as DVC does it.

    An output that git ignores already gets no line (scmrepo: Git.ignore). Where the commit has something else than a
    file, or something else than a folder on the way to it, there is none: what people committed is never replaced.
    """
    from runner.data.gitignore import with_lines  # imported late: start-up

    outs = sorted(
        out.path for stage in desired.stages() for out in stage.outs if out.cache and not is_external(out.path)
    )
    names: dict[str, list[str]] = {}
    for path in _not_ignored(outs, tree, reader, cache):
        folder, _, name = path.rpartition("/")
        names.setdefault(f"{folder}/.gitignore" if folder else ".gitignore", []).append(name)
    names = {path: lines for path, lines in names.items() if _has_room(path, tree)}
    present = {path: entry.oid for path in names if (entry := tree.get(path)) is not None}
    texts = reader.blobs(sorted(set(present.values())), _IGNORE_LIMIT_BYTES)
    result: dict[str, bytes] = {}
    for path, lines in names.items():
        before = texts[present[path]] if path in present else None
        after = with_lines(before, lines)
        if after != before:
            result[path] = after
    return result


def _not_ignored(outs: list[str], tree: Tree, reader: Reader, cache: Memo) -> list[str]:
    """Those outputs that no `.gitignore` of the commit covers; remembered by what they are and what these say."""
    # Links and submodules by that name say nothing: git does not follow them either.
    files = {
        path: tree.files[path].oid
        for path in tree.paths
        if path.rpartition("/")[2] == ".gitignore" and tree.files[path].mode not in (_SYMLINK, _SUBMODULE)
    }
    if not files or not outs:
        return outs
    key = canonical_digest([outs, files])
    known = cache.get("gitignore", key)
    if known is None:
        from runner.data.dvcignore import Ignore  # imported late: start-up

        ignore = Ignore({path: reader.blob(oid, _IGNORE_LIMIT_BYTES) for path, oid in files.items()})
        known = [path for path in outs if not ignore.ignores(path, False) and not ignore.ignores(path, True)]
        cache.put("gitignore", key, known)
    return list(known)


def _has_room(path: str, tree: Tree) -> bool:
    """Whether a file at a path takes nothing away but a file: no link, no submodule, no folder, nothing above it."""
    entry = tree.get(path)
    if (entry is not None and entry.mode in (_SYMLINK, _SUBMODULE)) or tree.is_folder(path):
        return False
    return all(tree.get(part) is None for part in parents(path))


def _is_below(name: str, folder: str) -> bool:
    return folder == "." or name.startswith(folder + "/")
