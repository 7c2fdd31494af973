"""Bad input gives every finding at once, each with its place and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import SpecError
from tests.repositories import GitRepo
from tests.specs.bad_inputs import CASES
from tests.specs.readings import DVC_PROJECT, desired_of, findings_of

PIPELINE = "apiVersion: runner/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n"


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_named_with_its_place(name: str, git_repo: Callable[..., GitRepo]) -> None:
    files, expected = CASES[name]

    assert findings_of(git_repo(files)) == expected


def test_findings_of_several_files_come_together(git_repo: Callable[..., GitRepo]) -> None:
    files = {
        **DVC_PROJECT,
        "dvc.yaml": "stages:\n  a:\n    comd: x\n",
        "sub/dvc.yaml": "stages: [\n",
        "pipelines/p.yaml": f"{PIPELINE}  stages: {{a: {{cmd: 'x ${{y}}'}}}}\n",
        "data.dvc": "outs: 3\n",
    }

    assert [finding.split(":")[0] for finding in findings_of(git_repo(files))] == [
        "data.dvc",
        "dvc.yaml",
        "dvc.yaml",
        "pipelines/p.yaml",
        "sub/dvc.yaml",
    ]


def test_findings_are_the_same_with_a_cache_that_has_seen_them(
    git_repo: Callable[..., GitRepo], tmp_path: Path
) -> None:
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": "stages:\n  a:\n    cmd: x\n    deps: [nope]\n"})

    first = findings_of(repo, tmp_path / "cache")

    assert first
    assert findings_of(repo, tmp_path / "cache") == first


def test_a_thousand_findings_are_told_in_reasonable_time(git_repo: Callable[..., GitRepo]) -> None:
    stages = "".join(f"  s{index}:\n    cmd: x\n    deps: [gone/{index}.csv]\n" for index in range(1000))

    with pytest.raises(SpecError) as raised:
        desired_of(git_repo({**DVC_PROJECT, "dvc.yaml": f"stages:\n{stages}"}))

    assert len(raised.value.findings) == 1000


def test_the_lock_file_of_an_environment_must_be_in_git(git_repo: Callable[..., GitRepo]) -> None:
    stages = "  stages:\n    a:\n      cmd: x\n      environment: {lock: nope.txt}\n"

    assert findings_of(git_repo({**DVC_PROJECT, "runner.yaml": PIPELINE + stages})) == [
        "runner.yaml:6:5: the lock file `nope.txt` is not in git (commit it)"
    ]


HOSTILE = {
    "templates that are never closed": {"dvc.yaml": "stages:\n  a: {cmd: '" + "${" * 100_000 + "'}\n"},
    "an endless expression": {"dvc.yaml": "stages:\n  a: {cmd: '${" + "a[b]." * 20_000 + "c}'}\n"},
    "a nested expression": {"dvc.yaml": "stages:\n  a: {cmd: '${" + "a[" * 5_000 + "c}'}\n"},
    "long values many times": {
        "dvc.yaml": "stages:\n  a: {cmd: '" + "${x}" * 20_000 + "'}\n",
        "params.yaml": "x: " + "y" * 100_000 + "\n",
    },
    "a long command many times": {
        "dvc.yaml": "stages:\n  a:\n    foreach: ${l}\n    do: {cmd: '" + "x" * 100_000 + "'}\n",
        "params.yaml": f"l: {list(range(10_000))}\n",
    },
    "a pattern of a duration": {"runner.yaml": PIPELINE + "  timeout: '" + "${" * 200_000 + "'\n  stages: {}\n"},
    "globs that branch": {
        "runner.yaml": "apiVersion: runner/v1\nkind: Project\nspec: {specs: ['"
        + "**/" * 40
        + "x*y', '"
        + "*a" * 50
        + "b']}\n",
        "a/" * 30 + "a" * 200: "",
    },
    "many dots in parameters": {
        "dvc.yaml": "stages:\n  a: {cmd: x, params: ['" + "a." * 10_000 + "a']}\n",
        "params.yaml": "a: 1\n",
    },
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_is_refused_before_it_costs(name: str, git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({**DVC_PROJECT, **HOSTILE[name]})

    # Unbounded, each of these takes minutes or all of the memory.
    assert findings_of(repo)


@pytest.mark.parametrize(("mode", "what"), [("120000", "a symbolic link"), ("160000", "a submodule")])
def test_inputs_that_are_links_or_submodules_or_lie_behind_one_are_named(
    mode: str, what: str, git_repo: Callable[..., GitRepo]
) -> None:
    stages = "stages:\n  a: {cmd: c, deps: [in], params: [p.yaml: [x]]}\n  b: {cmd: c, deps: [in/x]}\n"
    frozen = "  f: {cmd: c, deps: [in], frozen: true}\n  made: {cmd: c, outs: [o]}\n  r: {cmd: c, deps: [o, dir]}\n"
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": stages + frozen, "dir/file": "1"})
    repo.write({"target": "elsewhere"})
    target = "100" * 13 + "1" if mode == "160000" else repo.git("hash-object", "-w", "target")
    for path in ("in", "p.yaml", ".dvcignore", "dir/link"):
        repo.git("update-index", "--add", "--cacheinfo", f"{mode},{target},{path}")
    repo.git("commit", "--quiet", "--message", "Link")

    hint = "(name a file or a folder that git holds itself)"
    assert findings_of(repo) == [
        f"dvc.yaml:2:22: `in` is {what}, which no stage can read {hint}",
        f"dvc.yaml:2:36: `p.yaml` is {what}, which no stage can read {hint}",
        f"dvc.yaml:3:22: `in/x` lies behind `in`, {what}, which no stage can read {hint}",
    ]


@pytest.mark.parametrize(("mode", "what"), [("120000", "a symbolic link"), ("160000", "a submodule")])
def test_outputs_and_working_directories_behind_links_or_submodules_are_named(
    mode: str, what: str, git_repo: Callable[..., GitRepo]
) -> None:
    stages = """\
