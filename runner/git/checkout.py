"""The files of a commit as plain files in a folder of the runner's own: no filter, no hook, no way out of it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from runner.errors import HostError
from runner.git.command import path_bytes, path_text
from runner.git.objects import DamagedObjects, Found
from runner.git.read import Reader
from runner.git.tree import EXECUTABLE, SUBMODULE, SYMLINK, Tree, TreeEntry, is_lfs_pointer

_WHOLE_BYTES = 16 << 20
"""Blobs above this are streamed to disk."""
_HOPS_LIMIT = 40
"""Links behind links, as the kernel counts them."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Skipped(NamedTuple):
    """A path that was not written, and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def write_tree_files(
    reader: Reader,
    tree: Tree,
    folder: Path,
    paths: Iterable[str] | None = None,
    *,
    there: Container[str] = (),
    wrote: Callable[[str, os.stat_result], None] | None = None,
) -> list[Skipped]:
    """Write files of a tree below a folder, replacing what is at their paths; returns what was left out, sorted.

    `paths` are files and folders of the tree; None means everything that is not `there` already. `wrote` hears of each
    file, links apart, with what it was when it was written. Left out, each with its reason: submodules, LFS
    pointers, symlinks that lead out of the tree, names such as `.git`, and paths that are not in the tree.
    Bytes are those of git: no filter, no line ending is changed. No symlink below `folder` is followed while writing.
    HostError when the disk does not take them, DamagedObjects when git lacks them.
    """
    skipped: list[Skipped] = []
    wanted = _wanted(tree, paths, there, skipped)
    with _writer(folder, wrote) as writer:
        _write_blobs(reader, wanted, writer, skipped)
        _write_links(reader, tree, wanted, writer, skipped)
    return sorted(skipped)


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files below a folder as `write_tree_files` does, with these bytes; HostError when the disk does not."""
    with _writer(folder, None) as writer:
        for path, data in files.items():
            writer.write(path, (data,), executable=False)


@contextlib.contextmanager
def _writer(folder: Path, wrote: Callable[[str, os.stat_result], None] | None) -> Iterator[_Writer]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _Writer(folder, wrote) as writer:
            yield writer
    except OSError as problem:
        raise HostError(
            f"{folder}: cannot write the files of a commit: {problem.strerror}", _hint(problem)
        ) from problem


def _hint(problem: OSError) -> str:
    full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
    return "the disk is full: make room, then run this again" if full else "this user must be able to write there"


def _wanted(
    tree: Tree, paths: Iterable[str] | None, there: Container[str], skipped: list[Skipped]
) -> dict[str, TreeEntry]:
    if paths is None:
        skipped.extend(Skipped(path, "a name that no file system should see") for path in tree.refused)
        return {path: entry for path, entry in tree.files.items() if path not in there} if there else tree.files
    wanted: dict[str, TreeEntry] = {}
    for path in paths:
        entry = tree.get(path)
        if entry is not None:
            wanted[path] = entry
        elif tree.is_folder(path):
            wanted.update((below, tree.files[below]) for below in tree.below(path))
        else:
            skipped.append(Skipped(path, "not in the commit"))
    return wanted


def _write_blobs(reader: Reader, wanted: Mapping[str, TreeEntry], writer: _Writer, skipped: list[Skipped]) -> None:
    blobs: list[tuple[str, TreeEntry]] = []
    for path, entry in wanted.items():
        if entry.mode == SUBMODULE:
            skipped.append(Skipped(path, "a submodule"))
        elif entry.mode != SYMLINK:
            blobs.append((path, entry))
    large: list[tuple[str, TreeEntry]] = []
    with reader.each_blob([entry.oid for _, entry in blobs], limit_bytes=_WHOLE_BYTES) as found_blobs:
        for (path, entry), (_, found) in zip(blobs, found_blobs, strict=True):
            data = _present(path, found).data
            if data is None:
                large.append((path, entry))
            elif is_lfs_pointer(data):
                skipped.append(Skipped(path, "an LFS pointer: its content is not in git"))
            else:
                writer.write(path, (data,), executable=entry.mode == EXECUTABLE)
    for path, entry in large:
        writer.write(path, reader.stream(entry.oid), executable=entry.mode == EXECUTABLE)


