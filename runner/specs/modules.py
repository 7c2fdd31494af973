"""The modules of the repository that a stage of the library uses: found in git, through imports; none is run.

An import is looked for as Python does it, in the folders that the stage names: a package before a module, a folder
without `__init__.py` last. What is not in the repository is somebody else's. Imports inside functions count, those that
are put together at run time do not. What was read of a file is remembered by the id of its blob.
"""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from runner.core.notebooks import NotNotebook, read_notebook
from runner.core.syntax import Import, Module, NotPython, read_module
from runner.git.read import Reader
from runner.git.tree import SUBMODULE, SYMLINK, Tree, TreeEntry
from runner.specs.parse_cache import ParseCache
from runner.specs.places import joined, parents
from runner.values import dataclass, field

MODULE, NOTEBOOK = "code", "notebook"
"""What a file counts by: the syntax tree of a module, or the cells of a notebook."""
MOST_MODULES = 2_000
"""Modules that one stage may use."""
_LIMIT_BYTES = {MODULE: 256 << 10, NOTEBOOK: 16 << 20}
"""Larger files count by their bytes, and are not looked into."""
MOST_FILES = 200_000
"""Files of code of all stages, those that several use counted for each of these."""
ALL_BYTES = 8 << 20
"""Of all modules that a commit's stages use: a second for each MiB that was never read, at worst three."""
_OUTPUTS_WEIGHT, _CELLS_WEIGHT = 8, 3
"""What a notebook shows is read so much faster than a module, and its cells may be parsed so many times."""
_NAMESPACE = {MODULE: f"python-{sys.version_info.major}-{sys.version_info.minor}", NOTEBOOK: "notebooks"}
"""What parses depends on the version of Python."""

ReadBlob = Callable[[str, int], bytes | None]
"""The bytes of a blob; None where it is larger than so many bytes."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a file says, or why that is not known."""

    size_bytes: int
    cost: int
    """By the time that it takes to read, a second for each MiB: of a module its bytes."""
    digest: str = ""
    """Empty where it counts by its bytes."""
    imports: tuple[Import, ...] = ()
    module: Module | None = None
    why: str = ""
    """Why it cannot be read."""
    line: int = 0
    column: int = 0


class Meanings:
    """What files say, each read once."""

    def __init__(self, cache: ParseCache, read: ReadBlob) -> None:
        self._cache = cache
        self._read = read
        self._known: dict[tuple[str, str], Meaning] = {}

    def of(self, oid: str, kind: str) -> Meaning:
        """What the file with this blob says as a module or as a notebook."""
        known = self._known.get((oid, kind))
        if known is None:
            known = self._known[oid, kind] = self._remembered(oid, kind)
        return known

    def _remembered(self, oid: str, kind: str) -> Meaning:
        row = self._cache.get(_NAMESPACE[kind], oid)
        if isinstance(row, dict):
            try:
                return _meaning(row)
            except (KeyError, TypeError, ValueError, IndexError):
                pass  # damaged: as good as not there
        data = self._read(oid, _LIMIT_BYTES[kind])
        if data is None:
            return Meaning(0, 0, why=f"it is larger than {_LIMIT_BYTES[kind] >> 10:,} KiB")
        found = _READERS[kind](data)
        self._cache.put(_NAMESPACE[kind], oid, _row(found))
        return found


def _read_module(data: bytes) -> Meaning:
    try:
        module = read_module(data)
    except NotPython as error:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        why = f"Python {version} cannot parse it: {error}"
        return Meaning(len(data), len(data), why=why, line=error.line, column=error.column)
    return Meaning(len(data), len(data), module.digest, module.imports, module)


