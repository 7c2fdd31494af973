"""Removing from a stream what looks like credentials, whoever's they are: tokens of known makes, private keys."""

from __future__ import annotations

import re

_MAKES = {
    "AWS key": (rb"(?:AKIA|ASIA)[A-Z0-9]{16}", (b"AKIA", b"ASIA")),
    "GitHub token": (
        rb"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}",
        (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
    ),
    "GitLab token": (rb"glpat-[A-Za-z0-9_-]{20,255}", (b"glpat-",)),
    "Slack token": (
        rb"xox[abeoprs]-[A-Za-z0-9-]{10,255}",
        (b"xoxa-", b"xoxb-", b"xoxe-", b"xoxo-", b"xoxp-", b"xoxr-", b"xoxs-"),
    ),
    "Google key": (rb"AIza[A-Za-z0-9_-]{35}", (b"AIza",)),
}
_BEGIN = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_BEGIN_PREFIX = b"-----BEGIN "
_END = re.compile(rb"-----END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_LONGEST_MARK = 128
"""Bytes; no first or last line of a key is longer."""
_MOST_KEY_BYTES = 64 * 1024
"""After so many bytes without an end a key is taken to be none, and what follows is shown again."""
_LONGEST_TOKEN = 272
_PREFIXES = tuple(prefix for _, prefixes in _MAKES.values() for prefix in prefixes)
_STEMS = {
    stem: tuple(prefix for prefix in _PREFIXES if prefix.startswith(stem))
    for stem in (b"AKIA", b"ASIA", b"AIza", b"gh", b"gi", b"glpat-", b"xox")
}
"""All prefixes by what they begin with: where that is not found, none of them is."""
_TOKEN = re.compile(rb"|".join(rb"(%s)" % pattern for pattern, _ in _MAKES.values()))
_NAMES = tuple(_MAKES)
_WORD_AT_END = re.compile(rb"[A-Za-z0-9_-]{1,%d}\Z" % _LONGEST_TOKEN)


class TokenFilter:
    """Replaces tokens by `[GitHub token]` and the like, and private keys from their first to their last line.

    Feed it in order, then call `finish`. What may be the beginning of a token is held back until it is certain.
    """

    def __init__(self) -> None:
        self._held = b""
        self._key_bytes: int | None = None
        """How much of a private key has passed; None outside of one."""

    def feed(self, data: bytes) -> bytes:
        """The bytes that are certain by now."""
        return self._taken(self._held + data, is_end=False)

    def finish(self) -> bytes:
        """The rest."""
        return self._taken(self._held, is_end=True)

    def _taken(self, data: bytes, *, is_end: bool) -> bytes:
        done: list[bytes] = []
        self._held = b""
        while data:
            if self._key_bytes is not None:
                data = self._inside(data, is_end=is_end)
                if self._key_bytes is not None:
                    break
            begin = _BEGIN.search(data)
            if begin is None:
                safe = len(data) if is_end else _certain_until(data)
                self._held = data[safe:]
                done.append(_without_tokens(data[:safe]))
                break
            done += [_without_tokens(data[: begin.start()]), b"[private key]"]
            data, self._key_bytes = data[begin.end() :], 0
        return b"".join(done)

    def _inside(self, data: bytes, *, is_end: bool) -> bytes:
        """What is left after the end of a private key; what may be the beginning of its last line is held back."""
        end = _END.search(data)
        if end is not None:
            self._key_bytes = None
            return data[end.end() :]
        kept = b"" if is_end else data[-_LONGEST_MARK:]
        self._key_bytes = (self._key_bytes or 0) + len(data) - len(kept)
        if self._key_bytes > _MOST_KEY_BYTES:
            self._key_bytes = None
            return kept
        self._held = kept
        return b""


def _without_tokens(data: bytes) -> bytes:
    if not any(stem in data and any(prefix in data for prefix in prefixes) for stem, prefixes in _STEMS.items()):
        return data
    return _TOKEN.sub(lambda match: b"[" + _NAMES[(match.lastindex or 1) - 1].encode() + b"]", data)


def _certain_until(data: bytes) -> int:
    """Before what may be the beginning of a token, or of the first line of a key, that runs to the end."""
    window = max(0, len(data) - _LONGEST_MARK)
    begin = data.rfind(_BEGIN_PREFIX, window)
    if begin >= 0:
        return min(begin, _word_at_end(data))
    for length in range(len(_BEGIN_PREFIX) - 1, 0, -1):
        if data.endswith(_BEGIN_PREFIX[:length]):
            return min(len(data) - length, _word_at_end(data))
    return _word_at_end(data)


def _word_at_end(data: bytes) -> int:
    word = _WORD_AT_END.search(data, max(0, len(data) - _LONGEST_TOKEN))
    if word is None:
        return len(data)
    text = word.group()
    starts = [text.find(prefix) for prefix in _PREFIXES if prefix in text]
    if starts:
        return word.start() + min(starts)
    for length in range(min(len(text), max(map(len, _PREFIXES)) - 1), 0, -1):
        if any(prefix.startswith(text[-length:]) for prefix in _PREFIXES):
            return len(data) - length
    return len(data)
