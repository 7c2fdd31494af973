"""Ignoring against DVC's own filter, and the lines of .gitignore against DVC's own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.data.dvcignore import Ignore
from runner.data.gitignore import with_lines
from runner.errors import SpecError
from tests.data.oracle import run_dvc
from tests.repositories import GitRepo, new_repository

_FOLDERS = ["", "a", "a/b", "a/b/c", "d e", "sub", "sub/in"]
_PATTERN_LINES = r"""
*.tmp|!keep.tmp
|/x|x/|/a/|a/b|b|!b|**/c|a/**|b/*|!/a/b/x|# note||  y  |\#x|\!x|*|!*.csv|[xy].csv|?.csv|d e/|.dvcignore|c/x
|**/b/**|!a/b/c/|/*|x.csv"""
_PATTERNS = st.sampled_from(_PATTERN_LINES.strip("\n").replace("\n", "").split("|"))
_NAMES = ["x", "x\n", "y", "x.csv", "keep.tmp", "o.tmp", "#x", "!x", ".dvcignore", ".git", ".hg", ".dvc", "b", "c"]


def verdicts_of_dvc(root: Path, paths: list[tuple[str, bool]]) -> list[bool]:
    from dvc.fs import localfs
    from dvc.ignore import DvcIgnoreFilter

    oracle = DvcIgnoreFilter(localfs, str(root))
    return [bool(oracle._is_ignored(str(root / path), is_dir)) for path, is_dir in paths]


@given(
    st.dictionaries(st.sampled_from(_FOLDERS[:5]), st.lists(_PATTERNS, min_size=1, max_size=5), max_size=4),
    st.booleans(),
)
@settings(max_examples=120)
@example({"": ["a/"], "a": ["!x"], "a/b": ["x"]}, True)
@example({"a/b": ["/x", "!/x"], "a": ["b/"]}, False)
def test_what_dvc_ignores_is_ignored(patterns: dict[str, list[str]], with_subproject: bool) -> None:
    files = {f"{folder}/.dvcignore".lstrip("/"): "\n".join(lines).encode() for folder, lines in patterns.items()}
    paths = [f"{folder}/{name}".lstrip("/") for folder in _FOLDERS for name in _NAMES]
    asked = [(path, is_dir) for path in paths for is_dir in (True, False)]
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary).resolve()
        for folder in _FOLDERS:
            (root / folder).mkdir(exist_ok=True)
        for path, data in files.items():
            (root / path).write_bytes(data)
        if with_subproject:
            (root / "sub" / ".dvc").mkdir()
        expected = verdicts_of_dvc(root, asked)
    ours = Ignore(files, subprojects=["sub"] if with_subproject else [])
    assert [ours.ignores(path, is_dir) for path, is_dir in asked] == expected


def test_rules_hold_below_the_dvc_root_only() -> None:
    ignore = Ignore({"sub/.dvcignore": b"*.tmp\n", ".dvcignore": b"*.csv\n"}, root="sub")
    assert ignore.ignores("sub/a/x.tmp", False)
    assert not ignore.ignores("sub/x.csv", False)
    assert not ignore.ignores("x.tmp", False)
    assert ignore.below("sub/a")("x.tmp", False)
    assert ignore.below("sub")("deep/x.tmp", False)
    assert not ignore.below("sub")("x.csv", False)


def test_without_any_file_the_rules_of_dvc_hold() -> None:
    ignore = Ignore({})
    assert ignore.ignores("a/.git", False)
    assert ignore.ignores(".dvc/config", False)
    assert ignore.ignores("a/.hg/x", False)
    assert not ignore.ignores("a/.hg", False)
    assert not ignore.ignores("a/.dvcignore", False)


def test_every_unreadable_pattern_is_a_finding() -> None:
    with pytest.raises(SpecError) as caught:
        Ignore({".dvcignore": b"fine\n!\n", "a/.dvcignore": b"\xff\xfe\n"})
    assert [(finding.file, finding.line) for finding in caught.value.findings] == [
        (".dvcignore", 2),
        ("a/.dvcignore", 0),
    ]


def test_neither_dvc_nor_pathspec_is_imported_without_need() -> None:
    code = (
        "import sys, runner.data.dvcignore as d; d.Ignore({}).ignores('a', False);"
        "sys.exit(any(name.split('.')[0] in ('dvc', 'pathspec') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


@pytest.fixture
def ignored_by_dvc(tmp_path: Path) -> GitRepo:
    repo = new_repository(tmp_path / "r", {"README": "x"})
    run_dvc(repo.path, "init", "-q")
    return repo


@pytest.mark.parametrize("before", [None, b"", b"*.pyc\n", b"*.pyc", b"/out.csv\n", b"# note\r\n/other\r\n"])
def test_lines_are_appended_as_dvc_appends_them(ignored_by_dvc: GitRepo, before: bytes | None) -> None:
    folder = ignored_by_dvc.path
    if before is not None:
        (folder / ".gitignore").write_bytes(before)
    names = ["out.csv", "odd [name]!#*?.csv", "ünïcode"]
    for name in names:
        (folder / name).write_text(name)
        run_dvc(folder, "add", "-q", name)
    assert with_lines(before, names) == (folder / ".gitignore").read_bytes()


def test_lines_that_are_there_are_not_appended_again() -> None:
    once = with_lines(None, ["a", "b"])
    assert once == b"/a\n/b\n"
    assert with_lines(once, ["b", "a"]) == once
    assert with_lines(b"a\n/b/\n", ["a", "b"]) == b"a\n/b/\n"
    assert with_lines(None, []) == b""
    assert with_lines(b"\xff\n", ["a", "a"]) == b"\xff\n/a\n"
