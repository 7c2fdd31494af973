"""Tables as a contract reads them: each column in its type, and the rows whose value is of another one."""

from __future__ import annotations

import io
import json
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.stages.contracts.contract import NUMBERS, TIMES, Column
from runner.stages.tables import no_such_file, read_table, write_table
from runner.values import dataclass

if TYPE_CHECKING:
    import numpy
    import pandas

    Mask = numpy.ndarray[Any, Any]

_TEXT_FILES = {".csv": ",", ".tsv": "\t"}
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_EXACT = 1 << 53
"""Whole numbers from here on are not exact as floats."""


@dataclass(frozen=True, slots=True)
class Typed:
    """The values of a column in its type, missing where they are wrong, and which ones are wrong."""

    values: pandas.Series
    wrong: Mask


def read_typed(path: str | Path, columns: tuple[Column, ...], missing_values: list[str]) -> pandas.DataFrame:
    """The table in a file, numbers as numbers where all of a column are, all else as it is written.

    Raises InputError where it is missing, broken or not in UTF-8.
    """
    import pandas

    path = Path(path)
    separator = _TEXT_FILES.get(path.suffix.lower())
    if separator is None:
        return _read_json(path) if path.suffix.lower() == ".jsonl" else read_table(path)
    # What may be numbers is left to pandas, which is fastest so; leading zeros of text and times must stay.
    kept = {column.name: str for column in columns if column.kind not in (*NUMBERS, "boolean")}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            table: pandas.DataFrame = pandas.read_csv(
                path, sep=separator, dtype=kept, keep_default_na=False, na_values=missing_values, low_memory=False,
                index_col=False,
            )  # fmt: skip
    except FileNotFoundError:
        raise no_such_file(path) from None
    except UnicodeDecodeError as error:
        text = f"{path}: it is not in UTF-8: byte {error.object[error.start]:#04x} stands for no letter"
        raise InputError(
            text, "save it as UTF-8; a program of Windows may have written it in another encoding"
        ) from None
    except (ValueError, OSError, pandas.errors.ParserWarning) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: it cannot be read as a table: {reason}", "check that it is whole") from error
    return table


