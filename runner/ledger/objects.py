"""What a ledger asks of a git repository: objects by name, and how commits hang together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from runner.git.read import Commit
from runner.git.tree import Tree


class Objects(Protocol):
    """Trees and blobs; `runner.git.read.Reader` has them, and the simulator's repository in memory."""

    def tree(self, commit_or_tree: str) -> Tree:
        """The tree of a commit, by the full name of either."""

    def blobs(self, oids: Iterable[str], limit_bytes: int = ...) -> dict[str, bytes]:
        """The bytes of many blobs, by their names; InputError above the limit."""

    def file(self, commit: str, path: str, limit_bytes: int = ...) -> bytes | None:
        """The bytes of a regular file at a commit; None where there is none, InputError above the limit."""

    def commit(self, sha: str) -> Commit:
        """One commit by its full name."""


class History(Objects, Protocol):
    """Objects, and how commits hang together."""

    def exists(self, oid: str) -> bool:
        """Whether an object of any kind is here."""

    def ref(self, full_name: str) -> str | None:
        """What a ref points at; None when it does not exist."""

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether a commit is reachable from another, or is it."""

    def commits_saying(self, sha: str, pattern: str, limit: int, *, first_parent: bool = False) -> list[str]:
        """The newest commits, from this one on, with a line of the message that a basic regular expression matches.

        With `first_parent` along first parents alone.
        """
