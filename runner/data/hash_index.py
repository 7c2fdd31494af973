"""The memory of what was hashed: (device, inode, size, mtime) to MD5, in one SQLite file that may be lost any time."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS hashes (
    device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    md5 TEXT NOT NULL, settled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (device, inode)
) WITHOUT ROWID
"""
_BOOT_SCHEMA = "CREATE TABLE IF NOT EXISTS boot (id TEXT NOT NULL)"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_WAIT_SECONDS = 10.0
_PAUSE_SECONDS = 0.005
_PENDING_ROWS = 512
_MAX_INTEGER = (1 << 63) - 1

_Key = tuple[int, int]
_Row = tuple[int, int, str]


class HashIndex:
    """Digests of files that have not changed since they were hashed.

    Safe for threads and for several processes. It is a memo: a file that is corrupt is dropped and begun anew, one
    that cannot be written costs time and nothing else. Entries reach the file in batches; `flush` and `close` write
    the rest. After a restart of the machine only entries that were settled count: a power cut may leave a file with
    the size and the time it had and without its bytes.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._pending: dict[_Key, _Row] = {}
        self._connection: sqlite3.Connection | None = None

    def get(self, status: os.stat_result) -> str | None:
        """The digest of the file with this status; None where it is not known or the file has changed."""
        key = (status.st_dev, status.st_ino)
        with self._lock:
            row = self._pending.get(key) or self._read(key)
        if row is None or row[0] != status.st_size or row[1] != status.st_mtime_ns:
            return None
        return row[2]

    def put(self, status: os.stat_result, md5: str) -> None:
        """Remember the digest of the file with this status."""
        with self._lock:
            self._pending[(status.st_dev, status.st_ino)] = (status.st_size, status.st_mtime_ns, md5)
            if len(self._pending) >= _PENDING_ROWS:
                self._write()

    def forget(self, status: os.stat_result) -> None:
        """Forget the file with this status."""
        key = (status.st_dev, status.st_ino)
        with self._lock:
            self._pending.pop(key, None)
            self._change("DELETE FROM hashes WHERE device = ? AND inode = ?", [key])

    def flush(self) -> None:
        """Write what is remembered but not yet in the file."""
        with self._lock:
            self._write()

    def settle(self) -> None:
        """Say that the bytes of every file remembered so far are on the disk (after a `syncfs`)."""
        with self._lock:
            self._write()
            self._change("UPDATE hashes SET settled = 1 WHERE settled = ?", [(0,)])

    def close(self) -> None:
        """Flush and let go of the file; a later use opens it again."""
        with self._lock:
            self._write()
            self._disconnect()

    def _read(self, key: _Key) -> _Row | None:
        query = "SELECT size, mtime_ns, md5 FROM hashes WHERE device = ? AND inode = ?"
        for _ in range(2):
            try:
                found = self._connected().execute(query, key).fetchone()
                return (int(found[0]), int(found[1]), str(found[2])) if found else None
            except sqlite3.OperationalError:
                return None  # busy or not readable: hashing again gives the same answer
            except (sqlite3.DatabaseError, OverflowError):
                self._drop()
        return None

    def _write(self) -> None:
        if not self._pending:
            return
        rows = [(*key, *row) for key, row in self._pending.items() if max(key) <= _MAX_INTEGER]
        self._pending.clear()
        self._change("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?, 0)", rows)

    def _change(self, statement: str, rows: Iterable[tuple[int | str, ...]]) -> None:
        values = list(rows)
        for _ in range(2):
            try:
                connection = self._connected()
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(statement, values)
                connection.execute("COMMIT")
                return
            except sqlite3.OperationalError:
                self._disconnect()  # busy, full or read-only: the memo does without these rows
                return
            except sqlite3.DatabaseError:
                self._drop()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = self._open()
            except sqlite3.OperationalError:
                # Not even a file can be made there: remember within this process only.
                self._connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
                self._connection.execute(_SCHEMA)
        return self._connection

    def _open(self) -> sqlite3.Connection:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise sqlite3.OperationalError(str(error)) from error
        connection = sqlite3.connect(self._file, timeout=_WAIT_SECONDS, check_same_thread=False, isolation_level=None)
        try:
            _use_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_SCHEMA)
            connection.execute(_BOOT_SCHEMA)
            _keep_settled_after_boot(connection)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _drop(self) -> None:
        self._disconnect()
        for suffix in ("", "-wal", "-shm"):
            self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)


def _use_wal(connection: sqlite3.Connection) -> None:
    # Two that make the file at once: SQLite tells one of them "locked" and does not wait as it does elsewhere.
    given_up = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > given_up:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _keep_settled_after_boot(connection: sqlite3.Connection) -> None:
    boot = _boot_id()
    if _boot_of(connection) == boot:
        return
    connection.execute("BEGIN IMMEDIATE")
    # Looked up again: whoever was faster has rows of this boot in there by now.
    if _boot_of(connection) != boot:
        connection.execute("DELETE FROM hashes WHERE settled = 0")
        connection.execute("DELETE FROM boot")
        connection.execute("INSERT INTO boot VALUES (?)", (boot,))
    connection.execute("COMMIT")


def _boot_of(connection: sqlite3.Connection) -> str | None:
    found = connection.execute("SELECT id FROM boot").fetchone()
    return str(found[0]) if found else None


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"
