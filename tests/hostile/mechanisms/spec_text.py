"""Specs as text: YAML that grows, nests, lies about its encoding, or asks for objects of Python."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.kinds import EITHER, HEAD, OWNED, PLAN, Case, mechanism, spec, stages


def _bomb(levels: int, width: int, form: str) -> str:
    """Anchors that each hold the one before many times."""
    lines = ["x0: &x0 [lol]"]
    for level in range(1, levels):
        inner = ", ".join([f"*x{level - 1}"] * width)
        lines.append(f"x{level}: &x{level} " + (f"[{inner}]" if form == "list" else f"{{k: [{inner}]}}"))
    return "\n".join(lines) + "\n"


MANY = 3_000
"""Enough for a search through all of them for each of them to show."""


@mechanism
def aliases_that_multiply() -> Iterator[Case]:
    """A few lines of YAML that stand for billions of values."""
    for width in (2, 9, 10, 100):
        for form in ("list", "map"):
            yield Case(f"{form} of {width}", {"runner.yaml": _bomb(60, width, form)})
    yield Case(
        "inside of a stage", stages("a: {cmd: x, meta: {x: &x [" + "y, " * 300 + "], z: [" + "*x, " * 500 + "]}}")
    )
    yield Case(
        "keys",
        {"runner.yaml": "a: &a {" + ", ".join(f"k{n}: 1" for n in range(999)) + "}\nb: [" + "*a, " * 200 + "]\n"},
    )
    yield Case("in a dvc.yaml", {"dvc.yaml": _bomb(40, 10, "list")})
    yield Case("in parameters", {**stages("a: {cmd: x, params: [x]}"), "params.yaml": _bomb(40, 10, "list")})


@mechanism
def merge_keys() -> Iterator[Case]:
    """`<<` that merges again and again, itself, or what is no mapping."""
    many = "".join(f"m{n}: &m{n}\n  <<: [*m{n - 1}, *m{n - 1}, *m{n - 1}]\n" for n in range(1, 40))
    yield Case("doubling", {"runner.yaml": "m0: &m0 {a: 1}\n" + many})
    yield Case("itself", {"runner.yaml": "a: &a\n  <<: *a\n"})
    yield Case("twice", {"runner.yaml": "a: &a {x: 1}\nb: {<<: *a, <<: *a}\n"})
    yield Case("a text", {"runner.yaml": "a: &a text\nb:\n  <<: *a\n"})
    yield Case("a list of texts", {"runner.yaml": "a: &a [x]\nb:\n  <<: [*a, *a]\n"})
    yield Case("over a kind", {"runner.yaml": "x: &x {kind: Project}\n<<: *x\n" + HEAD + "  stages: {}\n"})


@mechanism
def anchors_in_circles() -> Iterator[Case]:
    """Anchors that hold themselves."""
    for text in (
        "a: &a [*a]",
        "a: &a {b: *a}",
        "&a [[*a]]",
        "a: &a\n  b: &b\n    c: *a\n    d: *b",
        "? &a [*a]\n: 1",
        "*a",
    ):
        yield Case(ascii(text), {"runner.yaml": text + "\n"})
    yield Case("a stage of itself", stages("a: &a {cmd: x, meta: *a}"))


@mechanism
def nesting() -> Iterator[Case]:
    """Depth that ends a recursive reader."""
    for depth in (51, 1_000, 100_000):
        yield Case(f"lists {depth}", {"runner.yaml": "[" * depth + "]" * depth})
        yield Case(f"mappings {depth}", {"runner.yaml": "{a: " * depth + "1" + "}" * depth})
        yield Case(f"never closed {depth}", {"runner.yaml": "[" * depth})
        yield Case(f"keys {depth}", {"runner.yaml": "? [" * depth})
    yield Case("indented", {"runner.yaml": "".join(" " * n + "a:\n" for n in range(700))})
    yield Case("dashes", {"runner.yaml": "- " * 50_000 + "x\n"})
    for depth in (60, 5_000):
        yield Case(f"in meta {depth}", stages("a: {cmd: x, meta: " + "[" * depth + "]" * depth + "}"))
        yield Case(f"in a dvc.yaml {depth}", {"dvc.yaml": "stages: " + "[" * depth * 2 + "]" * depth * 2})
    yield Case("flows within flows", {"runner.yaml": "{[{[" * 5_000})


NUMBERS = {
    "decimal": "9" * 5_000,
    "hexadecimal": "0x" + "f" * 5_000,
    "octal": "0o" + "7" * 9_000,
    "binary": "0b" + "1" * 20_000,
    "an exponent": "1e999999999",
    "a long exponent": "1e" + "9" * 5_000,
    "a long fraction": "0." + "1" * 100_000,
    "underscores": "1" + "_" * 100_000 + "1",
    "no digits": "-_",
    "not a number": ".nan",
    "endless": "-.inf",
    "a date": "2024-13-45",
    "a time": "2024-01-01T99:99:99Z",
    "a zone": "2024-01-01T00:00:00+99:99",
    "year zero": "0000-01-01",
    "a large hexadecimal": "0x" + "f" * 900_000,
}


@mechanism
def numbers_that_are_too_long() -> Iterator[Case]:
    """Numbers whose text or value takes long to make, or cannot be printed."""
    for name, number in NUMBERS.items():
        yield Case(f"as a value: {name}", stages(f"a: {{cmd: x, meta: {{n: {number}}}}}"), EITHER)
        yield Case(f"as a field: {name}", stages(f"a: {{cmd: x, deps: [in], timeout: {number}}}"), EITHER)
        yield Case(f"as a key: {name}", stages(f"a: {{cmd: x, meta: {{? {number} : 1}}}}"), EITHER)
        yield Case(f"as a command: {name}", stages(f"a: {{cmd: {number}}}"), EITHER)
        yield Case(
            f"as a parameter: {name}", {**stages("a: {cmd: x, params: [n]}"), "params.yaml": f"n: {number}\n"}, EITHER
        )
    for name in ("decimal", "hexadecimal", "octal", "an exponent", "a large hexadecimal"):
        number = NUMBERS[name]
        for suffix, text in (("json", f'{{"n": {number}}}'), ("toml", f"n = {number}\n"), ("py", f"n = {number}\n")):
            files = {**stages(f"a: {{cmd: x, params: [params.{suffix}: [n]]}}"), f"params.{suffix}": text}
            yield Case(f"in {suffix}: {name}", files, EITHER)


@mechanism
def keys_with_one_hash() -> Iterator[Case]:
    """Keys that all fall into one place of a hash table."""
    modulus = (1 << 61) - 1
    many = [n * modulus for n in range(1, 30_000)]
    yield Case("in a spec", stages("a: {cmd: x, meta: {" + ", ".join(f"{n}: 1" for n in many) + "}}"))
    yield Case("negative", stages("a: {cmd: x, meta: {" + ", ".join(f"-{n}: 1" for n in many) + "}}"))
    yield Case("lists", stages("a: {cmd: x, meta: {" + ", ".join(f"[{n}, 1]: 1" for n in many[:15_000]) + "}}"))
    yaml = "\n".join(f"{n}: 1" for n in many)
    yield Case("in parameters", {**stages("a: {cmd: x, params: [x]}"), "params.yaml": yaml})
    python = "x = {" + ", ".join(f"{n}: 1" for n in many) + "}\n"
    yield Case("in Python", {**stages("a: {cmd: x, params: [params.py: [x]]}"), "params.py": python})
    yield Case(
        "in a set of Python",
        {**stages("a: {cmd: x, params: [params.py: [x]]}"), "params.py": python.replace(": 1", "")},
    )


@mechanism
def texts_that_are_too_long() -> Iterator[Case]:
    """Long keys, names and values, also where a guess is made at what was meant."""
    long = "k" * 500_000
    varied = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(100_000))
    for name, text in (("one letter", long), ("many letters", varied)):
        yield Case(f"a key of {name}", {"runner.yaml": f"{HEAD}  {text}: 1\n  stages: {{}}\n"})
        yield Case(f"a stage of {name}", stages(f"? {text}\n: {{cmd: x}}"), EITHER)
        yield Case(f"a dependency of {name}", stages(f"a: {{cmd: x, deps: [{text}]}}"))
        yield Case(
            f"a kind of {name}",
            {"runner.yaml": f"apiVersion: runner/v1\nkind: {text}\nmetadata: {{name: p}}\nspec: {{}}\n"},
        )
        yield Case(f"a version of {name}", {"runner.yaml": f"apiVersion: {text}\nkind: Pipeline\n"})
        yield Case(f"a name of {name}", {"runner.yaml": HEAD.replace("name: p", f"name: {text}") + "  stages: {}\n"})
        yield Case(f"a command of {name}", stages(f"a: {{cmd: {text}, deps: [in]}}"), PLAN)
        yield Case(
            f"a parameter of {name}", {**stages(f"a: {{cmd: x, params: [{text}]}}"), "params.yaml": f"{text}1: 1\n"}
        )
        yield Case(
            f"a glob of {name}",
            {
                "runner.yaml": f"apiVersion: runner/v1\nkind: Project\nspec: {{specs: ['{text}']}}\n",
                text[:4000] + ".yaml": "",
            },
        )
        yield Case(f"a description of {name}", stages(f"a: {{cmd: x, deps: [in], desc: {text}}}"), PLAN)
    yield Case("one line", {"runner.yaml": "x" * 1_048_000})
    yield Case("larger than may be", {"runner.yaml": HEAD + "#" * (1 << 20)}, says="larger than 1 MiB")


@mechanism
def lists_that_are_too_long() -> Iterator[Case]:
    """Sums of small things, where every one is compared with every other."""
    deps = ", ".join(f"d{n}" for n in range(MANY))
    outs = ", ".join(f"o{n}" for n in range(MANY))
    yield Case("inputs that are missing", stages(f"a: {{cmd: x, deps: [{deps}]}}"))
    yield Case("inputs and outputs of one stage", stages(f"a: {{cmd: x, deps: [{deps}], outs: [{outs}]}}"))
    yield Case("outputs of one stage", stages(f"a: {{cmd: x, deps: [in], outs: [{outs}]}}"), PLAN)
    yield Case("one output many times", stages("a: {cmd: x, deps: [in], outs: [" + "o, " * MANY + "]}"), EITHER)
    yield Case("stages that share an output", stages("\n".join(f"s{n}: {{cmd: x, outs: [o]}}" for n in range(MANY))))
    yield Case(
        "stages in a circle",
        stages(
            "\n".join(f"s{n}: {{cmd: x, deps: [o{n + 1}], outs: [o{n}]}}" for n in range(5_000))
            + "\nz: {cmd: x, deps: [o0], outs: [o5000]}"
        ),
    )
    yield Case(
        "a long chain",
        stages(
            "z: {cmd: x, deps: [in], outs: [o5000]}\n"
            + "\n".join(f"s{n}: {{cmd: x, deps: [o{n + 1}], outs: [o{n}]}}" for n in range(5_000))
        ),
        PLAN,
    )
    yield Case(
        "outputs within outputs",
        stages("a: {cmd: x, deps: [in], outs: [" + ", ".join("/".join(["d"] * n) for n in range(1, 900)) + "]}"),
    )
    yield Case(
        "monitors of nothing",
        {
            "runner.yaml": "".join(
                f"apiVersion: runner/v1\nkind: Monitor\nmetadata: {{name: m{n}}}\nspec: {{deployment: x{n}, reference: r}}\n---\n"
                for n in range(MANY // 2)
            )
        },
        EITHER,
    )
    models = "".join(
        f"---\napiVersion: runner/v1\nkind: Deployment\nmetadata: {{name: d{n}}}\nspec: {{model: {{pipeline: pipe-{n}, out: o}}}}\n"
        for n in range(MANY // 4)
    )
    named = "".join(
        f"---\napiVersion: runner/v1\nkind: Pipeline\nmetadata: {{name: line-{n}}}\nspec: {{stages: {{a: {{cmd: x, deps: [in]}}}}}}\n"
        for n in range(3_000)
    )
    yield Case("deployments of nothing", {"runner.yaml": models + named}, EITHER)
    yield Case(
        "globs",
        {
            "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec: {specs: ["
            + ", ".join(f"'**/x{n}*y*.yaml'" for n in range(MANY))
            + "]}\n",
            **{f"f{n}/x.yaml": "" for n in range(200)},
        },
    )
    wide = "".join(f"k{n}: 1\n" for n in range(3_000))
    yield Case(
        "patterns of parameters",
        {**stages("a: {cmd: x, params: [" + ", ".join(f"'*{n}z'" for n in range(MANY)) + "]}"), "params.yaml": wide},
    )
    yield Case("unknown keys", stages("a: {cmd: x, " + ", ".join(f"k{n}: 1" for n in range(30_000)) + "}"))
    yield Case("documents", {"runner.yaml": "---\n" * MANY})
    yield Case("wrong items", stages("a: {cmd: x, deps: [" + "1, " * MANY + "]}"))
    yield Case(
        "variables", stages("a: {cmd: x, deps: [in], env: {" + ", ".join(f"V{n}: 1" for n in range(MANY)) + "}}"), PLAN
    )


@mechanism
def keys_that_stand_twice() -> Iterator[Case]:
    """Two readers that see two values."""
    for text in (
        "kind: Pipeline\nkind: Project\n",
        "a: 1\n'a': 2\n",
        "1: a\n1.0: b\n",
        "true: a\n1: b\n",
        "a: 1\n? a\n: 2\n",
        '"\\u0061": 1\na: 2\n',
    ):
        yield Case(ascii(text), {"runner.yaml": text})
    yield Case("a stage", stages("a: {cmd: x}\na: {cmd: y}"))
    yield Case("a command", stages("a: {cmd: x, cmd: y}"))
    yield Case("in parameters", {**stages("a: {cmd: x, params: [x]}"), "params.yaml": "x: 1\nx: 2\n"})
    yield Case("in a dvc.yaml", {"dvc.yaml": "stages: {a: {cmd: x}}\nstages: {b: {cmd: x}}\n"})


TAGS = (
    "!!python/object/apply:os.system", "!!python/object/new:subprocess.Popen", "!!python/name:os.system",
    "!!python/module:os", "!!python/object:os.stat_result", "!!python/tuple", "!!python/bytes", "!local",
    "!<tag:yaml.org,2002:python/object/apply:os.system>", "!include", "!env", "!!js/function", "!ruby/object:Gem",
)  # fmt: skip


@mechanism
def tags_of_yaml() -> Iterator[Case]:
    """Tags that make objects, or call something."""
    for tag in TAGS:
        yield Case(f"{tag} on a list", stages(f'a: {{cmd: x, meta: {{m: {tag} ["{OWNED} </dev/null"]}}}}'))
        yield Case(f"{tag} on a text", stages(f'a: {{cmd: {tag} "{OWNED}"}}'))
    for tag in (
        "!!int",
        "!!float",
        "!!timestamp",
        "!!binary",
        "!!bool",
        "!!null",
        "!!set",
        "!!omap",
        "!!str",
        "!!merge",
    ):
        for value in ('""', '"\\xff"', "[x]", "{a: 1}", '"0x"', '"-"'):
            yield Case(f"{tag} on {value}", stages(f"a: {{cmd: x, deps: [in], meta: {{m: {tag} {value}}}}}"), EITHER)
    for directive in ("%YAML 1.1", "%YAML 9.9", "%TAG !! tag:x,2000:", "%FOO bar"):
        yield Case(directive, {"runner.yaml": f"{directive}\n---\n{HEAD}  stages: {{}}\n"}, EITHER)


@mechanism
def encodings() -> Iterator[Case]:
    """Bytes that are no text, or another text to another reader."""
    text = HEAD + "  stages: {a: {cmd: x, deps: [in]}}\n"
    for codec in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "cp037"):
        yield Case(codec, {"runner.yaml": text.encode(codec)}, EITHER)
    for name, raw in {
        "a lone byte": b"\xff",
        "an overlong slash": text.encode().replace(b"cmd: x", b"cmd: \xc0\xaf"),
        "half a letter": text.encode() + b"# \xe2\x82",
        "a surrogate": text.encode().replace(b"cmd: x", b"cmd: \xed\xa0\x80"),
        "a surrogate by escape": text.encode().replace(b"cmd: x", b'cmd: "\\uD800"'),
        "a pair of surrogates": text.encode().replace(b"cmd: x", b'cmd: "\\uD83D\\uDE00"'),
        "beyond Unicode": text.encode().replace(b"cmd: x", b'cmd: "\\U00110000"'),
        "a NUL": text.encode().replace(b"cmd: x", b"cmd: \0"),
        "a NUL by escape": text.encode().replace(b"cmd: x", b'cmd: "a\\0b"'),
        "NULs alone": b"\0" * 1000,
        "two marks": b"\xef\xbb\xbf\xef\xbb\xbf" + text.encode(),
        "a mark": b"\xef\xbb\xbf" + text.encode(),
        "a mark within": text.encode().replace(b"kind", b"\xef\xbb\xbfkind"),
        "old line ends": text.encode().replace(b"\n", b"\r"),
        "next lines": text.encode().replace(b"\n", b"\xc2\x85"),
        "a line separator": text.encode().replace(b"\n", b"\xe2\x80\xa8"),
        "an escape": text.encode().replace(b"cmd: x", b"cmd: \x1b[2J"),
        "a form feed": b"\x0c" + text.encode(),
        "nothing": b"",
        "white space": b"   \n\t\n",
        "a null": b"null\n",
        "conflict markers": b"<<<<<<< a\nx: 1\n=======\nx: 2\n>>>>>>> b\n",
    }.items():
        yield Case(name, {"runner.yaml": raw}, EITHER)
        yield Case(f"{name} in a dvc.yaml", {"dvc.yaml": raw.partition(b"spec:\n")[2] or raw}, EITHER)


@mechanism
def schema_tricks() -> Iterator[Case]:
    """Keys that mean something to a validator, where only values may stand."""
    for key in ("$ref", "$schema", "$id", "$dynamicRef", "$defs", "allOf", "if", "default"):
        for value in ("file:///etc/passwd", "http://127.0.0.1:9/x", "#/$defs/x", "#"):
            yield Case(f"{key} {value}", spec(f"  '{key}': '{value}'\n  stages: {{}}\n"))
    yield Case("in a stage", stages("a: {cmd: x, $ref: 'file:///etc/passwd'}"))
    yield Case("in meta", stages("a: {cmd: x, deps: [in], meta: {$ref: 'http://127.0.0.1:9/x'}}"), PLAN)
    yield Case("a prototype", stages("a: {cmd: x, deps: [in], meta: {__proto__: {x: 1}, __class__: y}}"), PLAN)
    yield Case(
        "another kind",
        {"runner.yaml": "apiVersion: runner/v1\nkind: ../../etc/passwd\nmetadata: {name: x}\nspec: {}\n"},
    )
    yield Case(
        "a kind that is a list",
        {"runner.yaml": "apiVersion: runner/v1\nkind: [Pipeline]\nmetadata: {name: x}\nspec: {}\n"},
    )
    yield Case("a version that is a mapping", {"runner.yaml": "apiVersion: {a: 1}\nkind: Pipeline\n"})
    yield Case(
        "metadata that is a text", {"runner.yaml": "apiVersion: runner/v1\nkind: Pipeline\nmetadata: x\nspec: {}\n"}
    )
    for value in ("1", "x", "[]", "null", "true", "[[]]", "[{}]", "{1: 2}", "{null: x}"):
        for place in ("stages", "params", "defaults", "vars", "plots", "metrics"):
            yield Case(f"{place} is {value}", spec(f"  {place}: {value}\n"), EITHER)


PATTERNS = {
    "digits": "1" * 200_000 + "!",
    "digits and dots": "1." * 100_000,
    "spaces": "1" + " " * 200_000 + "!",
    "dollars": "${" * 200_000,
    "braces": "${" + "}" * 200_000 + "$",
    "letters": "a" * 200_000 + "!",
    "hyphens": "a-" * 100_000,
    "colons": ":" * 200_000,
    "slashes": "/" * 200_000,
    "folders": "a/" * 100_000 + "a",
    "escapes": "\\\\" * 100_000,
}


@mechanism
def texts_against_our_patterns() -> Iterator[Case]:
    """Texts for which a careless expression takes for ever."""
    for name, text in PATTERNS.items():
        yield Case(f"a duration of {name}", stages(f'a: {{cmd: x, deps: [in], timeout: "{text}"}}'), EITHER)
        yield Case(
            f"an amount of {name}",
            stages(f'a: {{cmd: x, deps: [in], resources: {{memory: "{text}", cpu: "{text}"}}}}'),
            EITHER,
        )
        yield Case(
            f"a variable of {name}",
            stages(f'a: {{cmd: x, deps: [in], env: {{"{text}": x}}, secrets: ["{text}"]}}'),
            EITHER,
        )
        yield Case(f"a path of {name}", stages(f'a: {{cmd: x, deps: ["{text}"], outs: ["o{text}"]}}'), EITHER)
        yield Case(
            f"a branch of {name}",
            {"runner.yaml": f'apiVersion: runner/v1\nkind: Project\nspec: {{branch: "{text}"}}\n'},
            EITHER,
        )
