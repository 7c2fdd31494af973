"""Filter expressions over named values, such as `metrics.auc > 0.8 and stage == train`: a grammar of our own, read by
hand, so that nothing that somebody types is ever run.

    expression  = all { "or" all }
    all         = one { "and" one }
    one         = "not" one | "(" expression ")" | comparison
    comparison  = NAME ( "==" | "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~" ) VALUE
                | NAME [ "not" ] "in" "(" VALUE { "," VALUE } ")"

A name may be quoted where it holds a blank, and so may a value, which is then a text whatever it looks like.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from typing import Any

from runner.values import dataclass

_LONGEST = 4_096
_DEEPEST = 50
_TOKEN = re.compile(
    r"(?P<op>==|!=|<=|>=|!~|[=<>~])"
    r"|(?P<mark>[()\[\],])"
    r"|(?P<text>\"[^\"]*\"|'[^']*')"
    r"|(?P<word>[^\s()\[\],=!<>~\"']+)"
)
_SPACE = re.compile(r"\s*")
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|min|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_KEYWORDS = ("and", "or", "not", "in")
_SHORTEST_START = 4
_STARTS = ("commit", "key")
"""Names whose values are long digests, for which their first digits stand."""


class BadQuery(ValueError):
    """An expression that is none: what is wrong, and at which character, counted from 1."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


@dataclass(frozen=True, slots=True)
class Comparison:
    """One value held against one or several others."""

    name: str
    position: int
    """Where the name begins, counted from 1."""
    op: str
    """`==`, `!=`, `<`, `<=`, `>`, `>=`, `~`, `!~`, `in` or `not in`."""
    values: tuple[Any, ...]
    words: tuple[str, ...]
    """The values as they were typed: `1.10` and `3e84715`, which read as numbers, may be a version and a commit."""

    def holds(self, cell: Any) -> bool:
        """Whether it is so of a value; of one that is missing nothing is, but that it is `null`."""
        if self.values == (None,) and self.op in ("==", "!="):
            return (cell is None) is (self.op == "==")
        if cell is None:
            return False
        values = self.words if isinstance(cell, str) else self.values
        if self.op in ("in", "not in"):
            return any(_equal(self.name, cell, value) for value in values) is (self.op == "in")
        if self.op in ("==", "!="):
            return _equal(self.name, cell, values[0]) is (self.op == "==")
        if self.op in ("~", "!~"):
            return _alike(cell, self.words[0]) is (self.op == "~")
        value = self.words[0] if self.name == "started" else _seconds(self.name, self.values[0])
        return _ordered(cell, value, self.op)


@dataclass(frozen=True, slots=True)
class Query:
    """A comparison, or some of them joined by `and`, `or` and `not`."""

    op: str
    """`is`, `and`, `or` or `not`."""
    parts: tuple[Query, ...] = ()
    comparison: Comparison | None = None
    """Of an `is`."""

    def matches(self, value_of: Callable[[str], Any]) -> bool:
        """Whether it is so, by the values that names have; None for one that is missing."""
        if self.comparison is not None:
            return self.comparison.holds(value_of(self.comparison.name))
        found = (part.matches(value_of) for part in self.parts)
        return any(found) if self.op == "or" else all(found) if self.op == "and" else not next(found)

    def comparisons(self) -> Iterator[Comparison]:
        """Every comparison, from left to right."""
        if self.comparison is not None:
            yield self.comparison
        for part in self.parts:
            yield from part.comparisons()


def parse_query(text: str) -> Query:
    """The expression in a text; raises BadQuery."""
    if len(text) > _LONGEST:
        raise BadQuery(f"longer than {_LONGEST:,} characters", _LONGEST + 1)
    reader = _Reader(text, list(_tokens(text)))
    query = reader.either(0)
    reader.end()
    return query


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def _tokens(text: str) -> Iterator[_Token]:
    at = _end(_SPACE, text, 0)
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            what = "a quote that is not closed" if text[at] in "\"'" else f"`{text[at]}` means nothing here"
            raise BadQuery(what, at + 1)
        yield _Token(str(found.lastgroup), found[0], at + 1)
        at = _end(_SPACE, text, found.end())


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


