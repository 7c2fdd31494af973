"""JSON as people read it, byte for byte what `json.dumps` gives with `indent=1, sort_keys=True, ensure_ascii=False`.

Only faster: with an indent the standard library encodes in Python, with a generator for each value.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import Any

_ENCODER = json.JSONEncoder(ensure_ascii=False)


def pretty_text(value: Any) -> str:
    """The text, without a newline at the end; raises TypeError for what JSON cannot say."""
    return _text(value, "\n")


def _text(value: Any, lead: str) -> str:
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if kind is int:
        return int.__repr__(value)
    below = lead + " "
    if isinstance(value, dict) and value:
        if not {str}.issuperset(map(type, value)) and not all(isinstance(key, str) for key in value):
            raise TypeError("names of members are texts")
        rows = [
            f"{encode_basestring(key)}: {encode_basestring(item) if type(item) is str else _text(item, below)}"
            for key, item in sorted(value.items())
        ]
        return f"{{{below}{f',{below}'.join(rows)}{lead}}}"
    if isinstance(value, (list, tuple)) and value:
        return f"[{below}{f',{below}'.join([_text(item, below) for item in value])}{lead}]"
    return _ENCODER.encode(value)
