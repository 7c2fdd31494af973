"""Secrets that a stream holds encoded, and tokens that nobody named."""

from __future__ import annotations

import base64
import html
import json
import re
import textwrap
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.process.redaction import Redaction, Redactor, redacted_text
from runner.process.tokens import TokenFilter

VALUE = "Tr0ub4dor&3 /\"plus' ü+"
RAW = VALUE.encode()


def encodings() -> dict[str, bytes]:
    """Forms by what makes them; none of them shows the value as it is."""
    found = {f"base64+{n}": base64.b64encode(b"x" * n + RAW + b"y" * m) for n in range(4) for m in range(4)}
    return found | {
        "urlsafe": base64.urlsafe_b64encode(b"??>" + RAW + b"?>"),
        "mime": base64.encodebytes(b"u" * 40 + RAW + b"p" * 40),
        "hex": RAW.hex().encode(),
        "HEX": RAW.hex().upper().encode(),
        "url": urllib.parse.quote(VALUE, safe="").encode(),
        "path": urllib.parse.quote(VALUE).encode(),
        "form": urllib.parse.quote_plus(VALUE).encode(),
        "lower url": re.sub(r"%..", lambda found: found[0].lower(), urllib.parse.quote(VALUE, safe="")).encode(),
        "json": json.dumps(VALUE).encode(),
        "json ü": json.dumps(VALUE, ensure_ascii=False).encode(),
        "repr": repr(VALUE).encode(),
        "html": html.escape(VALUE).encode(),
        "shell": ("'" + VALUE.replace("'", "'\\''") + "'").encode(),
    }


TOKEN = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzzzzKEYqqqq"
MARKED = "pass<word>&more12"
QUOTED = "it'sapassword"
LINES = textwrap.wrap(TOKEN, 12)
DIALECTS = {
    "JSON of Go": (MARKED, r"pass\u003cword\u003e\u0026more12"),
    "JSON of PHP": (MARKED, r"pass\u003Cword\u003E\u0026more12"),
    "HTML of Jinja": (QUOTED, "it&#39;sapassword"),
    "HTML without quotes": (MARKED, "pass&lt;word&gt;&amp;more12"),
    "XML": (QUOTED, "it&apos;sapassword"),
    "printf %q": (QUOTED, r"it\'sapassword"),
    "printf %q of marks": (MARKED, r"pass\<word\>\&more12"),
    "shlex": (QUOTED, "'it'\"'\"'sapassword'"),
    "od -An -tx1": (TOKEN, " 77 4a 61 6c 72 58 55 74 6e 46 45 4d 49 2f 4b 37\n" + TOKEN[16:].encode().hex(" ")),
    "openssl": (TOKEN, TOKEN.encode().hex(":").upper()),
    "percent signs": (TOKEN, "".join(f"%{ord(letter):02x}" for letter in TOKEN)),
    "bytes": (TOKEN, "".join(f"\\x{ord(letter):02x}" for letter in TOKEN)),
    "C": (TOKEN, ", ".join(f"0x{ord(letter):02x}" for letter in TOKEN)),
    "code points": (TOKEN, "".join(f"\\u00{ord(letter):02x}" for letter in TOKEN)),
    "indented": (TOKEN, "\n".join("    " + line for line in LINES)),
    "quotation": (TOKEN, "\n".join("> " + line for line in LINES)),
    "continued": (TOKEN, "\\\n".join(LINES)),
    "texts of Python": (TOKEN, "\n".join(f"  '{line}'" for line in LINES)),
    "indented base64": (TOKEN, textwrap.indent(base64.encodebytes(TOKEN.encode() * 2).decode(), "  ")),
    "a phrase": ("correct horse battery", "    correct\n    horse battery"),
}


def redact(data: bytes, cuts: list[int], secrets: dict[str, str]) -> bytes:
    redaction = Redaction(secrets)
    ends = sorted(min(cut, len(data)) for cut in cuts)
    pieces = [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]
    return b"".join([*map(redaction.feed, pieces), redaction.finish()])


