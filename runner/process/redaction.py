"""Removing secret values from a stream, also where they are encoded, split over reads or wrapped over lines."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runner.process.encodings import LINE_ENDS, WRAPPED_LENGTH, forms, spelt_bytes
from runner.process.stripped import Strip, Stripped
from runner.process.tokens import TokenFilter
from runner.values import dataclass

WRAPPED_ENDS = 4
"""So many bytes of line ends, indentation and marks may stand between two characters of a value, on average. Where the
value has line ends itself, as many more."""
WRAPPED_ROOM = 256
"""And so many more in a value as a whole: a short one, deeply indented."""
SPELT_ROOM = 12
"""So many bytes at most, on average, spell one byte of a value with separators (`&#x0041;` and a line end)."""
_PREFIX = 4
_FLAT = Strip(LINE_ENDS)
_AROUND_LINE_ENDS = b" \t\r\n\\\"'+>|#"
"""What programs put around the line ends that they wrap a value with: indentation, marks of quotations and comments,
quotes and signs of continued text."""
_BARE = Strip(_AROUND_LINE_ENDS)
_RUN = re.compile(b"[" + re.escape(_AROUND_LINE_ENDS) + b"]+")
_LOWER = bytes(range(256)).lower()
_DIGITS = Strip(bytes(byte for byte in range(256) if byte not in b"0123456789abcdefABCDEF"), _LOWER)


@dataclass(frozen=True, slots=True)
class _Form:
    flat: bytes
    """Without line ends, or as it is where it is too short to be looked for over lines."""
    name: str
    widest: int
    """Length of the longest stretch that counts as this form; 0 for one that has to stand as it is."""


class Redactor:
    """Replaces secret values by `[NAME]` in a stream, in every form that `forms` and `spelt_bytes` know; feed it in
    order, then call `finish`.

    A value of several lines (a key file) is also found line by line, each line of at least eight characters for itself.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values` maps the name of a secret to its value; empty values are left out."""
        self._held = b""
        self._widest = 0
        self._short: list[_Form] = []
        self._spelt: dict[bytes, list[_Form]] = {}
        """By what a text has to hold for them to be looked for."""
        self._by_bare: dict[bytes, list[_Form]] = {}
        """Forms that can be wrapped, by what is left of them without what stands around line ends: where that is not
        found, none of them is."""
        self._parts: dict[bytes, bytes] = {}
        """The shortest of the same secret that is a part of each: where that is not found, it is not either."""
        self._beginnings: list[tuple[Strip, _Beginnings]] = []
        if values:  # each stage has one of these, and most have no secrets
            self._look_for(values)

    def _look_for(self, values: Mapping[str, str]) -> None:
        found: dict[bytes, _Form] = {}
        spelt: dict[bytes, tuple[_Form, bytes]] = {}
        for name, value in values.items():
            for form in forms(value):
                made = _form(form, name)
                found.setdefault(made.flat, made)
            for digits, size_bytes, mark in spelt_bytes(value):
                spelt.setdefault(digits, (_Form(digits, name, size_bytes * SPELT_ROOM + WRAPPED_ROOM), mark))
        self._short = [made for made in found.values() if not made.widest]
        for spelling, mark in spelt.values():
            self._spelt.setdefault(mark, []).append(spelling)
        of_name: dict[str, list[bytes]] = {}
        for made in sorted(found.values(), key=lambda made: len(made.flat)):
            if made.widest:
                bare = _BARE.of(made.flat)
                self._by_bare.setdefault(bare, []).append(made)
                of_name.setdefault(made.name, []).append(bare)
        self._parts = {
            bare: next(part for part in bares if part in bare) for bares in of_name.values() for bare in bares
        }
        every = [*found.values(), *(spelling for spelling, _ in spelt.values())]
        self._widest = max((max(one.widest, len(one.flat)) for one in every), default=0)
        self._beginnings = [
            (strip, _Beginnings(searched))
            for strip, searched in ((_FLAT, list(found)), (_BARE, list(self._by_bare)), (_DIGITS, list(spelt)))
        ]

    def feed(self, data: bytes) -> bytes:
        """The redacted bytes that are certain by now; what may be the beginning of a value is held back."""
        if not self._widest:
            return data
        data = self._held + data
        spans = self._spans(data)
        safe = self._certain_until(data, spans)
        self._held = data[safe:]
        return _replaced(data[:safe], [span for span in spans if span[1] <= safe])

    def finish(self) -> bytes:
        """The redacted rest."""
        if not self._held:
            return b""
        held, self._held = self._held, b""
        return _replaced(held, self._spans(held))

    def names_in(self, data: bytes) -> list[str]:
        """Names of the secrets whose values of at least eight characters stand in these bytes."""
        return sorted({form.name for _, _, form in self._hits(data) if len(form.flat) >= WRAPPED_LENGTH})

    def _spans(self, data: bytes) -> list[tuple[int, int, str]]:
        """Where values stand, in order; those that overlap are one, named by the first and longest of them."""
        hits = ((start, -end, form.name) for start, end, form in self._hits(data))
        spans: list[tuple[int, int, str]] = []
        for start, minus_end, name in sorted(hits):
            if spans and start < spans[-1][1]:
                before = spans[-1]
                spans[-1] = (before[0], max(before[1], -minus_end), before[2])
            else:
                spans.append((start, -minus_end, name))
        return spans

    def _hits(self, data: bytes) -> Iterator[tuple[int, int, _Form]]:
        """Where a form begins and ends in the data."""
        bare, digits = Stripped(data, _BARE), Stripped(data, _DIGITS)
        flat: Stripped | None = None
        for form in self._short:
            index = data.find(form.flat)
            while index >= 0:
                yield index, index + len(form.flat), form
                index = data.find(form.flat, index + 1)
        parts: dict[bytes, bool] = {}
        for searched, group in self._by_bare.items():
            parts[searched] = parts.get(self._parts[searched], True) and searched in bare.left
            if parts[searched]:
                flat = flat or Stripped(data, _FLAT)
                plain = [(start, end, form) for form in group for start, end in flat.spans(form.flat)]
                yield from ((start, end, form) for start, end, form in plain if end - start <= form.widest)
                places = min(len({start for start, _, _ in plain}), len({end for _, end, _ in plain}))
                if places < bare.left.count(searched):
                    yield from _wrapped(bare, searched, group)
        for mark, spelt in self._spelt.items():
            for form in spelt if mark in data else ():
                for start, end in digits.spans(form.flat):
                    if end - start <= form.widest and _between_digits().fullmatch(data, start, end):
                        yield start, end, form

    def _certain_until(self, data: bytes, spans: Iterable[tuple[int, int, str]]) -> int:
        """Where the part ends that no later byte can turn into a secret: before the first beginning of a value that
        runs to the end, and before a value that this would cut."""
        window = max(0, len(data) - self._widest)
        cut = len(data)
        for strip, beginnings in self._beginnings:
            text = Stripped(data[window:], strip)
            index = beginnings.first_at_end(text.left)
            if index is not None:
                cut = min(cut, window + text.position(index))
        return next((start for start, end, _ in spans if start < cut < end), cut)


class _Beginnings:
    """Finds where one of several texts may have begun that is not all there yet."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        self._by_prefix: dict[bytes, list[bytes]] = {}
        self._longest = 0
        for text in texts:
            self._longest = max(self._longest, len(text))
            for length in range(1, _PREFIX + 1):
                self._by_prefix.setdefault(text[:length], []).append(text)

    def first_at_end(self, data: bytes) -> int | None:
        """Where the first begins that runs to the end."""
        indices = range(max(0, len(data) - self._longest + 1), len(data))
        return next((index for index in indices if self._may_begin(data, index)), None)

    def _may_begin(self, data: bytes, index: int) -> bool:
        candidates = self._by_prefix.get(data[index : index + _PREFIX])
        if candidates is None:
            return False
        beginning = data[index:]
        return any(len(text) > len(beginning) and text.startswith(beginning) for text in candidates)


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


def _form(form: bytes, name: str) -> _Form:
    flat = form.translate(None, LINE_ENDS)
    if len(flat) < WRAPPED_LENGTH:
        return _Form(form, name, 0)
    most = WRAPPED_ENDS + 2 * (len(form) - len(flat))
    return _Form(flat, name, len(flat) + most * (len(flat) - 1) + WRAPPED_ROOM)


def _wrapped(bare: Stripped, searched: bytes, group: Iterable[_Form]) -> Iterator[tuple[int, int, _Form]]:
    """Where forms stand wrapped over lines that are indented, marked as a quotation or continued."""
    runs = [(form, _runs(form.flat)) for form in group]
    for start, end in bare.spans(searched):
        if end - start == len(searched):
            continue  # on one line, so it is found as it is
        there = _runs(bare.data[start:end])
        for form, own in runs:
            if end - start <= form.widest and _is_wrapped(there, own):
                yield start, end, form
                break


@functools.cache
def _between_digits() -> re.Pattern[bytes]:
    # Made when it is first needed: it takes milliseconds to compile, and most stages have no secret.
    return re.compile(rb"(?:[0-9A-Fa-f]{1,4}(?:[^0-9A-Za-z]|[xXuU]){0,96})+")


def _runs(text: bytes) -> dict[int, bytes]:
    """What stands around line ends, or could, by how many other bytes are before it; not at the beginning and end."""
    runs, skipped = {}, 0
    for run in _RUN.finditer(text):
        if run.start() > 0 and run.end() < len(text):
            runs[run.start() - skipped] = run.group()
        skipped += len(run.group())
    return runs


def _is_wrapped(there: Mapping[int, bytes], own: Mapping[int, bytes]) -> bool:
    """Whether nothing but line ends, and what is around them, makes the difference."""
    return own.keys() <= there.keys() and all(
        own.get(place) == run or b"\n" in run or b"\r" in run for place, run in there.items()
    )


def _replaced(data: bytes, spans: Iterable[tuple[int, int, str]]) -> bytes:
    pieces, done = [], 0
    for start, end, name in spans:
        pieces += [data[done:start], b"[" + name.encode() + b"]"]
        done = end
    return b"".join([*pieces, data[done:]])
