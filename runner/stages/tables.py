"""Tables of the built-in stages: read and written by the ending of their names.

CSV is written as UTF-8 with `\\n`, floats in their shortest exact form, so that equal tables are equal bytes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.specs.guesses import nearest

if TYPE_CHECKING:
    import pandas

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
"""Of the tables that are known."""


def read_table(path: str | Path, *, as_text: bool = False) -> pandas.DataFrame:
    """The table in a file; raises InputError where it is missing, of another kind, or broken.

    as_text: values of .csv and .tsv stay as they are written, so that writing them again changes none.
    """
    import pandas

    path = Path(path)
    # Exact floats have to be asked for up to pandas 3.0, and must not be from 3.1 on.
    exact = (
        {} if [int(part) for part in pandas.__version__.split(".")[:2]] >= [3, 1] else {"float_precision": "round_trip"}
    )
    how: dict[str, Any] = {"dtype": str, "keep_default_na": False} if as_text else exact
    readers: dict[str, Callable[[Path], Any]] = {
        ".csv": lambda file: pandas.read_csv(file, index_col=False, **how),
        ".tsv": lambda file: pandas.read_csv(file, sep="\t", index_col=False, **how),
        ".jsonl": lambda file: pandas.read_json(file, lines=True),
        ".parquet": pandas.read_parquet,
    }
    try:
        with warnings.catch_warnings():
            # A row with more values than the header has names would lose one, or shift all that are before it.
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            table: pandas.DataFrame = _of_ending(readers, path)(path)
    except pandas.errors.ParserWarning:
        text = f"{path}: it cannot be read as a table: a row has more values than the header has names"
        raise InputError(text, "give each row as many values as there are columns") from None
    except FileNotFoundError:
        raise no_such_file(path) from None
    except ImportError:
        raise InputError(f"{path}: pandas needs pyarrow for .parquet", "pip install pyarrow, or use .csv") from None
    except UnicodeDecodeError as error:
        text = f"{path}: it is not in UTF-8: byte {error.object[error.start]:#04x} stands for no letter"
        raise InputError(
            text, "save it as UTF-8; a program of Windows may have written it in another encoding"
        ) from None
    except (ValueError, OSError) as error:  # pandas' errors of parsing are ValueErrors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        text = f"{path}: it cannot be read as a table: {reason}"
        raise InputError(text, "check that it is what its ending says") from error
    return table


def no_such_file(path: Path) -> InputError:
    """What is said of an input that is missing."""
    return InputError(
        f"{path}: there is no such file", "name a file that a stage before writes, or that is in git or DVC"
    )


def write_table(table: pandas.DataFrame, path: Path) -> None:
    """Write a table, without its index, and the folder it lies in."""
    writers: dict[str, Callable[[Path], Any]] = {
        ".csv": lambda file: table.to_csv(file, index=False, lineterminator="\n"),
        ".tsv": lambda file: table.to_csv(file, index=False, sep="\t", lineterminator="\n"),
        ".jsonl": lambda file: table.to_json(file, orient="records", lines=True),
        ".parquet": lambda file: table.to_parquet(file, index=False),
    }
    write = _of_ending(writers, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)


def column(table: pandas.DataFrame, name: str, path: str | Path) -> pandas.Series:
    """A column by name; raises InputError that names those there are."""
    if name not in table.columns:
        raise no_such_column(path, name, list(map(str, table.columns)))
    return table[name]


def no_such_column(path: str | Path, name: str, known: Sequence[str]) -> InputError:
    """What is said of a column that is missing: one that is close, or those there are."""
    close = nearest(name, known)
    hint = f"did you mean `{close}`?" if close else f"it has: {', '.join(known[:20])}"
    return InputError(f"{path}: there is no column `{name}`", hint)


def sortable(times: pandas.Series, name: str, path: str) -> Any:
    """A column as numbers or else as moments, which sort; raises InputError that names a row that is neither."""
    import pandas

    # A column of moments would come out as a count of nanoseconds.
    are_moments = pandas.api.types.is_datetime64_any_dtype(times.dtype)
    values = times if are_moments else pandas.to_numeric(times.replace("", None), errors="coerce")
    if are_moments or values.isna().any():
        values = pandas.to_datetime(times, utc=True, format="ISO8601", errors="coerce")
    if values.isna().any():
        row = int(values.isna().to_numpy().argmax())
        text = f"{path}: the column `{name}` holds no time in row {row + 1}: `{times.iloc[row]}`"
        raise InputError(text, "write 2026-01-31, with a time of day behind it or without, or a number, in every row")
    return values.to_numpy()


def _of_ending(by_ending: dict[str, Callable[[Path], Any]], path: Path) -> Callable[[Path], Any]:
    found = by_ending.get(path.suffix.lower())
    if found is None:
        raise InputError(
            f"{path}: no table is known by the ending `{path.suffix}`",
            f"use {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}",
        )
    return found
