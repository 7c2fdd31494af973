"""What a model takes and gives: its columns with their types as JSON Schema, and what was seen of each in training.

Types and presence bind; ranges and categories stand below `x-seen`, since a value outside of them is a surprise, and
no error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runner.artefacts import columns

if TYPE_CHECKING:
    import pandas

MOST_CATEGORIES = 100
"""Of a text column; one with more of them is text, of which only the number of different values is kept."""
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def signature_of(
    features: pandas.DataFrame, outputs: pandas.DataFrame, *, task: str, target: str, classes: Sequence[Any] | None
) -> dict[str, Any]:
    """The signature of a model that was trained with these tables; `classes` only where it gives probabilities."""
    kinds = columns.kinds_of(features)
    return {
        "version": 1,
        "task": task,
        "target": target,
        "features": list(kinds),
        "input": {
            "$schema": _DIALECT,
            "title": "a row",
            "type": "object",
            "required": list(kinds),
            "properties": {name: _column(features[name], kind) for name, kind in kinds.items()},
        },
        "output": {
            "$schema": _DIALECT,
            "title": "what the model says of a row",
            "type": "object",
            "required": ["prediction"],
            "properties": _output(outputs, task, classes),
        },
    }


def _column(values: pandas.Series, kind: str) -> dict[str, Any]:
    missing = int(values.isna().sum())
    told: dict[str, Any] = {"type": [kind, "null"] if missing else kind}
    told["x-seen"] = {"missing": columns.plain(missing / max(len(values), 1)), **_seen(values.dropna(), kind)}
    return told


def _seen(present: pandas.Series, kind: str) -> dict[str, Any]:
    if not len(present):
        return {}
    if kind in (columns.NUMBER, columns.INTEGER):
        return {"minimum": columns.plain(present.min()), "maximum": columns.plain(present.max())}
    values = sorted({str(value) for value in present}) if kind == columns.STRING else []
    if kind == columns.BOOLEAN or len(values) > MOST_CATEGORIES:
        return {"distinct": len(values) or int(present.nunique())}
    return {"distinct": len(values), "categories": values}


def _output(outputs: pandas.DataFrame, task: str, classes: Sequence[Any] | None) -> dict[str, Any]:
    if len(outputs.columns) != 1:
        return {"prediction": {"type": "array", "items": {"type": ["number", "string", "boolean"]}}}
    values = outputs.iloc[:, 0]
    if task != "classification":
        return {"prediction": {"type": "number", "x-seen": _seen(values.dropna(), columns.NUMBER)}}
    known = (
        list(classes) if classes is not None else sorted({columns.plain(value) for value in values.dropna()}, key=str)
    )
    told: dict[str, Any] = {"prediction": {"enum": known}}
    if classes is not None:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        names = [str(name) for name in classes]
        told["probabilities"] = {"type": "object", "required": names, "properties": dict.fromkeys(names, share)}
    return told