stages:
  a:
    cmd: c
    outs: [at/a, at/deep/b]
    metrics: [{at/m.json: {cache: false}}]
  w: {cmd: c, wdir: at, outs: [x, ../ok]}
  v: {cmd: c, wdir: at/deep, frozen: true, outs: [y]}
  fine: {cmd: c, wdir: dir, outs: [z]}
"""
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": stages, "dir/file": "1"})
    repo.write({"target": "dir"})
    target = "100" * 13 + "1" if mode == "160000" else repo.git("hash-object", "-w", "target")
    repo.git("update-index", "--add", "--cacheinfo", f"{mode},{target},at")
    repo.git("commit", "--quiet", "--message", "Link")

    behind, hint = f"lies behind `at`, {what}, where no stage can write", "(name a folder that git holds itself)"
    assert findings_of(repo) == [
        f"dvc.yaml:4:12: the output `at/a` {behind} {hint}",
        f"dvc.yaml:4:18: the output `at/deep/b` {behind} {hint}",
        f"dvc.yaml:5:15: the output `at/m.json` {behind} {hint}",
        f"dvc.yaml:6:3: the working directory `at` is {what}, in which no stage can run {hint}",
        f"dvc.yaml:7:51: the output `at/deep/y` {behind} {hint}",
    ]


def test_inputs_that_are_pointers_of_lfs_are_named(git_repo: Callable[..., GitRepo]) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 12345\n"
    stages = "stages:\n  a: {cmd: c, deps: [d.bin, small.bin]}\n  f: {cmd: c, deps: [d.bin], frozen: true}\n"
    files = {**DVC_PROJECT, "dvc.yaml": stages, "d.bin": pointer, "small.bin": "1"}
    repo = git_repo(files)
    assert findings_of(repo) == []  # git itself would not take it for a pointer

    hint = "(fetch it with `git lfs pull`, and track it with DVC in its place)"
    repo.commit({"sub/.gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
    assert findings_of(repo) == [f"dvc.yaml:2:22: `d.bin` is an LFS pointer, which no stage can read {hint}"]


def test_outputs_below_a_file_of_git_are_named_before_anything_runs(git_repo: Callable[..., GitRepo]) -> None:
    stages = "stages:\n  a: {cmd: c, outs: [in/b]}\n  b: {cmd: c, outs: [in/deep/b: {cache: false}, other/in]}\n"

    hint = "(git rm 'in', or choose another output)"
    assert findings_of(git_repo({**DVC_PROJECT, "dvc.yaml": stages, "in": "1", "other/file": "2"})) == [
        f"dvc.yaml:2:22: the output `in/b` lies below `in`, which git holds as a file {hint}",
        f"dvc.yaml:3:22: the output `in/deep/b` lies below `in`, which git holds as a file {hint}",
    ]


def test_a_dvc_configuration_that_cannot_be_read_is_found_before_anything_runs(
    git_repo: Callable[..., GitRepo],
) -> None:
    files = {".dvc/config": "[core]\n    remote = store\n[remote\n    url = x\n", "dvc.yaml": "stages: {}\n"}

    [finding] = findings_of(git_repo(files))

    assert finding.startswith(".dvc/config:3:1: not a configuration of DVC")