def _read_notebook(data: bytes) -> Meaning:
    try:
        notebook = read_notebook(data)
    except NotNotebook as error:
        return Meaning(len(data), len(data) // _OUTPUTS_WEIGHT, why=str(error))
    cost = len(data) // _OUTPUTS_WEIGHT + _CELLS_WEIGHT * notebook.code_size
    return Meaning(len(data), cost, notebook.digest, notebook.imports)


_READERS: Mapping[str, Callable[[bytes], Meaning]] = {MODULE: _read_module, NOTEBOOK: _read_notebook}


def _row(meaning: Meaning) -> dict[str, Any]:
    return {
        "size": meaning.size_bytes,
        "cost": meaning.cost,
        "digest": meaning.digest,
        "imports": [one.as_json() for one in meaning.imports] if meaning.module is None else [],
        "module": None if meaning.module is None else meaning.module.as_json(),
        "why": [meaning.why, meaning.line, meaning.column],
    }


def _meaning(row: Mapping[str, Any]) -> Meaning:
    module = None if row["module"] is None else Module.from_json(row["module"])
    imports = module.imports if module is not None else tuple(map(Import.from_json, row["imports"]))
    return Meaning(row["size"], row["cost"], row["digest"], imports, module, *row["why"])


@dataclass(frozen=True, slots=True)
class Used:
    """The files of the repository that something uses."""

    files: tuple[tuple[str, str], ...] = ()
    """Path and what it counts by, sorted."""
    unread: tuple[tuple[str, str, int, int], ...] = ()
    """Files that count by their bytes all the same: path, why, line and column."""
    is_too_much: bool = False
    """There is more of it than is looked through."""


@dataclass(slots=True)
class Finder:
    """Finds modules in one commit."""

    tree: Tree
    meanings: Meanings
    left_bytes: int = ALL_BYTES
    left_files: int = MOST_FILES
    _counted: set[str] = field(default_factory=set)
    _next: dict[Any, tuple[str, ...]] = field(default_factory=dict)
    _used: dict[Any, Used] = field(default_factory=dict)

    def module(self, name: str, roots: Sequence[str]) -> tuple[str, ...]:
        """The files that an import of a dotted name loads, its own last; none where the repository has none."""
        parts = name.split(".")
        files, _ = self._resolved(parts, roots)
        is_there = len(files) == len(parts) and files[-1] is not None
        return tuple(filter(None, files)) if is_there else ()

    def meaning(self, path: str, kind: str) -> Meaning | None:
        """What a file says; None where git holds no file there, or there is more than is looked through."""
        entry = self._entry(path)
        if entry is None or entry.mode == SYMLINK:
            return None
        found = self.meanings.of(entry.oid, kind)
        if entry.oid not in self._counted:
            self._counted.add(entry.oid)
            self.left_bytes -= found.cost
        return found

    def used(self, start: tuple[tuple[str, str], ...], roots: tuple[str, ...]) -> Used:
        """The files that these (path and kind) lead to through imports, themselves included.

        Of those that git does not hold nothing is said.
        """
        known = self._used.get((start, roots))
        if known is None:
            known = self._used[start, roots] = self._followed(start, roots)
        return known

    def _followed(self, start: Iterable[tuple[str, str]], roots: tuple[str, ...]) -> Used:
        found: dict[str, str] = {}
        unread: list[tuple[str, str, int, int]] = []
        left = [(path, kind) for path, kind in start if self._entry(path) is not None]
        left += [(init, MODULE) for path, _ in left for init in self._packages_above(path, roots)]
        while left:
            path, kind = left.pop()
            if path in found:
                continue
            found[path] = kind
            meaning = self.meaning(path, kind)
            self.left_files -= 1
            if self.left_bytes < 0 or self.left_files < 0 or len(found) > MOST_MODULES:
                return Used(is_too_much=True)
            if meaning is None:
                continue
            if not meaning.digest:
                unread.append((path, meaning.why, meaning.line, meaning.column))
            asked = (path, kind, roots)
            following = self._next.get(asked)
            if following is None:
                imported = self._imported(path, meaning.imports, roots)
                following = self._next[asked] = tuple(dict.fromkeys(imported))
            left += [(file, MODULE) for file in following if file not in found]
        return Used(tuple(sorted(found.items())), tuple(sorted(unread)))

    def _imported(self, path: str, imports: Iterable[Import], roots: Sequence[str]) -> Iterator[str]:
        """The files that the imports of a file load, those of packages above them too."""
        for one in imports:
            folders: Sequence[str] = roots
            if one.level:
                folder = _above(posixpath.dirname(path), one.level - 1)
                if folder is None:
                    continue  # out of the repository: Python refuses it
                folders = [folder]
            files: list[str | None] = []
            if one.module:
                files, folders = self._resolved(one.module.split("."), folders)
                yield from filter(None, files)
            for name in self._names(one, files):
                inner, _ = self._resolved([name], folders)
                yield from filter(None, inner)

    def _names(self, one: Import, files: Sequence[str | None]) -> Iterator[str]:
        """The names that an import takes, each of which may be a module; for `*` those that the package lists."""
        for name in one.names:
            if name != "*":
                yield name
            elif files and files[-1] is not None:
                meaning = self.meaning(files[-1], MODULE)
                yield from meaning.module.exports if meaning is not None and meaning.module is not None else ()

    def _resolved(self, parts: Sequence[str], folders: Sequence[str]) -> tuple[list[str | None], Sequence[str]]:
        """The file of each part of a dotted name, as far as there are any, and where modules inside it lie.

        None for a folder without `__init__.py`. There are no folders where the whole name is not there.
        """
        files: list[str | None] = []
        for part in parts:
            file, folders = self._part(part, folders)
            if file is None and not folders:
                # `import a.b` of a module `a` loads `a` and fails on `b`; what Python does then is no matter of ours.
                return files, ()
            files.append(file)
        return files, folders

    def _part(self, part: str, folders: Sequence[str]) -> tuple[str | None, Sequence[str]]:
        if not part.isidentifier():
            return None, ()
        portions = []
        for folder in folders:
            path = part if folder == "." else f"{folder}/{part}"
            if self._entry(init := f"{path}/__init__.py") is not None:
                return init, (path,)
            if self._entry(file := f"{path}.py") is not None:
                return file, ()
            if (link := self._link_on(path)) is not None:
                return link, ()  # Python goes through it, and no stage may
            if self.tree.is_folder(path):
                portions.append(path)
        return None, portions

    def _packages_above(self, path: str, roots: Sequence[str]) -> Iterator[str]:
        for folder in parents(path):
            if folder in roots:
                return
            if self._entry(init := f"{folder}/__init__.py") is not None:
                yield init

    def _link_on(self, path: str) -> str | None:
        """The symbolic link that a path is or goes through."""
        for part in (path, *parents(path)):
            entry = self.tree.get(part)
            if entry is not None and entry.mode == SYMLINK:
                return part
        return None

    def _entry(self, path: str) -> TreeEntry | None:
        """A file or a link; what lies behind a link or in a submodule is not seen."""
        entry = self.tree.get(path)
        return None if entry is None or entry.mode == SUBMODULE else entry


def _above(folder: str, levels: int) -> str | None:
    for _ in range(levels):
        if not folder:
            return None
        folder = posixpath.dirname(folder)
    return folder or "."


def meanings_in(reader: Reader, cache: ParseCache) -> Meanings:
    """What the files of a repository say."""

    def read(oid: str, limit_bytes: int) -> bytes | None:
        with reader.each_blob([oid], limit_bytes=limit_bytes) as blobs:
            ((_, found),) = blobs
        return reader.blob(oid) if found is None else found.data

    return Meanings(cache, read)


def roots_of(given: Mapping[str, Any], wdir: str) -> dict[str, str | None]:
    """The folders in which a stage looks for modules, as they are written and from the root of the repository.

    None for those that leave it.
    """
    stated = given.get("roots")
    named = stated if isinstance(stated, list) else ["."]
    return {root: joined(wdir, root) for root in named if isinstance(root, str)}
