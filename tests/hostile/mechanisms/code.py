"""Code that stages of the library use: followed through its imports, and never run or followed without end."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.kinds import EITHER, FINDING, OWNED, PLAN, Case, mechanism, stages
from tests.hostile.store import Files


def _calls(call: str, source: str, more: str = "", **files: str) -> Files:
    """A stage that calls a function; `source` is that of the module `m`."""
    spec = stages(f'a: {{uses: python, with: {{call: "{call}"{more}}}, outs: [o]}}')
    return {**spec, "m.py": source, **{f"{name}.py": text for name, text in files.items()}}


@mechanism
def modules_of_the_repository() -> Iterator[Case]:
    """Modules that would run something, lead elsewhere, or take for ever."""
    plain = "def f(): ...\n"
    run = f"import os\nos.system({OWNED!r})\ndef f(x=os.system({OWNED!r})): ...\n"
    yield Case("a module that runs something", _calls("m:f", run), PLAN)
    yield Case("a package that runs something", {**_calls("p.m:f", run), "p/__init__.py": run, "p/m.py": plain}, PLAN)
    for encoding in ("punycode", "idna", "rot13", "zlib", "unicode_escape", "utf_7", OWNED):
        yield Case(f"in {encoding}", _calls("m:f", f"# coding: {encoding}\n{plain}"), PLAN)
    for part in ("(", "-", "not ", "lambda: ", "[", "f'{", "x.", "x + "):
        yield Case(f"many {part}", _calls("m:f", f"{plain}{part * 50_000}0"), PLAN)
    yield Case("a name of many parts", _calls("m:f", f"import {'a.' * 100_000}a\n{plain}"), PLAN)
    yield Case("many statements", _calls("m:f", plain + "x\n" * 120_000), PLAN)
    yield Case("many imports", _calls("m:f", plain + "".join(f"import a{number}\n" for number in range(9_000))), PLAN)
    yield Case("many names", _calls("m:f", f"from . import ({', '.join(f'n{n}' for n in range(30_000))})"), PLAN)
    yield Case("too large", _calls("m:f", plain + "#" * (3 << 20)), PLAN)
    yield Case("a null byte", _calls("m:f", f"{plain}\0"), PLAN)
    circle = {f"m{number}": f"import m{(number + 1) % 300}\n{plain}" for number in range(300)}
    yield Case("in a circle", _calls("m0:f", plain, **circle), PLAN)
    above = f"from {'.' * 200}etc import passwd\nfrom ... import x\n"
    yield Case("imports from above", _calls("m:f", above + plain), PLAN)
    for call in ("../m:f", "/etc/passwd:f", "m:f()", f"m:f;{OWNED}", "os:system", ".m:f", "m:", ":f", "m.__init__:f"):
        yield Case(f"a call of {call}", _calls(call, plain), FINDING)
    for root in ("..", "/etc", "../..", ".git", "~", "s3://x"):
        yield Case(f"a root {root}", _calls("m:f", plain, f', roots: ["{root}"]'), FINDING)
        yield Case(f"code in {root}", _calls("m:f", plain, f', code: ["{root}"]'), EITHER)
    hooks = f"def __getattr__(name): ...\nclass M(type):\n def __prepare__(*a): __import__('os').system({OWNED!r})\n"
    yield Case("names that are made", _calls("m:f", hooks), PLAN)
