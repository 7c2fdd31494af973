"""Templates, groups and parameter files: what DVC's grammar can be made to compute."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.kinds import EITHER, FINDING, OWNED, Case, mechanism, stages

EXPRESSIONS = (
    "${x.__class__}", "${x.__class__.__mro__[1].__subclasses__()}", "${__builtins__}", "${self}", "${x.__init__.__globals__}",
    "${x[0]}", "${x['a']}", "${x[__import__('os')]}", "${}", "${ }", "${${x}}", "${x", "$x", "${x}}", "\\${x}", "${x.}", "${.x}",
    "${x..y}", "${x[}", "${x]}", "${x[x]}", "${x:y}", "${x|y}", "${x()}", "${lambda: 1}", "${env:HOME}", "${oc.env:HOME}",
    "${x.y.z.a.b.c}", "${item}", "${key}", "${${${${x}}}}", "${x\\n}", "${'x'}", "${1}", "${-1}", "${x.-1}", "${x.0}",
    f"${{{OWNED}}}", "${x" + "}" * 500, "${" * 500, "${x[" + "x[" * 500, "${" + "a." * 900 + "b}",
)  # fmt: skip


@mechanism
def expressions() -> Iterator[Case]:
    """Attributes, calls and broken ends in `${}`."""
    for text in EXPRESSIONS:
        quoted = text.replace("'", "''")
        yield Case(
            f"in a command: {text[:40]}",
            {**stages(f"a: {{cmd: '{quoted}', deps: [in]}}"), "params.yaml": "x: 1\n"},
            EITHER,
        )
        yield Case(
            f"in a path: {text[:40]}",
            {**stages(f"a: {{cmd: x, deps: ['{quoted}']}}"), "params.yaml": "x: in\n"},
            EITHER,
        )
        yield Case(
            f"in a group: {text[:40]}",
            {**stages(f"a: {{foreach: '{quoted}', do: {{cmd: x}}}}"), "params.yaml": "x: [1]\n"},
            EITHER,
        )
        yield Case(
            f"in vars: {text[:40]}",
            {"dvc.yaml": f"vars: [x: '{quoted}']\nstages: {{a: {{cmd: 'x ${{x}}', deps: [in]}}}}\n"},
            EITHER,
        )


@mechanism
def templates_that_feed_themselves() -> Iterator[Case]:
    """Values that are templates, files that name themselves."""
    yield Case("a value", {**stages("a: {cmd: '${x}', deps: [in]}"), "params.yaml": "x: ${x}\n"}, EITHER)
    yield Case("two values", {**stages("a: {cmd: '${x}', deps: [in]}"), "params.yaml": "x: ${y}\ny: ${x}\n"}, EITHER)
    yield Case("a var", {"dvc.yaml": "vars: [x: '${x}']\nstages: {a: {cmd: '${x}'}}\n"})
    yield Case("a file of itself", {"dvc.yaml": "vars: [dvc.yaml]\nstages: {a: {cmd: x, deps: [in]}}\n"}, EITHER)
    yield Case(
        "a file again and again",
        {"dvc.yaml": "vars: [" + "v.yaml, " * 5_000 + "]\nstages: {a: {cmd: x, deps: [in]}}\n", "v.yaml": "x: 1\n"},
        EITHER,
    )
    yield Case(
        "many files",
        {
            "dvc.yaml": "vars: ["
            + ", ".join(f"v{n}.yaml" for n in range(1_000))
            + "]\nstages: {a: {cmd: x, deps: [in]}}\n",
            **{f"v{n}.yaml": f"x{n}: 1\n" for n in range(1_000)},
        },
        EITHER,
    )
    yield Case(
        "a file that is picked",
        {"dvc.yaml": "vars: ['params.yaml:x,y,z']\nstages: {a: {cmd: x, deps: [in]}}\n", "params.yaml": "x: 1\n"},
        EITHER,
    )
    yield Case("a group of a group", stages("a: {foreach: [1], do: {foreach: [1], do: {cmd: x}}}"))
    yield Case("a matrix of a group", stages("a: {matrix: {x: [1]}, foreach: [1], do: {cmd: x}}"))
    for name in ("item", "key", "item.x"):
        yield Case(
            f"the name {name}",
            stages(f"a: {{foreach: {{'{name}': 1}}, do: {{cmd: 'x ${{{name}}}', deps: [in]}}}}"),
            EITHER,
        )


@mechanism
def groups_that_multiply() -> Iterator[Case]:
    """Products of axes, and long texts for each of them."""
    axis = "[" + ", ".join(map(str, range(100))) + "]"
    for count in (3, 5, 20):
        yield Case(
            f"{count} axes", stages("a: {matrix: {" + ", ".join(f"x{n}: {axis}" for n in range(count)) + "}, cmd: x}")
        )
    yield Case(
        "one long axis", stages("a: {foreach: [" + ", ".join(map(str, range(99_000))) + "], do: {cmd: x, deps: [in]}}")
    )
    yield Case(
        "groups after groups",
        stages("\n".join(f"g{n}: {{matrix: {{x: {axis}, y: {axis}}}, cmd: x}}" for n in range(20))),
    )
    yield Case(
        "an axis from parameters",
        {**stages("a: {foreach: '${x}', do: {cmd: x, deps: [in]}}"), "params.yaml": "x: [" + "1, " * 150_000 + "]\n"},
    )
    yield Case(
        "a long text for each",
        stages("a: {matrix: {x: " + axis + ", y: " + axis + "}, cmd: '" + "${item.x}" * 5_000 + "'}"),
    )
    yield Case(
        "deep data for each",
        stages("a: {matrix: {x: " + axis + ", y: " + axis + "}, cmd: x, meta: {m: [" + "1, " * 5_000 + "]}}"),
    )
    yield Case(
        "a value in each",
        {
            **stages("a: {matrix: {x: " + axis + ", y: " + axis + "}, cmd: 'x ${v}', deps: [in]}"),
            "params.yaml": "v: '" + "y" * 100_000 + "'\n",
        },
    )
    yield Case("names that clash", stages("a: {foreach: ['x', 'x', 'x'], do: {cmd: x, deps: [in]}}"), EITHER)
    yield Case("names with an at", stages("a: {foreach: ['x@y', 'a@x'], do: {cmd: x, deps: [in]}}"), EITHER)
    yield Case("names of lists", stages("a: {matrix: {x: [[1, 2], {a: b}]}, cmd: x, deps: [in]}"), EITHER)
    yield Case(
        "a mapping as values of a command",
        {**stages("a: {cmd: 'x ${v}', deps: [in]}"), "params.yaml": "v: {'; touch x; ': {'--x': '$(id)'}}\n"},
        EITHER,
    )


CODE = {
    "a call": "import os\nx = os.system('@OWNED@ </dev/null')\n",
    "a module": "__import__('os').system('@OWNED@ </dev/null')\nx = 1\n",
    "a class": "class x:\n    y = __import__('os').system('@OWNED@ </dev/null')\n",
    "an init": "class x:\n    def __init__(self):\n        self.y = 1\n        __import__('os').system('@OWNED@')\n",
    "a decorator": "@__import__('os').system\ndef x(): pass\n",
    "a default": "def f(a=__import__('os').system('@OWNED@ </dev/null')): pass\nx = 1\n",
    "an annotation": "x: __import__('os').system('@OWNED@ </dev/null') = 1\n",
    "a text with code": "x = f\"{__import__('os').system('@OWNED@ </dev/null')}\"\n",
    "a cookie": "# -*- coding: rot13 -*-\nk = 1\n",
    "a power": "x = 9 ** 9 ** 9 ** 9\n",
    "a repetition": "x = 'a' * 10 ** 12\n",
    "a shift": "x = 1 << 10 ** 12\n",
    "a sum": "x = " + "1+" * 50_000 + "1\n",
    "signs": "x = " + "-" * 50_000 + "1\n",
    "negations": "x = " + "not " * 50_000 + "1\n",
    "brackets": "x = " + "[" * 50_000 + "]" * 50_000 + "\n",
    "braces": "x = " + "{" * 150 + "}" * 150 + "\n",
    "attributes": "x = a" + ".b" * 50_000 + "\n",
    "calls": "x = a" + "()" * 50_000 + "\n",
    "indents": "".join("  " * n + "if 1:\n" for n in range(150)) + "  " * 150 + "x = 1\n",
    "a lambda": "x = " + "lambda: " * 50_000 + "1\n",
    "strings": "x = " + "'a' " * 200_000 + "\n",
    "an odd escape": "x = '\\d\\w\\N{BULLET}'\n",
    "an unknown name": "x = '\\N{NO SUCH LETTER}'\n",
    "a NUL": "x = 1\0\n",
    "a form feed": "\x0cx = 1\n",
    "complex numbers": "x = {1j: 2, (1, 2): 3, frozenset(): 4}\n",
    "odd values": "x = {b'a': ..., None: {1, 2}, (): [b'\\xff', 1e999, -0.0, 1j]}\n",
    "no key": "x = {[]: 1}\n",
    "a star": "x = [*[1], *[2]]\ny = {**{}, 'a': 1}\n",
    "an assert": "assert (1, 'x')\nx = 1 is 1\n",
    "conditions": "x = " + "1 if 1 else " * 20_000 + "1\n",
    "compared": "x = " + "1 < " * 50_000 + "1\n",
}


@mechanism
def parameters_in_python() -> Iterator[Case]:
    """Python that would act where it is imported, or end whoever parses it."""
    for name, text in CODE.items():
        yield Case(name, {**stages("a: {cmd: x, params: [params.py: [x]]}"), "params.py": text}, EITHER)
        yield Case(f"{name}, as a whole", {**stages("a: {cmd: x, params: [params.py:]}"), "params.py": text}, EITHER)
    yield Case(
        "in templates",
        {"dvc.yaml": "vars: [params.py]\nstages: {a: {cmd: 'x ${x}', deps: [in]}}\n", "params.py": CODE["a call"]},
        EITHER,
    )
    yield Case(
        "named like YAML", {**stages("a: {cmd: x, params: [params.yaml: [x]]}"), "params.yaml": CODE["a call"]}, EITHER
    )


VALUES = {
    "json": ("[" * 100_000, '{"a":' * 500 + "1" + "}" * 500, '{"a":' * 90 + "1" + "}" * 90, '{"x": NaN, "y": Infinity}', '{"x": 1e999}', '{"x": "\\ud800"}', '{"x": 1, "x": 2}', "\ufeff{}", "{", "[]", "1", '"x"', '{"__proto__": {}}', '{"x": ' + "1" * 5_000 + "}", "\0"),
    "toml": ("x = " + "[" * 50_000, "x = " + "[" * 450 + "]" * 450, "[" + "a." * 400 + "b]\nx = 1\n", "a." * 20_000 + "b = 1\n", "\n".join(f"[a{n}.b.c.d]\nx = 1" for n in range(20_000)), "x = {" + "a = {" * 300 + "}" * 301, "x = 0x" + "f" * 50_000, "x = 1979-05-27T00:32:00.999999-07:00\ny = 07:32:00\n", "x = nan\n", "[x]\n[x]\n", "x = '''" + "'" * 50_000, 'x = "\\u0000"\n', "\ufeffx = 1\n", "[[x]]\n" * 50_000, "x.y = 1\nx = 1\n", '"' + "a" * 100_000 + '" = 1\n', '"a.b"' + ' . "a.b"' * 20_000 + " = 1\n", " " * 500_000 + "x", "x = " + " " * 500_000),
    "yaml": ("&a [*a]", "[" * 500, "x: !!python/object/apply:os.system ['@OWNED@']", "? {a: 1}\n: 1\n", "? [1]\n: 1\n", "[1]: 1\n", "- 1\n", "x", "", "1: 2\n", "null: 1\n~: 2\n", "2024-01-01: x\n", ".nan: 1\n", "x: " + "a" * 1_000_000, "!!set {a, b}\n", "x: !!set {a, b}\n", "x: !!binary aGk=\n", "---\na: 1\n---\nb: 1\n"),
}  # fmt: skip


@mechanism
def parameters_in_other_formats() -> Iterator[Case]:
    """JSON, TOML and YAML that nests, grows, or holds what no other format can say."""
    for suffix, texts in VALUES.items():
        for number, text in enumerate(texts):
            files = {f"params.{suffix}": text}
            yield Case(
                f"{suffix} {number}, one key",
                {**stages(f"a: {{cmd: x, params: [params.{suffix}: [x]]}}"), **files},
                EITHER,
            )
            yield Case(
                f"{suffix} {number}, all of it",
                {**stages(f"a: {{cmd: x, params: [params.{suffix}:]}}"), **files},
                EITHER,
            )
            yield Case(
                f"{suffix} {number}, in templates",
                {"dvc.yaml": f"vars: [params.{suffix}]\nstages: {{a: {{cmd: 'x ${{x}}', deps: [in]}}}}\n", **files},
                EITHER,
            )


@mechanism
def keys_of_parameters() -> Iterator[Case]:
    """Keys that are patterns, numbers, or very deep."""
    params = "a: {b: [1, {c: 2}], '*': 3, '0': 4}\n1: x\n"
    for key in (
        "*",
        "**",
        "a.*",
        "*.*.*.*",
        "**.**",
        "a.**.c",
        "[a-z]",
        "[",
        "a.b.0",
        "a.b.-1",
        "a.b.99999999999999999999",
        "a.b.\u0661",
        "a." * 5_000 + "b",
        "*a" * 5_000,
        "?" * 100_000,
        ".",
        "..",
        "",
        "a..b",
        ".a",
        "a.",
        "__class__",
        "a.__class__",
        "[!a]*",
        "[]",
        "a\\.b",
        "\u00b2",
    ):
        quoted = key.replace("\\", "\\\\")
        yield Case(f"{key[:40]}", {**stages(f'a: {{cmd: x, params: ["{quoted}"]}}'), "params.yaml": params}, EITHER)


__all__ = ["FINDING"]
