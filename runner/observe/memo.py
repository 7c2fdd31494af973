"""Digests of git objects, remembered across runs: the MD5 of a blob never changes, so it is computed once.

A SQLite file that is safe to delete and to share between processes; where it cannot be opened, digests are simply
computed again. It holds a bounded number of rows, the oldest of which go first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


class DigestMemo:
    """Object id (with a prefix for what was computed) to digest."""

    def __init__(self, file: Path | None, *, bound_rows: int = 1_000_000, reads: DigestMemo | None = None) -> None:
        """`reads` is another memo, which is asked for what this one does not know, and never written to."""
        self._known: dict[str, str] = {}
        self._bound_rows = bound_rows
        self._reads = reads
        self._file = file
        self._db: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file; what was remembered in this process stays."""
        if self._db is not None:
            self._db.close()
            self._db = None
        self._file = None
        if self._reads is not None:
            self._reads.close()

    def get_many(self, names: Iterable[str]) -> dict[str, str]:
        """The digests that are known among these names."""
        names = list(names)
        wanted = [name for name in names if name not in self._known]
        if wanted and self._is_open():
            import sqlite3  # imported late: start-up

            try:
                for start in range(0, len(wanted), 500):
                    part = wanted[start : start + 500]
                    marks = ",".join("?" * len(part))
                    self._known.update(self._rows(f"select name, digest from known where name in ({marks})", part))
            except sqlite3.Error:
                self._db = None  # a damaged cache is as good as none
        if self._reads is not None:
            self._known.update(self._reads.get_many([name for name in wanted if name not in self._known]))
        return {name: self._known[name] for name in names if name in self._known}

    def put_many(self, rows: Mapping[str, str]) -> None:
        """Remember digests."""
        self._known.update(rows)
        if rows and self._is_open() and self._db is not None:
            import sqlite3  # imported late: start-up

            try:
                with self._db:
                    self._db.executemany("insert or replace into known values (?, ?)", rows.items())
                    # Rows are numbered as they come; a row that is written again is a new one.
                    oldest = "select max(rowid) from known"
                    self._db.execute(f"delete from known where rowid <= ({oldest}) - ?", (self._bound_rows,))
            except sqlite3.Error:
                self._db = None  # a full disk must not stop a plan

    def _is_open(self) -> bool:
        """Whether there is a file to ask; it is opened at the first question."""
        if self._db is None and self._file is not None:
            self._db = _opened(self._file)
            self._file = None
        return self._db is not None

    def _rows(self, question: str, names: list[str]) -> list[tuple[str, str]]:
        return [] if self._db is None else self._db.execute(question, names).fetchall()


def _opened(file: Path) -> sqlite3.Connection | None:
    import sqlite3  # imported late: start-up

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(file, timeout=2, check_same_thread=False)
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=off")
        db.execute("create table if not exists known (name text primary key, digest text)")
        db.execute("drop table if exists digests")  # of versions before, which let it grow
    except (sqlite3.Error, OSError):
        return None
    return db
