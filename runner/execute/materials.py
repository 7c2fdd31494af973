"""Bringing the inputs of one run into the worktree: outputs of other stages and data of DVC.

What the cache lacks is fetched from the DVC remote; what that lacks too is raised as `BytesMissing`, with the stage
that can make it again where there is one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from runner.core.digests import folder_listing
from runner.core.graph import OutputIndex
from runner.core.nouns import Address, Stage, is_external
from runner.core.plan import Walk
from runner.core.recorded import OutFact
from runner.data.faults import DamagedObjects, MissingObjects
from runner.errors import HostError
from runner.execute.context import Context
from runner.execute.worktree import Worktree
from runner.values import dataclass


class BytesMissing(Exception):
    """The bytes of an input are neither in the cache nor, or not sound, on the remote."""

    def __init__(self, path: str, md5s: list[str], producer: Address | None, damaged_on: str | None = None) -> None:
        """`damaged_on`: the DVC remote that has them, or some of them, damaged."""
        nowhere = "are neither in the cache nor on a DVC remote"
        found = f"are damaged on the DVC remote '{damaged_on}', and not in the cache" if damaged_on else nowhere
        super().__init__(f"the bytes of {path} ({', '.join(md5s[:3])}) {found}")
        self.is_damaged = damaged_on is not None
        self.path = path
        self.producer = producer


@dataclass(frozen=True, slots=True)
class Material:
    """Bytes that have to be at a path before a stage starts."""

    path: str
    md5: str
    legacy: bool = False
    isexec: bool = False
    remote: str | None = None
    git_id: str | None = None
    producer: Address | None = None


class Materials:
    """Places inputs for the stages of one walk."""

    def __init__(self, walk: Walk, context: Context) -> None:
        self._walk = walk
        self._context = context
        self._outputs = walk.graph.outputs
        self._data = OutputIndex({path: Address("", path) for path in walk.desired.tracked})
        self._outs = {out.path: out for stage in walk.desired.stages() for out in stage.outs}

    def of(self, stage: Stage) -> Iterator[Material]:
        """Everything below, at or above the stage's inputs that is not a file of the commit."""
        paths = [dep for dep in stage.deps if not is_external(dep)] + [param.file for param in stage.params]
        for path in dict.fromkeys(paths):
            for out in self._outputs.overlapping(path):
                yield self._of_out(out)
            for name in self._data.overlapping(path):
                data = self._walk.desired.tracked[name]
                yield Material(name, data.md5, data.legacy, remote=data.remote)

    def sizes(self, stage: Stage, root: Path) -> dict[str, dict[str, Any]]:
        """What `dvc.lock` says of the inputs beside their digests; they are in the worktree `root`."""
        return {path: sizes for path in stage.deps if (sizes := self._sizes_of(stage, path, root))}

    def _sizes_of(self, stage: Stage, path: str, root: Path) -> dict[str, Any]:
        if is_external(path):
            return {}
        row: dict[str, Any]
        if path in self._walk.graph.producers:
            fact = self.fact(self._walk.graph.producers[path], path)
            row = {"size": fact.size_bytes, "nfiles": fact.nfiles, "isexec": fact.isexec or None}
        elif path in self._walk.desired.tracked:
            data = self._walk.desired.tracked[path]
            row = {"size": data.size, "nfiles": data.nfiles}
        else:
            row = _sizes_on_disk(root, path, self._walk.inputs.is_ignored)
            kind = dict(stage.meanings).get(path)
            if kind is not None and self._walk.inputs.meaning(path, kind) is not None:
                row["md5"] = self._walk.inputs.file_digest(path)
        return {name: value for name, value in row.items() if value is not None}

    def place(self, material: Material, tree: Worktree, *, writable: bool) -> None:
        """Have one input in a worktree; raises BytesMissing."""
        try:
            self._place(material, tree, writable)
        except MissingObjects:
            self.fetch(material)
            self._place(material, tree, writable)

    def fetch(self, material: Material) -> None:
        """Bring the bytes into the cache, from git or from the DVC remote; raises BytesMissing."""
        cache = self._context.cache
        if material.git_id is not None and self._from_git(material.git_id, material.md5):
            return
        remotes = self._context.remotes
        name = material.remote or remotes.default_name()
        damaged_on = None
        if name is not None:
            try:
                remotes.pull([material.md5], name, legacy=material.legacy)
            except MissingObjects:
                pass  # said below, with the stage that can make them again
            except DamagedObjects:
                damaged_on = name
        missing = cache.missing(material.md5, legacy=material.legacy)
        if missing:
            raise BytesMissing(material.path, missing, material.producer, damaged_on)

    def _from_git(self, git_id: str, md5: str) -> bool:
        """Bring an uncached output into the cache; False where git does not have those very bytes."""
        cache = self._context.cache
        if not md5.endswith(".dir"):
            data = self._context.git_bytes(git_id)
            return data is not None and cache.put_bytes(data) == md5
        files = self._context.git_folder(git_id)
        if files is None:
            return False
        listing = cache.temporary()
        listing.write_bytes(folder_listing((name, cache.put_bytes(data)) for name, data in files.items()))
        return cache.admit(listing, md5)

    def _place(self, material: Material, tree: Worktree, writable: bool) -> None:
        tree.place(
            self._context.cache,
            material.path,
            material.md5,
            legacy=material.legacy,
            isexec=material.isexec,
            writable=writable,
        )

    def _of_out(self, path: str) -> Material:
        owner = self._walk.graph.producers[path]
        fact = self.fact(owner, path)
        return Material(path, fact.md5, fact.legacy, fact.isexec, self._outs[path].remote, fact.git_id, producer=owner)

    def fact(self, owner: Address, path: str) -> OutFact:
        """What is known of an output that a stage left."""
        left = self._walk.outs.get(owner)
        if left is None or path not in left:
            raise HostError(f"{path} of {owner} was asked for before it was made", "this is a defect of the runner")
        return left[path]


def _sizes_on_disk(root: Path, path: str, ignored: Callable[[str], bool]) -> dict[str, Any]:
    target = root / path
    try:
        status = os.stat(target)
    except OSError:
        return {}
    if stat.S_ISREG(status.st_mode):
        return {"size": status.st_size, "isexec": True if status.st_mode & 0o100 else None}
    files = [file for file in target.rglob("*") if file.is_file()] if target.is_dir() else []
    sizes = [file.stat().st_size for file in files if not ignored(file.relative_to(root).as_posix())]
    return {"size": sum(sizes), "nfiles": len(sizes)} if sizes else {}
