"""Git in memory: objects with the very names that git gives them, a remote with compare-and-swap, and copies of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from runner.git.commit import CommitRequest
from runner.git.read import Commit
from runner.git.tree import FILE, SUBMODULE, SYMLINK, Part, Tree, TreeEntry

_Node = dict[str, "_Node | TreeEntry | str"]
"""A folder that is being changed: files, folders as they were (their tree's name), folders that are changed too."""


class Store:
    """Every object there is anywhere; which of them a repository has is another question."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.parts: dict[str, Part] = {}
        self.commits: dict[str, Commit] = {}
        self.packs: dict[str, list[str]] = {}
        """By commit the objects that a push of it brings: what it has and its parents have not, and some more."""
        self.ages: dict[str, int] = {}
        """By commit how many generations there are before it."""
        self._trees: dict[str, Tree] = {}

    def tree(self, oid: str) -> Tree:
        tree = self._trees.get(oid)
        if tree is None:
            tree = self._trees[oid] = Tree(oid, self.parts[oid], self._parts_of)
        return tree

    def files_below(self, tree: str, folder: str) -> Iterator[tuple[str, str]]:
        """Path and name of every file below a folder of a tree; nothing where there is no such folder."""
        for name in folder.split("/"):
            below = self.parts[tree].folders.get(name)
            if below is None:
                return
            tree = below
        pending = [("", tree)]
        while pending:
            prefix, tree = pending.pop()
            part = self.parts[tree]
            yield from ((prefix + name, entry.oid) for name, entry in part.files.items())
            pending.extend((f"{prefix}{name}/", oid) for name, oid in part.folders.items())

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        age, pending = self.ages[ancestor], [descendant]
        seen: set[str] = set()
        while pending:
            sha = pending.pop()
            if sha == ancestor:
                return True
            if sha not in seen and self.ages[sha] > age:
                seen.add(sha)
                pending.extend(self.commits[sha].parents)
        return False

    def make(self, request: CommitRequest) -> str:
        """The commit of a request, made as `git fast-import` makes it."""
        pack: list[str] = []
        root: _Node = self._expanded(request.base_tree) if request.base_tree else {}
        for path, oid in request.trees.items():
            self._put(root, path, oid)
        for path in request.deletes:
            self._remove(root, path)
        for path, content in request.files.items():
            oid = content.oid if content.data is None else self._blob(content.data)
            assert oid is not None
            pack.append(oid)
            self._put(root, path, TreeEntry(content.mode, oid))
        tree = self._closed(root, pack)
        return self._commit(request, tree, pack)

    def _commit(self, request: CommitRequest, tree: str, pack: list[str]) -> str:
        parents = tuple(dict.fromkeys(request.parents))
        message = request.message.rstrip("\n") + "\n"
        author = f"{request.author.name} <{request.author.email}>"
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"{who} {author} {request.time_epoch} +0000" for who in ("author", "committer")]
        sha = _name(b"commit", ("\n".join(lines) + "\n\n" + message).encode())
        if sha not in self.commits:
            self.commits[sha] = Commit(sha, tree, parents, author, request.time_epoch, message)
            self.ages[sha] = 1 + max((self.ages[parent] for parent in parents), default=0)
            self.packs[sha] = [*pack, tree, sha]
        return sha

    def _blob(self, data: bytes) -> str:
        oid = _name(b"blob", data)
        self.blobs[oid] = data
        return oid

    def _expanded(self, oid: str) -> _Node:
        part = self.parts[oid]
        return {**part.files, **part.folders}

    def _open(self, node: _Node, folders: Sequence[str], *, make: bool) -> _Node | None:
        for name in folders:
            below = node.get(name)
            if type(below) is str:
                below = node[name] = self._expanded(below)
            elif type(below) is not dict:
                if not make:
                    return None
                below = node[name] = {}
            node = below
        return node

    def _put(self, root: _Node, path: str, value: TreeEntry | str) -> None:
        *folders, name = path.split("/")
        node = self._open(root, folders, make=True)
        assert node is not None
        node[name] = value

    def _remove(self, root: _Node, path: str) -> None:
        *folders, name = path.split("/")
        node = self._open(root, folders, make=False)
        if node is not None:
            node.pop(name, None)

    def _closed(self, node: _Node, pack: list[str], *, is_root: bool = True) -> str:
        """The name of the tree; empty for a folder in which nothing is left, which git does not keep."""
        files: dict[str, TreeEntry] = {}
        folders: dict[str, str] = {}
        rows: list[tuple[str, bytes]] = []
        for name, value in node.items():
            if type(value) is TreeEntry:
                files[name] = value
                rows.append((name, f"{value.mode} {name}\0".encode() + bytes.fromhex(value.oid)))
                continue
            oid = value if type(value) is str else self._closed(value, pack, is_root=False)
            if oid:
                folders[name] = oid
                rows.append((name + "/", f"40000 {name}\0".encode() + bytes.fromhex(oid)))
        if not rows and not is_root:
            return ""
        rows.sort()
        oid = _name(b"tree", b"".join([row for _, row in rows]))
        self.parts[oid] = Part(files, folders, ())
        pack.append(oid)
        return oid

    def _parts_of(self, oids: Sequence[str]) -> Mapping[str, Part]:
        return self.parts


class Repository:
    """One repository: refs, and the objects that came here. Implements `runner.ledger.objects.History`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.has: set[str] = set()
        self.refs: dict[str, str] = {}
        """Branches by their short names."""

    def receive(self, sha: str) -> None:
        """Bring a commit here with all that it stands on."""
        pending = [sha]
        while pending:
            sha = pending.pop()
            if sha not in self.has:
                self.has.update(self.store.packs[sha])
                pending.extend(self.store.commits[sha].parents)

    def tree(self, commit_or_tree: str) -> Tree:
        commit = self.store.commits.get(commit_or_tree)
        oid = commit.tree if commit is not None else commit_or_tree
        self._require(oid)
        return self.store.tree(oid)

    def blobs(self, oids: Iterable[str], limit_bytes: int = 0) -> dict[str, bytes]:
        return {oid: self.store.blobs[self._require(oid)] for oid in oids}

    def blob(self, oid: str) -> bytes:
        return self.store.blobs[self._require(oid)]

    def file(self, commit: str, path: str, limit_bytes: int = 0) -> bytes | None:
        entry = self.tree(commit).get(path)
        if entry is None or entry.mode in (SYMLINK, SUBMODULE):
            return None
        return self.store.blobs[self._require(entry.oid)]

    def files_below(self, commit: str, folder: str) -> list[bytes]:
        """The bytes of all files below a folder of a commit, in the order of their paths."""
        return [self.blob(oid) for _, oid in sorted(self.store.files_below(self.commit(commit).tree, folder))]

    def commit(self, sha: str) -> Commit:
        return self.store.commits[self._require(sha)]

    def exists(self, oid: str) -> bool:
        return oid in self.has

    def ref(self, full_name: str) -> str | None:
        return self.refs.get(full_name.removeprefix("refs/heads/"))

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        return self.store.is_ancestor(self._require(ancestor), self._require(descendant))

    def commits_saying(self, sha: str, pattern: str, limit: int, *, first_parent: bool = False) -> list[str]:
        history = self._history(sha, first_parent=first_parent)
        found = [commit for commit in history if re.search(pattern, commit.message, re.MULTILINE)]
        return [commit.sha for commit in sorted(found, key=lambda commit: -commit.committed_at)][:limit]

    def _history(self, sha: str, *, first_parent: bool = False) -> Iterator[Commit]:
        seen, pending = {sha}, [sha]
        for sha in pending:
            commit = self.commit(sha)
            yield commit
            parents = commit.parents[:1] if first_parent else commit.parents
            new = [parent for parent in parents if parent not in seen]
            seen.update(new)
            pending.extend(new)

    def _require(self, oid: str) -> str:
        assert oid in self.has, f"{oid} is not in this repository"
        return oid


def _name(kind: bytes, data: bytes) -> str:
    return hashlib.sha1(b"%s %d\0" % (kind, len(data)) + data, usedforsecurity=False).hexdigest()


__all__ = ["FILE", "Repository", "Store"]
