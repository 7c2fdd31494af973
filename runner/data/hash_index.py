"""The memory of what was hashed: (device, inode, size, times) to MD5, in one SQLite file that may be lost any time.

Of whole folders too: device and inode to a fingerprint of all the files below, and what DVC's lock file says of it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from runner.values import dataclass

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL, md5 TEXT NOT NULL, settled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (device, inode)
) WITHOUT ROWID
"""
_FOLDER_SCHEMA = """
CREATE TABLE IF NOT EXISTS trees (
    device INTEGER NOT NULL, inode INTEGER NOT NULL, fingerprint TEXT NOT NULL, md5 TEXT NOT NULL,
    size INTEGER NOT NULL, files INTEGER NOT NULL, settled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (device, inode)
) WITHOUT ROWID
"""
_FORMER_TABLES = ("hashes", "folders")
"""Without the ctime of files: they took some for others."""
_BOOT_SCHEMA = "CREATE TABLE IF NOT EXISTS boot (id TEXT NOT NULL)"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_WAIT_SECONDS = 10.0
_PAUSE_SECONDS = 0.005
_PENDING_ROWS = 4096
_MAX_INTEGER = (1 << 63) - 1

_COLUMNS = "size, mtime_ns, ctime_ns, md5, inode"

_Key = tuple[int, int]
_Row = tuple[int, int, int, str, int]
"""Size, the two times, MD5; and the inode, by which a row that was read is told from others."""


