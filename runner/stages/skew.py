"""`skew`: whether a model answers in serving as in training, by rows that are sent through JSON as a client would.

Each row becomes a request by the model's signature, is read back as a server reads one, and is predicted with the few
rows that come with it; in training all rows were read at once, from a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import artefacts
from runner.artefacts import columns as kinds
from runner.artefacts.folder import kinds_in
from runner.errors import InputError
from runner.stages import estimators
from runner.stages.drift import drift_of
from runner.stages.judging import model_of
from runner.stages.program import Call, program
from runner.stages.tables import read_table
from runner.stages.written import write_json

if TYPE_CHECKING:
    import pandas

Array = Any
"""A numpy array, one value or line for each row."""
_ROWS, _TOLERANCE = 1_000, 1e-9
_INPUTS = "inputs"
"""Where the lines of a prediction log have their columns; as Parquet, before a point in their names."""


@estimators.one_blas_thread()
def run(call: Call) -> None:
    """Send the rows of the table `data` through JSON; raises InputError where the model cannot read the table."""
    artefact = model_of(call)
    path = call.given["data"]
    whole = read_table(path)
    chosen = _chosen(len(whole), call, path)
    table = whole.take(chosen).reset_index(drop=True)
    trained = artefact.aligned(table, path)
    signature = artefact.signature["input"]["properties"]
    written = _as_written(path, trained, signature, chosen)
    requests = [json.loads(text) for text in requests_of(written, signature)]
    other = call.get("served")
    drift = drift_of(artefact, rows_of(read_table(other), artefact.features), other) if other is not None else {}
    served = _served(artefact, requests)
    answers, again = _answers(artefact, trained), _answers_in_parts(artefact, requests, call.get("batch", 1))
    gaps = _gaps(answers, again)
    differing = gaps > call.get("tolerance", _TOLERANCE)
    refused = _refused(requests, signature)
    told = {
        "mismatches": int((differing | refused).sum()),
        "share": float((differing | refused).mean()),
        "differing": int(differing.sum()),
        "refused": int(refused.sum()),
        "greatest": float(gaps.max()),
        "support": len(trained),
        "columns": _columns(artefact, table, trained, served),
    }
    write_json(call.metrics, told | drift)


def rows_of(table: pandas.DataFrame, features: Sequence[str]) -> pandas.DataFrame:
    """The rows that were served: those of a server's prediction log taken out of it, any other table as it is.

    features: of the model; a table that has all of them under their own names is none of a log.
    """
    import pandas

    if "prediction" not in table.columns or all(name in table.columns for name in features):
        return table
    if _INPUTS in table.columns:
        logged = table[_INPUTS].tolist()
        return pandas.DataFrame(logged) if all(isinstance(row, dict) for row in logged) else table
    group = f"{_INPUTS}."
    names = {name: name.removeprefix(group) for name in map(str, table.columns) if name.startswith(group)}
    return table[list(names)].rename(columns=names) if names else table


def _chosen(count: int, call: Call, path: str) -> Array:
    """The numbers of the rows that are sent, in the order of the table."""
    import numpy

    if not count:
        raise InputError(f"{path}: the table has no rows", "give rows to send")
    most = call.get("rows", _ROWS)
    if count <= most:
        return numpy.arange(count)
    return numpy.sort(numpy.random.default_rng(call.seed).choice(count, most, replace=False))


def _as_written(path: str, trained: pandas.DataFrame, signature: Mapping[str, Any], chosen: Array) -> pandas.DataFrame:
    """The rows with their texts as the file has them: `007`, which a table may read as the number 7.

    Where training took a value for missing, a client says that it is.
    """
    if Path(path).suffix.lower() not in (".csv", ".tsv"):
        return trained
    texts = read_table(path, as_text=True).take(chosen).reset_index(drop=True)
    of_text = [name for name, told in signature.items() if _kind(told) == kinds.STRING]
    written: pandas.DataFrame = trained.assign(**{name: texts[name].where(trained[name].notna()) for name in of_text})
    return written


def requests_of(seen: pandas.DataFrame, signature: Mapping[str, Any]) -> Sequence[str]:
    """Each row as the JSON that a client sends: numbers as numbers, truth values as such, the rest as text or null."""
    lists = {name: [_sent(value, _kind(told)) for value in seen[name]] for name, told in signature.items()}
    return [
        json.dumps(dict(zip(lists, row, strict=True)), allow_nan=False) for row in zip(*lists.values(), strict=True)
    ]


def _kind(told: Mapping[str, Any]) -> str:
    return str(told["type"] if isinstance(told["type"], str) else told["type"][0])


def _sent(value: Any, kind: str) -> Any:
    value = kinds.plain(value)
    if value is None or kind == kinds.STRING:
        return None if value is None else str(value)
    if kind == kinds.BOOLEAN and value in (0, 1):
        return bool(value)
    whole = kind == kinds.INTEGER and isinstance(value, float) and value.is_integer()
    return int(value) if whole else value


def _served(artefact: artefacts.Artefact, requests: Sequence[Any]) -> pandas.DataFrame:
    """The rows as a server reads them, all at once."""
    import pandas

    return artefact.aligned(pandas.DataFrame(requests, columns=list(artefact.features)), "a request")


def _answers_in_parts(artefact: artefacts.Artefact, requests: Sequence[Any], batch: int) -> Array:
    """What the model says of requests, a few at a time."""
    import numpy

    parts = [requests[start : start + batch] for start in range(0, len(requests), batch)]
    return numpy.concatenate([_answers(artefact, _served(artefact, part)) for part in parts])


def _answers(artefact: artefacts.Artefact, seen: pandas.DataFrame) -> Array:
    """What the model says: a line of probabilities for each row, or its predictions."""
    import numpy

    model = artefact.model
    try:
        told = model.predict_proba(seen) if hasattr(model, "predict_proba") else model.predict(seen)
    except Exception as error:
        text = f"the model cannot predict {len(seen)} rows: {type(error).__name__}: {str(error)[:300]}"
        raise InputError(text, "see whether the table is like the one it was trained with") from error
    return numpy.asarray(told).reshape(len(seen), -1)


def _gaps(one: Array, other: Array) -> Array:
    """By how much two answers differ, row by row, relative to them where they are above 1; 1 for other classes."""
    import numpy

    if one.dtype.kind not in "fiub":
        return (one != other).any(axis=1).astype(float)
    one, other = one.astype(float), other.astype(float)
    sizes = numpy.maximum(1.0, numpy.maximum(numpy.abs(one), numpy.abs(other)))
    both_missing = numpy.isnan(one) & numpy.isnan(other)
    gaps = numpy.where(both_missing, 0.0, numpy.abs(one - other) / sizes)
    return numpy.nan_to_num(gaps, nan=1.0, posinf=1.0).max(axis=1)


def _refused(requests: Sequence[Mapping[str, Any]], signature: Mapping[str, Any]) -> Array:
    """Which rows a server refuses: the signature says that a value is there, and it is not."""
    import numpy

    needed = [name for name, told in signature.items() if isinstance(told["type"], str)]
    return numpy.array([any(row[name] is None for name in needed) for row in requests])


def _columns(
    artefact: artefacts.Artefact, table: pandas.DataFrame, trained: pandas.DataFrame, served: pandas.DataFrame
) -> dict[str, Any]:
    """The columns whose values come out otherwise, or whose kind in this table is not that of the signature."""
    found = {}
    for name, kind in kinds_in(artefact.signature).items():
        one, other = trained[name], served[name]
        same = (one == other) | (one.isna() & other.isna())
        own = kinds.kind_of(table[name])
        if own != kind or not same.all():
            found[name] = {"signature": kind, "table": own, "differing": int((~same).sum())}
    return found


main = program("skew", run)

if __name__ == "__main__":
    raise SystemExit(main())
