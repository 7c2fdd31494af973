"""The Open Inference Protocol V2 over REST, with Triton's extension for binary tensors.

A model takes one tensor for each column, of shape [n] or [n, 1], or, where all its columns are numbers, one of shape
[n, columns] by any name. It gives `prediction` and, as a classifier, `probabilities`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from runner.serve.calls import JSON_TYPE, Call, dumped, listed, object_of
from runner.serve.checks import FEW, Checks, Rows
from runner.serve.loading import Model
from runner.serve.predictors import Said
from runner.serve.refusals import Refused

PREDICTION, PROBABILITIES = "prediction", "probabilities"
_TYPES = {
    "BOOL": "?", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "<i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
NAMES = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}
"""The datatype of each kind of column."""
DATATYPES = (*_TYPES, "BYTES")
_BOUNDS = {
    name: (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if name.startswith("I") else (0, (1 << bits) - 1)
    for name, bits in ((f"{sign}INT{bits}", bits) for sign in ("", "U") for bits in (8, 16, 32, 64))
}
_MOST_RANK = 8


def call_of(body: bytes, json_length: str | None, model: Model, name: str, version: str) -> Call:
    """json_length: the header `Inference-Header-Content-Length`, where there is one. Raises Refused."""
    head, tail = _parts(body, json_length)
    told = object_of(head)
    inputs = told.get("inputs")
    if type(inputs) is not list or not inputs:
        raise Refused("`inputs` has to be a list of tensors")
    values: dict[str, Any] = {}
    at = 0
    shapes: dict[str, list[int]] = {}
    for tensor in inputs:
        own, shape, data, at = _tensor(tensor, tail, at)
        if own in values:
            raise Refused(f"input `{own[:80]}`: it is there twice", column=own[:80])
        values[own], shapes[own] = data, shape
    if at != len(tail):
        raise Refused(f"the binary part holds {len(tail)} bytes, and the tensors need {at}")
    rows = _rows(values, shapes, model.checks)
    asked = _asked(told, model.probable)
    identity = told.get("id")
    if identity is not None and (type(identity) is not str or len(identity) > 256):
        raise Refused("`id` has to be a text of at most 256 characters")

    def reply(said: Said) -> tuple[bytes, Sequence[tuple[bytes, bytes]]]:
        head: dict[str, Any] = {"model_name": name, "model_version": version}
        if identity is not None:
            head["id"] = identity
        return _answer(head, said, asked)

    return Call(rows, any(output == PROBABILITIES for output, _ in asked), reply)


def _parts(body: bytes, json_length: str | None) -> tuple[bytes, memoryview]:
    if json_length is None:
        return body, memoryview(b"")
    length = int(json_length) if json_length.isascii() and json_length.isdigit() and len(json_length) < 12 else -1
    if not 0 <= length <= len(body):
        raise Refused("Inference-Header-Content-Length has to be the number of bytes of JSON at the start of the body")
    return body[:length], memoryview(body)[length:]


def _tensor(tensor: Any, tail: memoryview, at: int) -> tuple[str, list[int], Any, int]:
    """Name, shape, values (a flat list or array) and where the binary part goes on."""
    if type(tensor) is not dict or type(tensor.get("name")) is not str:
        raise Refused("each of `inputs` has to be an object with `name`, `shape`, `datatype` and `data`")
    name, kind, shape = tensor["name"], tensor.get("datatype"), tensor.get("shape")
    shown = name[:80]
    if type(kind) is not str or (kind not in _TYPES and kind != "BYTES"):
        known = ", ".join(DATATYPES)
        raise Refused(f"input `{shown}`: `datatype` has to be one of {known}", column=shown)
    if type(shape) is not list or not 1 <= len(shape) <= _MOST_RANK or any(type(n) is not int or n < 0 for n in shape):
        raise Refused(f"input `{shown}`: `shape` has to be a list of sizes, such as [1]", column=shown)
    count = 1
    for size in shape:
        count *= size
    parameters = tensor.get("parameters") or {}
    if type(parameters) is not dict:
        raise Refused(f"input `{shown}`: `parameters` has to be an object", column=shown)
    size = parameters.get("binary_data_size")
    if size is None:
        data = _flat(tensor.get("data"), shown)
        if len(data) != count:
            text = f"input `{shown}`: its shape {shape[:_MOST_RANK]} has {count} values, found {len(data)}"
            raise Refused(text, column=shown)
        return name, shape, _of_datatype(data, kind, shown), at
    if type(size) is not int or not 0 <= size <= len(tail) - at or "data" in tensor:
        text = f"input `{shown}`: `binary_data_size` has to be the number of its bytes behind the JSON, without `data`"
        raise Refused(text, column=shown)
    return name, shape, _binary(tail[at : at + size], kind, count, shown), at + size


def _flat(given: Any, shown: str) -> list[Any]:
    """Nested lists as one; a flat one as it is."""
    if type(given) is not list:
        raise Refused(f"input `{shown}`: `data` has to be a list", column=shown)
    data: list[Any] = given
    for _ in range(_MOST_RANK):
        if not data or type(data[0]) is not list:
            return data
        if any(type(inner) is not list for inner in data):
            break
        data = [value for inner in data for value in inner]
    raise Refused(f"input `{shown}`: `data` is nested unevenly or too deep", column=shown)


def _of_datatype(data: list[Any], kind: str, shown: str) -> list[Any]:
    """The values; raises Refused for one that its datatype cannot hold."""
    bounds = _BOUNDS.get(kind)
    for at, value in enumerate(data):
        found = type(value)
        if value is None:
            continue  # whether it may be missing is the column's own matter
        if kind == "BYTES":
            fits = found is str
        elif kind == "BOOL":
            fits = found is bool or ((found is int) and value in (0, 1))
        elif bounds is not None:
            fits = found is int and bounds[0] <= value <= bounds[1]
        else:
            fits = found is float or found is int
        if not fits:
            raise Refused(f"input `{shown}`, value {at}: it is no {kind}", column=shown, row=at, expected=kind)
    return data


def _binary(part: memoryview, kind: str, count: int, shown: str) -> Any:
    import numpy

    if kind == "BYTES":
        return _texts(part, count, shown)
    dtype = numpy.dtype(_TYPES[kind])
    if len(part) != count * dtype.itemsize:
        text = f"input `{shown}`: {count} values of {kind} are {count * dtype.itemsize} bytes, found {len(part)}"
        raise Refused(text, column=shown)
    raw = numpy.frombuffer(part, dtype="u1" if kind == "BOOL" else dtype)
    return raw != 0 if kind == "BOOL" else raw


def _texts(part: memoryview, count: int, shown: str) -> list[str]:
    found: list[str] = []
    at, end = 0, len(part)
    while at < end:
        if end - at < 4 or len(found) == count:
            break
        (length,) = struct.unpack_from("<I", part, at)
        if length > end - at - 4:
            break
        try:
            found.append(str(part[at + 4 : at + 4 + length], "utf-8"))
        except UnicodeDecodeError as error:
            place = len(found)
            raise Refused(f"input `{shown}`, value {place}: it is no UTF-8", column=shown, row=place) from error
        at += 4 + length
    if at != end or len(found) != count:
        raise Refused(f"input `{shown}`: its bytes are not {count} texts, each behind its length", column=shown)
    return found


def _rows(values: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], checks: Checks) -> Rows:
    if len(values) == 1:
        name, shape = next(iter(shapes.items()))
        if len(shape) == 2 and shape[1] == checks.width and (checks.width > 1 or name not in checks.names):
            return _matrix(name, shape, values[name], checks)
    for name, shape in shapes.items():
        if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
            text = (
                f"input `{name[:80]}`: expected one tensor for each column, of shape [n] or [n, 1], found {list(shape)}"
            )
            raise Refused(text, column=name[:80])
    return checks.by_column(values)


def _matrix(name: str, shape: Sequence[int], data: Any, checks: Checks) -> Rows:
    if not checks.numeric:
        column = next(column for column in checks.columns if column.kind == "string")
        text = f"input `{name[:80]}`: the column `{column.name}` is one of texts: give a tensor for each column"
        raise Refused(text, column=column.name)
    width = checks.width
    if isinstance(data, list) and shape[0] <= FEW:
        checks.check_count(shape[0])
        return Rows(shape[0], few=[checks.listed(data[at * width : (at + 1) * width], at) for at in range(shape[0])])
    if isinstance(data, list):
        return checks.by_column({own: data[place::width] for place, own in enumerate(checks.names)})
    table = data.reshape(shape[0], width)
    return checks.by_column({own: table[:, place] for place, own in enumerate(checks.names)})


def _asked(told: Mapping[str, Any], probable: bool) -> list[tuple[str, bool]]:
    """The outputs that are wanted, and whether each as bytes."""
    parameters = told.get("parameters") or {}
    if type(parameters) is not dict:
        raise Refused("`parameters` has to be an object")
    binary = _flag(parameters, "binary_data_output", False)
    known = [PREDICTION, PROBABILITIES] if probable else [PREDICTION]
    outputs = told.get("outputs")
    if outputs is None or outputs == []:
        return [(name, binary) for name in known]
    if type(outputs) is not list or len(outputs) > 64:
        raise Refused("`outputs` has to be a list of objects with `name`")
    asked = []
    for output in outputs:
        name = output.get("name") if type(output) is dict else None
        if name not in known:
            raise Refused(f"`outputs`: the model gives {', '.join(known)}")
        own = output.get("parameters") or {}
        if type(own) is not dict:
            raise Refused(f"output `{name}`: `parameters` has to be an object")
        asked.append((name, _flag(own, "binary_data", binary)))
    return asked


def _flag(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise Refused(f"parameter `{name}`: expected true or false")
    return value


def _answer(
    head: dict[str, Any], said: Said, asked: Sequence[tuple[str, bool]]
) -> tuple[bytes, Sequence[tuple[bytes, bytes]]]:
    outputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for name, binary in asked:
        values = said.predictions if name == PREDICTION else said.probabilities
        if values is None:
            continue
        kind = _datatype(values)
        output: dict[str, Any] = {"name": name, "shape": list(values.shape), "datatype": kind}
        if binary:
            part = _bytes_of(values, kind)
            output["parameters"] = {"binary_data_size": len(part)}
            parts.append(part)
        else:
            flat = listed(values.ravel())
            output["data"] = [str(value) for value in flat] if kind == "BYTES" else flat
        outputs.append(output)
    told = dumped({**head, "outputs": outputs})
    if not parts:
        return told, [JSON_TYPE]
    length = (b"inference-header-content-length", str(len(told)).encode())
    return b"".join((told, *parts)), [(b"content-type", b"application/octet-stream"), length]


def _datatype(values: Any) -> str:
    kind = values.dtype.kind
    return {"f": "FP64", "i": "INT64", "u": "INT64", "b": "BOOL"}.get(kind, "BYTES")


def _bytes_of(values: Any, kind: str) -> bytes:
    if kind != "BYTES":
        made: bytes = values.astype(_TYPES[kind]).tobytes()
        return made
    texts = [str(value).encode("utf-8", "replace") for value in values.ravel().tolist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def server_metadata(version: str) -> dict[str, Any]:
    """What `GET /v2` says."""
    return {"name": "gitops-runner", "version": version, "extensions": ["binary_tensor_data"]}


def model_metadata(model: Model, name: str, version: str, output: str) -> dict[str, Any]:
    """What `GET /v2/models/NAME` says. output: the datatype of predictions."""
    outputs = [{"name": PREDICTION, "datatype": output, "shape": [-1]}]
    if model.probable:
        outputs.append({"name": PROBABILITIES, "datatype": "FP64", "shape": [-1, len(model.artefact.classes or ())]})
    return {
        "name": name,
        "versions": [version],
        "platform": f"gitops-runner_{model.format}",
        "inputs": [
            {"name": column.name, "datatype": NAMES[column.kind], "shape": [-1]} for column in model.checks.columns
        ],
        "outputs": outputs,
    }


def output_datatype(said: Said) -> str:
    """The datatype of predictions, by some that were made."""
    return _datatype(said.predictions)
