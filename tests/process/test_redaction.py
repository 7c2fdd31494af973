"""Secrets in a stream, however it is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.process.redaction import Redactor

KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEAA\nx==\n-----END KEY-----\n"


def redact(values: dict[str, str], *pieces: bytes) -> bytes:
    redactor = Redactor(values)
    return b"".join([*map(redactor.feed, pieces), redactor.finish()])


def test_a_value_is_replaced_by_its_name() -> None:
    assert redact({"A": "sesame", "B": "open"}, b"open sesame!") == b"[B] [A]!"


def test_text_without_a_beginning_of_a_value_is_not_held_back() -> None:
    redactor = Redactor({"A": "sesame"})
    assert redactor.feed(b"progress 10%\n") == b"progress 10%\n"
    assert redactor.feed(b"progress s") == b"progress "
    assert redactor.feed(b"low\n") == b"slow\n"


def test_a_longer_value_wins_over_one_that_is_its_beginning() -> None:
    assert redact({"A": "abcd", "B": "abcdef"}, b"abcd", b"ef abcdx") == b"[B] [A]x"


def test_a_value_that_ends_as_it_begins_is_found_at_the_end_of_a_read() -> None:
    assert redact({"A": "abcxab"}, b"1abcxab", b" 2") == b"1[A] 2"


def test_a_value_wrapped_over_lines_is_found() -> None:
    assert redact({"TOKEN": "0123456789abcdef"}, b"x 01234\r\n56789ab\ncde", b"f y") == b"x [TOKEN] y"


def test_a_short_value_is_not_searched_over_lines() -> None:
    assert redact({"PIN": "12"}, b"1\n2 12") == b"1\n2 [PIN]"


def test_a_key_file_is_found_whole_and_line_by_line() -> None:
    assert redact({"KEY": KEY}, b"<" + KEY.encode() + b">") == b"<[KEY]\n>"
    assert redact({"KEY": KEY}, b"  MIIEvQIBADANBgkqhkiG9w0\n") == b"  [KEY]\n"


def test_an_empty_value_redacts_nothing() -> None:
    assert redact({"A": "", "B": "\n"}, b"text\n") == b"text\n"


@given(st.text("ab\n", min_size=8, max_size=24).filter(lambda value: len(value.replace("\n", "")) >= 8), st.data())
def test_no_cut_and_no_wrapping_lets_a_value_through(value: str, data: st.DataObject) -> None:
    value = value.strip("\n")
    wrapped = "".join(char + data.draw(st.sampled_from(["", "", "\n", "\r\n"])) for char in value).rstrip("\r\n")
    before, after = data.draw(st.text("abc\n", max_size=20)), data.draw(st.text("abc\n", max_size=20))
    text = (before + wrapped + after).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    redacted = redact({"S": value}, *pieces)
    assert value.replace("\n", "") not in redacted.decode().replace("\r", "").replace("\n", "")
    assert redacted == redact({"S": value}, text)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_other_bytes_pass_unchanged(text: bytes, cuts: list[int]) -> None:
    text = text.replace(b"p", b"")
    ends = sorted(min(cut, len(text)) for cut in cuts)
    pieces = [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]
    assert redact({"S": "password"}, *pieces) == text
