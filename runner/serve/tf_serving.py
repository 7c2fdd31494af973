"""The V1 protocol of TensorFlow Serving and KServe: `/v1/models/NAME:predict`."""

from __future__ import annotations

from runner.serve.calls import JSON_TYPE, Call, dumped, listed, object_of
from runner.serve.checks import Checks
from runner.serve.mlflow import rows_or_columns
from runner.serve.predictors import Said
from runner.serve.refusals import Refused


def call_of(body: bytes, checks: Checks) -> Call:
    """Raises Refused."""
    told = object_of(body)
    found = [name for name in ("instances", "inputs") if name in told]
    if len(found) != 1 or told.keys() - {"instances", "inputs", "signature_name"}:
        raise Refused("the body has to be an object with either `instances` or `inputs`")
    rows = rows_or_columns(found[0], told[found[0]], checks)
    return Call(rows, False, _by_row if found[0] == "instances" else _by_column)


def _by_row(said: Said) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    return dumped({"predictions": listed(said.predictions)}), [JSON_TYPE]


def _by_column(said: Said) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    return dumped({"outputs": listed(said.predictions)}), [JSON_TYPE]


def status_of(name: str, version: str) -> bytes:
    """What `GET /v1/models/NAME` says, in the words of both."""
    state = {"version": version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    return dumped({"name": name, "ready": True, "model_version_status": [state]})
