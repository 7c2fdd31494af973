"""What a scalar of YAML 1.2 stands for: the resolvers and safe constructors of ruamel.yaml, which DVC reads YAML with.

The patterns are those of ruamel/yaml/resolver.py for version 1.2, underscores in numbers included.
"""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any

_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_FLOAT = re.compile(
    r"""^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?
        |[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)
        |[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?
        |[-+]?\.(?:inf|Inf|INF)
        |\.(?:nan|NaN|NAN))$""",
    re.X,
)
_INT = re.compile(r"^(?:[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+)$")
_TIMESTAMP = re.compile(
    r"""^(?:[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]
        |[0-9][0-9][0-9][0-9]-[0-9][0-9]?-[0-9][0-9]?
        (?:[Tt]|[ \t]+)[0-9][0-9]?:[0-9][0-9]:[0-9][0-9](?:\.[0-9]*)?
        (?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9][0-9])?))?)$""",
    re.X,
)
_TIMESTAMP_PARTS = re.compile(
    r"""^(?P<year>[0-9]{4})-(?P<month>[0-9][0-9]?)-(?P<day>[0-9][0-9]?)
        (?:(?:[Tt]|[ \t]+)(?P<hour>[0-9][0-9]?):(?P<minute>[0-9][0-9]):(?P<second>[0-9][0-9])
        (?:\.(?P<fraction>[0-9]*))?
        (?:[ \t]*(?P<tz>Z|(?P<tz_sign>[-+])(?P<tz_hour>[0-9][0-9]?)(?::?(?P<tz_minute>[0-9][0-9]))?))?)?$""",
    re.X,
)
_NULLS = frozenset(["", "~", "null", "Null", "NULL"])
PLAIN_STARTS = frozenset("-+0123456789.tTfF~nN")
"""First characters of plain scalars that may be something other than a string."""
_NUMBER_STARTS = frozenset("-+0123456789.")


LONGEST_BITS = 14_000
"""Longer numbers have no decimal text in Python (`sys.set_int_max_str_digits`), so nothing could be said of them."""


def _integer(text: str) -> int:
    number = _whole(text)
    if number.bit_length() > LONGEST_BITS:
        raise ValueError("it is too long")
    return number


def _whole(text: str) -> int:
    digits = text.replace("_", "")
    sign = -1 if digits[0] == "-" else 1
    digits = digits.lstrip("+-") if digits[0] in "+-" else digits
    for prefix, base in (("0b", 2), ("0x", 16), ("0o", 8)):
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    return sign * int(digits)


def _floating(text: str) -> float:
    digits = text.replace("_", "").lower()
    sign = -1.0 if digits[0] == "-" else 1.0
    digits = digits[1:] if digits[0] in "+-" else digits
    if digits == ".inf":
        return sign * float("inf")
    return float("nan") if digits == ".nan" else sign * float(digits)


def _timestamp(text: str) -> datetime.date:
    match = _TIMESTAMP_PARTS.match(text)
    if match is None:
        raise ValueError(f"not a date or time: {text}")
    year, month, day = int(match["year"]), int(match["month"]), int(match["day"])
    if match["hour"] is None:
        return datetime.date(year, month, day)
    microsecond = int((match["fraction"] or "0")[:6].ljust(6, "0"))
    time = (int(match["hour"]), int(match["minute"]), int(match["second"]), microsecond)
    if match["tz_sign"] is None:
        zone = datetime.UTC if match["tz"] else None
        return datetime.datetime(year, month, day, *time, tzinfo=zone)
    offset = datetime.timedelta(hours=int(match["tz_hour"]), minutes=int(match["tz_minute"] or 0))
    offset = -offset if match["tz_sign"] == "-" else offset
    return datetime.datetime(year, month, day, *time, tzinfo=datetime.timezone(offset))


def plain_scalar(text: str) -> Any:
    """What an unquoted scalar stands for in YAML 1.2.

    Raises ValueError for text that looks like a number or a date and is none (`-_`, `2024-13-01`).
    """
    if not text or text in _NULLS:
        return None
    first = text[0]
    if first not in PLAIN_STARTS:
        return text
    if first in _NUMBER_STARTS:
        if _FLOAT.match(text):
            return _floating(text)
        if _INT.match(text):
            return _integer(text)
        return _timestamp(text) if first.isdigit() and _TIMESTAMP.match(text) else text
    return text.lower() == "true" if _BOOL.match(text) else text


def _binary(text: str) -> bytes:
    return base64.decodebytes(text.encode("ascii"))


TAGGED: Mapping[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:int": _integer,
    "tag:yaml.org,2002:float": _floating,
    "tag:yaml.org,2002:bool": lambda text: {"true": True, "false": False}[text.lower()],
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:timestamp": _timestamp,
    "tag:yaml.org,2002:binary": _binary,
}
