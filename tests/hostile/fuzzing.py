"""Mutations of everything that a stranger may write, of its bytes and of its structure, and what must come of them."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.hostile.ground import Ground
from tests.hostile.kinds import HEAD, Case
from tests.hostile.mechanisms.states import ENTRY, GOOD_STATE
from tests.hostile.store import Content

CORPUS = Path(__file__).parent / "corpus"
"""What was found and mended, a file each: it is tried again in every run."""
STATE = ".runner/"
"""Files below are those of the state branch."""

SEEDS: Mapping[str, str] = {
    "runner.yaml": HEAD
    + "  env: {A: '1'}\n  timeout: 1h\n  stages:\n"
    + "    a: {cmd: 'x ${rate}', deps: [in, data], params: [rate, p.json: [k], p.toml: [k], p.py: [K]], outs: [o]}\n"
    + "    g: {matrix: {x: [1, 2], y: '${names}'}, cmd: 'x ${item.x}', outs: ['g/${item.x}-${item.y}'], deps: [d]}\n",
    "dvc.yaml": "vars: [v.yaml]\nstages:\n  b: {cmd: 'y ${v}', deps: [o, in], outs: [b], metrics: [m.json: {cache: false}]}\n"
    "  c: {foreach: [x, y], do: {cmd: z, deps: [b/part], outs: ['c-${item}']}}\n",
    "dvc.lock": "schema: '2.0'\nstages:\n  b:\n    cmd: y 1\n    deps: [{path: o, hash: md5, md5: "
    + "a" * 32
    + "}]\n    outs: [{path: m.json, hash: md5, md5: "
    + "b" * 32
    + "}]\n",
    "data.dvc": "outs:\n- {md5: " + "c" * 32 + ".dir, size: 3, nfiles: 1, hash: md5, path: data}\n",
    "params.yaml": "rate: 1\nnames: [x, y]\n",
    "v.yaml": "v: 1\n",
    "p.json": '{"k": {"a": [1, 2]}}\n',
    "p.toml": "k = 1\n[t]\nx = 2\n",
    "p.py": "K = {'a': 1}\nclass C:\n    x = 1\n",
    ".dvcignore": "*.tmp\n!keep\n/x/**\n",
    ".gitignore": "/data\n*.o\n",
    ".dvc/config": "[core]\n    remote = x\n['remote \"x\"']\n    url = ../x\n",
    "in": "1\n",
    "d/x": "1\n",
    f"{STATE}state.json": json.dumps(GOOD_STATE),
    f"{STATE}recorded/p/a.json": json.dumps(ENTRY),
    f"{STATE}keys/00": "0" * 64 + " 1 ok\n",
}
_FIXED = ("in", "d/x")

WORDS = (
    "", "~", "null", "true", "0", "-1", "1e999", "0x" + "f" * 5_000, "9" * 4_400, ".nan", "[]", "{}", "[[]]", "{a: b}", "*x", "&x", "<<",
    "!!python/object:os.x", "!!set {a}", "!!binary aGk=", "2024-01-01", "..", "/", "/etc/passwd", "../x", "~/x", ".git", ".runner/x",
    "${", "${x}", "${x.__class__}", "${item}", "\x1b[2J", "\u202e", "\u200b", "\ud800", "\0", "a" * 5_000, "*" * 50, "**/" * 9, "[a-", "x\n::error::",
    "##[x]", "\u00e9", "e\u0301", "-rf", "--x", "a:b", "a@b", "%", "%(x)s", "\\", "'", '"', "`", "|", ">", "---", "...", "#", "?", ":", ",", "@",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, float("inf"), 10**4_200, "", "x", [], {}, [[]], [None], {"": None}, {"x": {"x": []}}, "../x", "/x", "${x}", "a" * 300,
    {1: 2}, [{}], "\x1b[2J", "\u202e",
)  # fmt: skip


def mutated(source: random.Random) -> dict[str, bytes]:
    """The seeds with a few of them changed."""
    files = {name: text.encode("utf-8", "surrogatepass") for name, text in SEEDS.items()}
    for _ in range(source.choice([1, 1, 1, 2, 3])):
        name = source.choice([name for name in SEEDS if name not in _FIXED])
        change: Callable[[bytes, random.Random], bytes] = source.choice([_bytes, _words, _structure, _structure])
        files[name] = change(files[name], source)
    if source.random() < 0.3:
        del files[source.choice([name for name in files if name not in _FIXED])]
    if source.random() < 0.2:
        name = source.choice([word for word in WORDS if word and "\0" not in word and "/" not in word])
        files[f"n/{name}"] = b"1"
    return files


def _bytes(data: bytes, source: random.Random) -> bytes:
    """A few bytes cut, doubled, turned or put in."""
    for _ in range(source.randint(1, 4)):
        start = source.randint(0, len(data))
        end = min(len(data), start + source.choice([0, 1, 2, 8, 64]))
        middle = source.choice([b"", data[start:end] * 2, source.randbytes(3), bytes([source.randrange(256)])])
        data = data[:start] + middle + data[end:]
    return data


def _words(data: bytes, source: random.Random) -> bytes:
    """A word of the text exchanged for a hostile one."""
    parts = data.split(b" ")
    parts[source.randrange(len(parts))] = source.choice(WORDS).encode("utf-8", "surrogatepass")
    return b" ".join(parts)


def _structure(data: bytes, source: random.Random) -> bytes:
    """A value somewhere in it exchanged, taken away or doubled; JSON is YAML, too."""
    try:
        documents = list(yaml.safe_load_all(data))
    except (yaml.YAMLError, ValueError, RecursionError, UnicodeDecodeError):
        return _bytes(data, source)
    places: list[tuple[Any, Any]] = []
    todo: list[Any] = [documents]
    while todo:
        item = todo.pop()
        if isinstance(item, (dict, list)):
            keys = list(item) if isinstance(item, dict) else list(range(len(item)))
            places += [(item, key) for key in keys]
            todo += [item[key] for key in keys]
    if not places:
        return _words(data, source)
    for _ in range(source.randint(1, 2)):
        holder, key = source.choice(places)
        value = source.choice(VALUES)
        if isinstance(holder, dict) and source.random() < 0.3:
            holder[source.choice(WORDS)] = holder.get(key)
        elif isinstance(holder, dict) or key < len(holder):
            holder[key] = value
    if data.lstrip().startswith(b"{"):
        try:
            return json.dumps(documents[0]).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError):
            return _words(data, source)
    return yaml.dump_all(documents, allow_unicode=True).encode("utf-8", "surrogatepass")


def tried(files: Mapping[str, bytes], folder: Path) -> None:
    """Plan a commit of these files against a state of those below `.runner/`; fails for whatever must not be."""
    ground = Ground.create(folder)
    commit: dict[str | bytes, Content] = {_path(n): d for n, d in files.items() if not n.startswith(STATE)}
    state: dict[str | bytes, Content] = {_path(n): d for n, d in files.items() if n.startswith(STATE)}
    index = state.pop(_path(f"{STATE}keys/00"), None)
    if index is not None:  # whatever the key is that is looked for
        state.update({_path(f"{STATE}keys/{number:02x}"): index for number in range(256)})
    tip = ground.store.commit(ground.store.tree(state or {"x": "1"}), parents=[ground.base])
    ground.store.ref("refs/heads/runner/state", tip)
    rev = ground.commit(Case("fuzz", commit, plain=True))
    for words in (("validate", rev), ("plan", "--all", rev)):
        answer = ground.run(*words)
        assert answer.code in (0, 1, 2, 4, 6), answer


def _path(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def saved(files: Mapping[str, bytes], why: str) -> str:
    """The files as they stand in the corpus: only what differs from the seeds, and `null` for what is not there."""
    rows: dict[str, Any] = {}
    for name in sorted({*files, *SEEDS}):
        data = files.get(name)
        if data is None:
            rows[name] = None
        elif data != SEEDS.get(name, "").encode("utf-8", "surrogatepass") or name not in SEEDS:
            rows[name] = base64.b64encode(data).decode()
    return json.dumps({"why": why, "files": rows}, indent=1) + "\n"


def kept(file: Path) -> dict[str, bytes]:
    """The files of an entry of the corpus."""
    files = {name: text.encode("utf-8", "surrogatepass") for name, text in SEEDS.items()}
    for name, data in json.loads(file.read_text())["files"].items():
        if data is None:
            files.pop(name, None)
        else:
            files[name] = base64.b64decode(data)
    return files