@dataclass(frozen=True, slots=True)
class KnownFolder:
    """What a folder was when it was hashed."""

    fingerprint: str
    """Of names, devices, inodes, sizes and times of the files below."""
    md5: str
    size_bytes: int
    nfiles: int


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
        """The digest of the object with this status; None where it is not known or has other bytes.

        It is known by size and mtime alone: another name for it, as a hard link gives, changes its ctime.
        """
        key = (status.st_dev, status.st_ino)
        with self._lock:
            row = self._pending.get(key) or self._read(key)
        if row is None or row[0] != status.st_size or row[1] != status.st_mtime_ns:
            return None
        return row[3]

    def get_many(self, statuses: Sequence[os.stat_result], *, objects: bool = False) -> list[str | None]:
        """The digest of each file, in their order; None where it is not known or the file has changed.

        Of `objects` as `get`. Of all others the ctime counts, which nobody can set: a new file may have the inode of
        one that is gone, its size, and an mtime that programs give to all that they write.
        """
        keys = [(status.st_dev, status.st_ino) for status in statuses]
        with self._lock:
            rows = {key: self._pending[key] for key in self._pending.keys() & keys}
            rows |= self._read_many([key for key in keys if key not in rows] if rows else keys)
        if not rows:
            return [None] * len(keys)
        return [
            row[3] if (row := rows.get(key)) is not None and _is_same(row, status, objects) else None
            for key, status in zip(keys, statuses, strict=True)
        ]

    def folder(self, status: os.stat_result) -> KnownFolder | None:
        """What the folder with this status was when it was hashed; None where that is not known."""
        query = "SELECT fingerprint, md5, size, files FROM trees WHERE device = ? AND inode = ?"
        with self._lock:
            rows = self._ask(query, (status.st_dev, status.st_ino))
        return KnownFolder(str(rows[0][0]), str(rows[0][1]), int(rows[0][2]), int(rows[0][3])) if rows else None

    def put_folder(self, status: os.stat_result, known: KnownFolder) -> None:
        """Remember what the folder with this status is."""
        row = (status.st_dev, status.st_ino, known.fingerprint, known.md5, known.size_bytes, known.nfiles)
        if max(row[:2]) <= _MAX_INTEGER:
            with self._lock:
                self._change("INSERT OR REPLACE INTO trees VALUES (?, ?, ?, ?, ?, ?, 0)", [row])

    def put(self, status: os.stat_result, md5: str) -> None:
        """Remember the digest of the file with this status."""
        self.put_many([(status, md5)])

    def put_many(self, digested: Iterable[tuple[os.stat_result, str]]) -> None:
        """Remember the digests of files."""
        rows = {
            (status.st_dev, status.st_ino): (status.st_size, status.st_mtime_ns, status.st_ctime_ns, md5, status.st_ino)
            for status, md5 in digested
        }
        with self._lock:
            self._pending.update(rows)
            if len(self._pending) >= _PENDING_ROWS:
                self._write()

    def forget(self, status: os.stat_result) -> None:
        """Forget the file with this status."""
        key = (status.st_dev, status.st_ino)
        with self._lock:
            self._pending.pop(key, None)
            self._change("DELETE FROM files WHERE device = ? AND inode = ?", [key])

    def flush(self) -> None:
        """Write what is remembered but not yet in the file."""
        with self._lock:
            self._write()

    def settle(self) -> None:
        """Say that the bytes of every file remembered so far are on the disk (after a `syncfs`)."""
        with self._lock:
            self._write(settled=1)
            for table in ("files", "trees"):
                self._change(f"UPDATE {table} SET settled = 1 WHERE settled = ?", [(0,)])

    def close(self) -> None:
        """Flush and let go of the file; a later use opens it again."""
        with self._lock:
            self._write()
            self._disconnect()

    def _read(self, key: _Key) -> _Row | None:
        found = self._ask(f"SELECT {_COLUMNS} FROM files WHERE device = ? AND inode = ?", key)
        return found[0] if found else None

    def _read_many(self, keys: Sequence[_Key]) -> dict[_Key, _Row]:
        query = f"SELECT {_COLUMNS} FROM files WHERE device = ? AND inode IN (SELECT value FROM json_each(?))"
        rows: dict[_Key, _Row] = {}
        if len(keys) == 1:  # one small output: a list to be parsed costs more than the rest
            found = self._read(keys[0])
            return {keys[0]: found} if found is not None else {}
        for device in {device for device, _ in keys}:
            inodes = [inode for its_device, inode in keys if its_device == device]
            rows |= {(device, row[4]): row for row in self._ask(query, (device, json.dumps(inodes)))}
        return rows

    def _ask(self, query: str, values: tuple[int | str, ...]) -> list[Any]:
        for _ in range(2):
            try:
                return self._connected().execute(query, values).fetchall()
            except (sqlite3.OperationalError, OverflowError):
                return []  # busy, not readable, or numbers it cannot hold: hashing again gives the same answer
            except sqlite3.DatabaseError:
                self._drop()
        return []

    def _write(self, *, settled: int = 0) -> None:
        if not self._pending:
            return
        rows = [
            (*key, row[0], row[1], row[2], row[3], settled)
            for key, row in self._pending.items()
            if key[0] <= _MAX_INTEGER and key[1] <= _MAX_INTEGER
        ]
        self._pending.clear()
        self._change("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

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
                self._connection.execute(_FOLDER_SCHEMA)
        return self._connection

    def _open(self) -> sqlite3.Connection:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise sqlite3.OperationalError(str(error)) from error
        is_new = not self._file.exists()
        connection = sqlite3.connect(self._file, timeout=_WAIT_SECONDS, check_same_thread=False, isolation_level=None)
        try:
            if is_new:
                # What a power cut leaves of empty tables is begun anew; to wait for the disk six times would take as
                # long as a thousand files, and longer while it has the bytes of an output to write.
                connection.execute("PRAGMA synchronous = OFF")
            _use_wal(connection)
            connection.execute(_SCHEMA)
            connection.execute(_FOLDER_SCHEMA)
            connection.execute(_BOOT_SCHEMA)
            connection.execute("PRAGMA synchronous = NORMAL")
            for table in _FORMER_TABLES:
                connection.execute(f"DROP TABLE IF EXISTS {table}")
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


def _is_same(row: _Row, status: os.stat_result, objects: bool) -> bool:
    return row[0] == status.st_size and row[1] == status.st_mtime_ns and (objects or row[2] == status.st_ctime_ns)


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
        connection.execute("DELETE FROM files WHERE settled = 0")
        connection.execute("DELETE FROM trees WHERE settled = 0")
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
