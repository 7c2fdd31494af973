"""Specs mutated at random: they are read, or refused with findings that have a place; anything else is a defect."""

from __future__ import annotations

import copy
import hashlib
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import SpecError
from runner.git.read import Reader
from runner.specs.desired import read_desired
from runner.specs.parse_cache import ParseCache
from tests.repositories import GitRepo, new_repository

RUNNER_YAML = """\
apiVersion: runner/v1
kind: Project
metadata: {name: all}
spec:
  specs: [dvc.yaml, more.yaml]
  record: {every: 60s}
  trust: {dvcLock: accept, reuse: members}
  shell: bash
  owners: ['@alice']
---
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  vars: [{region: {us: {rate: 1}}, names: [x, y]}]
  env: {A: '1'}
  timeout: 1h
  stages:
    get: {cmd: get, deps: [data], outs: [got]}
    train: {cmd: [train, again], wdir: ., deps: [got, made], params: [lr], outs: [{model: {persist: true}}], seed: 7}
    each: {foreach: "${region}", do: {cmd: "c ${item.rate}", outs: ["out/${key}.csv"]}}
    grid: {matrix: {n: "${names}", d: [1, 2]}, cmd: "g ${item.n}", outs: ["grid/${item.n}-${item.d}"]}
    test: {cmd: t, deps: [model, out], metrics: [{m.json: {cache: false}}], resources: {cpu: 1, memory: 1Gi}}
"""
MORE_YAML = """\
apiVersion: runner/v1
kind: Deployment
metadata: {name: d}
spec:
  model: {pipeline: p, out: model}
  gates: [{metric: "m.json:auc", min: 0.8}]
---
apiVersion: runner/v1
kind: Monitor
metadata: {name: m}
spec: {deployment: d}
---
apiVersion: runner/v1
kind: Pipeline
metadata: {name: q}
spec:
  stages:
    make: {cmd: make, deps: [file], outs: [made]}
"""
DVC_YAML = """\
vars: [params.yaml]
stages:
  first: {cmd: "f ${lr}", deps: [model], outs: [first], meta: {runner: {timeout: 2h, mutex: gpu}}}
  second: {cmd: s, deps: [first, made], params: [other.json: [k]], plots: [{p.csv: {x: a, y: b}}], frozen: true}
metrics: [m.json]
artifacts: {best: {path: model, type: model}}
"""
FILES = {
    "runner.yaml": RUNNER_YAML,
    "more.yaml": MORE_YAML,
    "dvc.yaml": DVC_YAML,
    "dvc.lock": f"schema: '2.0'\nstages:\n  second: {{cmd: s, outs: [{{path: p.csv, md5: {'6f' * 16}}}]}}\n",
    "data.dvc": "outs:\n- {md5: 6f5902ac237024bdd0c176cb93063dc4, size: 3, path: data}\n",
    "params.yaml": "lr: 1\n",
    "other.json": '{"k": 1}\n',
    "file": "1",
    ".dvcignore": "*.tmp\n",
}
MUTABLE = sorted(FILES.keys() - {"file"})


class Trees:
    """Writes trees into the object store of a repository, so fast that a thousand can be read."""

    def __init__(self, repo: GitRepo) -> None:
        self._objects = repo.path / ".git/objects"
        self._config = self._tree({"config": ("100644", self._blob(b"[core]\n"))})

    def read(self, files: Mapping[str, bytes], modes: Mapping[str, str], reader: Reader) -> Any:
        """What the specs in these files ask for."""
        rows = {name: (modes.get(name, "100644"), self._blob(data)) for name, data in files.items()}
        tree = self._tree({**rows, ".dvc": ("40000", self._config)})
        commit = self._put(b"commit", b"tree %s\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nm\n" % tree.encode())
        return read_desired(reader, commit, ParseCache(None))

    def _blob(self, data: bytes) -> str:
        return self._put(b"blob", data)

    def _tree(self, rows: Mapping[str, tuple[str, str]]) -> str:
        def order(name: str) -> str:
            return name + "/" if rows[name][0] == "40000" else name

        lines = [
            f"{rows[name][0]} {name}\0".encode() + bytes.fromhex(rows[name][1]) for name in sorted(rows, key=order)
        ]
        return self._put(b"tree", b"".join(lines))

    def _put(self, kind: bytes, data: bytes) -> str:
        whole = b"%s %d\0" % (kind, len(data)) + data
        name = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        file = self._objects / name[:2] / name[2:]
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(zlib.compress(whole, 1))
        return name


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trees, Reader]:
    repo = new_repository(tmp_path_factory.mktemp("fuzz") / "repo", {"a": "1"})
    return Trees(repo), Reader.discover(repo.path)


NASTY: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    float("nan"),
    10**30,
    "",
    " ",
    "x",
    "../x",
    "/x",
    "a\0b",
    "a\nb",
    "${x}",
    "${",
    "${item}",
    "s3://b/k",
    ".",
    "*",
    "a.*",
    "**.**",
    "é",
    [],
    {},
    [None],
    [[]],
    {"x": None},
    {1: 2},
    {"runner": 3},
    ["a", "a"],
    "got",
    "2024-01-01",
    b"bytes",
]
_KEYS = [
    "cmd",
    "outs",
    "deps",
    "params",
    "vars",
    "foreach",
    "do",
    "matrix",
    "stages",
    "spec",
    "meta",
    "kind",
    "out",
    3,
    "",
]
_TOKENS = [
    "",
    "\t",
    "---\n",
    "...\n",
    "\n",
    ":",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "'",
    '"',
    "&a ",
    "*a",
    "<<: *a",
    "!!set ",
    "!x ",
    "|\n",
    "#",
    "%YAML 1.1\n",
    "? ",
    "${",
    "\x00",
    "\ufeff",
    "\u2028",
    "=",
    "<<<<<<< HEAD\n",
    "null",
    "9" * 400,
]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in inner for found in _paths(child, (*path, key)))]