def _read_json(path: Path) -> pandas.DataFrame:
    """Values as JSON has them: pandas would make times of texts by the names of columns."""
    import pandas

    rows = []
    for number, line in enumerate(_lines(path), 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            text = f"{path}: it cannot be read as a table: line {number} is no object of JSON"
            raise InputError(text, "check that it is whole")
        rows.append({name: _plain(value) for name, value in row.items()})
    return pandas.DataFrame(rows)


def _plain(value: Any) -> Any:
    """A cell: what has parts itself is compared as the text of its JSON."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except FileNotFoundError:
        raise no_such_file(path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: it cannot be read as a table: {error}", "check that it is what its ending says"
        ) from error


def is_text(path: Path) -> bool:
    """Whether values of a file have no types of their own."""
    return path.suffix.lower() in _TEXT_FILES


def typed(raw: pandas.Series, column: Column) -> Typed:
    """A column in the type that its contract says."""
    if column.kind in NUMBERS:
        return _numbers(raw, whole=column.kind == "integer")
    if column.kind in TIMES:
        return _times(raw, column)
    if column.kind == "any":
        return Typed(raw.map(str).where(raw.notna()).astype("str"), raw.isna().to_numpy() & False)
    return _booleans(raw) if column.kind == "boolean" else _texts(raw)


def _numbers(raw: pandas.Series, *, whole: bool) -> Typed:
    import numpy
    import pandas

    if raw.dtype.kind in "iu":
        return Typed(raw, numpy.zeros(len(raw), dtype=bool))
    present = raw.notna().to_numpy()
    if raw.dtype.kind == "f":
        values = raw
    elif raw.dtype.kind == "b":
        return Typed(pandas.Series(numpy.full(len(raw), numpy.nan), index=raw.index), present)
    else:
        truths = raw.where(~raw.map(lambda value: isinstance(value, bool))) if raw.dtype == object else raw
        values = pandas.to_numeric(truths, errors="coerce").astype(float)
    numbers = values.to_numpy()
    with numpy.errstate(invalid="ignore"):
        good = numpy.isfinite(numbers) & (~numpy.full(len(raw), whole) | (numbers == numpy.floor(numbers)))
    wrong = present & ~good
    return Typed(values.mask(wrong) if wrong.any() else values, wrong)


def _times(raw: pandas.Series, column: Column) -> Typed:
    import pandas

    if raw.dtype.kind == "M":
        values = raw.dt.tz_localize("UTC") if raw.dt.tz is None else raw.dt.tz_convert("UTC")
        return Typed(values, values.isna().to_numpy() & False)
    default = "%Y-%m-%d" if column.kind == "date" else "ISO8601"
    texts = raw.where(raw.map(lambda value: isinstance(value, str))) if raw.dtype == object else raw
    values = pandas.to_datetime(texts, utc=True, format=column.get("format", default), errors="coerce")
    return Typed(values, (values.isna() & raw.notna()).to_numpy())


def _booleans(raw: pandas.Series) -> Typed:
    if raw.dtype.kind == "b":
        return Typed(raw.astype("boolean"), raw.isna().to_numpy() & False)
    values = raw.map({**dict.fromkeys((*_TRUE, True), True), **dict.fromkeys((*_FALSE, False), False)})
    if raw.dtype.kind in "iuf":  # 1 is the same key as True
        values = values.mask(raw.notna())
    return Typed(values.astype("boolean"), (values.isna() & raw.notna()).to_numpy())


def _texts(raw: pandas.Series) -> Typed:
    import numpy
    import pandas

    if isinstance(raw.dtype, pandas.StringDtype):
        return Typed(raw, numpy.zeros(len(raw), dtype=bool))
    wrong = (raw.notna() & ~raw.map(lambda value: isinstance(value, str))).to_numpy(dtype=bool)
    return Typed(raw.mask(wrong).astype("str"), wrong)


def ends_with_newline(path: str | Path) -> bool:
    """Whether the last byte of a text file is a line break; true of other files, and of an empty one."""
    path = Path(path)
    if path.suffix.lower() not in (*_TEXT_FILES, ".jsonl"):
        return True
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if not size:
            return True
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def write_good(source: str | Path, good: Mask, out: Path) -> None:
    """Write the good rows as they are written in `source`; where all are good, byte for byte the same file."""
    source = Path(source)
    if good.all() and source.suffix.lower() == out.suffix.lower():
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, out)
        return
    same_kind = source.suffix.lower() == out.suffix.lower()
    records = _records(source, len(good)) if same_kind else None
    if records is None:
        write_table(as_written(source)[good], out)
        return
    head, lines = records
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as file:
        file.write(head)
        file.writelines(line for line, stays in zip(lines, good.tolist(), strict=True) if stays)


def write_bad(source: str | Path, good: Mask, reasons: list[str], out: Path) -> None:
    """Write the bad rows with two columns more: `_row`, the number of the row from 1, and `_reasons`."""
    import numpy

    source = Path(source)
    records = _records(source, len(good)) if is_text(source) else None
    if records is None:
        bad = as_written(source)[~good]
    else:
        import pandas

        head, lines = records
        text = head + b"".join(line for line, stays in zip(lines, good.tolist(), strict=True) if not stays)
        separator = _TEXT_FILES[source.suffix.lower()]
        bad = pandas.read_csv(io.BytesIO(text), sep=separator, dtype=str, keep_default_na=False, index_col=False)
    write_table(bad.assign(_row=numpy.flatnonzero(~good) + 1, _reasons=reasons), out)


def _records(source: Path, rows: int) -> tuple[bytes, list[bytes]] | None:
    """The header and the lines of a text file, with their ends, where each line is a row for certain; else None."""
    ending = source.suffix.lower()
    if ending not in (*_TEXT_FILES, ".jsonl"):
        return None
    data = source.read_bytes()
    if ending == ".jsonl":
        head, lines = b"", [line for line in data.split(b"\n") if line.strip()]
        lines = [line + b"\n" for line in lines]
    elif b'"' in data:  # a value may hold a line break
        return None
    else:
        head, *lines = [line for line in data.splitlines(keepends=True) if line.strip(b"\r\n")]
    return (head, lines) if len(lines) == rows else None


def as_written(source: Path) -> pandas.DataFrame:
    """A table whose values are as they are written, where it is text."""
    return _read_json(source) if source.suffix.lower() == ".jsonl" else read_table(source, as_text=True)
