"""Git objects written by hand: trees and commits that git itself would refuse to make, and many of them quickly."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FILE, PROGRAM, SYMLINK, SUBMODULE, FOLDER = "100644", "100755", "120000", "160000", "40000"


@dataclass(frozen=True, slots=True)
class Entry:
    """A path with a mode of its own, or an object that is not (or not rightly) in the store."""

    mode: str
    data: bytes = b""
    oid: str = ""
    """Name of the object where it is not made from `data`."""


def link(target: str | bytes) -> Entry:
    """A symbolic link."""
    return Entry(SYMLINK, target.encode() if isinstance(target, str) else target)


def submodule(commit: str = "1" * 40) -> Entry:
    """A submodule at a commit."""
    return Entry(SUBMODULE, oid=commit)


Content = str | bytes | Entry
Files = Mapping[str | bytes, Content]


@dataclass(frozen=True, slots=True)
class Store:
    """The folder of a repository's git data."""

    git_dir: Path

    @staticmethod
    def create(git_dir: Path, config: str = "") -> Store:
        """An empty repository; its branch is `main`."""
        for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "hooks"):
            (git_dir / folder).mkdir(parents=True)
        (git_dir / "HEAD").write_text("ref: refs/heads/main\n")
        (git_dir / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = false\n" + config)
        return Store(git_dir)

    def put(self, kind: str, data: bytes, *, name: str = "", said_bytes: int | None = None) -> str:
        """Write a loose object; `name` and `said_bytes` are lies where they are given."""
        whole = f"{kind} {len(data) if said_bytes is None else said_bytes}\0".encode() + data
        oid = name or hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        file = self.git_dir / "objects" / oid[:2] / oid[2:]
        if not file.exists() or name:
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(zlib.compress(whole, 1))
        return oid

    def tree(self, files: Files) -> str:
        """The tree of these paths; a path may hold what no file system would take."""
        rows: list[tuple[bytes, str, str]] = []
        below: dict[bytes, dict[str | bytes, Content]] = {}
        for path, content in files.items():
            raw = path if isinstance(path, bytes) else path.encode("utf-8", "surrogateescape")
            name, slash, rest = raw.partition(b"/")
            if slash and name:
                below.setdefault(name, {})[rest] = content
                continue
            entry = content if isinstance(content, Entry) else Entry(FILE, _bytes(content))
            rows.append((raw, entry.mode, entry.oid or self.put("blob", entry.data)))
        rows += [(name, FOLDER, self.tree(inner)) for name, inner in below.items()]
        rows.sort(key=lambda row: row[0] + (b"/" if row[1] == FOLDER else b""))
        return self.raw_tree(rows)

    def raw_tree(self, rows: Sequence[tuple[bytes, str, str]]) -> str:
        """A tree object of these entries, as they are."""
        return self.put("tree", b"".join(m.encode() + b" " + name + b"\0" + bytes.fromhex(o) for name, m, o in rows))

    def commit(
        self,
        tree: str,
        *,
        parents: Sequence[str] = (),
        message: str | bytes = "Change\n",
        author: str | bytes = "Ada <ada@example.com> 1700000000 +0000",
        extra: bytes = b"",
    ) -> str:
        """A commit; `extra` are more lines of its head."""
        who = _bytes(author)
        lines = [b"tree " + tree.encode(), *(b"parent " + parent.encode() for parent in parents)]
        lines += [b"author " + who, b"committer " + who]
        return self.put("commit", b"\n".join(lines) + b"\n" + extra + b"\n" + _bytes(message))

    def ref(self, name: str, oid: str) -> None:
        """Point a ref (`refs/…`) at a commit."""
        file = self.git_dir / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(oid + "\n")


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
