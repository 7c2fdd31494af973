"""Canonical JSON: one value, one sequence of bytes; everything that is digested or chained goes through here.

Sorted keys, no white space, UTF-8 as is, no NaN or infinity as numbers: floats that JSON cannot say and values YAML
has beside JSON (dates, times) are written as one-member objects whose key starts with `!`. Integral floats keep
their point (`1.0`), so that a parameter that goes from `1` to `1.0` is a change, as it is for the code that reads it.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime


def plain(value: Any) -> Any:
    """The value with everything that JSON cannot say replaced by tagged objects."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    # Nearly everything is one of these two; what needs no change is not asked for again, since all records pass here.
    if kind is dict:
        return {
            key if type(key) is str else str(key): item if type(item) in _PLAIN else plain(item)
            for key, item in value.items()
        }
    if kind is list:
        return [item if type(item) in _PLAIN else plain(item) for item in value]
    if isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"!float": repr(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return {"!bytes": value.hex()}
    if isinstance(value, (set, frozenset)):
        return {"!set": sorted(str(item) for item in value)}
    import datetime  # imported late: start-up

    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return {"!time": value.isoformat()}
    raise TypeError(f"cannot be canonical: {type(value).__name__}")


_PLAIN = frozenset({str, int, bool, type(None)})
"""Types whose values are plain as they are."""


def canonical_bytes(value: Any) -> bytes:
    """The canonical JSON of a value, UTF-8, without a newline at the end."""
    return plain_bytes(plain(value))


def plain_bytes(value: Any) -> bytes:
    """The same of a value that is plain already."""
    return _ENCODER.encode(value).encode("utf-8", "surrogatepass")


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)


def canonical_digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, lower-case hex."""
    return plain_digest(plain(value))


def plain_digest(value: Any) -> str:
    """The same of a value that is plain already."""
    return hashlib.sha256(plain_bytes(value)).hexdigest()


def restored(value: Any) -> Any:
    """The inverse of `plain` as far as there is one: tagged objects become values again."""
    if isinstance(value, list):
        return [restored(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((tag, inner),) = value.items()
        if tag == "!float":
            return float(inner)
        if tag == "!time":
            return _time(inner)
        if tag == "!bytes":
            return bytes.fromhex(inner)
    return {key: restored(item) for key, item in value.items()}


def _time(text: str) -> datetime.date | str:
    """A date or a moment; a time of day, which TOML has and YAML has not, stays the text that a lock file can hold."""
    import datetime  # imported late: start-up

    if len(text) == len("2000-01-01"):
        return datetime.date.fromisoformat(text)
    if "T" in text:
        return datetime.datetime.fromisoformat(text)
    return text
