"""MLflow's scoring protocol: `/invocations`, with a table in JSON or CSV."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from runner.serve.calls import JSON_TYPE, Call, dumped, json_of, listed
from runner.serve.checks import Checks, Rows
from runner.serve.predictors import Said
from runner.serve.refusals import Refused

_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_TRUTH = {"true": True, "false": False, "True": True, "False": False, "TRUE": True, "FALSE": False}
_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,39}\s*")
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
"""Python's own reading takes more than that: `1_000` and digits of every script."""
csv.field_size_limit(1 << 20)


def call_of(body: bytes, content_type: str, checks: Checks) -> Call:
    """Raises Refused."""
    kind, _, rest = content_type.partition(";")
    kind = kind.strip().lower()
    if "charset=" in rest.lower() and "utf-8" not in rest.lower():
        raise Refused("the body has to be UTF-8", status=415)
    if kind == "text/csv":
        return Call(_csv(body, checks), False, _plain)
    if kind not in ("application/json", ""):
        raise Refused(f"expected application/json or text/csv, found {kind[:60]}", status=415)
    told = json_of(body)
    if type(told) is not dict:
        raise Refused(f"the body has to be an object with one of {', '.join(_FORMS)}")
    found = [name for name in _FORMS if name in told]
    unknown = sorted(told.keys() - {*_FORMS, "params"})
    if len(found) != 1 or unknown:
        said = f"found {', '.join(found) or 'none'}" if len(found) != 1 else f"found also {unknown[0][:60]}"
        raise Refused(f"the body has to hold exactly one of {', '.join(_FORMS)}, and `params` beside it; {said}")
    params = told.get("params") or {}
    if (
        type(params) is not dict
        or params.keys() - {"probabilities"}
        or type(params.get("probabilities", True)) is not bool
    ):
        raise Refused("`params` may hold `probabilities`, true or false, and nothing else")
    rows = _rows(found[0], told[found[0]], checks)
    return Call(rows, True, _with_probabilities) if params.get("probabilities") else Call(rows, False, _plain)


def _rows(form: str, given: Any, checks: Checks) -> Rows:
    if form == "dataframe_split":
        if type(given) is not dict or "data" not in given or given.keys() - {"columns", "data", "index"}:
            raise Refused("`dataframe_split` has to be an object with `columns` and `data`")
        return checks.split(given.get("columns", checks.names), given["data"])
    if form == "dataframe_records":
        if type(given) is not list or any(type(row) is not dict for row in given):
            raise Refused("`dataframe_records` has to be a list of objects")
        return checks.rows(given)
    return rows_or_columns(form, given, checks)


def rows_or_columns(form: str, given: Any, checks: Checks) -> Rows:
    """A list of rows, or an object with a list for each column; raises Refused."""
    if type(given) is dict:
        for name, values in given.items():
            if type(values) is not list:
                raise Refused(f"`{form}`: column `{name[:80]}` has to be a list of values", column=name[:80])
        return checks.by_column(given)
    if type(given) is not list:
        raise Refused(f"`{form}` has to be a list of rows, or an object with a list for each column")
    if checks.width == 1 and given and type(given[0]) not in (dict, list):
        return checks.by_column({checks.names[0]: given})
    return checks.rows(given)


def _csv(body: bytes, checks: Checks) -> Rows:
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig")), strict=True)
        names = next(lines, None)
        if not names:
            raise Refused("the CSV has no header")
        order = checks.order(names)
        kinds = [column.kind for column in checks.columns]
        rows = []
        for at, line in enumerate(lines):
            if not line:
                continue
            if len(line) != len(names):
                raise Refused(f"row {at}: expected {len(names)} values, found {len(line)}", row=at)
            rows.append([_typed(line[place], kind) for place, kind in zip(order, kinds, strict=True)])
            if at % 1024 == 0:
                checks.check_count(len(rows))
    except UnicodeDecodeError as error:
        raise Refused(f"the body is no UTF-8: byte {error.start}") from error
    except csv.Error as error:
        raise Refused(f"the body is no CSV: {error}") from error
    return checks.rows(rows)


def _typed(text: str, kind: str) -> Any:
    """A cell as JSON would have it; what is none of its kind stays a text, which is then refused."""
    if text == "":
        return None
    if kind == "string":
        return text
    if kind == "boolean":
        return _TRUTH.get(text, text)
    if not _NUMBER.fullmatch(text):
        return text
    return int(text) if kind == "integer" and _WHOLE.fullmatch(text) else float(text)


def _plain(said: Said) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    return dumped({"predictions": listed(said.predictions)}), [JSON_TYPE]


def _with_probabilities(said: Said) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    shares = None if said.probabilities is None else listed(said.probabilities)
    return dumped({"predictions": listed(said.predictions), "probabilities": shares}), [JSON_TYPE]