@st.composite
def mutated_values(draw: st.DrawFn, text: str) -> str:
    """The documents of a file with values dropped, swapped or added."""
    documents = [copy.deepcopy(document) for document in yaml.safe_load_all(text)]
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_paths(documents)[1:] or [()]))
        if not path:
            break
        parent: Any = documents
        for part in path[:-1]:
            parent = parent[part]
        what = draw(st.sampled_from(["drop", "swap", "add", "rename", "copy"]))
        if what == "drop":
            del parent[path[-1]]
        elif what == "swap":
            parent[path[-1]] = copy.deepcopy(draw(st.sampled_from(NASTY)))
        elif what == "copy":
            parent[path[-1]] = copy.deepcopy(documents[0])
        elif isinstance(parent, dict):
            value = parent.pop(path[-1]) if what == "rename" else copy.deepcopy(draw(st.sampled_from(NASTY)))
            parent[draw(st.sampled_from(_KEYS))] = value
        else:
            parent.insert(0, copy.deepcopy(draw(st.sampled_from(NASTY))))
    return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)


@st.composite
def mutated_bytes(draw: st.DrawFn, text: str) -> bytes:
    """The text of a file cut short, with a piece missing, or with something in it that does not belong there."""
    data = text.encode()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        tokens = st.sampled_from(_TOKENS).map(lambda token: token.encode("utf-8"))
        put = draw(st.one_of(tokens, st.binary(max_size=4)))
        data = data[:start] if draw(st.integers(0, 9)) == 0 else data[:start] + put + data[end:]
    return data


@st.composite
def mutated_files(draw: st.DrawFn) -> tuple[dict[str, bytes], dict[str, str]]:
    """Files of which some are mutated, left out, or no files at all; and the modes of these."""
    files = {name: text.encode() for name, text in FILES.items()}
    modes = {}
    for name in draw(st.lists(st.sampled_from(MUTABLE), min_size=1, max_size=2, unique=True)):
        how = draw(st.sampled_from(["values", "values", "bytes", "bytes", "gone", "mode"]))
        if how == "gone":
            del files[name]
        elif how == "mode":
            modes[name] = draw(st.sampled_from(["120000", "160000"]))
        elif how == "values" and name != ".dvcignore":
            files[name] = draw(mutated_values(FILES[name])).encode("utf-8", "surrogatepass")
        else:
            files[name] = draw(mutated_bytes(FILES[name]))
    return files, modes


def _judge(read: Callable[[], object], files: Mapping[str, bytes]) -> list[str]:
    """The files with findings; fails where something else is raised, or a finding has no place."""
    try:
        read()
        return []
    except SpecError as error:
        findings = error.findings
    assert findings
    for finding in findings:
        # As libyaml counts them: other line breaks of Unicode are some, too.
        lines = len(files.get(finding.file, b"").decode("utf-8", "replace").splitlines()) + 2
        assert finding.file in files or finding.file == "runner.yaml", finding
        assert 0 <= finding.line <= lines, finding
        assert (finding.column > 0) == (finding.line > 0), finding
        assert finding.message, finding
    return [finding.file for finding in findings]


def test_the_specs_that_are_mutated_are_right(world: tuple[Trees, Reader]) -> None:
    trees, reader = world
    assert trees.read({name: text.encode() for name, text in FILES.items()}, {}, reader).pipelines


FUZZ = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])


@FUZZ
@given(mutated_files())
def test_mutated_specs_are_read_or_refused_with_places(
    world: tuple[Trees, Reader], mutated: tuple[dict[str, bytes], dict[str, str]]
) -> None:
    trees, reader = world
    _judge(lambda: trees.read(*mutated, reader), mutated[0])


NOISE = [
    "\t",
    "}",
    "  dep: [q]",
    "x: [",
    ": :",
    "- a",
    "cmd: 3",
    '"',
    "'",
    "<<<<<<< a",
    "${",
    "---",
    "    a: {cmd: 3}",
    "    train: {cmd: 3}",
    "  x: {cmd: '${q}'}",
    "kind: x",
    "\x01",
    "é: 1",
    "  stages: {}",
]


@FUZZ
@given(st.sampled_from(["runner.yaml", "more.yaml", "dvc.yaml", "data.dvc", "dvc.lock"]), st.data())
def test_what_is_broken_has_no_consequence_in_another_file(
    world: tuple[Trees, Reader], name: str, data: st.DataObject
) -> None:
    """A line that says nothing by itself is put into a file; nothing that was said there before has changed."""
    trees, reader = world
    lines = FILES[name].splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines)))
    text = "".join([*lines[:at], data.draw(st.sampled_from(NOISE)) + "\n", *lines[at:]])
    files = {**{other: content.encode() for other, content in FILES.items()}, name: text.encode()}
    assert set(_judge(lambda: trees.read(files, {}, reader), files)) <= {name}
