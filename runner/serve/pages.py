"""Pages for people and tools: `/openapi.json` with the model's own schema and example, and `/docs`, plain HTML."""

from __future__ import annotations

import html
import json
from typing import Any

from runner import __version__
from runner.serve.calls import JSON_TYPE, dumped
from runner.serve.loading import Model

_HTML = (b"content-type", b"text/html; charset=utf-8")
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:0 auto;padding:1rem;color:#222;background:#fff}"
    "pre{background:#f4f4f4;padding:.8rem;overflow-x:auto;font-size:14px}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #ddd;vertical-align:top}"
    "code{font-size:.95em;overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#262626}td,th{border-color:#444}}"
)
_ERROR = {
    "type": "object",
    "required": ["error", "message", "request_id"],
    "properties": {
        "error": {"type": "string"},
        "error_code": {"type": "string"},
        "message": {"type": "string"},
        "request_id": {"type": "string"},
        "column": {"type": "string"},
        "row": {"type": "integer"},
        "expected": {"type": "string"},
    },
}


def pages_of(model: Model, name: str, version: str, *, explains: bool) -> dict[str, tuple[tuple[bytes, bytes], bytes]]:
    """By path: the type and the bytes of a page."""
    page = (_HTML, _page(model, name, version, explains).encode())
    return {
        "/openapi.json": (JSON_TYPE, dumped(_openapi(model, name, version, explains))),
        "/docs": page,
        "/": page,
    }


def _example(model: Model) -> list[dict[str, Any]]:
    """The first row of the example, as a record."""
    told = model.artefact.example
    return [dict(zip(told["columns"], row, strict=False)) for row in told["data"][:1]]


def _tensors(model: Model) -> dict[str, Any]:
    rows = _example(model)
    kinds = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}
    return {
        "inputs": [
            {
                "name": column.name,
                "shape": [len(rows)],
                "datatype": kinds[column.kind],
                "data": [row.get(column.name) for row in rows],
            }
            for column in model.checks.columns
        ]
    }


def _openapi(model: Model, name: str, version: str, explains: bool) -> dict[str, Any]:
    row = {**model.artefact.signature["input"], "additionalProperties": False}
    row.pop("$schema", None)
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}
    records, tensors = _example(model), _tensors(model)

    def post(summary: str, schema: dict[str, Any], example: Any, answer: dict[str, Any]) -> dict[str, Any]:
        refused = {"description": "refused; says why", "content": _json({"$ref": "#/components/schemas/Error"})}
        return {
            "post": {
                "summary": summary,
                "requestBody": {"required": True, "content": _json(schema, example)},
                "responses": {
                    "200": {"description": "predictions", "content": _json(answer)},
                    **dict.fromkeys(("400", "404", "408", "413", "415", "429", "503", "504"), refused),
                },
            }
        }

    def one(field: str) -> dict[str, Any]:
        return {"type": "object", "required": [field], "properties": {field: rows}}

    said = {"type": "object", "required": ["predictions"], "properties": {"predictions": {"type": "array"}}}
    tensor_list = {"type": "object", "required": ["inputs"], "properties": {"inputs": {"type": "array"}}}
    outputs = {"type": "object", "required": ["outputs"], "properties": {"outputs": {"type": "array"}}}
    explained = {"type": "object", "required": ["explanations"], "properties": {"explanations": {"type": "array"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": version, "description": f"Served by gitops-runner {__version__}."},
        "paths": {
            "/invocations": post(
                "MLflow's protocol; also dataframe_split, instances, inputs, and text/csv",
                one("dataframe_records"), {"dataframe_records": records}, said,
            ),
            f"/v2/models/{name}/infer": post("Open Inference Protocol V2", tensor_list, tensors, outputs),
            f"/v1/models/{name}:predict": post(
                "V1, as TensorFlow Serving and KServe have it", one("instances"), {"instances": records}, said
            ),
            **({"/explain": post("how far each column moved the prediction", one("dataframe_records"), {
                "dataframe_records": records}, explained)} if explains else {}),
            **{
                path: {"get": {"summary": text, "responses": {"200": {"description": "ok"}}}}
                for path, text in {**_READING, f"/v2/models/{name}": "inputs and outputs"}.items()
            },
        },
        "components": {"schemas": {"Row": row, "Said": model.artefact.signature["output"], "Error": _ERROR}},
    }  # fmt: skip


_READING = {
    "/v2/health/live": "whether the server lives",
    "/v2/health/ready": "whether it can answer",
    "/ping": "the same, for MLflow's clients",
    "/status": "what is served, and since when",
    "/metrics": "for Prometheus",
}


def _json(schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    told: dict[str, Any] = {"schema": schema}
    return {"application/json": told if example is None else {**told, "example": example}}


def _page(model: Model, name: str, version: str, explains: bool) -> str:
    output = model.artefact.signature["output"]["properties"]["prediction"]
    said = ", ".join(map(str, output["enum"][:20])) if "enum" in output else "a number"
    seen = {column: told.get("x-seen", {}) for column, told in model.artefact.signature["input"]["properties"].items()}
    rows = "".join(
        f"<tr><td><code>{_text(column.name)}</code></td><td>{_text(column.expected)}</td>"
        f"<td>{_text(_seen(seen[column.name]))}</td></tr>"
        for column in model.checks.columns
    )
    calls = "".join(
        f"<h3>{_text(title)}</h3><pre>{_text(_curl(path, body))}</pre>"
        for title, path, body in (
            ("MLflow", "/invocations", {"dataframe_records": _example(model)}),
            ("Open Inference Protocol V2", f"/v2/models/{name}/infer", _tensors(model)),
            ("V1", f"/v1/models/{name}:predict", {"instances": _example(model)}),
            *([("Why", "/explain", {"dataframe_records": _example(model)})] if explains else []),
        )
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(name)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<h1>{_text(name)}</h1><p>Version {_text(version)}, a {_text(model.artefact.task)} of "
        f"<code>{_text(model.artefact.target)}</code>: {_text(said)}.</p>"
        f"<h2>A row</h2><table><tr><th>column</th><th>expected</th><th>seen in training</th></tr>{rows}</table>"
        f"<h2>Ask it</h2>{calls}"
        '<h2>More</h2><p><a href="/openapi.json">openapi.json</a>, <a href="/status">status</a>, '
        '<a href="/metrics">metrics</a></p></body></html>\n'
    )


def _seen(told: dict[str, Any]) -> str:
    if "minimum" in told:
        return f"{told['minimum']:.6g} to {told['maximum']:.6g}" if told["minimum"] is not None else ""
    return ", ".join(map(str, told.get("categories", ())[:20]))


def _curl(path: str, body: Any) -> str:
    told = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
    return f"curl -s -H 'content-type: application/json' \\\n  http://127.0.0.1:8080{path} \\\n  -d '{told}'"


def _text(value: Any) -> str:
    return html.escape(str(value))
