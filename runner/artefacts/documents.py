"""JSON documents of a model folder: one form, so that equal contents are equal bytes."""

from __future__ import annotations

import json
from typing import Any


def document(value: Any) -> bytes:
    """A JSON document for people and programs: indented, in the order given, UTF-8, finite numbers only."""
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "surrogatepass")
