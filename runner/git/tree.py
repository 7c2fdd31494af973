"""The tree of a commit: which path holds which object; read a folder at a time, and only as far as is asked."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from runner.errors import InputError
from runner.git.command import path_text
from runner.patterns import regex

FILE = "100644"
EXECUTABLE = "100755"
SYMLINK = "120000"
SUBMODULE = "160000"
LFS_POINTER_BYTES = 200
"""A pointer of git LFS is smaller."""

_ENTRIES_LIMIT = 2_000_000
"""Trees may name the same subtree many times over: a few objects can stand for billions of paths."""
_FREE_ENTRIES = 50_000
_MOST_COPIES = 20
"""Beyond the first entries, so many paths may stand for one entry of a tree object."""
LONGEST_PATH = 4096
"""Letters of a path: no Linux opens a longer one (PATH_MAX), so nobody has one. The folders above one are listed, so a
bound here bounds their number, too."""
_DEPTH_LIMIT = 200
_ENTRY = {size: regex(rb"([0-7]+) ([^\0]*)\0(.{%d})" % size, re.DOTALL) for size in (20, 32)}
_SUSPECT = regex(rb"(?i) (?:\.{1,2}|\.git)\0| [^\0]*/[^\0]*\0")


class TreeEntry(NamedTuple):
    """One path: a blob, a symlink (`120000`) or a submodule (`160000`), with git's mode and the object's name."""

    mode: str
    oid: str


class Part(NamedTuple):
    """One tree object, parsed."""

    files: dict[str, TreeEntry]
    folders: dict[str, str]
    refused: tuple[str, ...]
    """Names that no file system must ever see: `.`, `..`, `.git`, or with a slash in them."""


PartsOf = Callable[[Sequence[str]], Mapping[str, Part]]
"""Reads tree objects by name, many at once."""


def parse_tree(data: bytes, oid_bytes: int) -> Part:
    """A raw tree object; `oid_bytes` is 20 or 32. InputError when it is not well formed."""
    rows = _ENTRY[oid_bytes].findall(data)
    if sum([len(mode) + len(name) for mode, name, _ in rows]) + (2 + oid_bytes) * len(rows) != len(data):
        raise InputError("a tree object is not well formed", "`git fsck` names it")
    files: dict[str, TreeEntry] = {}
    folders: dict[str, str] = {}
    refused: list[str] = []
    suspect = _SUSPECT.search(data) is not None
    for mode, raw_name, raw_oid in rows:
        name = raw_name.decode("utf-8", "surrogateescape")
        if suspect and _is_refused(name):
            refused.append(name)
        elif mode == b"40000":
            folders[name] = raw_oid.hex()
        else:
            files[name] = TreeEntry(_MODES.get(mode, FILE), raw_oid.hex())
    return Part(files, folders, tuple(refused))


class Tree:
    """All paths of one commit or tree.

    `get`, `is_folder` and `folder` read only the folders on the way; `files`, `folders` and `below` of the root read
    everything, once.
    """

    def __init__(self, oid: str, root: Part, parts_of: PartsOf) -> None:
        self.oid = oid
        self._parts_of = parts_of
        self._known: dict[str, Part] = {"": root}
        self._files: dict[str, TreeEntry] | None = None
        self._folders: dict[str, str] = {}
        self._refused: list[str] = []
        self._paths: list[str] | None = None

    @property
    def listed(self) -> int:
        """How many paths it keeps in memory: none as long as nobody has asked for all of them."""
        return len(self._files or ()) + len(self._folders)

    @property
    def files(self) -> dict[str, TreeEntry]:
        """Blobs, symlinks and submodules by path; in no order."""
        if self._files is None:
            self._files, self._folders, self._refused = self._walk("")
        return self._files

    @property
    def folders(self) -> dict[str, str]:
        """Tree objects by path, without the root."""
        self.files  # noqa: B018 - one walk finds both
        return self._folders

    @property
    def refused(self) -> tuple[str, ...]:
        """Paths with a name that no file system must see (`..`, `.git`); they are in none of the others."""
        self.files  # noqa: B018 - one walk finds both
        return tuple(sorted(self._refused))

    @property
    def paths(self) -> list[str]:
        """Every path of `files`, sorted by code point."""
        if self._paths is None:
            self._paths = sorted(self.files)
        return self._paths

    def get(self, path: str) -> TreeEntry | None:
        """The blob, symlink or submodule at this path."""
        if self._files is not None:
            return self._files.get(path)
        folder, _, name = path.rpartition("/")
        part = self._part(folder)
        return part.files.get(name) if part is not None else None

    def folder(self, path: str) -> str | None:
        """Name of the tree object at this path; `""` and `.` are the root."""
        if path in ("", "."):
            return self.oid
        if self._files is not None:
            return self._folders.get(path)
        parent, _, name = path.rpartition("/")
        part = self._part(parent)
        return part.folders.get(name) if part is not None else None

    def is_folder(self, path: str) -> bool:
        """Whether a tree object is at this path."""
        return self.folder(path) is not None

    def below(self, path: str) -> list[str]:
        """Sorted paths of all files below a folder, at any depth; empty when there is no such folder."""
        if path in ("", "."):
            return self.paths
        if self._files is not None:
            prefix = path + "/"
            start = bisect.bisect_left(self.paths, prefix)
            end = bisect.bisect_left(self.paths, path + "0", start)  # "0" is what comes after "/"
            return self.paths[start:end]
        return sorted(self._walk(path)[0]) if self._part(path) is not None else []

    def without(self, folders: Sequence[str]) -> Tree:
        """This tree as it would be without these folders; itself where it has none of them."""
        gone = [folder for folder in folders if folder in self.folders]
        if not gone:
            return self

        def stays(path: str) -> bool:
            return not any(path == folder or path.startswith(folder + "/") for folder in gone)

        # Not the name of any object: what is remembered by it must not be taken for the whole tree's.
        rest = Tree(f"{self.oid} without {' '.join(gone)}", Part({}, {}, ()), self._parts_of)
        rest._files = {path: entry for path, entry in self.files.items() if stays(path)}
        rest._folders = {path: oid for path, oid in self._folders.items() if stays(path)}
        rest._refused = [path for path in self._refused if stays(path)]
        return rest

    def _part(self, path: str) -> Part | None:
        known = self._known.get(path)
        if known is not None:
            return known
        parent, _, name = path.rpartition("/")
        above = self._part(parent)
        oid = above.folders.get(name) if above is not None else None
        if oid is None:
            return None
        part = self._parts_of([oid])[oid]
        self._known[path] = part
        return part

    def _walk(self, start: str) -> tuple[dict[str, TreeEntry], dict[str, str], list[str]]:
        files: dict[str, TreeEntry] = {}
        folders: dict[str, str] = {}
        refused: list[str] = []
        first = self._part(start)
        level = [(f"{start}/" if start else "", first)] if first is not None else []
        seen: set[str] = set()
        depth = 0
        entries = len(first.files) + len(first.folders) if first is not None else 0
        while level:
            below: list[tuple[str, str]] = []
            for prefix, part in level:
                if prefix:
                    files.update([(prefix + name, entry) for name, entry in part.files.items()])
                else:
                    files.update(part.files)
                refused.extend(prefix + name for name in part.refused)
                below.extend([(prefix + name, oid) for name, oid in part.folders.items()])
                paths = len(files) + len(folders) + len(below)
                if paths > _ENTRIES_LIMIT or paths > _FREE_ENTRIES + _MOST_COPIES * entries:
                    raise InputError(
                        f"tree {self.oid} stands for more than {min(paths, _ENTRIES_LIMIT):,} paths",
                        "it names the same folders over and over; no such tree comes from a working tree",
                    )
            depth += 1
            if below and (depth > _DEPTH_LIMIT or max(len(path) for path, _ in below) > LONGEST_PATH):
                raise InputError(
                    f"tree {self.oid} has a path of more than {_DEPTH_LIMIT} folders or {LONGEST_PATH:,} letters",
                    "nobody can work with it",
                )
            folders.update(below)
            asked = {oid for _, oid in below}
            parts = self._parts_of(list(asked))
            entries += sum(len(parts[oid].files) + len(parts[oid].folders) for oid in asked - seen)
            seen |= asked
            level = [(f"{path}/", parts[oid]) for path, oid in below]
        return files, folders, refused


def parsed_changes(raw: bytes) -> Iterator[dict[str, str | None]]:
    """What `git diff-tree --stdin -z --raw` says of each pair of trees, in order.

    The id of what is there now, with the mode before it where it is no plain file; None for what is gone.
    """
    start = 0
    while start < len(raw):
        start = raw.index(b"\n", start) + 1
        changes: dict[str, str | None] = {}
        while raw.startswith(b":", start):
            middle = raw.index(b"\0", start)
            end = raw.index(b"\0", middle + 1)
            _, mode, _, oid, status = raw[start:middle].decode().split(" ")
            now = oid if mode == FILE else f"{mode} {oid}"
            changes[path_text(raw[middle + 1 : end])] = None if status == "D" else now
            start = end + 1
        yield changes


def is_lfs_pointer(data: bytes) -> bool:
    """Whether the bytes of a blob only say where git LFS keeps the content."""
    return len(data) < LFS_POINTER_BYTES and data.startswith(b"version https://git-lfs.github.com/spec/")


def _is_refused(name: str) -> bool:
    return name in ("", ".", "..") or name.lower() == ".git" or "/" in name


_MODES = {b"100644": FILE, b"100755": EXECUTABLE, b"120000": SYMLINK, b"160000": SUBMODULE}
