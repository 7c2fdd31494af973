"""Rows of a database by SQLAlchemy, as a table in a file: equal rows are equal bytes."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from runner.errors import HostError, InputError, RunnerError
from runner.stages.sources.bounds import Bounds
from runner.stages.sources.hidden import Hidden
from runner.stages.tables import write_table

if TYPE_CHECKING:
    import pandas

_BATCH = 5_000
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)


def write_rows(hidden: Hidden, dsn: str, query: str, file: BinaryIO, ending: str, bounds: Bounds) -> None:
    """Write what a query brings as a table of an ending; `dsn` names the secret that holds the address.

    Raises InputError where the address or the query is wrong, HostError where the database cannot be reached. No
    message holds the address or a part of it.
    """
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

    engine = sqlalchemy.create_engine(address, hide_parameters=True)
    try:
        with engine.connect() as connection:
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
    # That a table is missing and that a server is gone are often one class to a driver.
    return HostError(message, "check the query and the address; the same call may work later")