@pytest.mark.parametrize("form", encodings())
def test_an_encoded_value_is_found_however_it_is_cut(form: str) -> None:
    encoded = encodings()[form]
    text = b"before " + encoded + b" after\n"
    for cuts in ([], [len(text) // 2], list(range(0, len(text), 7)), list(range(len(text)))):
        redacted = redact(text, cuts, {"S": VALUE})
        assert b"[S]" in redacted
        rest = redacted.replace(b"[S]", b"").removeprefix(b"before ").removesuffix(b" after\n")
        assert len(rest) <= len(encoded) - len(RAW) + 5
        assert redacted == redact(text, [], {"S": VALUE})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_program_s_own_way_is_found(dialect: str) -> None:
    value, shown = DIALECTS[dialect]
    text = b"at 3 " + shown.encode() + b" after\n"
    redacted = redact(text, [], {"S": value})
    assert b"[S]" in redacted
    rest = redacted.replace(b"[S]", b"").decode()
    assert not any(part in rest for part in (value[:8], value[-8:], shown[len(shown) // 2 :][:8]))
    for cuts in ([len(text) // 2], list(range(0, len(text), 7)), list(range(len(text)))):
        assert redact(text, cuts, {"S": value}) == redacted
    assert Redactor({"S": value}).names_in(text) == ["S"]


@pytest.mark.parametrize(
    "text", ["pass word 1234", "pass\\word+1234", "pass\n--\nword 1234", "70:61\nx 73:73:77:6f:72:64"]
)
def test_what_only_has_the_same_letters_stays(text: str) -> None:
    assert redact(text.encode(), [], {"S": "password1234", "H": "passwordpass"}) == text.encode()


def test_short_values_are_not_looked_for_encoded() -> None:
    assert redact(b"313233 MTIz 123", [], {"PIN": "123"}) == b"313233 MTIz [PIN]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"key AKIAIOSFODNN7EXAMPLE.", b"key [AWS key]."),
        (b"ghp_" + b"a1" * 18 + b"\n", b"[GitHub token]\n"),
        (b"token=ghs_" + b"Z9" * 18, b"token=[GitHub token]"),
        (b"github_pat_" + b"a_1" * 20, b"[GitHub token]"),
        (b"xoxb-123456789012-abcdefABCDEF", b"[Slack token]"),
        (b"glpat-" + b"a" * 20, b"[GitLab token]"),
        (b"a -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- b", b"a [private key] b"),
        (b"-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\n", b"[private key]\\n"),
        (b"x -----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz", b"x [private key]"),
        (b"ghp_short AKIA xoxb- -----BEGIN CERTIFICATE-----", b"ghp_short AKIA xoxb- -----BEGIN CERTIFICATE-----"),
    ],
)
def test_what_looks_like_a_token_is_taken_out(text: bytes, shown: bytes) -> None:
    assert redact(text, [], {}) == shown
    assert redact(text, list(range(len(text))), {}) == shown


def test_a_key_without_an_end_does_not_swallow_the_log() -> None:
    tokens = TokenFilter()
    text = tokens.feed(b"-----BEGIN PRIVATE KEY-----\n" + b"line\n" * 20_000 + b"the end\n") + tokens.finish()
    assert text.startswith(b"[private key]")
    assert text.endswith(b"the end\n")


def test_ordinary_lines_are_not_held_back() -> None:
    redaction = Redaction({"S": VALUE})
    assert redaction.feed(b"epoch 1: loss 0.8\n") == b"epoch 1: loss 0.8\n"


@given(st.text("abgh_p0x-BEGIN \n", max_size=80), st.lists(st.integers(0, 80), max_size=6))
def test_no_cut_changes_what_is_shown(text: str, cuts: list[int]) -> None:
    data = text.encode() + b"ghp_" + b"a" * 36
    assert redact(data, cuts, {"S": "gh_pgh_p"}) == redact(data, [], {"S": "gh_pgh_p"})


def test_a_text_and_names_of_secrets() -> None:
    assert redacted_text(f"cannot open {VALUE}/x", {"S": VALUE}) == "cannot open [S]/x"
    redactor = Redactor({"S": VALUE, "PIN": "1234"})
    assert redactor.names_in(b"1234 " + base64.b64encode(RAW)) == ["S"]
