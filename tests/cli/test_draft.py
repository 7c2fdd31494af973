"""The working tree is judged as it would be committed, and left exactly as it was."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.git.draft import draft_commit, worktree_paths
from runner.git.read import Reader
from tests.cli.command import call
from tests.repositories import Content, GitRepo, git, new_repository

HEAD = "apiVersion: runner/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  stages:\n"
STAGE = f"{HEAD}    a: {{cmd: cp in a.txt, deps: [in], outs: [a.txt]}}\n"


def drafted(repo: GitRepo) -> dict[str, str]:
    """Path to mode of what a draft holds."""
    with Reader.discover(repo.path) as reader, draft_commit(reader) as (draft, commit):
        return {path: entry.mode for path, entry in draft.tree(commit).files.items()}


def contents(repo: GitRepo, path: str) -> bytes | None:
    with Reader.discover(repo.path) as reader, draft_commit(reader) as (draft, commit):
        return draft.file(commit, path)


def everything_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a repository with its time and bytes, git's own included."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_draft_is_the_tree_that_git_would_commit(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"kept": "1", "changed": "1", "gone": "1", "run.sh": "1", ".gitignore": "*.log\n", "x.log/y": "1"})
    repo.write({"changed": "2", "new": "1", "noise.log": "1", "deep/er/new": "1"})
    (repo.path / "gone").unlink()
    (repo.path / "run.sh").chmod(0o755)
    (repo.path / "link").symlink_to("new")
    with Reader.discover(repo.path) as reader, draft_commit(reader) as (draft, commit):
        tree = draft.tree(commit).oid
    repo.commit()
    assert tree == repo.git("rev-parse", "HEAD^{tree}")


def test_equal_trees_give_equal_drafts(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"a": "1"})
    commits = []
    for _ in range(2):
        with Reader.discover(repo.path) as reader, draft_commit(reader) as (_, commit):
            commits.append(commit)
    assert commits[0] == commits[1]


def test_a_repository_without_a_commit_can_be_validated(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo()
    assert call(repo.path, "validate").out == "Valid: no pipeline yet.\n"
    repo.write({"runner.yaml": STAGE})
    answer = call(repo.path, "validate")
    assert answer.code == 1
    assert "`in` is neither in git" in answer.err
    repo.write({"in": "1"})
    assert call(repo.path, "validate").out == "Valid: p (1 stage).\n"


def test_the_repository_is_not_changed_and_nothing_of_it_runs(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    trap = f"touch {tmp_path}/ran; cat"
    repo = git_repo({"runner.yaml": STAGE, "in": "1", ".gitattributes": "* filter=trap diff=trap text=auto\n"})
    for key in (
        "filter.trap.clean",
        "filter.trap.smudge",
        "filter.trap.process",
        "core.fsmonitor",
        "diff.trap.textconv",
    ):
        repo.git("config", key, trap)
    repo.git("config", "filter.trap.required", "true")
    for hook in ("pre-commit", "post-index-change", "reference-transaction", "post-checkout"):
        file = repo.path / ".git/hooks" / hook
        file.write_text(f"#!/bin/sh\n{trap}\n")
        file.chmod(0o755)
    repo.write({"in": "2\r\n", "new": "1"})
    before = everything_in(repo.path)
    assert call(repo.path, "validate").code == 0
    assert everything_in(repo.path) == before
    assert not (tmp_path / "ran").exists()
    assert contents(repo, "in") == b"2\r\n"


def test_submodules_and_nested_repositories_are_left_alone(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    other = new_repository(tmp_path / "other", {"inside": "1"})
    repo = git_repo({"runner.yaml": STAGE, "in": "1"})
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.path), "sub")
    repo.commit()
    nested = new_repository(repo.path / "nested", {"dvc.yaml": "{"})
    nested.write({"untracked": "1"})
    new_repository(repo.path / "unborn").write({"file": "1"})
    (repo.path / "sub/inside").write_text("2")
    modes = drafted(repo)
    assert modes == {".gitmodules": "100644", "in": "100644", "runner.yaml": "100644", "sub": "160000"}
    assert call(repo.path, "validate").code == 0


def test_links_are_links_and_nothing_behind_them_is_read(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    repo = git_repo({"folder/secret": "1", "a": "1"})
    (repo.path / "folder/secret").unlink()
    (repo.path / "folder").rmdir()
    (repo.path / "folder").symlink_to(tmp_path / "outside")
    (repo.path / "dangling").symlink_to("nowhere")
    assert drafted(repo) == {"a": "100644", "dangling": "120000", "folder": "120000"}


def test_what_is_no_file_is_left_out(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"a": "1", "pipe": "1", "folder": "1", "file/inside": "1"})
    (repo.path / "pipe").unlink()
    os.mkfifo(repo.path / "pipe")
    os.mkfifo(repo.path / "new-pipe")
    (repo.path / "folder").unlink()
    repo.write({"folder/inside": "1"})
    (repo.path / "file/inside").unlink()
    (repo.path / "file").rmdir()
    repo.write({"file": "1"})
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(repo.path):
        listener.bind("socket")
        assert drafted(repo) == {"a": "100644", "folder/inside": "100644", "file": "100644"}


def test_odd_names_survive(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"a": "1"})
    names = [
        "with space",
        "line\nbreak",
        "tab\tquote\"'",
        "-option",
        "ünï",
        "back\\slash",
        "*",
        ":colon",
        "  ctime: 1:2",
    ]
    repo.write({f"d/{name}": "1" for name in names})
    (repo.path / "tracked\nname").write_text("1")
    repo.git("add", "tracked\nname")
    raw = os.fsencode(repo.path) + b"/d/not-\xff-text"
    with open(raw, "wb") as file:
        file.write(b"1")
    assert set(drafted(repo)) == {"a", "tracked\nname", "d/not-\udcff-text", *(f"d/{name}" for name in names)}
    assert call(repo.path, "validate").code == 0


def test_of_huge_files_only_the_existence_counts(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"runner.yaml": STAGE})
    with open(repo.path / "in", "wb") as file:
        file.truncate(1 << 40)
    assert call(repo.path, "validate").code == 0
    assert contents(repo, "in") == b""


def test_a_file_that_may_not_be_read_matters_only_where_it_may_be_a_spec(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"a": "1"})
    repo.write({"secret": "1", "params.yaml": "x: 1\n"})
    for name in ("secret", "params.yaml"):
        (repo.path / name).chmod(0)
    if os.access(repo.path / "secret", os.R_OK):
        pytest.skip("this user may read everything")
    answer = call(repo.path, "validate")
    assert (answer.code, "params.yaml: Permission denied" in answer.err) == (4, True)
    (repo.path / "params.yaml").chmod(0o644)
    assert call(repo.path, "validate").code == 0


def test_a_sparse_checkout_holds_what_it_leaves_out(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"runner.yaml": STAGE.replace("in]", "data/in]"), "data/in": "1", "other/x": "1"})
    repo.git("sparse-checkout", "set", "--no-cone", "/runner.yaml")
    assert not (repo.path / "data/in").exists()
    assert set(drafted(repo)) == {"runner.yaml", "data/in", "other/x"}
    assert call(repo.path, "validate").code == 0


def test_a_conflict_is_what_the_working_tree_says(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"a": "1"})
    repo.git("checkout", "--quiet", "-b", "other")
    repo.commit({"a": "2"})
    repo.git("checkout", "--quiet", "main")
    repo.commit({"a": "3"})
    with pytest.raises(AssertionError):
        repo.git("merge", "other")
    assert (contents(repo, "a") or b"").startswith(b"<<<<<<<")


def test_files_that_are_only_announced_are_there(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"a": "1"})
    repo.write({"b": "new"})
    repo.git("add", "--intent-to-add", "b")
    assert contents(repo, "b") == b"new"


def test_a_change_in_the_same_moment_and_of_the_same_size_is_seen(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"a": "1"})
    for number in range(2, 6):
        repo.write({"a": str(number)})
        assert contents(repo, "a") == str(number).encode()
        repo.git("add", "a")
        repo.write({"a": "x"})
        assert contents(repo, "a") == b"x"


@pytest.mark.parametrize("where", ["worktree", "sha256", "subfolder"])
def test_every_kind_of_working_tree_can_be_validated(
    where: str, git_repo: Callable[..., GitRepo], tmp_path: Path
) -> None:
    files: dict[str, Content] = {"runner.yaml": STAGE, "in": "1", "sub/x": "1"}
    if where == "sha256":
        path = tmp_path / "sha256"
        path.mkdir()
        git(path, "init", "--quiet", "--object-format", "sha256")
        GitRepo(path).commit(files)
    else:
        path = git_repo(files).path
    if where == "worktree":
        git(path, "worktree", "add", "--quiet", str(tmp_path / "linked"), "-b", "linked")
        path = tmp_path / "linked"
        (path / "in").write_text("2")
        with Reader.discover(path) as reader, draft_commit(reader) as (draft, commit):
            assert draft.file(commit, "in") == b"2"
    assert call(path / ("sub" if where == "subfolder" else ""), "validate").out == "Valid: p (1 stage).\n"


def test_a_bare_repository_is_validated_at_its_head(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    repo = git_repo({"runner.yaml": STAGE, "in": "1"})
    git(tmp_path, "clone", "--quiet", "--bare", str(repo.path), "bare.git")
    assert call(tmp_path / "bare.git", "validate").out == "Valid: p (1 stage).\n"


def test_paths_of_the_working_tree_leave_out_what_is_ignored(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"dvc.yaml": "{}", ".gitignore": "venv/\n", "gone": "1"})
    repo.write({"venv/dvc.yaml": "{}", "new/dvc.yaml": "{}"})
    new_repository(repo.path / "nested", {"dvc.yaml": "{}"})
    (repo.path / "gone").unlink()
    with Reader.discover(repo.path) as reader:
        assert worktree_paths(reader) == [".gitignore", "dvc.yaml", "new/dvc.yaml"]
