"""Pages for people and tools: `/openapi.json` with the model's own schema and example, and `/docs`, plain HTML."""

from __future__ import annotations

import html
import json
from typing import Any

from runner.serve.calls import JSON_TYPE, dumped
from runner.serve.loading import Model
from runner.serve.openapi import example, openapi, tensors_of
from runner.serve.settings import Served

_HTML = (b"content-type", b"text/html; charset=utf-8")
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:0 auto;padding:1rem;color:#222;background:#fff}"
    "pre{background:#f4f4f4;padding:.8rem;overflow-x:auto;font-size:14px}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #ddd;vertical-align:top}"
    "code{font-size:.95em;overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#262626}td,th{border-color:#444}}"
)


def pages_of(model: Model, served: Served, *, explains: bool) -> dict[str, tuple[tuple[bytes, bytes], bytes]]:
    """By path: the type and the bytes of a page."""
    name, version = served.name, served.version
    page = (_HTML, _page(model, served, explains).encode())
    return {
        "/openapi.json": (JSON_TYPE, dumped(openapi(model, name, version, explains=explains))),
        "/docs": page,
        "/": page,
    }


def _page(model: Model, served: Served, explains: bool) -> str:
    name, version = served.name, served.version
    output = model.artefact.signature["output"]["properties"]["prediction"]
    said = ", ".join(map(str, output["enum"][:20])) if "enum" in output else "a number"
    seen = {column: told.get("x-seen", {}) for column, told in model.artefact.signature["input"]["properties"].items()}
    rows = "".join(
        f"<tr><td><code>{_text(column.name)}</code></td><td>{_text(column.expected)}</td>"
        f"<td>{_text(_seen(seen[column.name]))}</td></tr>"
        for column in model.checks.columns
    )
    calls = "".join(
        f"<h3>{_text(title)}</h3><pre>{_text(_curl(served.url + path, body))}</pre>"
        for title, path, body in (
            ("MLflow", "/invocations", {"dataframe_records": example(model)}),
            ("Open Inference Protocol V2", f"/v2/models/{name}/infer", tensors_of(model)),
            ("V1", f"/v1/models/{name}:predict", {"instances": example(model)}),
            *([("Why", "/explain", {"dataframe_records": example(model)})] if explains else []),
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


def _curl(url: str, body: Any) -> str:
    told = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
    return f"curl -s -H 'content-type: application/json' \\\n  {url} \\\n  -d '{told}'"


def _text(value: Any) -> str:
    return html.escape(str(value))
