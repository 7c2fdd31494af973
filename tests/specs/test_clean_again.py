"""What was found clean between stages is asked again only where an answer could be another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.specs.graph_checks import cycle_findings
from tests.counted import calls
from tests.repositories import GitRepo
from tests.specs.readings import DVC_PROJECT, desired_of, findings_of

STAGES = """\
stages:
  a: {cmd: x, deps: [src/a.py, data], params: [lr], outs: [out/a]}
  b: {cmd: x, deps: [out/a, src], outs: [b]}
"""
TRACKED = "outs:\n- md5: 900150983cd24fb0d6963f7d28e17f72\n  size: 3\n  path: data\n"
FILES = {"dvc.yaml": STAGES, "src/a.py": "1", "src/b.py": "2", "params.yaml": "lr: 1\n", "data.dvc": TRACKED}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n"


@pytest.fixture
def repo(git_repo: Callable[..., GitRepo], tmp_path: Path) -> GitRepo:
    made = git_repo({**DVC_PROJECT, **FILES})
    desired_of(made, cache=tmp_path / "cache")
    return made


def test_a_commit_with_other_bytes_in_the_same_files_is_not_checked_again(repo: GitRepo, tmp_path: Path) -> None:
    repo.commit({"src/a.py": "other", "README": "new"})
    with calls(cycle_findings) as called:
        desired_of(repo, cache=tmp_path / "cache")
    assert not called


@pytest.mark.parametrize(
    ("files", "delete", "said"),
    [
        ({}, ["src/a.py"], "src/a.py"),
        ({"src/more.py": ""}, ["data.dvc"], "data"),
        ({"params.yaml": "other: 1\n"}, [], "lr"),
        ({"b": "in git"}, [], "tracked by git"),
        ({"out/a/x": "in git"}, [], "tracked by git"),
        ({".gitattributes": "*.py filter=lfs\n", "src/a.py": POINTER}, [], "LFS pointer"),
    ],
    ids=["a file less", "data less", "another parameter", "an output", "below an output", "a pointer"],
)
def test_what_is_wrong_since_the_last_commit_is_found(
    repo: GitRepo, tmp_path: Path, files: dict[str, str], delete: list[str], said: str
) -> None:
    repo.commit(files, delete=delete)
    assert said in "\n".join(str(finding) for finding in findings_of(repo, cache=tmp_path / "cache"))


def test_a_link_and_a_file_in_place_of_a_folder_above_an_output_are_found(repo: GitRepo, tmp_path: Path) -> None:
    (repo.path / "out").symlink_to("src")
    repo.commit()
    assert "a symbolic link" in str(findings_of(repo, cache=tmp_path / "cache"))
    (repo.path / "out").unlink()
    repo.commit({"out": "a file"})
    assert "lies below `out`" in str(findings_of(repo, cache=tmp_path / "cache"))


def test_a_link_in_place_of_a_file_is_found(repo: GitRepo, tmp_path: Path) -> None:
    (repo.path / "src/a.py").unlink()
    (repo.path / "src/a.py").symlink_to("b.py")
    repo.commit()
    assert "a symbolic link" in str(findings_of(repo, cache=tmp_path / "cache"))
