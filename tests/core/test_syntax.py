"""Modules by what they say: spelling does not count, everything that a program can see does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runner.core.syntax import Import, NotPython, read_module

PLAIN = '''\
"""What it is about."""
from __future__ import annotations
import os.path
from ..shared import scale as scaled, shift
from . import near


@wraps(near)
def build(data: str, /, window: int = 7, *rest, out, seed=0, **more) -> float:
    """Builds."""
    from .inner import late
    total = 0x10 + 1_000 - -1e3 * 2j
    for number, letter in {1: "a", **more}.items():
        match letter:
            case ["x", *others] if others:
                total += number
            case None | True:
                return f"{total!r:>{window}} {letter}"
    return (lambda *a, b=1, **k: [x for x in a if x])(total) if "\\u00fc" != b"\\x00" else ...


class Kept:
    pass
'''
REFORMATTED = (
    PLAIN.replace("import os.path\n", "import os.path  # noqa\n\n\n")
    .replace(
        "from ..shared import scale as scaled, shift", "from ..shared import (\n    scale as scaled,\n    shift,\n)"
    )
    .replace('"a"', "'a'")
    .replace("0x10", "16")
    .replace("1_000", "1000")
    .replace("total += number", "total += (number)")
    .replace("\\u00fc", "ü")
    .replace("    pass", "    # nothing\n    pass;")
)
DIGEST = "ast:7306755b17067155397d3e7d3cd20374bd362d73e3b30317b8cc86fbab601f49"
"""Of PLAIN: every Python that runs the runner has to come to this one."""


def digest(source: str | bytes) -> str:
    """What a module counts by."""
    return read_module(source if isinstance(source, bytes) else source.encode()).digest


def test_formatting_and_comments_do_not_count_and_line_ends_neither() -> None:
    assert digest(REFORMATTED) == digest(PLAIN)
    assert digest(PLAIN.replace("\n", "\r\n")) == digest(PLAIN)
    assert digest(b"\xef\xbb\xbf" + PLAIN.encode()) == digest(PLAIN)
    assert digest(b"# coding: latin-1\nx = '\xfc'") == digest("x = 'ü'")


def test_the_digest_is_the_same_whatever_python_computes_it() -> None:
    assert digest(PLAIN) == DIGEST


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("window: int = 7", "window: int = 8"),
        ("window: int = 7", "window = 7"),
        ('"""Builds."""', '"""Makes."""'),
        ('"""Builds."""', "pass"),
        ("out, seed", "seed, out"),
        ("*rest, out", "*, out"),
        ("near\n", "far\n"),
        ("1e3", "1000"),
        ("2j", "2"),
        ("!r", "!s"),
        ('b"\\x00"', '"\\x00"'),
        ("None | True", "None | False"),
        ("case None | True", "case True | None"),
        ("**more}", "**{}}"),
        ("scale as scaled, shift", "scale, shift"),
        ("..shared", ".shared"),
        ("b=1", "b=0"),
        ("else ...", "else None"),
        ("@wraps(near)\n", ""),
        ("class Kept", "class Lost"),
    ],
)
def test_whatever_a_program_can_see_counts(old: str, new: str) -> None:
    assert old in PLAIN
    assert digest(PLAIN.replace(old, new, 1)) != digest(PLAIN)


def test_values_that_only_look_alike_are_told_apart() -> None:
    sources = ["0", "0.0", "-0", "0j", "False", "None", "''", "b''", "...", "[]", "()", "{}", "[None]", "f''", "'None'"]
    sources += ["'(' ')'", "['a', 'b']", "['a,b']", "[[], 'a']", "[['a']]", "global_", "1", "True", "1.0", "'1'"]
    assert len({digest(source) for source in sources}) == len(sources)


def test_imports_are_found_wherever_they_stand_and_names_at_the_top() -> None:
    module = read_module(PLAIN.encode())
    assert set(module.imports) == {
        Import(0, "__future__", ("annotations",)),
        Import(0, "os.path"),
        Import(2, "shared", ("scale", "shift")),
        Import(1, "", ("near",)),
        Import(1, "inner", ("late",)),
    }
    assert set(module.names) == {"annotations", "os", "scaled", "shift", "near", "build", "Kept"}
    assert module.names["build"].parameters is None, "a decorator may take anything"
    plain = read_module(PLAIN.replace("@wraps(near)\n", "").encode()).names["build"]
    assert [(one.name, one.kind, one.optional) for one in plain.parameters or ()] == [
        ("data", "positional", False),
        ("window", "plain", True),
        ("out", "keyword", False),
        ("seed", "keyword", True),
        ("more", "rest", True),
    ]


def test_names_that_depend_on_what_runs_are_known_and_not_judged() -> None:
    module = read_module(
        b"try:\n    from fast import build\nexcept ImportError:\n    def build(a): ...\n"
        b"if x:\n    (first, *rest), last.a, d[0] = 1, 2, 3\n__all__ = ['sub']\n__all__ += ['more']\n"
    )
    assert set(module.names) == {"build", "first", "rest", "__all__"}
    assert module.names["build"].parameters is None
    assert (module.exports, module.is_open) == (("sub", "more"), False)
    assert read_module(b"from x import *").is_open


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        (b"x = 1\ny = (\n", 2, "never closed"),
        (b"x = 1\nprint 'a'\n", 2, "print"),
        (b"x = '\x00'", 0, "null bytes"),
        (b"x = 1\n\ny = '\xff'", 3, "utf-8"),
        (b"#!/x\n# -*- coding: punycode -*-\nx = 1", 1, "punycode"),
        (b"1" * 5000, 1, "integer"),
        (b"x = 1\nimport b, " + b"a . \\\n" * 200 + b"a", 2, "more than 100 parts"),
    ],
)
def test_what_does_not_parse_is_told_with_its_line(data: bytes, line: int, said: str) -> None:
    with pytest.raises(NotPython, match=said) as raised:
        read_module(data)
    assert raised.value.line == line


DEEP = {
    "brackets": "'(' * 200_000",
    "lists": "'[' * 90 + ']' * 90",
    "minus": "'-' * 200_000 + '1'",
    "not": "'not ' * 100_000 + 'x'",
    "sum": "'1' + '+1' * 100_000",
    "attributes": "'a' + '.a' * 100_000",
    "calls": "'a' + '()' * 100_000",
    "lambdas": "'lambda: ' * 50_000 + '0'",
    "else": "'if x: pass\\n' + 'elif x: pass\\n' * 20_000",
    "blocks": "''.join(' ' * n + 'if x:\\n' for n in range(500))",
    "f-strings": "'f\"{' * 10_000",
    "statements": "'x\\n' * 100_000",
}


def test_hostile_sources_end_in_a_digest_or_a_refusal_and_never_in_a_crash() -> None:
    program = (
        "from runner.core.syntax import NotPython, read_module\n"
        f"for source in [{', '.join(DEEP.values())}]:\n"
        "    try:\n        print(read_module(source.encode()).digest[:4])\n"
        "    except NotPython:\n        print('no')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, len(done.stdout.split())) == (0, len(DEEP)), done.stderr[-500:]
    assert set(done.stdout.split()) == {"ast:", "no"}
