"""Files of a commit written into a folder: exactly git's bytes, and never outside."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import HostError
from runner.git.checkout import Skipped, write_tree_files
from runner.git.read import Reader
from tests.repositories import GitRepo

MakeRepo = Callable[..., GitRepo]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 123\n"


def checkout(repo: GitRepo, folder: Path, paths: list[str] | None = None) -> list[Skipped]:
    with Reader.discover(repo.path) as reader:
        return write_tree_files(reader, reader.tree(reader.resolve("HEAD")), folder, paths)


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_every_file_is_written_as_git_holds_it(git_repo: MakeRepo, tmp_path: Path) -> None:
    files = {"a.txt": "a\r\n", "empty": "", "d/e/f/g.txt": "g", "d/x": b"\0\xff", "täg/日本": "ü", "d.txt": "d"}
    repo = git_repo(files)
    (repo.path / "run.sh").write_text("#!/bin/sh\n")
    (repo.path / "run.sh").chmod(0o755)
    repo.commit()
    assert checkout(repo, tmp_path / "out") == []
    expected = {name: data.encode() if isinstance(data, str) else data for name, data in files.items()}
    assert files_below(tmp_path / "out") == {**expected, "run.sh": b"#!/bin/sh\n"}
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    assert stat.S_IMODE((tmp_path / "out/a.txt").stat().st_mode) & 0o111 == 0


def test_filters_and_attributes_of_the_repository_do_nothing(git_repo: MakeRepo, tmp_path: Path) -> None:
    repo = git_repo({"a.txt": "$Id$\n", ".gitattributes": "*.txt filter=evil ident eol=crlf\n"})
    repo.git("config", "filter.evil.smudge", f"touch {tmp_path}/ran")
    checkout(repo, tmp_path / "out", ["a.txt"])
    assert (tmp_path / "out/a.txt").read_bytes() == b"$Id$\n"
    assert not (tmp_path / "ran").exists()


def test_a_file_above_the_limit_is_streamed(git_repo: MakeRepo, tmp_path: Path) -> None:
    repo = git_repo({"a": "1", "big": b"\0" * (17 << 20), "z": "2"})
    checkout(repo, tmp_path / "out")
    assert (tmp_path / "out/big").stat().st_size == 17 << 20
    assert (tmp_path / "out/z").read_bytes() == b"2"


def test_only_what_is_asked_for_is_written(git_repo: MakeRepo, tmp_path: Path) -> None:
    repo = git_repo({"a": "1", "d/x": "2", "d/e/y": "3", "dd": "4"})
    assert checkout(repo, tmp_path / "out", ["d", "nowhere"]) == [Skipped("nowhere", "not in the commit")]
    assert sorted(files_below(tmp_path / "out")) == ["d/e/y", "d/x"]


def test_pointers_and_submodules_are_left_out_with_a_reason(git_repo: MakeRepo, tmp_path: Path) -> None:
    repo = git_repo({"model.bin": POINTER, "about.md": POINTER + "x" * 200})
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{repo.head},vendored")
    repo.git("commit", "--quiet", "--message", "Add a submodule")
    skipped = checkout(repo, tmp_path / "out")
    assert [path for path, _ in skipped] == ["model.bin", "vendored"]
    assert "LFS" in skipped[0].reason
    assert "submodule" in skipped[1].reason
    assert sorted(os.listdir(tmp_path / "out")) == ["about.md"]


@pytest.mark.parametrize(
    ("links", "left_out"),
    [
        ({"l": "a.txt"}, []),
        ({"d/l": "../a.txt", "d/here": "."}, []),
        ({"l": "nowhere/yet"}, []),
        ({"l": "/etc/passwd"}, ["l"]),
        ({"l": "../secret"}, ["l"]),
        ({"d/l": "../../secret"}, ["d/l"]),
        ({"l": ".."}, ["l"]),
        ({"l": "d/../../x"}, ["l"]),
        # A link that leads up, and one that goes through it: by its words alone the second looks harmless.
        ({"d/e/up": "../..", "l": "d/e/up/../x"}, ["l"]),
        ({"d/e/up": "../..", "l": "d/e/up/a.txt"}, []),
        ({"one": "two", "two": "/etc"}, ["one", "two"]),
        ({"one": "two", "two": "one"}, ["one", "two"]),
        ({"l": ".git/hooks"}, ["l"]),
    ],
)
def test_only_links_that_stay_inside_are_written(
    git_repo: MakeRepo, tmp_path: Path, links: dict[str, str], left_out: list[str]
) -> None:
    repo = git_repo({"a.txt": "a", "d/e/x": "x"})
    for name, target in links.items():
        (repo.path / name).symlink_to(target)
    repo.commit()
    out = tmp_path / "deep" / "out"
    assert [path for path, _ in checkout(repo, out)] == left_out
    for name, target in links.items():
        if name in left_out:
            assert not (out / name).is_symlink()
        else:
            assert os.readlink(out / name) == target
            assert (out / name).resolve().is_relative_to(out)


def test_what_is_in_the_way_is_replaced_and_no_link_followed(git_repo: MakeRepo, tmp_path: Path) -> None:
    repo = git_repo({"a.txt": "new", "d/x": "new", "e/f": "new", "g": "new"})
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    (outside / "x").write_text("precious")
    out.mkdir()
    (out / "a.txt").symlink_to(outside / "x")
    (out / "d").symlink_to(outside)
    (out / "e").write_text("a file where a folder belongs")
    (out / "g" / "h").mkdir(parents=True)
    checkout(repo, out)
    assert (outside / "x").read_text() == "precious"
    assert files_below(out) == dict.fromkeys(("a.txt", "d/x", "e/f", "g"), b"new")
    assert not (out / "d").is_symlink()


def test_a_hard_link_in_the_way_is_not_written_through(git_repo: MakeRepo, tmp_path: Path) -> None:
    repo = git_repo({"a.txt": "new"})
    (tmp_path / "cached").write_text("precious")
    (tmp_path / "out").mkdir()
    os.link(tmp_path / "cached", tmp_path / "out/a.txt")
    checkout(repo, tmp_path / "out")
    assert (tmp_path / "cached").read_text() == "precious"


def test_names_that_no_file_system_should_see_are_left_out(git_repo: MakeRepo, tmp_path: Path) -> None:
    repo = git_repo({"a": "1"})
    blob, inner = repo.git("rev-parse", "HEAD:a"), repo.git("rev-parse", "HEAD^{tree}")
    raw = b"100644 ..\0" + bytes.fromhex(blob) + b"40000 .git\0" + bytes.fromhex(inner)
    raw += b"100644 fine\0" + bytes.fromhex(blob)
    command = ["git", "-C", str(repo.path), "hash-object", "-t", "tree", "-w", "--stdin", "--literally"]
    oid = subprocess.run(command, input=raw, capture_output=True, check=True).stdout.decode().strip()
    with Reader.discover(repo.path) as reader:
        skipped = write_tree_files(reader, reader.tree(oid), tmp_path / "deep/out")
    assert [path for path, _ in skipped] == ["..", ".git"]
    assert os.listdir(tmp_path / "deep/out") == ["fine"]


def test_a_disk_that_takes_nothing_is_no_traceback(git_repo: MakeRepo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot write"):
        checkout(git_repo({"a": "1"}), tmp_path / "file")
