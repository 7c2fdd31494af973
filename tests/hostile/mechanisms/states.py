"""State branches that the runner never wrote."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

from tests.hostile.ground import HARMLESS, Ground
from tests.hostile.kinds import EITHER, OUTSIDE, PLAN, REFUSED, Case, mechanism
from tests.hostile.store import Files, link

ANY = EITHER | REFUSED
GOOD_STATE = {"schema": 1, "desired": "0" * 40, "sequence": 1, "digest": "0" * 64}
ENTRY = {
    "pipeline": "p", "stage": "a", "key": "0" * 64, "provenance": "runner", "record": 1, "material": {},
    "outs": [{"path": "o", "md5": "a" * 32}],
}  # fmt: skip


def forged(files: Files) -> Callable[[Ground], str]:
    """A clone with a state branch that holds these files below `.runner/`."""

    def prepare(ground: Ground) -> str:
        below = {f".runner/{ground.filled(str(path))}": content for path, content in files.items()}
        tree = ground.store.tree({"runner.yaml": HARMLESS, **below})
        state = ground.store.commit(tree, parents=[ground.base])
        ground.store.ref("refs/remotes/origin/runner/state", state)
        ground.store.ref("refs/heads/runner/state", state)
        ground.store.ref("refs/heads/runner/proposed/x", state)
        return ground.base

    return prepare


def _state(**changes: object) -> Files:
    return {"state.json": json.dumps({**GOOD_STATE, **changes})}


def _entry(**changes: object) -> Files:
    return {**_state(), "recorded/p/a.json": json.dumps({**ENTRY, **changes})}


@mechanism
def summaries() -> Iterator[Case]:
    """`state.json` that says what it likes."""
    for text in (
        "",
        "x",
        "[]",
        "null",
        "1",
        '"x"',
        "{}",
        "[" * 100_000,
        '{"schema": 99}',
        '{"schema": "x"}',
        '{"schema": null}',
        "\xff",
        '{"schema": 1}',
        '{"schema": 1e999}',
        " " * 3_000_000,
    ):
        yield Case(f"text {text[:20]!r}", prepare=forged({"state.json": text}), ends=REFUSED)
    for key, value in (
        ("desired", "--all"),
        ("desired", "x"),
        ("desired", 1),
        ("desired", "../x"),
        ("desired", "\x1b[2J"),
        ("sequence", "x"),
        ("sequence", -1),
        ("sequence", 10**300),
        ("sequence", None),
        ("digest", 1),
        ("digest", ["x"]),
        ("location", "\x1b[2J"),
        ("location", ["x"]),
    ):
        yield Case(f"{key} {str(value)[:20]!r}", prepare=forged(_state(**{key: value})), ends=ANY)
    yield Case("a link", prepare=forged({"state.json": link(f"{OUTSIDE}/secret")}), ends=REFUSED)
    yield Case("a folder", prepare=forged({"state.json/x": "1"}), ends=REFUSED)
    yield Case("none", prepare=forged({"x": "1"}), ends=REFUSED)


@mechanism
def entries() -> Iterator[Case]:
    """What stands for a stage, forged."""
    for key, value in (
        ("pipeline", 1), ("pipeline", "\x1b[2J"), ("stage", ["x"]), ("stage", None), ("key", 1), ("key", "../x"), ("key", ""), ("provenance", 1),
        ("provenance", "\x1b[2J"), ("record", "x"), ("record", -1), ("record", 10**30), ("material", 1), ("material", []), ("material", {"x": {"y": ["z"] * 1000}}),
        ("outs", 1), ("outs", "x"), ("outs", [1]), ("outs", [{}]), ("outs", [{"path": 1, "md5": 1}]), ("outs", [{"path": "../../x", "md5": "a" * 32}]),
        ("outs", [{"path": "o", "md5": "../../../../dev/zero"}]), ("outs", [{"path": "o", "md5": f"{'..' * 3}/x.dir"}]), ("outs", [{"path": "/etc/passwd", "md5": "a" * 32}]),
        ("inputs", 1), ("inputs", {"in": 1}), ("inputs", {"in": {"isexec": "x"}}), ("adoptedFrom", 1), ("adoptedFrom", "\u202ex"),
    ):  # fmt: skip
        yield Case(f"{key} {str(value)[:30]!r}", prepare=forged(_entry(**{key: value})), ends=ANY)
    for text in ("", "x", "[]", "null", "{}", "[" * 100_000, "\xff", '{"pipeline": "p"}'):
        yield Case(f"text {text[:20]!r}", prepare=forged({**_state(), "recorded/p/a.json": text}), ends=REFUSED)
    yield Case("a link", prepare=forged({**_state(), "recorded/p/a.json": link(f"{OUTSIDE}/secret")}), ends=ANY)
    yield Case(
        "many",
        prepare=forged(
            {**_state(), **{f"recorded/p/s{n}.json": json.dumps({**ENTRY, "stage": f"s{n}"}) for n in range(1_500)}}
        ),
        ends=PLAN,
    )
    yield Case(
        "one stage many times",
        prepare=forged({**_state(), **{f"recorded/p/s{n}.json": json.dumps(ENTRY) for n in range(50)}}),
        ends=ANY,
    )
    yield Case(
        "huge",
        prepare=forged({**_state(), "recorded/p/a.json": json.dumps({**ENTRY, "material": {"x": "y" * 20_000_000}})}),
        ends=ANY,
    )


def _record(statement: object, **changes: object) -> str:
    text = statement if isinstance(statement, str) else json.dumps(statement, sort_keys=True, separators=(",", ":"))
    body = {
        "payload": base64.b64encode(text.encode()).decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [],
    }
    return json.dumps({**body, **changes}, sort_keys=True, separators=(",", ":")) + "\n"


def _statement(**predicate: object) -> dict[str, object]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [],
        "predicateType": "https://gitops-runner.dev/predicates/run/v1",
        "predicate": {"schema": 1, "sequence": 1, "previous": None, "runnerVersion": "0", **predicate},
    }


@mechanism
def records() -> Iterator[Case]:
    """Records that are not canonical, not whole, in circles, or very large, found by their key."""
    for name, text in {
        "no JSON": "x",
        "nothing": "",
        "a list": "[]",
        "deep": "[" * 100_000,
        "no base64": _record("{}", payload="!!!"),
        "a payload of text": _record("hello"),
        "a payload of numbers": _record("1"),
        "a deep payload": _record("[" * 100_000),
        "white space": _record(_statement(run={})).replace('":"', '" : "'),
        "no run": _record(_statement()),
        "an empty run": _record(_statement(run={})),
        "a run that is a list": _record(_statement(run=[])),
        "a predicate that is a list": _record({**_statement(), "predicate": []}),
        "a subject that is a number": _record({**_statement(run={}), "subject": 1}),
        "another kind": _record({**_statement(), "predicateType": "x"}),
        "more members": _record(_statement(run={}), evil=1),
        "a number that is not its own": _record(_statement(run={}, sequence=7)),
        "a float": _record('{"_type":NaN}'),
        "large": _record(_statement(run={"x": "y" * 10_000_000})),
    }.items():
        yield Case(name, prepare=_found(text), ends=ANY)
    for line in (
        "x",
        "x y z",
        "x 1",
        " ".join(["a"] * 5),
        "\xff 1 ok",
        "{key} -1 ok",
        "{key} 999 ok",
        "{key} x ok",
        "{key} " + "9" * 5_000 + " ok",
        "{key} 1 \x1b[2J",
        "{key}  1 ok",
    ):
        yield Case(f"an index of {line[:20]!r}", prepare=_found(_record(_statement(run={})), line), ends=ANY)
    for name in (
        "sealed/000000001-000000009.jsonl",
        "sealed/x.jsonl",
        "sealed/9-1.jsonl",
        "sealed/a-b",
        "sealed/1",
        "records/x.json",
        "records/-1.json",
        "records/x/y.json",
        "records/99999999999999999999.json",
    ):
        yield Case(
            f"a file {name}", prepare=_found(_record(_statement(run={})), extra={f"ledger/{name}": "x\n"}), ends=ANY
        )


def _found(text: str, line: str = "{key} 1 ok", extra: Files | None = None) -> Callable[[Ground], str]:
    """A state whose index names the record for every key there could be: it is there under the key that is asked for."""

    def prepare(ground: Ground) -> str:
        forged(_state())(ground)
        key = str(json.loads(ground.run("plan", "--json", ground.base).out)["stages"][0]["key"])
        files = {
            **_state(),
            f"keys/{key[:2]}": line.replace("{key}", key) + "\n",
            "ledger/records/000000001.json": text,
            **(extra or {}),
        }
        if extra:
            del files["ledger/records/000000001.json"]
        return forged(files)(ground)

    return prepare


@mechanism
def objects_of_a_state() -> Iterator[Case]:
    """Listings and small files that a state keeps, which are none."""
    md5 = "a" * 32
    outs = [{"path": "o", "md5": f"{md5}.dir"}]
    for text in (
        "",
        "x",
        "[]",
        "{}",
        "[1]",
        "[{}]",
        "[" * 100_000,
        '[{"relpath": "../../x", "md5": "x"}]',
        '[{"relpath": "/etc/passwd", "md5": 1}]',
        "\xff",
    ):
        files = {**_entry(outs=outs), f"objects/{md5}.dir": text, f"objects/{md5}": text}
        yield Case(f"{text[:30]!r}", {"runner.yaml": _READER}, prepare=_of(files), ends=ANY)
    yield Case(
        "elsewhere",
        {"runner.yaml": _READER},
        prepare=_of(_entry(outs=[{"path": "o", "md5": "../../../../../../../../dev/zero.dir"}])),
        ends=ANY,
    )


_READER = HARMLESS + "    b: {cmd: x, deps: [o/part]}\n    c: {cmd: x, params: [o: [x]]}\n"


def _of(files: Files) -> Callable[[Ground], str | None]:
    def prepare(ground: Ground) -> None:
        forged(files)(ground)

    return prepare


@mechanism
def chains_of_states() -> Iterator[Case]:
    """State branches that are no states, or whose tips contradict each other."""

    def two(ground: Ground) -> str:
        forged(_state())(ground)
        other = ground.store.commit(ground.store.tree({".runner/state.json": "x"}))
        ground.store.ref("refs/heads/runner/state", other)
        return ground.base

    def blob(ground: Ground) -> str:
        ground.store.ref("refs/heads/runner/state", ground.store.put("blob", b"x"))
        return ground.base

    def missing(ground: Ground) -> str:
        ground.store.ref("refs/heads/runner/state", "9" * 40)
        return ground.base

    def many(ground: Ground) -> str:
        forged(_state())(ground)
        for number in range(200):
            ground.store.ref(f"refs/heads/runner/proposed/b{number}", ground.base)
        return ground.base

    for name, prepare in {
        "two tips": two,
        "a blob": blob,
        "a tip that is missing": missing,
        "many proposals": many,
    }.items():
        yield Case(name, prepare=prepare, ends=ANY)
    for version in (2, 10**9):
        yield Case(f"schema {version}", prepare=forged(_state(schema=version)), ends=frozenset({1}))
