"""Filter expressions over named values, such as `metrics.auc > 0.8 and stage == train`: a grammar of our own, read by
hand, so that nothing that somebody types is ever run.

    expression  = all { "or" all }
    all         = one { "and" one }
    one         = "not" one | "(" expression ")" | comparison
    comparison  = NAME ( "==" | "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~" ) VALUE
                | NAME [ "not" ] "in" "(" VALUE { "," VALUE } ")"

A name may be quoted where it holds a blank, and so may a value, which is then a text whatever it looks like: of
`started` and `duration` a time and a length of time all the same.
"""

from __future__ import annotations

import datetime
import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator
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
_MOMENT = re.compile(
    r"(?P<date>[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?)"
    r"(?P<clock>[T ][0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?)?"
    r"(?P<zone>Z| ?UTC|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_FIRST_DAY = "0000-01-01"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_ORDERS = ("<", "<=", ">", ">=")
_LIKE = ("~", "!~")
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
class Moment:
    """A time as somebody wrote it."""

    seconds: float
    """When it begins, since 1970."""
    text: str
    """As records have times, in UTC, as far as it was written: `2026-11-22T17:00`, or only `2026-11`."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One value held against one or several others."""

    name: str
    position: int
    """Where the name begins, counted from 1."""
    op: str
    """`==`, `!=`, `<`, `<=`, `>`, `>=`, `~`, `!~`, `in` or `not in`."""
    values: tuple[Any, ...]
    """Of `started` moments, of `duration` seconds."""
    words: tuple[str, ...]
    """The values as they were typed: `1.10` and `3e84715`, which read as numbers, may be a version and a commit."""
    places: tuple[int, ...]
    """Where each value begins."""

    def check(self, cells: Iterable[Any]) -> None:
        """Raises BadQuery where the order of values is asked for that have none, by all that stands in the column."""
        if self.op not in _ORDERS or self.name == "started":
            return
        kinds = {_is_number(cell) for cell in cells if isinstance(cell, str) or _is_number(cell)}
        is_number = _is_number(self.values[0])
        if not kinds or is_number in kinds:
            return
        wrong = (
            "is a number, and `{}` holds texts: a text stands in quotes" if is_number else "is no number, as `{}` is"
        )
        raise BadQuery(f"`{self.words[0]}` {wrong.format(self.name)}", self.places[0])

    def holds(self, cell: Any) -> bool:
        """Whether it is so of a value; of one that is missing nothing is, but that it is `null`."""
        if self.values == (None,) and self.op in ("==", "!="):
            return (cell is None) is (self.op == "==")
        if cell is None:
            return False
        if self.op in _LIKE:
            word = self.words[0].replace(" ", "T") if self.name == "started" else self.words[0]
            return _alike(cell, word) is (self.op == "~")
        if self.op in _ORDERS:
            value = self.values[0]
            if isinstance(value, Moment):
                began = _moment(str(cell))
                return began is not None and _ordered(began.seconds, value.seconds, self.op)
            return _ordered(cell, value, self.op)
        values = self.words if isinstance(cell, str) and self.name != "started" else self.values
        found = any(_equal(self.name, cell, value) for value in values)
        return found is (self.op in ("==", "in"))


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
            return _compared(name, "not in" if is_not else "in", self._values())
        op = self._next(f"a comparison, such as `{name.text} == 1`")
        if op.kind != "op":
            raise BadQuery(f"`{op.text}` where a comparison such as `==` or `<` should be", op.position)
        return _compared(name, "==" if op.text == "=" else op.text, [self._value()])

    def _values(self) -> list[_Token]:
        closing = ")" if self._take("(") else "]"
        if closing == "]":
            self._need("[", "`(` and a list of values")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._need(closing)
        return values

    def _value(self) -> _Token:
        token = self._next("a value")
        if token.kind not in ("word", "text"):
            raise BadQuery(f"`{token.text}` where a value should be", token.position)
        return token

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


def _compared(name: _Token, op: str, tokens: list[_Token]) -> Comparison:
    """A comparison whose values are what the column and the operator take; raises BadQuery."""
    column = _plain(name)
    values = tuple(_plain(token) if op in _LIKE else _value_of(column, op, token) for token in tokens)
    words, places = tuple(_plain(token) for token in tokens), tuple(token.position for token in tokens)
    return Comparison(column, name.position, op, values, words, places)


def _value_of(column: str, op: str, token: _Token) -> Any:
    """What is meant by a value; raises BadQuery for one that no value of the column could be held against."""
    word = _plain(token)
    value = word if token.kind == "text" else _meant(word)
    if op in _ORDERS and (value is None or isinstance(value, bool)):
        raise BadQuery(f"`{word}` is neither before nor after anything", token.position)
    if value is None:
        return None
    if column == "started":
        moment = _moment(word)
        if moment is None:
            raise BadQuery(f"`{word}` is no time such as `2026-11-22` or `2026-11-22T17:00`", token.position)
        return moment
    if column == "duration":
        value = _length(word)
        if value is None:
            raise BadQuery(f"`{word}` is no length of time such as `90s` or `5m`", token.position)
    return value


def _meant(word: str) -> Any:
    """A word as a value: a number, true, false or null, else itself."""
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    try:
        if len(word) < 19:
            return int(word)
    except ValueError:
        pass
    try:
        return float(word) if word[-1:] in "0123456789." else word  # `nan` and `infinity` are words
    except ValueError:
        return word


def _equal(name: str, cell: Any, value: Any) -> bool:
    if isinstance(value, Moment):  # a day stands for all of it, and so does the minute that a table shows
        return str(cell).startswith(value.text)
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
    if _is_number(cell) != _is_number(value) or isinstance(cell, bool):
        return False  # a number is neither before nor after a text
    one, other = (cell, value) if _is_number(cell) else (str(cell), str(value))
    found = {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}
    return bool(found[op])


def _length(word: str) -> float | None:
    """A length of time, `90` or `5m`, in seconds; None for what is none."""
    span = _SPAN.fullmatch(word)
    if span is not None:
        return float(span[1]) * _SECONDS[span[2]]
    number = _meant(word)
    return float(number) if _is_number(number) else None


def _moment(text: str) -> Moment | None:
    """A time as records have it or tables show it, in UTC where no zone is said; None for what is none."""
    found = _MOMENT.fullmatch(text)
    if found is None or (found["clock"] and len(found["date"]) < len(_FIRST_DAY)):
        return None
    date, clock, zone = found["date"], found["clock"] or "", (found["zone"] or "").strip()
    whole = date + _FIRST_DAY[len(date) :] + clock + (zone if zone[:1] in ("+", "-") else "")
    try:
        moment = datetime.datetime.fromisoformat(whole)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (ValueError, OverflowError):  # there is no such day, or none in UTC
        return None
    written = moment.isoformat(timespec="microseconds")[: len(date) + len(clock)]
    return Moment(moment.timestamp(), written)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
