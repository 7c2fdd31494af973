"""Rows of a database by SQLAlchemy, as a table in a file: equal rows are equal bytes, and only reading is possible."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from runner.errors import HostError, InputError, RunnerError
from runner.stages.sources.bounds import Bounds
from runner.stages.sources.hidden import Hidden
from runner.stages.tables import write_table

if TYPE_CHECKING:
    import pandas

_BATCH = 5_000
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)
_READING = {"select", "with", "values", "table", "from", "show", "describe", "desc", "explain", "pragma"}
"""The words that a statement which brings rows begins with."""
_COMMENT = r"--[^\n]*|/\*.*?\*/"
_TEXT_OR_COMMENT = re.compile(rf"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|`[^`]*`|{_COMMENT}", re.DOTALL)
_READ_ONLY = {
    "postgresql": "SET TRANSACTION READ ONLY",
    "cockroachdb": "SET TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
    "mysql": "START TRANSACTION READ ONLY",
    "mariadb": "START TRANSACTION READ ONLY",
    "sqlite": "PRAGMA query_only = ON",
}
"""By the name of a dialect: what makes the transaction one that only reads."""
_MYSQL_WRONG = {1054, 1792}
"""An unknown column, and writing in a transaction that reads: what PyMySQL tells as if the server had failed."""


def write_rows(hidden: Hidden, dsn: str, query: str, file: BinaryIO, ending: str, bounds: Bounds) -> None:
    """Write what a query brings as a table of an ending; `dsn` names the secret that holds the address.

    Raises InputError where the address or the query is wrong, HostError where the database cannot be reached. No
    message holds the address or a part of it.
    """
    _check_reading(query)
    try:
        names, rows = _rows(hidden.values[dsn], query, bounds)
    except RunnerError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a driver raises may hold the secret, so none gets further
        raise _told(error, hidden, dsn) from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"the query brings several columns `{twice[0]}`", "give each a name of its own, with AS")
    import pandas

    if not _ORDERED.search(query):
        rows.sort(key=lambda row: [(value is not None, str(value)) for value in row])
    table = pandas.DataFrame(rows, columns=pandas.Index(names), dtype=object)
    if ending == ".parquet":
        table = table.infer_objects()
        _check_types(table)
    # `write_table` goes by the name of a file.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows{ending}"
        write_table(table, path)
        file.write(path.read_bytes())


def _check_types(table: pandas.DataFrame) -> None:
    """A column of a .parquet has one type, which one of SQLite need not have; raises InputError, by pyarrow's word."""
    try:
        import pyarrow
    except ImportError:
        raise InputError("a .parquet needs pyarrow", "pip install 'gitops-runner[parquet]', or write a .csv") from None

    for name in table.columns:
        try:
            pyarrow.array(table[name], from_pandas=True)
        except (pyarrow.ArrowException, OverflowError):
            kinds = ", ".join(sorted({type(value).__name__ for value in table[name].dropna()}))
            text = f"the column `{name}` cannot be a column of a .parquet: its values are of the types {kinds}"
            raise InputError(text, "give it one type with CAST, or write a .csv") from None


def _rows(address: str, query: str, bounds: Bounds) -> tuple[list[str], list[list[Any]]]:
    import sqlalchemy

    engine = sqlalchemy.create_engine(_read_only(sqlalchemy.make_url(address)), hide_parameters=True)
    try:
        # Never committed: where a dialect knows no transaction that only reads, what was changed is rolled back.
        with engine.connect() as connection:
            only_reading = _READ_ONLY.get(engine.dialect.name)
            if only_reading is not None:
                connection.exec_driver_sql(only_reading)
            found = connection.execution_options(stream_results=True).exec_driver_sql(query)
            if not found.returns_rows:
                raise InputError("the query brings no rows", "write a SELECT")
            columns = found.keys()
            names, rows = [str(name) for name in columns], []
            while batch := found.fetchmany(_BATCH):
                rows += [[_plain(value) for value in row] for row in batch]
                bounds.add(sum(len(str(value)) + 1 for row in batch for value in row))
            return names, rows
    finally:
        engine.dispose()


def _check_reading(query: str) -> None:
    """Raise InputError for a statement that brings no rows, and for several of them."""
    statement = _TEXT_OR_COMMENT.sub(" '' ", query)
    statements = [part for part in statement.split(";") if part.replace("''", "").strip()]
    words = re.findall(r"\w+", statements[0].lower()) if statements else []
    if not words or words[0] not in _READING:
        raise InputError("the query brings no rows", "write a SELECT: fetch reads, and changes nothing")
    if len(statements) > 1:
        raise InputError("the query is several statements", "write one SELECT")


def _read_only(url: Any) -> Any:
    """The address of a file of SQLite as one that is opened for reading, and not made where it is missing."""
    is_file = url.database not in (None, "", ":memory:") and not str(url.database).startswith("file:")
    if url.drivername not in ("sqlite", "sqlite+pysqlite") or not is_file:
        return url
    path = quote(str(Path(url.database).absolute()))
    return url.set(database=f"file:{path}").update_query_dict({"mode": "ro", "uri": "true"})


def _plain(value: Any) -> Any:
    """A value as a table can hold it: bytes as hexadecimal digits."""
    return bytes(value).hex() if isinstance(value, (bytes, bytearray, memoryview)) else value


def _told(error: Exception, hidden: Hidden, dsn: str) -> RunnerError:
    """What a driver says, without the address."""
    import sqlalchemy.exc

    if isinstance(error, ImportError):
        return InputError(
            f"the driver of the database is not installed: {hidden.clean(str(error.name or error))}",
            "install it where the runner is; the address may name another one",
        )
    if isinstance(error, (sqlalchemy.exc.ArgumentError, ValueError)):
        return InputError(f"`{dsn}` holds no address of a database", "write DIALECT://USER:PASSWORD@HOST/DATABASE")
    said = hidden.clean(str(getattr(error, "orig", None) or error)).strip().splitlines()
    message = f"the database says: {said[0] if said else type(error).__name__}"
    if _is_of_query(error):
        return InputError(message, "mend the query; it may only read")
    return HostError(message, "check the query and the address; the same call may work later")


def _is_of_query(error: Exception) -> bool:
    """Whether the query is wrong: the same call will not work later."""
    import sqlalchemy.exc as kinds

    if isinstance(error, kinds.DBAPIError) and error.connection_invalidated:
        return False
    if isinstance(error, (kinds.ProgrammingError, kinds.DataError, kinds.NotSupportedError)):
        return True
    # That a table is missing and that a server is gone are often one class to a driver.
    orig = getattr(error, "orig", None)
    if getattr(orig, "sqlite_errorname", "") in ("SQLITE_ERROR", "SQLITE_READONLY"):
        return True
    # Of the standard: 22 is wrong data, 25 a wrong state (a transaction that reads), 42 a wrong name or no right.
    if str(getattr(orig, "sqlstate", None) or getattr(orig, "pgcode", None) or "")[:2] in ("22", "25", "42"):
        return True
    return bool(orig is not None and orig.args and orig.args[0] in _MYSQL_WRONG)
