"""The file `MLmodel`, by which `mlflow.pyfunc.load_model` opens a model folder.

Its format is that of https://mlflow.org/docs/latest/ml/model/#storage-format: YAML, of which JSON is a part. MLflow's
loader imports `runner.artefacts.pyfunc`, so the runner is installed wherever a model is opened that way.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from typing import Any

from runner.artefacts.documents import document

NAME = "MLmodel"
EXAMPLE = "example.json"
LOADER = "runner.artefacts.pyfunc"
_TYPES = {"number": "double", "integer": "long", "boolean": "boolean", "string": "string"}


def mlmodel_of(signature: Mapping[str, Any], model: bytes) -> bytes:
    """The MLmodel of a model with this signature; its id is made from the model's bytes."""
    inputs = [_column(name, told) for name, told in signature["input"]["properties"].items()]
    return document(
        {
            "flavors": {
                "python_function": {
                    "loader_module": LOADER,
                    "python_version": platform.python_version(),
                    "env": {},
                }
            },
            "model_uuid": hashlib.sha256(model).hexdigest()[:32],
            "saved_input_example_info": {"artifact_path": EXAMPLE, "type": "dataframe", "pandas_orient": "split"},
            "signature": {"inputs": json.dumps(inputs), "outputs": json.dumps(_outputs(signature)), "params": None},
        }
    )


def _column(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    kinds = [told["type"]] if isinstance(told["type"], str) else told["type"]
    kind = kinds[0]
    # MLflow has no whole number that may be missing: a column with gaps reaches it as floats.
    kind = "number" if len(kinds) > 1 and kind in ("integer", "boolean") else kind
    return {"type": _TYPES[kind], "name": name, "required": len(kinds) == 1}


def _outputs(signature: Mapping[str, Any]) -> list[dict[str, Any]]:
    told = signature["output"]["properties"]["prediction"]
    if told.get("type") == "array":
        return []
    values = told.get("enum", ())
    kinds = {type(value) for value in values}
    name = {frozenset((str,)): "string", frozenset((int,)): "long", frozenset((bool,)): "boolean"}
    return [{"type": name.get(frozenset(kinds), "string") if values else "double", "required": True}]
