"""Stages of the built-in library whose arguments are no arguments."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.kinds import EITHER, FINDING, OWNED, PLAN, Case, mechanism, stages

MANY = 20_000


def _split(given: str, more: str = "outs: [o]") -> dict[str, str]:
    return stages(f"a: {{uses: split, with: {{{given}}}, {more}}}")


@mechanism
def stages_of_the_library() -> Iterator[Case]:
    """`uses` and `with` that lead elsewhere, run something, or take for ever."""
    for name in ("../split", "/bin/sh", "split; touch owned", "split\\0", "__init__", "program", "-m", "os"):
        yield Case(f"uses {name}", stages(f'a: {{uses: "{name}", with: {{data: in}}, outs: [o]}}'))
    for value in (OWNED, f"`{OWNED}`", f"$({OWNED})", f"'; {OWNED}; '", f"in --out=x; {OWNED}", "--help", "-rf"):
        yield Case(f"a column {value[:30]}", _split(f'data: in, parts: [1], stratify: "{value}"'), PLAN)
        yield Case(f"an input {value[:30]}", _split(f'data: "{value}", parts: [1]'), EITHER)
        yield Case(f"an output {value[:30]}", _split("data: in, parts: [1]", f'outs: ["{value}"]'), EITHER)
    yield Case("an input outside", _split("data: ../../etc/passwd, parts: [1]"), FINDING)
    yield Case("an input of the host", _split("data: /etc/passwd, parts: [1]"), EITHER)
    yield Case("an argument that is none", _split(f'data: in, parts: [1], "x\\n{OWNED}": 1'), FINDING)
    yield Case("brackets in a text", _split(f'data: in, parts: [1], stratify: "{"[" * MANY}"'), EITHER)
    yield Case("a long text", _split(f"data: in, parts: [1], stratify: {'x' * 200_000}"), FINDING)
    yield Case("many wrong items", _split(f"data: in, parts: [{'x, ' * MANY}]"), FINDING)
    yield Case("many good items", _split(f"data: in, parts: [{'1, ' * MANY}]"), FINDING)
    yield Case("numbers that are none", _split("data: in, parts: [.nan, .inf, 1e999]"), FINDING)
    yield Case("templates", _split('data: in, parts: "${x}", stratify: "\\\\${x}${y}"'), FINDING)
    yield Case(
        "a group of many",
        stages(
            f"a: {{foreach: [{', '.join(map(str, range(3_000)))}], do: {{uses: split, "
            'with: {data: in, parts: [1], groups: "g${item}"}, outs: ["o${item}"]}}'
        ),
        PLAN,
    )
