"""A finished file of the prediction log as Parquet, with the same columns in every file of one model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from runner.serve.prediction_log import columns_of

_AT_ONCE = 50_000
"""Rows that are held in memory at a time."""


def as_parquet(lines: Path, made: Path) -> None:
    """Write the rows of a file of JSON Lines as Parquet; raises OSError, and ValueError for lines that are none."""
    import pyarrow
    import pyarrow.parquet

    with lines.open("rb") as file:
        first = file.readline()
    told = columns_of(lines.parent, orjson.loads(first).get("digest", "") if first else "")
    schema = _schema(told)
    with pyarrow.parquet.ParquetWriter(made, schema, compression="zstd") as writer:
        for rows in _portions(lines):
            arrays = [
                pyarrow.array([_value(row, field.name, field.type) for row in rows], type=field.type)
                for field in schema
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _portions(lines: Path) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    with lines.open("rb") as file:
        for line in file:
            rows.append(orjson.loads(line))
            if len(rows) == _AT_ONCE:
                yield rows
                rows = []
    if rows:
        yield rows


def _schema(told: Mapping[str, Any]) -> Any:
    import pyarrow

    types = {
        "number": pyarrow.float64(),
        "integer": pyarrow.int64(),
        "boolean": pyarrow.bool_(),
        "string": pyarrow.string(),
    }
    texts = [(name, pyarrow.string()) for name in ("id", "model", "version", "digest")]
    return pyarrow.schema(
        [
            texts[0],
            ("at", pyarrow.timestamp("ms", tz="UTC")),
            *texts[1:],
            ("prediction", types[told["prediction"]]),
            *((f"probabilities.{name}", pyarrow.float64()) for name in told["classes"]),
            *((f"inputs.{name}", types[kind]) for name, kind in told["inputs"].items()),
        ]
    )


def _value(row: Mapping[str, Any], name: str, kind: Any) -> Any:
    group, _, own = name.partition(".")
    found = row.get(group)
    if own and group in ("inputs", "probabilities"):
        found = (found or {}).get(own)
    if found is None:
        return None
    if name == "at":
        return datetime.fromisoformat(found)
    text = str(kind)
    if text == "int64":
        return int(found)
    if text == "bool":
        return bool(found)
    return float(found) if text == "double" else str(found)
