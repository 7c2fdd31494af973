"""YAML text byte for byte as DVC's serialiser (ruamel.yaml, round trip, block style) writes it, only faster.

Covers strings of printable characters, integers, floats, booleans, null, and mappings and sequences of them; for
anything else `block` returns None and DVC's own serialiser is asked. Where that one folds a string so that it does not
read back (before a long word after several spaces, after an escape), the string stays on one line here.
Source of the rules: ruamel.yaml.emitter.
"""

from __future__ import annotations

import functools
import math
import re
from typing import Any

_WIDTH = 80
_MAX_KEY = 100
_SIMPLE = re.compile(r"[A-Za-z_/][A-Za-z0-9_/.@+-]*")
_KEY = re.compile(r"[A-Za-z0-9_/.][A-Za-z0-9_/.@+,=-]*")
_FOREIGN_TO_PLAIN = re.compile(r"""[#,\[\]{}&*!|>'"%@`]|[?:-](?:\s|$)|---|\.\.\.""")
_FOREIGN_INSIDE = re.compile(r":(?:[ \n\t]|$)|[ \n\t]#|[\n\t]|^ | $")
_DIGITS = 32
_DIGEST = re.compile(r"(?=[0-9a-f]*[acdf])[0-9a-f]+")
"""Hex digits that are no number, in whatever way numbers may be written: most of what a lock file holds."""
_WORDS_WITH_MEANING = frozenset(
    ["true", "True", "TRUE", "false", "False", "FALSE", "~", "null", "Null", "NULL", "", "<<", "="]
)
_MAYBE_NUMBER = frozenset("-+.0123456789")
_NUMBER_OR_TIME = re.compile(
    r"""[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
    |[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN)
    |[-+]?0b[0-1_]+
    |[-+]?0o?[0-7_]+
    |[-+]?[0-9_]+
    |[-+]?0x[0-9a-fA-F_]+
    |[0-9]{4}-[0-9]{2}-[0-9]{2}
    |[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:[Tt]|[\ \t]+)[0-9][0-9]?:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?
     (?:[\ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9][0-9])?))?""",
    re.VERBOSE,
)
_SPACES = re.compile("( +)")


class _NotCovered(Exception):
    """A value that this module does not write."""


def block(value: dict[str, Any], indent: int) -> str | None:
    """The lines of a mapping at an indent, with a newline at the end; None where DVC's serialiser must be asked.

    Unlike that one it never writes anchors: an object that occurs twice is written twice.
    """
    out: list[str] = []
    try:
        _mapping(value, indent, out)
    except (_NotCovered, RecursionError):
        return None
    return "".join(out)


def _mapping(value: dict[str, Any], indent: int, out: list[str], first: str | None = None) -> None:
    lead = " " * indent
    for key, item in value.items():
        out.append(lead if first is None else first)
        first = None
        name = _key(key)
        out.append(name)
        kind = type(item)
        if kind is str:
            out.append(f": {_string(item, indent + len(name) + 2, indent + 2)}\n")
        elif kind is dict and item:
            out.append(":\n")
            _mapping(item, indent + 2, out)
        elif kind is list and item:
            out.append(":\n")
            _sequence(item, indent, out)
        else:
            text = _scalar(item, indent + len(name) + 2, indent + 2)
            out.append(f": {text}\n" if text else ":\n")


def _sequence(value: list[Any], indent: int, out: list[str], first: str | None = None) -> None:
    lead = " " * indent + "- "
    for item in value:
        start = lead if first is None else first
        first = None
        kind = type(item)
        if kind is dict and item:
            _mapping(item, indent + 2, out, start)
        elif kind is list and item:
            _sequence(item, indent + 2, out, start + "- ")
        else:
            text = _scalar(item, indent + 2, indent + 2)
            out.append(f"{start}{text}\n")


@functools.lru_cache(maxsize=4096)
def _key(key: object) -> str:
    if type(key) is not str or len(key) > _MAX_KEY or not _KEY.fullmatch(key) or key.startswith("..."):
        raise _NotCovered
    return key if _reads_as_text(key) else f"'{key}'"


def _scalar(value: Any, column: int, indent: int) -> str:
    kind = type(value)
    if kind is str:
        return _string(value, column, indent)
    if kind is bool:
        return _plain("true" if value else "false", column, indent)
    if kind is int:
        return _plain(str(value), column, indent)
    if kind is float:
        return _plain(_float(value), column, indent)
    if value is None:
        return ""
    if kind is dict and not value:
        return "{}"
    if kind is list and not value:
        return "[]"
    raise _NotCovered


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    return repr(value)


