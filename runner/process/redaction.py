"""Removing secret values from a stream, also where they are encoded, split over reads or wrapped over lines."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runner.process.encodings import LINE_ENDS, WRAPPED_LENGTH, forms
from runner.process.tokens import TokenFilter
from runner.values import dataclass

WRAPPED_ENDS = 4
"""So many bytes of line ends may stand between two characters of a value, on average: an empty line, with carriage
returns. Where the value has line ends itself, as many more."""
_PREFIX = 4
_LINE_END = re.compile(rb"[\r\n]")


@dataclass(frozen=True, slots=True)
class _Form:
    flat: bytes
    """Without line ends, or as it is where it is too short to be looked for over lines."""
    name: str
    widest: int
    """Length of the longest stretch that counts as this form; 0 for one that has to stand as it is."""


class Redactor:
    """Replaces secret values by `[NAME]` in a stream, in every form that `forms` knows; feed it in order, then call
    `finish`.

    A value of several lines (a key file) is also found line by line, each line of at least eight characters for itself.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values` maps the name of a secret to its value; empty values are left out."""
        found: dict[bytes, _Form] = {}
        for name, value in values.items():
            for form in forms(value):
                made = _form(form, name)
                found.setdefault(made.flat, made)
        self._forms = list(found.values())
        self._longest = max((len(form.flat) for form in self._forms), default=0)
        self._widest = max((max(form.widest, len(form.flat)) for form in self._forms), default=0)
        self._by_prefix: dict[bytes, list[bytes]] = {}
        for flat in found:
            for length in range(1, _PREFIX + 1):
                self._by_prefix.setdefault(flat[:length], []).append(flat)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The redacted bytes that are certain by now; what may be the beginning of a value is held back."""
        if not self._forms:
            return data
        data = self._held + data
        spans = self._spans(data)
        safe = self._certain_until(data, spans)
        self._held = data[safe:]
        return _replaced(data[:safe], [span for span in spans if span[1] <= safe])

    def finish(self) -> bytes:
        """The redacted rest."""
        held, self._held = self._held, b""
        return _replaced(held, self._spans(held))

    def names_in(self, data: bytes) -> list[str]:
        """Names of the secrets whose values of at least eight characters stand in these bytes."""
        long = (form for form in self._forms if len(form.flat) >= WRAPPED_LENGTH)
        return sorted({form.name for form in long if any(_hits(_Text(data), form))})

    def _spans(self, data: bytes) -> list[tuple[int, int, str]]:
        """Where values stand, in order; those that overlap are one, named by the first and longest of them."""
        text = _Text(data)
        hits = ((start, -end, form.name) for form in self._forms for start, end in _hits(text, form))
        spans: list[tuple[int, int, str]] = []
        for start, minus_end, name in sorted(hits):
            if spans and start < spans[-1][1]:
                before = spans[-1]
                spans[-1] = (before[0], max(before[1], -minus_end), before[2])
            else:
                spans.append((start, -minus_end, name))
        return spans

    def _certain_until(self, data: bytes, spans: Iterable[tuple[int, int, str]]) -> int:
        """Where the part ends that no later byte can turn into a secret: before the first beginning of a value that
        runs to the end, and before a value that this would cut."""
        window = max(0, len(data) - self._widest)
        text = _Text(data[window:])
        cut = len(data)
        for index in range(max(0, len(text.flat) - self._longest + 1), len(text.flat)):
            if self._may_begin(text.flat, index):
                cut = window + text.position(index)
                break
        return next((start for start, end, _ in spans if start < cut < end), cut)

    def _may_begin(self, flat: bytes, index: int) -> bool:
        candidates = self._by_prefix.get(flat[index : index + _PREFIX])
        if candidates is None:
            return False
        beginning = flat[index:]
        return any(len(form) > len(beginning) and form.startswith(beginning) for form in candidates)


class Redaction:
    """Everything that is taken out of a log: values that are known, and then what looks like a token of somebody."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values` as for Redactor."""
        self._values = Redactor(values)
        self._tokens = TokenFilter()

    def feed(self, data: bytes) -> bytes:
        """See Redactor."""
        return self._tokens.feed(self._values.feed(data))

    def finish(self) -> bytes:
        """See Redactor."""
        return self._tokens.feed(self._values.finish()) + self._tokens.finish()


def redacted_text(text: str, values: Mapping[str, str]) -> str:
    """A text of one piece, redacted as a log is."""
    redaction = Redaction(values)
    data = text.encode("utf-8", "surrogateescape")
    return (redaction.feed(data) + redaction.finish()).decode("utf-8", "surrogateescape")


def secrets_in_value(value: Any, redactor: Redactor) -> list[str]:
    """Names of the secrets that a parsed value holds, however the file spelt them."""
    return redactor.names_in(b"\0".join(_texts(value)))


def _texts(value: Any) -> Iterator[bytes]:
    if isinstance(value, Mapping):
        for key, member in value.items():
            yield from _texts(key)
            yield from _texts(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _texts(member)
    elif isinstance(value, str):
        yield value.encode("utf-8", "surrogateescape")
    else:
        yield str(value).encode("utf-8", "surrogateescape")


class _Text:
    """Bytes, and the same without line ends."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.flat = data.translate(None, LINE_ENDS)
        self._skipped: list[int] | None = None

    def position(self, index: int) -> int:
        """Where in `data` the byte stands that is at `index` of `flat`."""
        if self._skipped is None:
            self._skipped = [found.start() - number for number, found in enumerate(_LINE_END.finditer(self.data))]
        return index + bisect.bisect_right(self._skipped, index)


def _form(form: bytes, name: str) -> _Form:
    flat = form.translate(None, LINE_ENDS)
    if len(flat) < WRAPPED_LENGTH:
        return _Form(form, name, 0)
    most = WRAPPED_ENDS + 2 * (len(form) - len(flat))
    return _Form(flat, name, len(flat) + most * (len(flat) - 1))


def _hits(text: _Text, form: _Form) -> Iterator[tuple[int, int]]:
    """Where a form begins and ends in the data."""
    where = text.flat if form.widest else text.data
    index = where.find(form.flat)
    while index >= 0:
        last = index + len(form.flat) - 1
        start, end = (text.position(index), text.position(last) + 1) if form.widest else (index, last + 1)
        if not form.widest or end - start <= form.widest:
            yield start, end
        index = where.find(form.flat, index + 1)


def _replaced(data: bytes, spans: Iterable[tuple[int, int, str]]) -> bytes:
    pieces, done = [], 0
    for start, end, name in spans:
        pieces += [data[done:start], b"[" + name.encode() + b"]"]
        done = end
    return b"".join([*pieces, data[done:]])
