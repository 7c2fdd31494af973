"""The run-cache: what DVC wrote is found by us, and what we wrote is restored by DVC."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.core.nouns import Address, Out, OutKind, Param, Stage
from runner.data import lockfile, runcache
from runner.data.cache import Saved
from tests.data import entries
from tests.data.oracle import cache_of, run_dvc
from tests.repositories import GitRepo

DVC_YAML = """\
stages:
  train:
    cmd: cat data.txt params.yaml > model.bin && echo '{"n":1}' > m.json; mkdir -p out; cp data.txt out/x; touch ran
    deps: [data.txt]
    params: [lr, deep.er, other.json: [k]]
    outs: [model.bin, out]
    metrics: [m.json: {cache: false}]
"""
FILES = {
    "dvc.yaml": DVC_YAML,
    "data.txt": "data\n",
    "params.yaml": "lr: 0.1\ndeep:\n  er: [1, a]\n",
    "other.json": '{"k": null}',
}
STAGE = Stage(
    Address("dvc.yaml", "train"),
    ("cat data.txt params.yaml > model.bin && echo '{\"n\":1}' > m.json; mkdir -p out; cp data.txt out/x; touch ran",),
    deps=("data.txt",),
    params=(Param("params.yaml", "lr"),),
    outs=(Out("model.bin"), Out("out"), Out("m.json", OutKind.METRIC, cache=False)),
)


@pytest.fixture
def project(dvc_project: GitRepo) -> GitRepo:
    dvc_project.commit(FILES)
    return dvc_project


def our_entry(project: GitRepo, index: Path, outs: bool = True) -> dict[str, Any]:
    """The lock entry of the stage, made by our own hands; its outs go into the cache."""
    cache = cache_of(project, index)
    saved = {path: cache.save(project.path / path) for path in STAGE.out_paths} if outs else None
    params = {"params.yaml": {"lr": 0.1, "deep.er": [1, "a"]}, "other.json": {"k": None}}
    return entries.entry(STAGE, {"data.txt": cache.save(project.path / "data.txt")}, params, saved)


def test_our_lock_entry_is_that_of_dvc(project: GitRepo, tmp_path: Path) -> None:
    run_dvc(project.path, "repro", "-q")
    assert lockfile.dumps({"train": our_entry(project, tmp_path / "i.db")}) == (project.path / "dvc.lock").read_text()


def test_paths_stay_spelled_as_the_user_wrote_them(project: GitRepo, tmp_path: Path) -> None:
    (project.path / "sub").mkdir()
    (project.path / "sub" / "b").write_text("b")
    (project.path / "dvc.yaml").write_text(
        "stages:\n  s:\n    cmd: cp a.txt ../o.txt\n    wdir: sub\n    deps: [./a.txt, ../sub/b, ../in/]\n"
        "    outs: [./../o.txt]\n    params: [./p.yaml: [a]]\n"
    )
    project.write({"sub/a.txt": "a", "in/x": "x", "sub/p.yaml": "a: 1\n"})
    run_dvc(project.path, "repro", "-q")
    cache = cache_of(project, tmp_path / "i.db")
    stage = Stage(Address("dvc.yaml", "s"), ("cp a.txt ../o.txt",), wdir="sub")
    entry = entries.entry(
        stage,
        {path: cache.hash(project.path / path) for path in ("sub/a.txt", "sub/b", "in")},
        {"sub/p.yaml": {"a": 1}},
        {"o.txt": cache.hash(project.path / "o.txt")},
        written={
            "sub/a.txt": "./a.txt",
            "sub/b": "../sub/b",
            "in": "../in/",
            "o.txt": "./../o.txt",
        },
    )
    assert lockfile.dumps({"s": entry}) == (project.path / "dvc.lock").read_text()


def test_what_dvc_wrote_is_found(project: GitRepo, tmp_path: Path) -> None:
    run_dvc(project.path, "repro", "-q")
    (project.path / "dvc.lock").unlink()
    cache = cache_of(project, tmp_path / "i.db")
    entry = our_entry(project, tmp_path / "i.db", outs=False)
    found = runcache.lookup(cache.root, entry)
    assert found is not None
    assert [row["path"] for row in found["outs"]] == ["m.json", "model.bin", "out"]
    assert all(cache.missing(row["md5"]) == [] for row in found["outs"])
    (file,) = [path for path in (cache.root / "runs").rglob("*") if path.is_file()]
    assert runcache.path(cache.root, found) == file
    assert lockfile.entry_text(found) == file.read_text()


def test_what_we_wrote_is_restored_by_dvc(project: GitRepo, tmp_path: Path) -> None:
    subprocess.run(STAGE.cmd[0], shell=True, check=True, cwd=project.path)
    cache = cache_of(project, tmp_path / "i.db")
    entry = our_entry(project, tmp_path / "i.db")
    assert runcache.eligible(STAGE)
    assert runcache.save(cache.root, entry) == runcache.save(cache.root, entry)
    for path in ("model.bin", "m.json", "out", "ran"):
        target = project.path / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    run_dvc(project.path, "repro", "-q")
    assert not (project.path / "ran").exists()
    assert (project.path / "out" / "x").read_text() == "data\n"
    assert (project.path / "dvc.lock").read_text() == lockfile.dumps({"train": entry})


_ROW = st.fixed_dictionaries({"path": st.text(max_size=4), "md5": st.just("0" * 32), "size": st.integers()})
_VALUE = st.recursive(
    st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "size", "nfiles", "b"]), inner, max_size=3),
    ),
    max_leaves=6,
)


@given(st.lists(_ROW, min_size=1, max_size=3), st.lists(_ROW, max_size=3), st.dictionaries(st.text(max_size=3), _VALUE))
@settings(max_examples=100)
def test_key_and_value_are_those_of_dvc(
    deps: list[dict[str, Any]], outs: list[dict[str, Any]], values: dict[str, Any]
) -> None:
    from dvc.stage.cache import _get_cache_hash

    entry = {"cmd": "x", "deps": deps, "params": {"params.yaml": values}, "outs": outs}
    assert runcache.value(entry) == _get_cache_hash(json.loads(json.dumps(entry)))
    assert runcache.key(entry) == _get_cache_hash(json.loads(json.dumps(entry)), key=True)


def entry_of(params: dict[str, Any], out_md5: str = "2" * 32) -> dict[str, Any]:
    stage = Stage(Address("dvc.yaml", "s"), ("x",), deps=("d",), outs=(Out("o"),))
    return entries.entry(stage, {"d": Saved("1" * 32, 1)}, {"params.yaml": params}, {"o": Saved(out_md5, 1)})


@pytest.mark.parametrize("params", [{"size": 1}, {"a": {"b": [{"nfiles": 2}]}}, {"nfiles": None}])
def test_a_hit_is_not_believed_where_a_parameter_is_not_in_the_key(tmp_path: Path, params: dict[str, Any]) -> None:
    entry = entry_of(params)
    assert runcache.save(tmp_path, entry) is not None
    assert runcache.has_ambiguous_param(entry)
    assert runcache.lookup(tmp_path, entry) is None


def test_the_newest_sound_entry_counts(tmp_path: Path) -> None:
    entries = [entry_of({"a": 1}, digit * 32) for digit in "345"]
    paths = [runcache.save(tmp_path, entry) for entry in entries]
    for age, path in enumerate(paths):
        assert path is not None
        os.utime(path, (1_000 + age, 1_000 + age))
    assert runcache.lookup(tmp_path, entry_of({"a": 1})) == entries[2]
    assert paths[2] is not None
    paths[2].write_text("cmd: x\nouts: [{path: o, md5: evil}]\n")
    os.utime(paths[2], (2_000, 2_000))
    assert runcache.lookup(tmp_path, entry_of({"a": 1})) == entries[1]
    paths[2].write_text(lockfile.entry_text(entries[0]))
    assert runcache.lookup(tmp_path, entry_of({"a": 1})) == entries[1]
    paths[2].write_bytes(b"\xff[")
    assert runcache.lookup(tmp_path, entry_of({"a": 1})) == entries[1]
    assert runcache.lookup(tmp_path, entry_of({"a": 2})) is None


def test_what_dvc_could_not_read_is_not_written(tmp_path: Path) -> None:
    assert runcache.save(tmp_path, entry_of({"when": datetime.date(2020, 1, 1)})) is None
    assert runcache.lookup(tmp_path, entry_of({"when": datetime.date(2020, 1, 1)})) is None
    assert runcache.save(tmp_path, {"cmd": "x", "outs": [{"path": "o", "md5": "2" * 32}]}) is None
    assert runcache.save(tmp_path, {**entry_of({"a": 1}), "extra": 1}) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (True, True)),
        ({"deps": (), "params": ()}, (False, False)),
        ({"deps": ()}, (True, True)),
        ({"outs": ()}, (False, False)),
        ({"always_changed": True}, (False, False)),
        ({"deps": ("s3://b/k",)}, (False, False)),
        ({"outs": (Out("/abs"),)}, (False, False)),
        ({"outs": (Out("o", persist=True),)}, (False, False)),
        ({"outs": (Out("o", cache=False),)}, (True, False)),
        ({"outs": (Out("o", OutKind.PLOT, cache=False),)}, (True, True)),
    ],
)
def test_the_stages_that_dvc_keeps_runs_of(change: dict[str, Any], expected: tuple[bool, bool]) -> None:
    from dataclasses import replace

    stage = replace(STAGE, **change)
    assert (runcache.eligible(stage), runcache.saved_by_dvc(stage)) == expected
