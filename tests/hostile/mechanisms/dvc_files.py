"""What DVC writes, forged: its configuration, its data files, its lock, its rules of what to overlook."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.hostile.ground import Ground
from tests.hostile.kinds import EITHER, OUTSIDE, OWNED, PLAN, REFUSED, Case, mechanism, stages

CONFIGS = {
    "a cache outside": f"[cache]\n    dir = {OUTSIDE}\n",
    "a cache of the system": "[cache]\n    dir = /etc\n",
    "a cache above": "[cache]\n    dir = ../../../outside\n",
    "a cache of devices": "[cache]\n    dir = /dev/fd\n",
    "a cache in a home": "[cache]\n    dir = ~/.ssh\n",
    "a type of links": "[cache]\n    type = symlink\n    shared = group\n",
    "analytics": "[core]\n    analytics = true\n    check_update = true\n",
    "a site cache": f"[core]\n    site_cache_dir = {OUTSIDE}\n",
    "a remote that runs": f"[core]\n    remote = x\n['remote \"x\"']\n    url = ext::{OWNED}\n",
    "an option that runs": f"['remote \"x\"']\n    url = http://127.0.0.1:9/x\n    bearer_token_command = {OWNED}\n",
    "a question": "['remote \"x\"']\n    url = ssh://127.0.0.1:9/x\n    ask_password = true\n",
    "a key file": f"['remote \"x\"']\n    url = ssh://127.0.0.1:9/x\n    keyfile = {OUTSIDE}/secret\n",
    "a profile that runs": f"['remote \"x\"']\n    url = s3://b/k\n    configpath = {OUTSIDE}/secret\n    credentialpath = {OUTSIDE}/secret\n",
    "a service account": f"['remote \"x\"']\n    url = gdrive://x\n    gdrive_service_account_json_file_path = {OUTSIDE}/secret\n",
    "an option as a host": "['remote \"x\"']\n    url = ssh://-oProxyCommand=touch%20x/y\n",
    "a plugin": "['remote \"x\"']\n    url = os.system://x\n",
    "references": "['remote \"x\"']\n    url = %(url)s%(url)s\n",
    "many references": "[core]\n"
    + "".join(f"    a{n} = %(a{n - 1})s%(a{n - 1})s\n" for n in range(1, 12))
    + "    a0 = x\n",
    "a long line": "[core]\n    remote = " + "x" * 60_000 + "\n",
    "a large file": "[core]\n" + "    a = b\n" * 20_000,
    "nested sections": "[a]\n" + "".join("[" * n + "x" + "]" * n + "\n" for n in range(2, 300)),
    "no text": b"\xff\xfe\x00".decode("latin-1"),
    "a NUL": "[core]\n    remote = a\0b\n",
    "escapes": "[core]\n    remote = \x1b[2J\n",
    "unknown sections": f"[hook]\n    cmd = {OWNED}\n[plugins]\n    x = {OWNED}\n[exp]\n    code_dir = {OUTSIDE}\n",
    "parsing": "[parsing]\n    bool = boolean_optional\n    list = append\n",
    "parsing that is none": "[parsing]\n    bool = \x1b[2J\n    list = nonsense\n",
    "a machine": f"[feature]\n    machine = true\n['machine \"x\"']\n    cloud = aws\n    startup_script = {OWNED}\n",
    "a database": f"['db \"x\"']\n    url = sqlite:///{OUTSIDE}/secret\n",
    "quotes that stay open": "['remote \"x]\n    url = '''\n",
    "an include": f"include = {OUTSIDE}/secret\n%include {OUTSIDE}/secret\n",
}


@mechanism
def configurations_of_dvc() -> Iterator[Case]:
    """`.dvc/config` that names places, programs and plugins."""
    for name, text in CONFIGS.items():
        yield Case(name, {".dvc/config": text.encode("utf-8")}, EITHER)
        tracked = {
            ".dvc/config": text.encode("utf-8"),
            "data.dvc": _tracked("a" * 32 + ".dir"),
            ".gitignore": "/data\n",
        }
        yield Case(
            f"{name}, with a listing to look for", {**stages("a: {cmd: x, deps: [data/part]}"), **tracked}, EITHER
        )


@mechanism
def configurations_in_the_clone() -> Iterator[Case]:
    """The same in the working tree, and in a `config.local` that nobody committed."""
    for name, text in CONFIGS.items():
        for file in ("config", "config.local"):

            def prepare(ground: Ground, text: str = text, file: str = file) -> None:
                ground.write({f".dvc/{file}": text})

            tracked = {".dvc/config": "", "data.dvc": _tracked("a" * 32 + ".dir"), ".gitignore": "/data\n"}
            if name in ("many references",):
                continue  # a committed file is bounded; one's own may be as it likes
            yield Case(
                f"{file}: {name}",
                {**stages("a: {cmd: x, deps: [data/part]}"), **tracked},
                EITHER,
                prepare=prepare,
                looks_into_cache=file == "config.local",
            )


def _tracked(md5: str, path: str = "data") -> str:
    return f"outs:\n- md5: {md5}\n  size: 1\n  hash: md5\n  path: {path}\n"


@mechanism
def data_files() -> Iterator[Case]:
    """`.dvc` files that name other places, or digests that are paths."""
    for path in (
        "../x",
        "/etc/passwd",
        f"{OUTSIDE}/secret",
        "~/x",
        ".",
        "",
        "a/../../x",
        "s3://b/k",
        "\\x1b[2J",
        ".git/x",
        "null",
        "[a]",
    ):
        yield Case(f"path {path}", {"x.dvc": _tracked("a" * 32, f'"{path}"')}, EITHER)
    for md5 in (
        "../../../../../dev/zero",
        "..",
        "/etc/passwd",
        "x",
        "",
        "null",
        "[a]",
        "a" * 31,
        "a" * 33,
        "A" * 32,
        "a" * 32 + ".dir.dir",
        "0x10",
        "\u0661" * 32,
        "a" * 500_000,
    ):
        yield Case(
            f"digest {md5[:40]}", {**stages("a: {cmd: x, deps: [data]}"), "data.dvc": _tracked(f'"{md5}"')}, EITHER
        )
    for key, value in (
        ("size", "-1"),
        ("size", "1" * 5_000),
        ("size", "0x" + "f" * 5_000),
        ("nfiles", "x"),
        ("hash", "[x]"),
        ("hash", "evil"),
        ("remote", "[x]"),
        ("remote", "../x"),
        ("files", "[{md5: x, relpath: ../../x}]"),
        ("files", "[" + "{}, " * 1000 + "]"),
        ("isexec", "x"),
        ("cloud", "{x: {etag: y}}"),
        ("fs_config", "{url: 'ext::x'}"),
    ):
        text = f"outs:\n- md5: {'a' * 32}\n  hash: md5\n  path: data\n  {key}: {value}\n"
        yield Case(f"{key} {value[:30]}", {**stages("a: {cmd: x, deps: [data]}"), "data.dvc": text}, EITHER)
    for extra in (
        f"wdir: {OUTSIDE}",
        "wdir: ../..",
        "wdir: [x]",
        "frozen: x",
        f"deps: [{{path: x, repo: {{url: 'ext::{OWNED}', rev: '--upload-pack={OWNED}'}}}}]",
        f"cmd: {OWNED}",
        f"deps: [{{path: '{OUTSIDE}/secret'}}]",
        "deps: [{path: 'http://127.0.0.1:9/x', etag: y}]",
        "meta: {x: y}",
        "outs: []",
    ):
        yield Case(
            extra[:30], {**stages("a: {cmd: x, deps: [data]}"), "data.dvc": _tracked("a" * 32) + extra + "\n"}, EITHER
        )
    for text in (
        "",
        "[]",
        "outs",
        "outs: 1",
        "outs: [1]",
        "outs: [{}]",
        "outs: [[[]]]",
        "outs: [{path: 1}]",
        "outs: {a: b}",
        "1: 2",
    ):
        yield Case(f"text {text!r}", {"x.dvc": text}, EITHER)
    yield Case("many that claim one path", {f"d{n}.dvc": _tracked("a" * 32) for n in range(500)})
    yield Case("many of them", {f"d/{n}.dvc": _tracked("a" * 32, f"x{n}") for n in range(1_500)}, PLAN)


STARS = {
    "stars": "*a" * 30 + "b",
    "stars with a slash": "/*a" * 30 + "b",
    "two stars": "**/a/" * 30 + "b",
    "questions": "?*" * 40 + "b",
    "classes": "[a-z]*" * 30 + "1",
    "stars within names": "a*a*a*a*a*a*a*a*a*a*a*a/b",
    "mixed": "**/*a*a*/**/*a*a*/**/b*a",
    "a long class": "[" + "a-z" * 5_000 + "]*b",
    "an open class": "[a",
    "an odd class": "[!]a-]*[]]",
    "backslashes": "\\" * 999,
    "a reversed range": "[z-a]",
    "negations": "!" * 500 + "a",
    "a group": "(a+)+$",
    "a slash alone": "/",
    "spaces": " " * 10_000 + "a\\ ",
    "very long": "a" * 100_000,
}


@mechanism
def rules_of_what_to_overlook() -> Iterator[Case]:
    """Patterns in `.dvcignore` and `.gitignore` that take for ever, or are none."""
    names = {"a" * 200: "1", "a/" * 60 + "x": "1", "d/" + "a" * 240: "1", "d/x": "1", "aa/b.dvc": ""}
    names["aa/b.dvc"] = _tracked("a" * 32, "q")
    names["a/" * 50 + "y.dvc"] = _tracked("a" * 32, "y")
    names["d/" + "a" * 200 + ".dvc"] = _tracked("a" * 32, "z")
    for name, pattern in STARS.items():
        yield Case(
            f".dvcignore: {name}", {**stages("a: {cmd: x, deps: [d]}"), **names, ".dvcignore": pattern + "\n"}, EITHER
        )
        yield Case(
            f".gitignore: {name}",
            {**stages("a: {cmd: x, deps: [in], outs: [" + "a" * 200 + "c]}"), **names, ".gitignore": pattern + "\n"},
            EITHER,
        )
    rules = "".join(f"x{n}*\n" for n in range(5_000))
    yield Case("many rules", {**stages("a: {cmd: x, deps: [d]}"), **names, ".dvcignore": rules}, EITHER)
    many = {f"d{n}/.dvcignore": "x\n" for n in range(300)}
    yield Case("many files", {**stages("a: {cmd: x, deps: [d]}"), **names, **many}, EITHER)
    deep = {"e/" * n + ".dvcignore": "x\n" for n in range(1, 120)}
    yield Case(
        "one in each folder",
        {**stages("a: {cmd: x, deps: [e]}"), **deep, "e/" * 119 + "x.dvc": _tracked("a" * 32)},
        EITHER,
    )
    yield Case("no text", {**stages("a: {cmd: x, deps: [d]}"), **names, ".dvcignore": b"\xff\xfe"}, EITHER)


def _lock(entry: object) -> str:
    return json.dumps({"schema": "2.0", "stages": {"a": entry}})


LOCKS = {
    "an output that leaves": {"cmd": "x", "outs": [{"path": "../../x", "md5": "a" * 32, "hash": "md5"}]},
    "an absolute output": {"cmd": "x", "outs": [{"path": "/etc/passwd", "md5": "a" * 32, "hash": "md5"}]},
    "a digest that is a path": {
        "cmd": "x",
        "deps": [{"path": "in", "md5": "../../etc/passwd"}],
        "outs": [{"path": "o", "md5": "../../../../../../dev/zero", "hash": "md5"}],
    },
    "a digest that is a number": {"cmd": "x", "outs": [{"path": "o", "md5": 1}]},
    "a digest that is a list": {"cmd": "x", "outs": [{"path": "o", "md5": ["a"]}]},
    "a path that is a list": {
        "cmd": "x",
        "outs": [{"path": ["o"], "md5": "a" * 32}],
        "deps": [{"path": {}, "md5": "a"}],
    },
    "a path that is a number": {"cmd": "x", "outs": [{"path": 1, "md5": "a" * 32}]},
    "outputs that are a text": {"cmd": "x", "outs": "o"},
    "outputs that are a number": {"cmd": "x", "outs": 1},
    "outputs of nothing": {"cmd": "x", "outs": [None, 1, "x", []]},
    "inputs that are a mapping": {"cmd": "x", "deps": {"in": "a"}, "outs": []},
    "parameters that are a list": {"cmd": "x", "params": ["a"], "outs": []},
    "parameters that are a number": {"cmd": "x", "params": {"params.yaml": 1}, "outs": []},
    "commands that are numbers": {"cmd": [1, {}], "outs": []},
    "no command": {"outs": []},
    "a very long command": {"cmd": "x" * 2_000_000, "outs": []},
    "many outputs": {"cmd": "x", "outs": [{"path": f"o{n}", "md5": "a" * 32} for n in range(20_000)]},
    "a size": {
        "cmd": "x",
        "outs": [{"path": "o", "md5": "a" * 32, "size": -1, "nfiles": "x", "isexec": "y", "hash": "md5"}],
    },
    "a listing": {"cmd": "x", "outs": [{"path": "o", "hash": "md5", "files": [{"md5": "x", "relpath": "../../x"}]}]},
    "a hash": {
        "cmd": "x",
        "deps": [{"path": "in", "md5": "a" * 32, "hash": {"x": 1}}],
        "outs": [{"path": "o", "md5": "a" * 32, "hash": ["x"]}],
    },
}


@mechanism
def forged_locks() -> Iterator[Case]:
    """`dvc.lock` that claims what never ran, or is none."""
    dvc_yaml = "stages: {a: {cmd: x, deps: [in], outs: [o]}, b: {cmd: y, deps: [o], outs: [p]}, c: {cmd: z, deps: [o/part], outs: [q]}, d: {cmd: z, params: [o: [x]]}}\n"
    for name, entry in LOCKS.items():
        for suffix, changed in (
            ("", {}),
            (" of what stands", {"deps": [{"path": "in", "md5": "b026324c6904b2a9cb4b88d6d61c81d1", "hash": "md5"}]}),
        ):
            yield Case(
                name + suffix,
                {"dvc.yaml": dvc_yaml, "dvc.lock": _lock({**entry, **changed}), ".dvc/config": ""},
                EITHER,
            )
    for name, text in {
        "aliases": "schema: '2.0'\nstages: &a {a: *a}\n",
        "a later version": "schema: '99'\n",
        "a version that is a list": "schema: [2]\nstages: {}\n",
        "no stages": "schema: '2.0'\n",
        "stages that are a list": "schema: '2.0'\nstages: []\n",
        "a name that is a number": "schema: '2.0'\nstages: {1: {cmd: x}}\n",
        "text": "hello\n",
        "deep": "schema: '2.0'\nstages: " + "{a: " * 500 + "}" * 500,
        "conflict": "<<<<<<< a\n=======\n>>>>>>> b\n",
        "a tag": f"schema: '2.0'\nstages: !!python/object/apply:os.system ['{OWNED}']\n",
        "large": "schema: '2.0'\nstages:\n" + "".join(f"  s{n}: {{cmd: x}}\n" for n in range(30_000)),
    }.items():
        yield Case(f"text: {name}", {"dvc.yaml": dvc_yaml, "dvc.lock": text, ".dvc/config": ""}, EITHER)


@mechanism
def folders_of_the_runner() -> Iterator[Case]:
    """A `.runner/` of a stranger's own, in places where the runner's own would lie."""
    state = '{"schema": 1, "desired": "' + "0" * 40 + '", "sequence": 3, "digest": null}'
    for path in (
        ".runner/state.json",
        ".runner/x",
        ".RUNNER/x",
        "sub/.dvc/config",
        ".runner/pipelines/p/dvc.yaml",
        ".runner/recorded/p/a.json",
        ".runner/keys/aa",
        ".runner/ledger/records/000000001.json",
    ):
        yield Case(
            path, {path: state, **({"sub/.runner/x": state} if path.startswith("sub") else {})}, EITHER | REFUSED
        )
    yield Case("as a file", {".runner": "x"}, EITHER | REFUSED)
    in_place = "apiVersion: runner/v1\nkind: Project\nspec: {record: {branch: main}}\n---\n"
    for name, text in (
        ("a state", state),
        ("no state", "x"),
        ("a large number", state.replace("3", "9" * 400)),
        ("a text", '{"sequence": "x"}'),
        ("deep", "[" * 100_000),
    ):
        yield Case(
            f"in place: {name}",
            {"runner.yaml": in_place + stages("a: {cmd: x, deps: [in]}")["runner.yaml"], ".runner/state.json": text},
            EITHER | REFUSED,
        )  # type: ignore[operator]
