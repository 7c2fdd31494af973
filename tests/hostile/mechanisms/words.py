"""What is said: texts that would redraw a terminal, forge a line, or become more than text on a web page."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.ground import Ground
from tests.hostile.kinds import EITHER, PLAN, Case, mechanism, stages

ORDERS = {
    "a colour": "\x1b[31mred",
    "a cleared screen": "\x1b[2J\x1b[H",
    "a title": "\x1b]0;owned\x07",
    "a link": "\x1b]8;;http://evil\x1b\\x",
    "a clipboard": "\x1b]52;c;aGk=\x07",
    "an answer": "\x1b[6n",
    "a device order": "\x1bP+q\x1b\\",
    "one byte": "\x9b31m",
    "a backspace": "ok\x08\x08no",
    "a return": "error\rfine",
    "a bell": "\x07",
    "a delete": "\x7f",
    "a new line": "x\n::error::forged",
    "two lines": "x\n\nValid: p",
    "a tab": "x\ty",
    "an order of GitHub's": "x\n::add-mask::e",
    "an old order of GitHub's": "##[add-path]/tmp/evil",
    "an order behind a space": "x\n  ::stop-commands::t",
}
UNSEEN = {
    "an override": "\u202egnp.exe",
    "an isolate": "\u2066x\u2069",
    "a mark": "\u200fx",
    "an Arabic mark": "\u061cx",
    "a zero-width space": "a\u200bb",
    "a joiner": "a\u200db",
    "a word joiner": "a\u2060b",
    "a byte order mark": "a\ufeffb",
    "a line separator": "a\u2028b",
    "a paragraph separator": "a\u2029b",
    "tags": "a\U000e0041\U000e0042",
    "an annotation": "a\ufff9b\ufffac\ufffb",
    "invisible plus": "a\u2064b",
    "a Mongolian separator": "a\u180eb",
    "a musical order": "a\U0001d173b",
    "a deprecated order": "a\u206eb",
}
MARKUP = {
    "a script": "<script>alert(1)</script>",
    "an image": "![x](http://evil/x.png)",
    "a tag with an image": "<img src=x onerror=alert(1)>",
    "a link": "[click](javascript:alert(1))",
    "a mention": "@everyone #1 GH-1",
    "a table": "a | b | c",
    "a heading": "# heading",
    "a fence": "```\n\n# out\n```",
    "a comment": "<!-- x -->",
    "details": "</details><details open>",
    "an entity": "&lt;b&gt; &#60;",
    "an address": "https://evil.example/x www.evil.example",
    "a formula": "$x$ \\(x\\)",
    "a template": "{{ 7*7 }} {% raw %} {# x #}",
    "strikes": "~~x~~ **x** __x__ ==x==",
    "a footnote": "[^1]: x",
    "a format": "%s %n %(x)s {0} {0.__class__}",
}


def _quoted(text: str) -> str:
    """A text in double quotes of YAML, with every odd letter escaped."""
    return (
        '"'
        + "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in text)
        + '"'
    )


def _everywhere(kind: str, texts: dict[str, str]) -> Iterator[Case]:
    for name, text in texts.items():
        quoted = _quoted(text)
        yield Case(f"{kind} in a command: {name}", stages(f"a: {{cmd: {quoted}, deps: [in], desc: {quoted}}}"), EITHER)
        yield Case(f"{kind} in a dep: {name}", stages(f"a: {{cmd: x, deps: [{quoted}]}}"), EITHER)
        yield Case(
            f"{kind} in a file: {name}",
            {**stages(f"a: {{cmd: x, deps: [{quoted}]}}"), text.replace("/", "_"): "1"},
            EITHER,
        )
        yield Case(f"{kind} in an out: {name}", stages(f"a: {{cmd: x, deps: [in], outs: [{quoted}]}}"), EITHER)
        yield Case(f"{kind} in a key: {name}", stages(f"a: {{cmd: x, {quoted}: 1}}"), EITHER)
        yield Case(f"{kind} in a stage: {name}", stages(f"{quoted}: {{cmd: x, deps: [in]}}"), EITHER)
        yield Case(
            f"{kind} in a generated stage: {name}",
            stages(f"a: {{foreach: [{quoted}], do: {{cmd: x, deps: [in]}}}}"),
            EITHER,
        )
        yield Case(
            f"{kind} in a stage of DVC: {name}", {"dvc.yaml": f"stages:\n  {quoted}: {{cmd: x, deps: [in]}}\n"}, EITHER
        )
        yield Case(
            f"{kind} in a parameter: {name}",
            {**stages("a: {cmd: x, params: [n]}"), "params.yaml": f"n: {quoted}\n"},
            EITHER,
        )
        yield Case(
            f"{kind} in a template: {name}",
            stages("a: {cmd: 'x ${" + text.replace("'", "''").replace("\n", " ").replace("\r", " ") + "}'}")
            if text.isprintable()
            else stages(f"a: {{cmd: {_quoted('x ${' + text + '}')}}}"),
            EITHER,
        )
        yield Case(
            f"{kind} in a spec's name: {name}",
            {f"pipelines/{text.replace('/', '_')}.yaml": "apiVersion: runner/v1\n"},
            EITHER,
        )
        yield Case(
            f"{kind} in what is not handled: {name}", stages(f"a: {{cmd: x, deps: [in], image: {quoted}}}"), EITHER
        )


@mechanism
def orders_to_a_terminal() -> Iterator[Case]:
    """Escape sequences and forged lines, wherever a repository can put a text."""
    yield from _everywhere("order", ORDERS)


@mechanism
def letters_that_nobody_sees() -> Iterator[Case]:
    """Directions and invisible letters, wherever a repository can put a text."""
    yield from _everywhere("unseen", UNSEEN)


@mechanism
def markup() -> Iterator[Case]:
    """HTML and Markdown, wherever a repository can put a text."""
    yield from _everywhere("markup", MARKUP)


@mechanism
def messages_of_commits() -> Iterator[Case]:
    """Messages and authors that are more than text, not text, or very long."""
    texts = {**ORDERS, **UNSEEN, **MARKUP}
    for name, text in texts.items():
        raw = text.encode("utf-8", "surrogatepass")
        yield Case(f"message: {name}", message=raw + b"\n", ends=PLAN)
        yield Case(f"author: {name}", author=raw.replace(b"\n", b" ") + b" <a@b> 1 +0000", ends=PLAN)
    yield Case("bytes that are no text", message=b"\xff\xfe\x80\n", author=b"\xff <\xfe> x y", ends=PLAN)
    yield Case("no author", author=b"", ends=PLAN)
    yield Case("a far time", author=b"A <a@b> 99999999999999999999 +9999", ends=PLAN)
    yield Case("a time before all", author=b"A <a@b> -99999 -9999", ends=PLAN)
    yield Case("a very long message", message=b"x" * 3_000_000, ends=PLAN)
    yield Case("many lines", message=b"\n" * 1_000_000, ends=PLAN)
    for encoding in (
        b"nonsense",
        b"utf-7",
        b"idna",
        b"hex",
        b"rot13",
        b"zip",
        b"base64",
        b"punycode",
        b"unicode_escape",
        b"mbcs",
        b"undefined",
        b"\xff",
        b"utf-16",
    ):
        yield Case(f"encoding {encoding!a}", prepare=_encoded(encoding), ends=PLAN)
    yield Case(
        "a codec that takes the square of the length", prepare=_encoded(b"punycode", b"a9" * 1_000_000), ends=PLAN
    )


def _encoded(encoding: bytes, words: bytes = b"+AGE- \\x1b[31m caf\xe9\n"):  # type: ignore[no-untyped-def]
    def prepare(ground: Ground) -> str:
        tree = ground.store.tree({"runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec: {}\n"})
        extra = b"encoding " + encoding + b"\n"
        return ground.store.commit(tree, parents=[ground.base], message=words, extra=extra)

    return prepare


@mechanism
def forged_trailers() -> Iterator[Case]:
    """`Reconciled:` in messages of people."""
    for text in (
        "Reconciled: " + "0" * 40,
        "Reconciled: " + "a" * 64,
        "Reconciled: HEAD",
        "Reconciled: --all",
        "Reconciled: \x1b[2J",
        ("Reconciled: " + "b" * 40 + "\n") * 5_000,
    ):
        forged = {".runner/state.json": '{"schema": 1, "desired": "x", "sequence": 5, "digest": null}'}
        yield Case(f"alone {text[:20]!r}", message=f"x\n\n{text}\n".encode(), ends=PLAN)
        yield Case(f"with records {text[:20]!r}", forged, message=f"x\n\n{text}\n".encode(), ends=EITHER)
