"""Files of a commit that are kept are what a fresh check-out gives, whatever happened to them meanwhile."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from runner.data.cache import Cache
from runner.data.hash_index import HashIndex
from runner.execute.kept import Shelf
from runner.execute.worktree import Content, Worktree
from runner.git.read import Reader
from tests.repositories import GitRepo, new_repository

FILES = {"a": "a\n", "b": "b\n", "in/a": "1\n", "in/b": "2\n", "in/deep/a": "3\n", "other/a": "4\n", "run.sh": "#!\n"}


class Ground:
    """A repository, and the place of its kept files."""

    def __init__(self, folder: Path) -> None:
        self.repo: GitRepo = new_repository(folder / "repo", FILES)
        self.reader = Reader.discover(self.repo.path)
        self.place = folder / "place" / "tree"
        self.kept, self.note = folder / "kept", folder / "seen" / ".kept"
        self.told: list[str] = []
        self.place.parent.mkdir()

    def content(self, overlay: Mapping[str, bytes] | None = None) -> Content:
        return Content(self.reader, self.reader.tree(self.repo.head), overlay or {}, self.told.append)

    def worktree(self, overlay: Mapping[str, bytes] | None = None) -> Worktree:
        """The worktree of the newest commit, with what was kept."""
        tree = Worktree(self.place, self.content(overlay), Shelf(self.kept, self.note))
        tree.ready()
        return tree

    def put_away(self) -> None:
        """Have the files of the newest commit kept."""
        self.worktree().put_away()
        assert not self.place.exists()
        assert self.kept.is_dir()
        assert self.note.is_file()

    def check(self, overlay: Mapping[str, bytes] | None = None) -> None:
        """What is kept becomes what nothing but a fresh check-out is."""
        tree = self.worktree(overlay)
        fresh = Worktree(self.place.with_name("fresh"), self.content(overlay))
        fresh.ready()
        assert seen(tree.folder) == seen(fresh.folder)
        shutil.rmtree(tree.folder)
        shutil.rmtree(fresh.folder)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path)
    yield ground
    ground.reader.close()


def seen(root: Path) -> dict[str, tuple[int, str | bytes]]:
    """Everything below a folder: kind and rights, and its bytes or where it leads."""
    found: dict[str, tuple[int, str | bytes]] = {".": (root.lstat().st_mode, "")}
    for path in root.rglob("*"):
        mode = path.lstat().st_mode
        what = os.readlink(path) if stat.S_ISLNK(mode) else path.read_bytes() if stat.S_ISREG(mode) else ""
        found[str(path.relative_to(root))] = (mode, what)
    return found


def test_what_is_the_same_in_the_next_commit_is_not_written_again(ground: Ground) -> None:
    ground.put_away()
    before = {path: (ground.kept / path).stat() for path in FILES}
    ground.repo.commit({"in/a": "another\n"})
    tree = ground.worktree()
    assert (tree.folder / "in/a").read_text() == "another\n"
    now = {path: (tree.folder / path).stat() for path in FILES}
    same = {path for path in FILES if (now[path].st_ino, now[path].st_ctime_ns) == id_of(before[path])}
    assert same == set(FILES) - {"in/a"}
    tree.put_away()
    ground.check()


def id_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_ino, status.st_ctime_ns


@pytest.mark.parametrize("seed", range(6))
def test_whatever_commits_follow_each_other_the_files_are_those_of_the_last_one(ground: Ground, seed: int) -> None:
    chance = random.Random(seed)
    names = ["a", "b", "in", "in/a", "in/deep", "in/deep/a", "in/deep/b", "other/a"]
    for _ in range(6):
        for _ in range(chance.randrange(4)):
            name = ground.repo.path / chance.choice(names)
            for path in (name, *name.parents):
                if path.is_symlink() or (path.is_file() and path != name):
                    path.unlink()
            if name.is_dir():
                shutil.rmtree(name)
            name.parent.mkdir(parents=True, exist_ok=True)
            kind = chance.choice(["file", "other file", "executable", "link", "nothing"])
            if kind == "link":
                name.unlink(missing_ok=True)
                name.symlink_to(chance.choice(["b", "in", "../b", "/etc/passwd", "in/deep"]))
            elif kind == "nothing":
                name.unlink(missing_ok=True)
            else:
                name.write_text(f"{chance.randrange(3)}\n")
                name.chmod(0o755 if kind == "executable" else 0o644)
        ground.repo.commit()
        overlay = {chance.choice(names): b"over\n"} if chance.random() < 0.3 else {}
        overlay = {path: data for path, data in overlay.items() if (ground.repo.path / path).is_file()}
        if chance.random() < 0.5:
            ground.put_away()
            ground.check(overlay)
        tree = ground.worktree(overlay)
        chance.random() < 0.7 and tree.put_away()  # else it was killed
        if ground.place.exists():
            shutil.rmtree(ground.place)
    ground.check()


def _same_size(kept: Path) -> None:
    """Other bytes, with size and time of change as they were."""
    file = kept / "in/a"
    times = file.stat()
    file.write_text("9\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def _by_another_name(kept: Path) -> None:
    os.link(kept / "in/a", kept.parent / "second")
    (kept.parent / "second").write_text("9\n")


def _folder_swapped(kept: Path) -> None:
    (kept / "in").rename(kept.parent / "in")
    shutil.copytree(kept.parent / "in", kept / "in")


def _whole_swapped(kept: Path) -> None:
    kept.rename(kept.parent / "moved")
    kept.symlink_to(kept.parent / "moved")


TOUCHED: dict[str, Callable[[Path], object]] = {
    "other bytes": _same_size,
    "by another name": _by_another_name,
    "other rights": lambda kept: (kept / "run.sh").chmod(0o777),
    "a folder's rights": lambda kept: (kept / "in/deep").chmod(0o700),
    "the rights of all": lambda kept: kept.chmod(0o700),
    "a file more": lambda kept: (kept / "in/more").write_text("x"),
    "a folder more": lambda kept: (kept / "more/deep").mkdir(parents=True),
    "a file less": lambda kept: (kept / "in/a").unlink(),
    "a folder less": lambda kept: shutil.rmtree(kept / "in"),
    "a link for a file": lambda kept: ((kept / "a").unlink(), (kept / "a").symlink_to("b")),
    "a link for a folder": lambda kept: (shutil.rmtree(kept / "in"), (kept / "in").symlink_to("/tmp")),
    "a folder for a file": lambda kept: ((kept / "a").unlink(), (kept / "a").mkdir()),
    "a pipe for a file": lambda kept: ((kept / "a").unlink(), os.mkfifo(kept / "a")),
    "another folder": _folder_swapped,
    "another place": _whole_swapped,
    "nothing there": shutil.rmtree,
}


@pytest.mark.parametrize("how", TOUCHED)
def test_what_was_touched_while_it_was_kept_is_made_good(ground: Ground, how: str) -> None:
    ground.put_away()
    TOUCHED[how](ground.kept)
    ground.check()


def _changed(**fields: object) -> Callable[[Path], object]:
    return lambda note: note.write_text(json.dumps({**json.loads(note.read_text()), **fields}))


NOTES: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "cut off": lambda note: note.write_text(note.read_text()[:100]),
    "no note": lambda note: note.write_text("[1]"),
    "bytes": lambda note: note.write_bytes(b"\xff\0"),
    "another format": _changed(format=0),
    "another start of the system": _changed(here={"boot": "another", "umask": "0022", "user": os.geteuid()}),
    "no files": _changed(files=[]),
    "odd files": _changed(files={"a": 1}),
    "odd folders": _changed(folders={"in": None}),
}


@pytest.mark.parametrize("how", NOTES)
def test_a_note_that_cannot_be_believed_is_as_good_as_none(ground: Ground, how: str) -> None:
    ground.put_away()
    left = (ground.kept / "a").stat()
    NOTES[how](ground.note)
    tree = ground.worktree()
    assert id_of((tree.folder / "a").stat()) != id_of(left)
    assert not ground.kept.exists()
    assert not ground.note.exists()
    shutil.rmtree(tree.folder)
    ground.check()


def test_other_rights_for_new_files_hold_for_kept_ones_too(ground: Ground) -> None:
    ground.put_away()
    before = os.umask(0o077)
    try:
        tree = ground.worktree()
        assert {stat.S_IMODE(path.stat().st_mode) for path in tree.folder.rglob("*")} == {0o600, 0o700}
    finally:
        os.umask(before)


def test_a_runner_that_was_killed_while_it_used_them_leaves_nothing_to_believe(ground: Ground) -> None:
    ground.put_away()
    tree = ground.worktree()
    (tree.folder / "a").write_text("torn")  # and nobody puts it away
    assert not ground.kept.exists()
    assert not ground.note.exists()
    tree.folder.rename(ground.kept)  # killed again, where it was put away without its note
    ground.check()


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        ((), {"a", "in/a", "in/b", "in/deep/a", "run.sh"}),
        (("data/deep/x", "a"), {"in/a", "in/b", "in/deep/a", "run.sh"}),
        (("in/deep", "in/a"), {"a", "in/b", "run.sh"}),
        (("link/b",), None),  # which may be any of the files
    ],
    ids=["only outputs", "a file", "a folder", "behind a link"],
)
def test_what_was_put_in_place_of_a_file_is_not_taken_for_it(
    ground: Ground, tmp_path: Path, paths: tuple[str, ...], left: set[str] | None
) -> None:
    (ground.repo.path / "link").symlink_to("in")
    ground.repo.commit()
    cache = Cache(tmp_path / "cache", HashIndex(tmp_path / "hashes.sqlite"))
    md5 = cache.put_bytes(b"3\n")
    tree = ground.worktree({".gitignore": b"/data\n", "b": b"B\n"})
    for path in paths:
        tree.place(cache, path, md5, legacy=False, isexec=False, writable=False)
    tree.clear("other/a")
    tree.put_away()
    shutil.rmtree(tree.folder, ignore_errors=True)  # as the place is cleared, where nothing was kept
    assert cache.object_path(md5).stat().st_nlink == 1
    cache.index.close()
    assert (set(json.loads(ground.note.read_text())["files"]) if ground.note.exists() else None) == left
    ground.check()


def test_nothing_is_written_through_a_link_of_the_commit(ground: Ground, tmp_path: Path) -> None:
    (ground.repo.path / "link").symlink_to("a")
    (ground.repo.path / "folder").symlink_to("in")
    ground.repo.commit()
    tree = ground.worktree({"link": b"link\n", "folder/a": b"folder\n"})
    assert {name: (tree.folder / name).read_text() for name in ("a", "in/a", "link", "folder/a")} == {
        "a": "a\n", "in/a": "1\n", "link": "link\n", "folder/a": "folder\n",
    }  # fmt: skip


def test_what_is_left_out_of_a_commit_is_told_each_time(ground: Ground) -> None:
    (ground.repo.path / "out").symlink_to("/etc/passwd")
    ground.repo.commit({"large": "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n"})
    ground.put_away()
    first, ground.told[:] = list(ground.told), []
    ground.check()
    assert len(first) == 2
    assert ground.told == first * 2