@functools.cache
def _not_covered() -> re.Pattern[str]:
    # Made when it is first needed: most texts are printable ASCII, and so wide a class takes milliseconds to compile.
    return re.compile("[^\n\t -~\u00a1-\u2027\u202a-\ud7ff]")


def _string(text: str, column: int, indent: int) -> str:
    if column + len(text) <= _WIDTH and _is_plain_word(text):
        return text
    if not (text.isascii() and text.isprintable()) and _not_covered().search(text):
        raise _NotCovered
    if _reads_as_text(text) and not _FOREIGN_TO_PLAIN.match(text) and not _FOREIGN_INSIDE.search(text):
        return _plain(text, column, indent)
    if "'" in text or "\n" in text or "\t" in text:
        return _double_quoted(text, column + 1, indent)
    return _single_quoted(text, column + 1, indent)


@functools.lru_cache(maxsize=1 << 16)
def _is_plain_word(text: str) -> bool:
    """Whether it is written as it is, wherever it fits into the line; an output's digest comes once for each reader."""
    if _SIMPLE.fullmatch(text):
        return text not in _WORDS_WITH_MEANING
    return len(text) == _DIGITS and _DIGEST.fullmatch(text) is not None


def _reads_as_text(text: str) -> bool:
    """Whether a plain scalar of this text is a string to a reader of YAML 1.2."""
    if text in _WORDS_WITH_MEANING:
        return False
    return text[0] not in _MAYBE_NUMBER or not _NUMBER_OR_TIME.fullmatch(text)


def _plain(text: str, column: int, indent: int) -> str:
    if column + len(text) <= _WIDTH:
        return text
    out: list[str] = []
    new_line = "\n" + " " * indent
    for number, part in enumerate(_SPACES.split(text)):
        if number % 2 == 0:
            if len(part) + column > _WIDTH and column > indent:
                if out and len(out[-1]) > 1 and out[-1].isspace():
                    quoted = text.replace("'", "''")
                    return f"'{quoted}'"  # several spaces would read back as one
                out.append(new_line)
                column = indent
        elif len(part) == 1 and column >= _WIDTH:
            out.append(new_line)
            column = indent
            continue
        out.append(part)
        column += len(part)
    return "".join(out)


def _single_quoted(text: str, column: int, indent: int) -> str:
    if column + len(text) <= _WIDTH:
        return f"'{text}'"
    out = ["'"]
    done = 0
    for number, part in enumerate(_SPACES.split(text)):
        inside = done > 0 and done + len(part) != len(text)
        if number % 2 and len(part) == 1 and column > _WIDTH and inside:
            out.append("\n" + " " * indent)
            column = indent
        else:
            out.append(part)
            column += len(part)
        done += len(part)
    out.append("'")
    return "".join(out)


_ESCAPES = {"\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def _double_quoted(text: str, column: int, indent: int) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    if column + len(escaped) <= _WIDTH:
        return f'"{escaped}"'
    out = ['"']
    start = 0
    # Step by step as the original does it, whose breaks depend on what it has written so far.
    for end in range(len(text) + 1):
        character = text[end] if end < len(text) else ""
        if not character or character in _ESCAPES:
            escape = _ESCAPES.get(character, "")
            out += [text[start:end], escape]
            column += end - start + len(escape)
            start = end + 1 if character else end
        may_break = 0 < end < len(text) - 1 and (character == " " or start >= end)
        if may_break and column + (end - start) > _WIDTH:
            backslash = "\\" if _break_needs_backslash(text, start, end) else ""
            out += [text[start:end], backslash, "\n" + " " * indent]
            start = max(start, end)
            column = indent
            if not backslash and text[start] != " ":
                return f'"{escaped}"'  # the break would read back as a space
            if text[start] == " ":
                start += 0 if backslash else 1
                out.append(backslash)
                column += len(backslash)
    out.append('"')
    return "".join(out)


def _break_needs_backslash(text: str, start: int, end: int) -> bool:
    """Whether a line broken here would read back with a space that was not there."""
    space = text.find(" ", end)
    if space < 0:
        return True
    newline = text.find("\n", end, space)
    space = newline if newline >= 0 else space
    if space + 1 >= len(text):
        return True
    if text[space] == "\n" and text[space + 1] != " ":
        return True
    between = text[end:space]
    return not (
        '"' not in between
        and "'" not in between
        and text[space + 1] not in " \n"
        and text[end - 1 : end + 1] != "  "
        and start != end
    )