class _Reader:
    """Reads tokens from left to right, one function for each line of the grammar."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self._after = len(text) + 1
        self._tokens = tokens
        self._at = 0

    def either(self, depth: int) -> Query:
        return self._joined("or", self._every, depth)

    def _every(self, depth: int) -> Query:
        return self._joined("and", self._one, depth)

    def _joined(self, word: str, inner: Callable[[int], Query], depth: int) -> Query:
        parts = [inner(depth)]
        while self._take(word):
            parts.append(inner(depth))
        return parts[0] if len(parts) == 1 else Query(word, tuple(parts))

    def _one(self, depth: int) -> Query:
        if depth > _DEEPEST:
            raise BadQuery("too many levels of brackets", self._position())
        if self._take("not"):
            return Query("not", (self._one(depth + 1),))
        if self._take("("):
            query = self.either(depth + 1)
            self._need(")")
            return query
        return Query("is", comparison=self._comparison())

    def _comparison(self) -> Comparison:
        name = self._next("the name of a column, such as `stage` or `metrics.auc`")
        if name.kind not in ("word", "text") or (name.kind == "word" and name.text.lower() in _KEYWORDS):
            raise BadQuery(f"`{name.text}` where the name of a column should be", name.position)
        is_not = self._take("not")
        if is_not or self._is("in"):
            self._need("in")
            values, words = zip(*self._values(), strict=True)
            return Comparison(_plain(name), name.position, "not in" if is_not else "in", values, words)
        op = self._next(f"a comparison, such as `{name.text} == 1`")
        if op.kind != "op":
            raise BadQuery(f"`{op.text}` where a comparison such as `==` or `<` should be", op.position)
        value, word = self._value()
        return Comparison(_plain(name), name.position, "==" if op.text == "=" else op.text, (value,), (word,))

    def _values(self) -> list[tuple[Any, str]]:
        closing = ")" if self._take("(") else "]"
        if closing == "]":
            self._need("[", "`(` and a list of values")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._need(closing)
        return values

    def _value(self) -> tuple[Any, str]:
        """A value as it is meant and as it was typed."""
        token = self._next("a value")
        if token.kind == "text":
            return token.text[1:-1], token.text[1:-1]
        if token.kind != "word":
            raise BadQuery(f"`{token.text}` where a value should be", token.position)
        return _meant(token.text), token.text

    def end(self) -> None:
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            raise BadQuery(f"`{token.text}` where `and`, `or` or the end should be", token.position)

    def _next(self, what: str) -> _Token:
        if self._at >= len(self._tokens):
            raise BadQuery(f"it ends where {what} should be", self._after)
        self._at += 1
        return self._tokens[self._at - 1]

    def _is(self, text: str) -> bool:
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        return token is not None and token.kind in ("word", "mark") and token.text.lower() == text

    def _take(self, text: str) -> bool:
        if self._is(text):
            self._at += 1
            return True
        return False

    def _need(self, text: str, what: str = "") -> None:
        if not self._take(text):
            token = self._next(what or f"`{text}`")
            raise BadQuery(f"`{token.text}` where {what or f'`{text}`'} should be", token.position)

    def _position(self) -> int:
        return self._tokens[self._at].position if self._at < len(self._tokens) else self._after


def _plain(token: _Token) -> str:
    return token.text[1:-1] if token.kind == "text" else token.text


def _meant(word: str) -> Any:
    """A word as a value: a number, true, false or null, else itself."""
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    try:
        return int(word) if len(word) < 19 else word
    except ValueError:
        pass
    try:
        return float(word) if word[-1:] in "0123456789." else word  # `nan` and `infinity` are words
    except ValueError:
        return word


def _equal(name: str, cell: Any, value: Any) -> bool:
    value = _seconds(name, value)
    if isinstance(cell, bool) or isinstance(value, bool) or value is None:
        return cell is value
    if _is_number(cell) and _is_number(value):
        return bool(cell == value)
    one, other = str(cell), str(value)
    if name in _STARTS and len(other) >= _SHORTEST_START:
        return one.startswith(other)
    if name == "stage":  # the name of a group stands for its members
        return other in (one, one.partition("@")[0])
    return one == other


def _alike(cell: Any, value: Any) -> bool:
    """Whether a text holds another one, or is as a pattern with `*` and `?` says; capitals count for nothing."""
    one, other = str(cell).lower(), str(value).lower()
    return fnmatch.fnmatchcase(one, other) if "*" in other or "?" in other else other in one


def _ordered(cell: Any, value: Any, op: str) -> bool:
    if _is_number(cell) != _is_number(value) or isinstance(cell, bool) or isinstance(value, bool) or value is None:
        return False  # a number is neither before nor after a text
    one, other = (cell, value) if _is_number(cell) else (str(cell), str(value))
    found = {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}
    return bool(found[op])


def _seconds(name: str, value: Any) -> Any:
    """A length of time such as `5m` in seconds, where one is meant."""
    span = _SPAN.fullmatch(value) if name == "duration" and isinstance(value, str) else None
    return float(span[1]) * _SECONDS[span[2]] if span is not None else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