def _write_links(
    reader: Reader, tree: Tree, wanted: Mapping[str, TreeEntry], writer: _Writer, skipped: list[Skipped]
) -> None:
    links = [path for path, entry in wanted.items() if entry.mode == SYMLINK]
    if not links:
        return
    every = {path: entry.oid for path, entry in tree.files.items() if entry.mode == SYMLINK}
    blobs = reader.blobs(every.values())
    targets = {path: path_text(blobs[oid]) for path, oid in every.items()}
    for path in links:
        if _stays_inside(path, targets):
            writer.link(path, targets[path])
        else:
            skipped.append(Skipped(path, f"a symlink out of the repository: {targets[path]!r}"))


def _stays_inside(path: str, targets: Mapping[str, str]) -> bool:
    """Whether following a link ends below the root, whatever other links it goes through on the way.

    Where it goes through something that is not a link, that is taken for a folder: `..` then leads to its parent.
    """
    at: list[str] = []
    hops = 0
    rest = path.split("/")[::-1]
    while rest:
        part = rest.pop()
        if part == "..":
            if not at:
                return False
            at.pop()
        elif part not in ("", "."):
            at.append(part)
            target = targets.get("/".join(at))
            if target is not None:
                hops += 1
                if not target or target.startswith("/") or "\0" in target or hops > _HOPS_LIMIT:
                    return False
                at.pop()
                rest.extend(target.split("/")[::-1])
    return not (at and at[0].lower() == ".git")


def _present(path: str, found: Found | None) -> Found:
    if found is None:
        raise DamagedObjects(f"the object of {path} is missing from the repository", "a partial clone? fetch it first")
    return found


class _Writer:
    """Writes below one folder, each file through the descriptor of its parent, so that no link can lead elsewhere."""

    def __init__(self, folder: Path, wrote: Callable[[str, os.stat_result], None] | None) -> None:
        self._root = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
        self._wrote = wrote
        self._open: list[tuple[bytes, int]] = []
        """The folders from the root to the last file written, with their descriptors."""

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_to(0)
        os.close(self._root)

    def write(self, path: str, chunks: Iterable[bytes], *, executable: bool) -> None:
        parent, name = self._parent(path)
        mode = 0o777 if executable else 0o666
        try:
            descriptor = os.open(name, _FRESH, mode, dir_fd=parent)
        except FileExistsError:
            self._remove(name, parent)
            descriptor = os.open(name, _FRESH, mode, dir_fd=parent)
        try:
            for chunk in chunks:
                _write_all(descriptor, chunk)
            if self._wrote is not None:
                self._wrote(path, os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def link(self, path: str, target: str) -> None:
        parent, name = self._parent(path)
        try:
            os.symlink(path_bytes(target), name, dir_fd=parent)
        except FileExistsError:
            self._remove(name, parent)
            os.symlink(path_bytes(target), name, dir_fd=parent)

    def _parent(self, path: str) -> tuple[int, bytes]:
        *folders, name = path_bytes(path).split(b"/")
        shared = 0
        for (known, _), folder in zip(self._open, folders, strict=False):
            if known != folder:
                break
            shared += 1
        self._close_to(shared)
        for folder in folders[shared:]:
            self._enter(folder)
        return self._top(), name

    def _enter(self, folder: bytes) -> None:
        above = self._top()
        try:
            descriptor = os.open(folder, _FOLDER, dir_fd=above)
        except FileNotFoundError:
            os.mkdir(folder, dir_fd=above)
            descriptor = os.open(folder, _FOLDER, dir_fd=above)
        except OSError:  # a file or a symlink is in the way
            os.unlink(folder, dir_fd=above)
            os.mkdir(folder, dir_fd=above)
            descriptor = os.open(folder, _FOLDER, dir_fd=above)
        self._open.append((folder, descriptor))

    def _top(self) -> int:
        return self._open[-1][1] if self._open else self._root

    def _close_to(self, depth: int) -> None:
        while len(self._open) > depth:
            os.close(self._open.pop()[1])

    def _remove(self, name: bytes, parent: int) -> None:
        try:
            os.unlink(name, dir_fd=parent)
        except IsADirectoryError:
            import shutil  # imported late: start-up

            shutil.rmtree(name, dir_fd=parent)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])
