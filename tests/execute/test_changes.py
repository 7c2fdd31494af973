"""What was written in a worktree is the same whether the kernel tells where to look or all of it is looked through."""

from __future__ import annotations

import mmap
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.execute.changes import Changes
from runner.execute.written import compared, scanned, snapshot


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A worktree with some files and folders, written a while ago."""
    root = tmp_path / "worktree"
    for path in ("a", "b", "in/a", "in/b", "in/deep/a", "in/deep/b", "other/a", "out/a"):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)
        os.utime(file, (1_700_000_000, 1_700_000_000))
    return root


@pytest.fixture
def changes(root: Path) -> Iterator[Changes]:
    """Watching the worktree; the test is skipped where the system does not let us."""
    changes = Changes(root)
    changes.begin()
    if changes._watched is None:
        pytest.skip("this system watches no folders for us")
    yield changes
    changes.forget()


def paths(root: Path, kind: Callable[[Path], bool]) -> list[Path]:
    return sorted(path for path in root.rglob("*") if kind(path))


def do_something(chance: random.Random, root: Path) -> None:
    """One of the things that programs do to files and folders."""
    files = paths(root, lambda path: path.is_file() and not path.is_symlink())
    folders = [root, *paths(root, lambda path: path.is_dir() and not path.is_symlink())]
    name = chance.choice("abcde")
    file = chance.choice(files) if files else root / "none"
    folder = chance.choice(folders)
    new = folder / name
    is_new, is_new_on_top = not os.path.lexists(new), not os.path.lexists(root / name)
    match chance.randrange(12):
        case 0 | 1 if file.exists():
            with open(file, "a") as opened:
                opened.write("more")
        case 2:
            file.unlink(missing_ok=True)
        case 3 if is_new:
            new.mkdir()
        case 4 if folder != root:
            shutil.rmtree(folder)
        case 5 if is_new and file.exists():
            file.rename(new)
        case 6 if folder != root and is_new_on_top:
            folder.rename(root / name)
        case 7:
            path = chance.choice([file, folder])
            if path.exists() and path != root:
                path.chmod(chance.choice([0o700, 0o755, 0o644]) | 0o700 * path.is_dir())
        case 8 if is_new:
            new.symlink_to("a")
        case 9 if file.is_file() and file.stat().st_size:
            with open(file, "r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
                mapped[0:1] = b"#"
        case 10 if not new.is_dir():
            part = folder / ".part"
            part.write_text("whole, and longer than before")
            part.replace(new)
        case 11 if is_new and file.exists():
            os.link(file, new)
            with open(new, "a") as opened:
                opened.write("more")
            if chance.random() < 0.5:
                new.unlink()


def test_the_kernel_s_word_leads_to_the_same_changes_as_looking_through_everything(
    root: Path, changes: Changes
) -> None:
    chance = random.Random(20)
    for _ in range(30):
        changes.begin()
        before = snapshot(root)
        for _ in range(chance.randrange(6)):
            do_something(chance, root)
        after = scanned(root)
        assert changes.written(["out", "in/deep/b"]) == compared(before, after, ["out", "in/deep/b"])


@pytest.mark.parametrize(
    ("name", "stays"),
    [("out/linked", True), ("out/linked", False), ("linked", True), ("linked", False), ("new/linked", True)],
)
def test_a_write_through_a_second_name_is_seen(root: Path, changes: Changes, name: str, stays: bool) -> None:
    # As of `cp -l in out` and a program that then writes to `out`: the kernel tells of the name alone that was used.
    (root / name).parent.mkdir(exist_ok=True)
    os.link(root / "a", root / name)
    with open(root / name, "a") as opened:
        opened.write("more")
    if not stays:
        (root / name).unlink()
    assert "a" in changes.written(["out"]).changed
    changes.begin()
    assert not changes.written(["out"])


def test_a_write_within_one_tick_of_the_clock_that_keeps_the_size_is_seen(root: Path, changes: Changes) -> None:
    for _ in range(20):
        (root / "a").write_text("0")
        changes.begin()
        status = (root / "a").stat()
        (root / "a").write_text("1")
        os.utime(root / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
        assert changes.written([]).changed == ("a",)


def test_what_the_runner_does_between_two_stages_is_no_stage_s(root: Path, changes: Changes) -> None:
    (root / "a").write_text("placed")
    shutil.rmtree(root / "in")
    changes.begin()
    assert not changes.written([])
    (root / "in").mkdir()
    (root / "in/new").write_text("1")
    assert changes.written([]).names() == ["in/"]


def test_a_worktree_that_is_moved_away_is_told_whatever_comes_in_its_place(root: Path, changes: Changes) -> None:
    root.rename(root.with_name("gone"))
    shutil.copytree(root.with_name("gone"), root)
    assert changes.written([]).root
    changes.begin()
    (root / "a").write_text("more than before")
    assert changes.written([]).changed == ("a",)


def test_where_more_happens_than_the_kernel_keeps_everything_is_looked_through(root: Path, changes: Changes) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 100_000:
        pytest.skip("this system keeps very many events")
    (root / "in/a").write_text("first")
    for number in range(most // 2 + 1):  # two in turns: what is told twice in a row is told once
        for name in ("a", "b"):
            os.utime(root / name, ns=(number, number))
    (root / "in/b").write_text("last")
    assert changes.written(["a", "b"]).changed == ("in/a", "in/b")
    changes.begin()
    assert not changes.written([])
    (root / "in/b").write_text("later")
    assert changes.written([]).changed == ("in/b",)


def test_where_nothing_can_be_watched_everything_is_looked_through(root: Path) -> None:
    unwatched = Changes(root)
    unwatched._may_watch = False
    unwatched.begin()
    (root / "in/b").write_text("changed")
    assert unwatched.written([]).changed == ("in/b",)
