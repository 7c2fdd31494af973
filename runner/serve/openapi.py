"""The OpenAPI document of a server: the paths that it answers, with the columns and the example of its own model.

What it says of the Open Inference Protocol is what that protocol's own document says (kserve/open-inference-protocol,
`specification/protocol/open_inference_rest.yaml`), for the one model that is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner import __version__
from runner.serve.loading import Model
from runner.serve.open_inference import DATATYPES, NAMES

Schema = dict[str, Any]

_READING = {
    "/v2/health/live": ("whether the server lives", {"live": {"type": "boolean"}}),
    "/v2/health/ready": ("whether it can answer", {"ready": {"type": "boolean"}}),
    "/status": ("what is served, and since when", {"version": {"type": "string"}, "digest": {"type": "string"}}),
}
"""Paths that are read, what each is, and what its answer holds for certain."""
_PLAIN = {"/ping": "whether it can answer, for MLflow's clients", "/metrics": "for Prometheus"}
_REFUSED = ("400", "404", "405", "408", "413", "415", "429", "503", "504")


def openapi(model: Model, name: str, version: str, *, explains: bool) -> Schema:
    """The document."""
    records, tensors = {"dataframe_records": example(model)}, tensors_of(model)
    said = _object(predictions=_list({}))
    v1 = _object(predictions=_list({}))
    split = _object(columns=_list({"type": "string"}), data=_list(_list({})))
    forms = {"dataframe_records": _rows(), "dataframe_split": split, "instances": _list({}), "inputs": {}}
    paths = {
        "/invocations": _post("MLflow's protocol; text/csv, too", _one_of(forms), records, said),
        f"/v1/models/{name}:predict": _post(
            "V1, as TensorFlow Serving and KServe have it",
            _object(instances=_rows()),
            {"instances": example(model)},
            v1,
        ),
    }
    if explains:
        explained = _object(explanations=_list({"type": "object"}))
        text = "how far each column moved the prediction"
        paths["/explain"] = _post(text, _object(dataframe_records=_rows()), records, explained)
    for base in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
        paths[base] = _get("inputs and outputs", _ref("ModelMetadata"))
        paths[f"{base}/ready"] = _get("whether the model can answer", _object(ready={"type": "boolean"}))
        paths[f"{base}/infer"] = _post(
            "Open Inference Protocol V2", _ref("InferenceRequest"), tensors, _ref("InferenceResponse")
        )
    paths["/v2"] = _get("name and version of the server", _ref("ServerMetadata"))
    for path, (text, known) in _READING.items():
        paths[path] = _get(text, _object(**known))
    for path, text in _PLAIN.items():
        paths[path] = {"get": {"summary": text, "responses": {"200": {"description": "plain text"}}}}
    row = {**model.artefact.signature["input"], "additionalProperties": False}
    row.pop("$schema", None)
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": version, "description": f"Served by gitops-runner {__version__}."},
        "paths": paths,
        "components": {"schemas": {"Row": row, "Said": model.artefact.signature["output"], **_SCHEMAS}},
    }


def example(model: Model) -> list[dict[str, Any]]:
    """The first row of the example, as a record."""
    told = model.artefact.example
    return [dict(zip(told["columns"], row, strict=False)) for row in told["data"][:1]]


def tensors_of(model: Model) -> dict[str, Any]:
    """The same row as the Open Inference Protocol has it."""
    rows = example(model)
    inputs = [
        {
            "name": one.name,
            "shape": [len(rows)],
            "datatype": NAMES[one.kind],
            "data": [row.get(one.name) for row in rows],
        }
        for one in model.checks.columns
    ]
    return {"inputs": inputs}


def _object(*optional: str, **properties: Schema) -> Schema:
    """An object that has all of these, but for the optional ones."""
    needed = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, **({"required": needed} if needed else {})}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _rows() -> Schema:
    return _list(_ref("Row"))


def _one_of(forms: Mapping[str, Schema]) -> Schema:
    alone = [{**_object(**{name: schema}), "additionalProperties": False} for name, schema in forms.items()]
    return {"oneOf": alone}


def _json(schema: Schema, example: Any = None) -> Schema:
    told: Schema = {"schema": schema}
    return {"application/json": told if example is None else {**told, "example": example}}


def _get(summary: str, answer: Schema) -> Schema:
    return {"get": {"summary": summary, "responses": {"200": {"description": "ok", "content": _json(answer)}}}}


def _post(summary: str, schema: Schema, example: Any, answer: Schema) -> Schema:
    refused = {"description": "refused; says why", "content": _json(_ref("Error"))}
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": _json(schema, example)},
            "responses": {
                "200": {"description": "what the model says", "content": _json(answer)},
                **dict.fromkeys(_REFUSED, refused),
            },
        }
    }


_TEXT, _NUMBER, _ANYTHING = {"type": "string"}, {"type": "integer"}, {"type": "object"}
_DATATYPE = {"type": "string", "enum": list(DATATYPES)}
_DATA = _list({"type": ["array", "number", "string", "boolean", "null"]})
_TENSOR = {"name": _TEXT, "shape": _list(_NUMBER), "datatype": _DATATYPE, "parameters": _ANYTHING, "data": _DATA}
_SCHEMAS: Schema = {
    "Error": _object(
        "error_code", "column", "row", "expected",
        error=_TEXT, error_code=_TEXT, message=_TEXT, request_id=_TEXT, column=_TEXT, row=_NUMBER, expected=_TEXT,
    ),
    "ServerMetadata": _object(name=_TEXT, version=_TEXT, extensions=_list(_TEXT)),
    "TensorMetadata": _object(name=_TEXT, datatype=_DATATYPE, shape=_list(_NUMBER)),
    "ModelMetadata": _object(
        name=_TEXT, versions=_list(_TEXT), platform=_TEXT,
        inputs=_list(_ref("TensorMetadata")), outputs=_list(_ref("TensorMetadata")),
    ),
    "Tensor": _object("parameters", **_TENSOR),
    "WantedOutput": _object("parameters", name=_TEXT, parameters=_ANYTHING),
    "InferenceRequest": _object(
        "id", "parameters", "outputs",
        id=_TEXT, parameters=_ANYTHING, inputs=_list(_ref("Tensor")), outputs=_list(_ref("WantedOutput")),
    ),
    "InferenceResponse": _object(
        "id", "model_version",
        model_name=_TEXT, model_version=_TEXT, id=_TEXT, outputs=_list(_ref("Tensor")),
    ),
}  # fmt: skip
