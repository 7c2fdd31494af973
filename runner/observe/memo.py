"""Digests of git objects, remembered across runs: the MD5 of a blob never changes, so it is computed once.

A SQLite file that is safe to delete and to share between processes; where it cannot be opened, digests are simply
computed again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path


class DigestMemo:
    """Object id (with a prefix for what was computed) to digest."""

    def __init__(self, file: Path | None) -> None:
        self._known: dict[str, str] = {}
        self._db = _opened(file) if file is not None else None

    def close(self) -> None:
        """Close the file; what was remembered in this process stays."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def get_many(self, names: Iterable[str]) -> dict[str, str]:
        """The digests that are known among these names."""
        wanted = [name for name in names if name not in self._known]
        if self._db is not None and wanted:
            try:
                for start in range(0, len(wanted), 500):
                    part = wanted[start : start + 500]
                    marks = ",".join("?" * len(part))
                    self._known.update(
                        self._db.execute(f"select name, digest from digests where name in ({marks})", part)
                    )
            except sqlite3.Error:
                self._db = None  # a damaged cache is as good as none
        return {name: self._known[name] for name in names if name in self._known}

    def put_many(self, rows: Mapping[str, str]) -> None:
        """Remember digests."""
        self._known.update(rows)
        if self._db is not None and rows:
            try:
                with self._db:
                    self._db.executemany("insert or replace into digests values (?, ?)", rows.items())
            except sqlite3.Error:
                self._db = None  # a full disk must not stop a plan


def _opened(file: Path) -> sqlite3.Connection | None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(file, timeout=2, check_same_thread=False)
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=off")
        db.execute("create table if not exists digests (name text primary key, digest text) without rowid")
    except (sqlite3.Error, OSError):
        return None
    return db
