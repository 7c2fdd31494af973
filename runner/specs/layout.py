"""The lie of a commit's tree: the DVC project in it, what DVC ignores, and the files DVC would look at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from runner.core.canonical import canonical_digest
from runner.errors import Finding, SpecError
from runner.git.tree import LFS_POINTER_BYTES, SUBMODULE, SYMLINK, TreeEntry, is_lfs_pointer
from runner.specs import places
from runner.specs.parse_cache import ParseCache

if TYPE_CHECKING:
    from runner.data.dvcignore import Ignore
    from runner.git.read import Reader
    from runner.git.tree import Tree
    from runner.specs.modules import Finder

PROJECT_FILE = "runner.yaml"
RUNNER_FOLDER = ".runner"
LINKS = {SYMLINK: "a symbolic link", SUBMODULE: "a submodule"}
"""Modes of what is no file of the repository itself, and words for them."""
_IGNORE_NAMESPACE = "dvcignore"
_BLOB_LIMIT_BYTES = 16 << 20
"""No file that is read whole may be larger, but for lock files."""
IGNORE_LIMIT_BYTES = 1 << 20
_SMALL_BYTES = 1 << 20
_KEPT_BYTES = 64 << 20
"""What is kept of all the blobs of a commit, since a few kilobytes of a pack may be very many of them."""


def runner_folders(tree: Tree) -> list[str]:
    """The `.runner/` folders of a tree: at the root, and beside each `.dvc` folder."""
    roots = [folder.removesuffix(".dvc") for folder in tree.folders if folder == ".dvc" or folder.endswith("/.dvc")]
    named = dict.fromkeys(["", *sorted(roots)])
    return [place + RUNNER_FOLDER for place in named if place + RUNNER_FOLDER in tree.folders]


def without_runner_folders(tree: Tree) -> Tree:
    """The tree as people wrote it: where results are recorded on the watched branch, they are in it too."""
    return tree.without(runner_folders(tree))


class Layout:
    """One commit's tree, seen as DVC and the runner see it; files are fetched from git when they are asked for."""

    def __init__(self, reader: Reader, commit: str, cache: ParseCache, *, dvc_root: str | None = None) -> None:
        self._reader = reader
        self._cache = cache
        self._blobs: dict[str, bytes] = {}
        self._room_bytes = _KEPT_BYTES
        self._whole: Tree = reader.tree(commit)
        self.tree: Tree = without_runner_folders(self._whole)
        """The tree without what the runner itself wrote."""
        self.dvc_roots = self._find_dvc_roots()
        self.dvc_root = dvc_root if dvc_root is not None else self._main_root()

    def _find_dvc_roots(self) -> list[str]:
        """Folders with a `.dvc` folder, outermost first."""
        found = []
        for folder in self.tree.folders:
            if folder == ".dvc":
                found.append(".")
            elif folder.endswith("/.dvc"):
                found.append(folder.removesuffix("/.dvc"))
        return sorted(found, key=lambda folder: (folder != ".", folder.count("/"), folder))

    def _main_root(self) -> str:
        """The root if it is a DVC project or none is; else the only DVC project there is."""
        roots = frozenset(self.dvc_roots)
        outermost = [
            root for root in roots if root == "." or not any(above in roots for above in (".", *places.parents(root)))
        ]
        return outermost[0] if len(outermost) == 1 else "."

    @property
    def has_dvc(self) -> bool:
        """Whether the DVC root holds a DVC project."""
        return self.dvc_root in self.dvc_roots

    @cached_property
    def sub_projects(self) -> tuple[str, ...]:
        """Folders of other DVC projects, which DVC leaves alone."""
        return tuple(root for root in self.dvc_roots if root != self.dvc_root)

    def blob(self, oid: str, file: str = "", limit_bytes: int = _BLOB_LIMIT_BYTES) -> bytes:
        """The bytes of a blob, read once as long as there is room for them.

        Raises SpecError for one above the limit, which is not read at all.
        """
        known = self._blobs.get(oid)
        if known is None:
            with self._reader.each_blob([oid], limit_bytes=limit_bytes) as blobs:
                ((_, found),) = blobs
            if found is not None and found.data is None:
                message = (
                    f"the file is larger than {limit_bytes >> 20} MiB" if limit_bytes >> 20 else "the file is large"
                )
                raise SpecError([places.file_finding(file or oid, message, "split it, and keep data out of git")])
            known = self._reader.blob(oid) if found is None or found.data is None else found.data
            self._keep(oid, known)
        return known

    def prefetch(self, oids: list[str]) -> None:
        """Read many blobs in one go, as far as there is room for them."""
        missing = [oid for oid in dict.fromkeys(oids) if oid not in self._blobs]
        if not missing:
            return
        with self._reader.each_blob(missing, limit_bytes=_SMALL_BYTES) as blobs:
            for oid, found in blobs:
                if found is not None and found.data is not None:
                    self._keep(oid, found.data)

    def _keep(self, oid: str, data: bytes) -> None:
        if self._room_bytes >= len(data):
            self._room_bytes -= len(data)
            self._blobs[oid] = data

    def file(self, path: str) -> TreeEntry | None:
        """The file at a path; None where there is none, or a link or a submodule."""
        entry = self.tree.get(path)
        return None if entry is None or entry.mode in LINKS else entry

    def link_at(self, path: str) -> str | None:
        """`a symbolic link` or `a submodule` if that is at a path, else None."""
        entry = self.tree.get(path)
        return None if entry is None else LINKS.get(entry.mode)

    def lfs_pointers(self, paths: Iterable[str]) -> frozenset[str]:
        """Those of the paths at which the commit has an LFS pointer in place of the content.

        Where no `.gitattributes` of the commit speaks of LFS nothing is read; else what is small enough to be one.
        """
        attributes = [path for path in self.tree.paths if f"/{path}".endswith("/.gitattributes")]
        oids = [entry.oid for path in attributes if (entry := self.file(path)) is not None]
        self.prefetch(oids)
        if not any(b"filter=lfs" in self._blobs.get(oid, b"") for oid in oids):
            return frozenset()
        named = {path: entry.oid for path in paths if (entry := self.file(path)) is not None}
        with self._reader.each_blob(list(dict.fromkeys(named.values())), limit_bytes=LFS_POINTER_BYTES) as found:
            pointers = {oid for oid, blob in found if blob is not None and is_lfs_pointer(blob.data or b"")}
        return frozenset(path for path, oid in named.items() if oid in pointers)

    @cached_property
    def modules(self) -> Finder:
        """The Python modules of the commit."""
        from runner.specs.modules import Finder, meanings_in  # imported late: few specs name code

        return Finder(self.tree, meanings_in(self._reader, self._cache))

    def runner_folder_findings(self) -> list[Finding]:
        """A finding if the commit holds a `.runner/` folder (or a file of that name) of the user's own."""
        found = runner_folders(self._whole)
        found += [RUNNER_FOLDER] if self._whole.get(RUNNER_FOLDER) is not None else []
        state = any(self._whole.get(f"{folder}/state.json") is not None for folder in found[:1])
        hint = (
            "is this the state branch? Name the branch you work on; if it was merged here by mistake, revert that merge"
            if state
            else "remove it from the branch: the runner keeps this folder on its own branch"
        )
        return [
            places.file_finding(f"{folder}/", "the folder `.runner/` belongs to the runner", hint)
            for folder in found[:1]
        ]

    def project_file_findings(self) -> list[Finding]:
        """A finding if a folder stands where `runner.yaml` would."""
        if not self.tree.is_folder(PROJECT_FILE):
            return []
        message = f"`{PROJECT_FILE}` is a folder, not a file"
        return [places.file_finding(PROJECT_FILE, message, "rename the folder: specs lie in `pipelines/`, for example")]

    # ----- what DVC looks at

    @cached_property
    def _dvc_paths(self) -> tuple[list[str], list[str]]:
        """(`dvc.yaml` files, `.dvc` files) that DVC collects: inside the root, in no sub-project, not ignored."""
        candidates = [
            path
            for path in self.tree.paths
            if path.endswith(("dvc.yaml", ".dvc")) and self._in_project(path) and self.file(path) is not None
        ]
        named = [path for path in candidates if path.endswith(".dvc") or path.rpartition("/")[2] == "dvc.yaml"]
        ignored = self.ignored_files(named)
        kept = [path for path in named if path not in ignored]
        return [path for path in kept if path.endswith("dvc.yaml")], [path for path in kept if path.endswith(".dvc")]

    @property
    def pipeline_files(self) -> list[str]:
        """The `dvc.yaml` files that DVC would collect."""
        return self._dvc_paths[0]

    @property
    def linked_pipeline_files(self) -> list[str]:
        """Links by the name `dvc.yaml`: DVC would follow them, and the runner does not."""
        named = [path for path in self.tree.paths if f"/{path}".endswith("/dvc.yaml") and self._in_project(path)]
        links = [path for path in named if self.link_at(path)]
        ignored = self.ignored_files(links) if links else ()
        return [path for path in links if path not in ignored]

    @property
    def data_files(self) -> list[str]:
        """The `.dvc` files that DVC would collect."""
        return self._dvc_paths[1]

    def _in_project(self, path: str) -> bool:
        if not places.is_inside(path, self.dvc_root):
            return False
        inner = path if self.dvc_root == "." else path[len(self.dvc_root) + 1 :]
        if inner.startswith((".dvc/", ".git/")) or "/.dvc/" in inner:
            return False
        return not any(folder in self._inner_projects for folder in places.parents(path))

    @cached_property
    def _inner_projects(self) -> frozenset[str]:
        return frozenset(root for root in self.sub_projects if places.is_inside(root, self.dvc_root))

    def why_not_adopted(self, path: str) -> str:
        """Why a `dvc.yaml` is none that DVC would collect; empty if it is one."""
        if path in self.pipeline_files:
            return ""
        if not places.is_inside(path, self.dvc_root):
            return f"it is outside the DVC project in `{self.dvc_root}`"
        if any(places.is_inside(path, root) for root in self.sub_projects):
            return "it belongs to another DVC project"
        link = self.link_at(path)
        return f"it is {link}, and none is followed" if link else "it is ignored by a .dvcignore file"

    @cached_property
    def ignore_files(self) -> Mapping[str, str]:
        """Blob id of each `.dvcignore` file of the DVC project."""
        if not any(path.endswith(".dvcignore") for path in self.tree.paths):
            return {}
        return {
            path: self.tree.files[path].oid
            for path in self.tree.paths
            if path.rpartition("/")[2] == ".dvcignore"
            and places.is_inside(path, self.dvc_root)
            and self.file(path) is not None
        }

    def ignored_files(self, paths: list[str]) -> frozenset[str]:
        """Those of the files that DVC's ignore rules, by the `.dvcignore` files of the commit, leave out."""
        if not self.ignore_files or not paths:
            return frozenset()
        key = canonical_digest([self.dvc_root, self.ignore_files, paths])
        known = self._cache.get(_IGNORE_NAMESPACE, key)
        if isinstance(known, list):
            return frozenset(known)
        ignored = [path for path in paths if self._ignore.ignores(path, False)]
        self._cache.put(_IGNORE_NAMESPACE, key, ignored)
        return frozenset(ignored)

    def hidden_outputs(self, paths: Iterable[str]) -> frozenset[str]:
        """Those of the outputs that `.dvcignore` files hide from DVC, be they files or folders."""
        if not self.ignore_files:
            return frozenset()
        ignore = self._ignore
        return frozenset(path for path in paths if ignore.ignores(path, False) or ignore.ignores(path, True))

    def ignore_files_in(self, folders: Collection[str]) -> dict[str, str]:
        """Folder to a `.dvcignore` in it that DVC would come upon when it reads the folder, where there is one."""
        found: dict[str, str] = {}
        for file in self.ignore_files if folders else ():
            for folder in () if self._ignore.ignores(file, False) else (*places.parents(file), "."):
                if folder in folders:
                    found.setdefault(folder, file)
                if folder in self._inner_projects:
                    break  # to whatever is above it this is another DVC project, which is passed over
        return found

    @cached_property
    def _ignore(self) -> Ignore:
        from runner.data.dvcignore import Ignore  # imported late: start-up

        self.prefetch(list(self.ignore_files.values()))
        texts = {path: self.blob(oid, path, IGNORE_LIMIT_BYTES) for path, oid in self.ignore_files.items()}
        return Ignore(texts, root=self.dvc_root)
