"""Parameter files as DVC reads them: YAML 1.2, JSON, TOML, and Python by its syntax tree, which is never executed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Final

from runner.errors import Finding, InputError, SpecError
from runner.specs import yaml12
from runner.specs.parse_cache import ParseCache

_CACHE_NAMESPACE = "params"


_LIMITS_BYTES = {"toml": 4 << 20, "py": 1 << 20}
"""Smaller where parsing takes more time or memory for each byte."""


_LONGEST_KEY = 200
"""Parts of a dotted key; no parameters are nested as deep."""
_LONGEST_PATTERN = 1_000


class Missing(Enum):
    """The answer of a look-up that found nothing."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


def load_params(blob: bytes, file_name: str) -> dict[Any, Any]:
    """The values of a parameter file; its format goes by the suffix of its name, YAML for any other.

    Python gives its top-level assignments of literals, those of its classes, and `self.x = ...` in `__init__`, as
    DVC has it (dvc/utils/serialize/_py.py). Raises SpecError: broken, too large, too deep, or no mapping at the top.
    """
    suffix = file_name.rpartition(".")[2].lower() if "." in file_name else ""
    limit = _LIMITS_BYTES.get(suffix, yaml12.PARAMS_BOUNDS.size_bytes)
    if len(blob) > limit:
        raise broken(file_name, f"the file is larger than {limit >> 20} MiB", "keep data out of parameter files")
    if suffix in ("json", "toml", "py"):
        value = _PARSERS[suffix](_text(blob, file_name), file_name)
        _check_values(value, file_name)
    else:
        value = yaml12.load(blob, file=file_name, bounds=yaml12.PARAMS_BOUNDS)
    if not value and not isinstance(value, dict):
        return {}
    if not isinstance(value, dict):
        raise broken(file_name, "the parameters are no mapping", "write `name: value` lines")
    return value


def load_params_cached(oid: str, blob: bytes | None, file_name: str, cache: ParseCache) -> dict[Any, Any] | None:
    """As `load_params`, remembered by the id of the blob; None where it is not remembered and `blob` is None."""
    key = f"{oid}:{file_name.rpartition('.')[2].lower() if '.' in file_name else ''}"
    known = cache.get(_CACHE_NAMESPACE, key)
    if isinstance(known, dict):
        return known
    if blob is None:
        return None
    value = load_params(blob, file_name)
    cache.put(_CACHE_NAMESPACE, key, value)
    return value


def lookup(params: Mapping[Any, Any], key: str) -> Any:
    """The value at a dotted key, or MISSING; list indexes (`a.0`, `a.-1`) and globs (`a.*`) as DVC has them.

    Raises InputError where a glob fits several values, which DVC refuses too.
    """
    if key in ("", "."):
        return params
    found: list[Any] = []
    segments = key.lstrip(".").split(".")
    if len(segments) > _LONGEST_KEY or (_is_glob(key) and len(key) > _LONGEST_PATTERN):
        return MISSING
    if segments.count("**") > 1:
        raise InputError(f"the parameter {key!r} holds more than one `**`", "name the value")
    for value in _matches(params, segments):
        found.append(value)
        if len(found) > 1:
            raise InputError(f"the parameter {key!r} fits more than one value", "name one value")
    return found[0] if found else MISSING


def is_pattern(key: str) -> bool:
    """Whether a look-up has to walk over values."""
    return _is_glob(key)


def _matches(value: Any, segments: list[str]) -> Iterator[Any]:
    if not segments:
        yield value
        return
    first, rest = segments[0], segments[1:]
    if first == "**":
        yield from _matches(value, rest)
        for _, child in _children(value):
            yield from _matches(child, segments)
        return
    if isinstance(value, dict) and first in value and not _is_glob(first) and not _is_whole(first):
        yield from _matches(value[first], rest)
        return
    for name, child in _children(value):
        if _fits(name, first):
            yield from _matches(child, rest)


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield _Index(index, len(value)), item


class _Index(int):
    """An index of a list, equal to its negative form too."""

    length: int

    def __new__(cls, value: int, length: int) -> _Index:
        index = super().__new__(cls, value)
        index.length = length
        return index


def _fits(name: Any, segment: str) -> bool:
    if isinstance(name, int) and _is_whole(segment):
        number = int(segment)
        return bool(name == number) or (isinstance(name, _Index) and int(name) - name.length == number)
    if isinstance(name, int):
        return fnmatchcase(str(name), segment)
    return isinstance(name, str) and fnmatchcase(name, segment)


def _is_whole(segment: str) -> bool:
    return segment.removeprefix("-").removeprefix("+").isdecimal() and len(segment) < 20


def _is_glob(segment: str) -> bool:
    return any(character in segment for character in "*?[")


# ---------------------------------------------------------------------------------------------------------------
# The formats


def _text(blob: bytes, file_name: str) -> str:
    try:
        return blob.decode("utf-8")
    except UnicodeDecodeError as error:
        raise broken(file_name, "the text is not UTF-8", "save the file as UTF-8") from error


def _json(text: str, file_name: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(
            [Finding(file_name, error.lineno, error.colno, f"not JSON: {error.msg}", "mend the syntax")]
        ) from error
    except (RecursionError, ValueError) as error:
        raise broken(
            file_name, "the JSON is nested too deeply or holds a number that is too long", "simplify it"
        ) from error


def _toml(text: str, file_name: str) -> Any:
    # imported late: start-up
    import tomllib

    # The parser takes the cube of the length of a dotted key. Keys hold no blanks and no commas but in quotes.
    longest = max((part.count(".") for part in re.split(r"[^\w.\-\"']+", re.sub(r"[ \t]+", "", text))), default=0)
    if longest > _LONGEST_KEY:
        raise broken(file_name, f"a key has more than {_LONGEST_KEY} parts", "write shorter keys")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
        place = (int(match[1]), int(match[2])) if match else (0, 0)
        message = str(error)[: match.start()] if match else str(error)
        raise SpecError([Finding(file_name, *place, f"not TOML: {message}", "mend the syntax")]) from error
    except (RecursionError, ValueError) as error:
        raise broken(file_name, f"not TOML: {error}", "mend the syntax") from error


def _check_values(value: Any, file_name: str) -> None:
    """Raise SpecError for values that are nested too deeply, too many, or that nothing could be said of."""
    from runner.specs.yaml_scalars import LONGEST_BITS  # imported late: start-up

    bounds, level, nodes = yaml12.PARAMS_BOUNDS, [value], 0
    for _ in range(bounds.depth):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, (list, tuple, set, frozenset)):
                below += item
            elif isinstance(item, int) and item.bit_length() > LONGEST_BITS:
                raise broken(file_name, "it holds a number that is too long", "write it as text")
            elif isinstance(item, complex) or item is Ellipsis:
                raise broken(file_name, f"it holds `{item}`, which is no value for a parameter", "use plain values")
        nodes += len(below)
        if nodes > bounds.nodes * 2:
            raise broken(file_name, f"more than {bounds.nodes:,} values", "keep data out of parameter files")
        level = below
        if not level:
            return
    raise broken(file_name, f"more than {bounds.depth} levels of nesting", "flatten the parameters")


def _python(text: str, file_name: str) -> Any:
    from runner.specs.python_params import read_python  # imported late: start-up

    return read_python(text, file_name)


_PARSERS = {"json": _json, "toml": _toml, "py": _python}


def broken(file_name: str, message: str, hint: str) -> SpecError:
    """What is wrong with a parameter file as a whole."""
    return SpecError([Finding(file_name, 0, 0, message, hint)])
