"""What goes into the cache, comes out, and is refused."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.core.digests import md5_hex
from runner.data import cache as cache_module
from runner.data import giving as giving_module
from runner.data import hashing, objects
from runner.data.cache import Cache, Saved
from runner.data.faults import DamagedObjects, MissingObjects
from runner.data.giving import Giver
from runner.data.hash_index import HashIndex
from runner.data.hashing import dir_digest, dos2unix_md5
from runner.data.links import LinkPolicy
from runner.data.walk import FileFound
from runner.errors import HostError, InputError
from tests.aged import age
from tests.counted import counted
from tests.data.oracle import cache_of, run_dvc
from tests.repositories import GitRepo

LARGE = os.urandom(1 << 20) * 3


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


ODD = {
    "plain.txt": b"hello\n",
    "crlf.txt": b"a\r\nb\r\n",
    "empty": b"",
    "with space.bin": b"\x00\x01",
    "ünïcödé/Ж 漢字 🎲.csv": b"1,2\n",
    "a-b/x": b"1",
    "a/x": b"2",
    "a.b/x": b"3",
    "deep/er/and/deeper/f": b"4",
    "new\nline": b"5",
    'quote"back\\slash': b"6",
    "large": LARGE,
    "large2": LARGE + b"!",
}


def test_a_folder_has_the_digest_and_the_objects_that_dvc_gives_it(
    dvc_project: GitRepo, cache: Cache, tmp_path: Path
) -> None:
    data = write(dvc_project.path / "data", ODD)
    os.symlink("plain.txt", data / "link")
    (data / "hollow").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "f").write_text("not followed")
    os.symlink(tmp_path / "elsewhere", data / "linked-folder")
    write(data, {"sub/.git/x": b"7", ".hg/x": b"8", "own/.dvc/config": b"9", "own/x": b"10", "sub/.hg": b"11"})
    saved = cache.save(data)
    run_dvc(dvc_project.path, "add", "-q", "data")
    out = yaml.safe_load((dvc_project.path / "data.dvc").read_text())["outs"][0]
    assert saved == Saved(out["md5"], out["size"], out["nfiles"])
    theirs = cache_of(dvc_project, tmp_path / "theirs.db")
    assert cache.object_path(saved.md5).read_bytes() == theirs.object_path(saved.md5).read_bytes()
    assert objects_of(cache) == objects_of(theirs)
    assert not [path for path in cache.root.rglob("*") if path.is_file() and mode(path) != 0o444]


def objects_of(cache: Cache) -> dict[str, bytes]:
    files = cache.root / "files" / "md5"
    return {str(path.relative_to(files)): path.read_bytes() for path in files.rglob("*") if path.is_file()}


def test_a_file_has_the_digest_that_dvc_gives_it(dvc_project: GitRepo, cache: Cache) -> None:
    file = dvc_project.path / "run me.bin"
    file.write_bytes(LARGE)
    file.chmod(0o755)
    run_dvc(dvc_project.path, "add", "-q", file.name)
    out = yaml.safe_load((dvc_project.path / "run me.bin.dvc").read_text())["outs"][0]
    saved = cache.save(file)
    assert saved == Saved(out["md5"], out["size"], None, out["isexec"])
    assert cache.hash(file) == saved
    assert cache.object_path(saved.md5).read_bytes() == LARGE


def test_dvc_checks_out_what_we_stored(dvc_project: GitRepo, tmp_path: Path) -> None:
    data = write(dvc_project.path / "data", ODD)
    ours = cache_of(dvc_project, tmp_path / "i.db")
    saved = ours.save(data)
    shutil.rmtree(data)
    entry = {"md5": saved.md5, "size": saved.size_bytes, "nfiles": saved.nfiles, "hash": "md5", "path": "data"}
    (dvc_project.path / "data.dvc").write_text(yaml.safe_dump({"outs": [entry]}))
    run_dvc(dvc_project.path, "checkout", "-q")
    assert {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()} == ODD
    assert "up to date" in run_dvc(dvc_project.path, "status")


def test_we_check_out_what_dvc_stored(dvc_project: GitRepo, tmp_path: Path) -> None:
    write(dvc_project.path / "data", ODD)
    run_dvc(dvc_project.path, "add", "-q", "data")
    md5 = yaml.safe_load((dvc_project.path / "data.dvc").read_text())["outs"][0]["md5"]
    ours = cache_of(dvc_project, tmp_path / "i.db")
    assert ours.missing(md5) == []
    assert ours.verify(md5)
    ours.materialise(md5, tmp_path / "there", writable=True)
    assert ours.hash(tmp_path / "there").md5 == md5


def test_an_empty_folder_and_an_empty_file_go_in_and_come_out(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "hollow").mkdir()
    (tmp_path / "empty").touch()
    folder, file = cache.save(tmp_path / "hollow"), cache.save(tmp_path / "empty")
    assert folder == Saved("d751713988987e9331980363e24189ce.dir", 0, 0)
    assert file == Saved("d41d8cd98f00b204e9800998ecf8427e", 0)
    cache.materialise(folder.md5, tmp_path / "a", writable=False)
    cache.materialise(file.md5, tmp_path / "b", writable=False)
    assert list((tmp_path / "a").iterdir()) == []
    assert (tmp_path / "b").read_bytes() == b""


def test_a_name_that_is_not_unicode_goes_in_and_comes_out(cache: Cache, tmp_path: Path) -> None:
    name = os.fsdecode(b"bad-\xff\xfe")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(b"x")
    cache.materialise(cache.save(tmp_path / "data").md5, tmp_path / "there", writable=True)
    assert os.listdir(tmp_path / "there") == [name]


def test_the_workspace_copy_stays_usable_and_apart_from_the_object(cache: Cache, tmp_path: Path) -> None:
    for number, data in enumerate([b"small", LARGE]):
        file = tmp_path / f"f{number}"
        file.write_bytes(data)
        saved = cache.save(file)
        with file.open("r+b") as stream:
            stream.write(b"changed")
        assert cache.object_path(saved.md5).read_bytes() == data
        assert cache.save(file).md5 == md5_hex(file.read_bytes())


def test_files_that_are_given_become_the_objects_without_a_copy(cache: Cache, tmp_path: Path) -> None:
    data = write(tmp_path / "data", {"a": b"1", "sub/b": LARGE, "same": b"1"})
    (data / "a").chmod(0o775)
    inode = (data / "sub/b").stat().st_ino
    saved = cache.save(data, give=True)
    listed = dict(cache.listing(saved.md5))
    assert cache.object_path(listed["sub/b"]).stat().st_ino == inode
    assert all(mode(cache.object_path(md5)) == 0o444 for md5 in listed.values())
    assert cache.verify(saved.md5)
    assert cache.save(data) == saved


def test_a_given_file_that_has_another_name_is_copied(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(LARGE)
    os.link(tmp_path / "a", tmp_path / "b")
    os.symlink("a", tmp_path / "c")
    for name in ("a", "c"):
        saved = cache.save(tmp_path / name, give=True)
        assert cache.object_path(saved.md5).stat().st_ino != (tmp_path / "b").stat().st_ino
    assert (tmp_path / "b").read_bytes() == LARGE


def test_what_a_given_link_leads_to_is_copied_and_keeps_its_rights(cache: Cache, tmp_path: Path) -> None:
    tools = write(tmp_path / "tools", {"tool": b"#!/bin/sh\n"})
    (tools / "tool").chmod(0o755)
    (tmp_path / "given").mkdir()
    os.symlink(tools / "tool", tmp_path / "given" / "link")
    os.symlink(tools / "tool", tmp_path / "link")
    os.symlink(tools, tmp_path / "folder")
    for name in ("given", "link", "folder"):
        cache.save(tmp_path / name, give=True)
    assert mode(tools / "tool") == 0o755
    assert (tools / "tool").stat().st_nlink == 1
    assert cache.object_path(md5_hex(b"#!/bin/sh\n")).read_bytes() == b"#!/bin/sh\n"


def test_a_given_file_takes_the_place_of_a_damaged_object(cache: Cache, tmp_path: Path) -> None:
    place = cache.object_path(cache.put_bytes(b"object"))
    place.chmod(0o644)
    place.write_bytes(b"damage")
    (tmp_path / "f").write_bytes(b"object")
    assert cache.save(tmp_path / "f", give=True).md5 == md5_hex(b"object")
    assert place.read_bytes() == b"object"
    assert [path.read_bytes() for path in (cache.root / "quarantine").iterdir()] == [b"damage"]


def test_a_given_file_that_somebody_writes_to_is_no_object(cache: Cache, tmp_path: Path) -> None:
    giver, file = Giver(objects.ObjectStore(cache.root, LinkPolicy())), tmp_path / "f"
    file.write_bytes(b"one")
    before = FileFound("", str(file), file.stat())
    file.write_bytes(b"three")
    with giver.open() as giving:
        assert giving.give(before) is None
        before = FileFound("", str(file), file.stat())
        file.rename(tmp_path / "moved")
        file.write_bytes(b"other")
        assert giving.give(before) is None
        assert not [path for path in (cache.root / "files").rglob("*") if path.is_file()]
        assert giving.give(FileFound("", str(file), file.stat())) == (md5_hex(b"other"), file.stat())


def test_another_file_in_the_place_of_a_given_one_keeps_its_rights(cache: Cache, tmp_path: Path) -> None:
    giver, file, foreign = Giver(objects.ObjectStore(cache.root, LinkPolicy())), tmp_path / "f", tmp_path / "foreign"
    foreign.write_bytes(b"one")
    foreign.chmod(0o600)
    file.write_bytes(b"one")
    before = FileFound("", str(file), file.stat())
    file.rename(tmp_path / "moved")
    with giver.open() as giving:
        for place in (os.symlink, os.link):
            place(foreign, file)
            assert giving.give(before) is None
            assert mode(foreign) == 0o600
            file.unlink()


def test_an_object_that_another_process_stored_meanwhile_stays(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    giver, file = Giver(objects.ObjectStore(cache.root, LinkPolicy())), tmp_path / "f"
    file.write_bytes(b"one")
    link = os.link

    def link_with_others_around(source: str, target: str, **options: Any) -> None:
        link(source, target, **options)
        (tmp_path / "whole").write_bytes(b"one")
        os.replace(tmp_path / "whole", cache.object_path(md5_hex(b"one")))
        file.write_bytes(b"written to")

    with giver.open() as giving:
        monkeypatch.setattr(giving_module.os, "link", link_with_others_around)
        assert giving.give(FileFound("", str(file), file.stat())) is None
    assert cache.object_path(md5_hex(b"one")).read_bytes() == b"one"


@pytest.mark.parametrize("give", [True, False])
def test_a_cache_that_somebody_empties_takes_files_again(cache: Cache, tmp_path: Path, give: bool) -> None:
    for name in ("one", "two"):
        saved = cache.save(write(tmp_path / name, {"a/b": b"1", "c": b"2"}), give=give)
        assert cache.missing(saved.md5) == []
        shutil.rmtree(cache.root / "files")
        assert cache.missing(saved.md5) == [saved.md5]


@pytest.mark.parametrize("writable", [True, False])
def test_a_folder_of_many_files_is_checked_out_whole_or_not_at_all(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    monkeypatch.setattr(cache_module, "BATCH", 3)  # from so many on its folders are filled side by side
    files = {f"{folder}/{number % 2}/{number}": b"%d" % number for folder in "abc" for number in range(4)}
    saved = cache.save(write(tmp_path / "data", {**files, "top": b"top", "a/file": b"file"}))
    cache.materialise(saved.md5, tmp_path / "there", writable=writable)
    assert cache.hash(tmp_path / "there", as_it_is=True) == saved
    made = mode(tmp_path / "there" / "b" / "1" / "3")
    assert made & 0o222 if writable else made == 0o444

    def no_room(*_: object) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache_module, "_hard_link", no_room)
    monkeypatch.setattr(Cache, "_copy_file", no_room)
    with pytest.raises(HostError):
        cache.materialise(saved.md5, tmp_path / "nowhere", writable=writable)
    assert "nowhere" not in os.listdir(tmp_path)
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


def test_nothing_is_read_twice(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write(tmp_path / "data", {"a": b"1", "b": LARGE, "c": LARGE + b"2"})
    age(*data.iterdir())
    saved = cache.save(data)
    monkeypatch.setattr(hashing.os, "read", None)
    assert cache.save(data) == saved
    assert cache.hash(data) == saved


def test_a_file_that_changed_since_is_hashed_again(cache: Cache, tmp_path: Path) -> None:
    file = tmp_path / "f"
    for text in ("one", "two", "six"):
        file.write_text(text)
        assert cache.hash(file).md5 == md5_hex(text.encode())
        assert cache.save(file).md5 == md5_hex(text.encode())


def test_a_file_with_inode_size_and_mtime_of_another_is_hashed(cache: Cache, tmp_path: Path) -> None:
    # As of a stage that gives all of its outputs one time: file systems give the inode of a file that is gone again.
    file = write(tmp_path / "data", {"f": b"one"}) / "f"
    age(file)
    was = file.stat()
    assert cache.save(file).md5 == cache.hash(file).md5 == md5_hex(b"one")
    folder = cache.hash(tmp_path / "data")
    file.write_bytes(b"two")
    age(file)
    is_now = file.stat()
    assert (is_now.st_ino, is_now.st_size, is_now.st_mtime_ns) == (was.st_ino, was.st_size, was.st_mtime_ns)
    assert cache.hash(tmp_path / "data").md5 != folder.md5
    assert cache.hash(file).md5 == md5_hex(b"two")
    assert cache.save(file, give=True).md5 == md5_hex(b"two")


@pytest.mark.parametrize("single", [True, False])
def test_a_copy_that_nobody_wrote_to_is_not_read_again(cache: Cache, tmp_path: Path, single: bool) -> None:
    data = write(tmp_path / "data", {"f": LARGE})
    age(data / "f")
    saved = cache.save(data / "f" if single else data, give=True)
    cache.materialise(saved.md5, tmp_path / "copy", writable=True)
    with counted() as work:
        assert cache.hash(tmp_path / "copy").md5 == saved.md5
    assert [path for path in work.opened if path.startswith(str(tmp_path / "copy"))] == []


@pytest.mark.parametrize("policy", [LinkPolicy(), LinkPolicy(reflink=False), LinkPolicy(False, False)])
@pytest.mark.parametrize("writable", [True, False])
def test_writing_to_a_writable_copy_leaves_the_object_alone(tmp_path: Path, policy: LinkPolicy, writable: bool) -> None:
    cache = Cache(tmp_path / "cache", HashIndex(tmp_path / "i.db"), link=policy)
    md5 = cache.put_bytes(b"object")
    cache.materialise(md5, tmp_path / "f", writable=writable)
    if writable:
        assert mode(tmp_path / "f") & 0o200
        (tmp_path / "f").write_bytes(b"OBJECT")
        assert cache.hash(tmp_path / "f").md5 == md5_hex(b"OBJECT")
    else:
        assert mode(tmp_path / "f") == 0o444
    assert cache.verify(md5)


def test_an_input_is_hard_linked_only_where_nobody_may_write(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", HashIndex(tmp_path / "i.db"), link=LinkPolicy(reflink=False))
    md5 = cache.put_bytes(b"object")
    inode = cache.object_path(md5).stat().st_ino
    for name, writable, isexec, linked in [
        ("a", False, False, True),
        ("b", True, False, False),
        ("c", False, True, False),
    ]:
        cache.materialise(md5, tmp_path / name, writable=writable, isexec=isexec)
        assert ((tmp_path / name).stat().st_ino == inode) is linked
    assert mode(tmp_path / "c") == 0o555
    assert mode(cache.object_path(md5)) == 0o444


def test_what_was_there_is_replaced(cache: Cache, tmp_path: Path) -> None:
    file = cache.put_bytes(b"file")
    folder = cache.save(write(tmp_path / "data", {"x": b"1"})).md5
    dest = tmp_path / "some" / "where"
    for md5 in (file, folder, folder, file, file):
        cache.materialise(md5, dest, writable=True)
        assert cache.hash(dest).md5 == md5
    target = tmp_path / "target"
    target.mkdir()
    dest.unlink()
    dest.symlink_to(target)
    cache.materialise(file, dest, writable=False)
    assert not dest.is_symlink()
    assert os.listdir(target) == []
    assert os.listdir(dest.parent) == ["where"]


def test_missing_objects_are_all_named_and_nothing_is_touched(cache: Cache, tmp_path: Path) -> None:
    saved = cache.save(write(tmp_path / "data", {"a": b"1", "b": b"2", "c": b"3"}))
    listed = dict(cache.listing(saved.md5))
    for name in ("a", "b"):
        cache.object_path(listed[name]).unlink()
    assert sorted(cache.missing(saved.md5)) == sorted([listed["a"], listed["b"]])
    (tmp_path / "dest").write_text("precious")
    with pytest.raises(MissingObjects) as caught:
        cache.materialise(saved.md5, tmp_path / "dest", writable=False)
    assert sorted(caught.value.md5s) == sorted([listed["a"], listed["b"]])
    assert (tmp_path / "dest").read_text() == "precious"
    assert cache.missing("0" * 32) == ["0" * 32]
    with pytest.raises(MissingObjects, match=r"1 object is missing: 0{32}\.dir"):
        cache.listing("0" * 32 + ".dir")


def test_a_damaged_object_is_found_put_aside_and_counts_as_missing(cache: Cache, tmp_path: Path) -> None:
    md5 = cache.put_bytes(b"object")
    path = cache.object_path(md5)
    path.chmod(0o644)
    path.write_bytes(b"damage")
    path.chmod(0o444)
    with pytest.raises(MissingObjects):
        cache.materialise(md5, tmp_path / "dest", writable=False)
    assert not cache.has(md5)
    assert (cache.root / "quarantine" / md5).read_bytes() == b"damage"
    (tmp_path / "again").write_bytes(b"object")
    cache.save(tmp_path / "again")
    assert cache.verify(md5)


def test_verify_reads_every_byte_whatever_the_index_says(cache: Cache, tmp_path: Path) -> None:
    saved = cache.save(write(tmp_path / "data", {"a": b"1", "b": b"2"}))
    path = cache.object_path(dict(cache.listing(saved.md5))["a"])
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"9")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.chmod(0o444)
    assert not cache.verify(saved.md5)
    with pytest.raises(MissingObjects):
        cache.verify(saved.md5)


def test_a_listing_that_leaves_the_folder_is_refused(cache: Cache) -> None:
    for paths in (["../x"], ["/etc/x"], ["a/../../x"], ["a", "a/b"], ["a", "a"], ["./a"], [""], ["a//b"], ["x\0y"]):
        digest, listing = dir_digest((path, "0" * 32) for path in paths)
        cache.admit(_written(cache, listing), digest)
        with pytest.raises(DamagedObjects):
            cache.listing(digest)
    for data in (b"[]]", b"{}", b"[1]", b'[{"relpath": "a", "md5": "../../x"}]', b"[" * 100_000):
        digest = md5_hex(data) + ".dir"
        cache.admit(_written(cache, data), digest)
        with pytest.raises(DamagedObjects):
            cache.listing(digest)


def _written(cache: Cache, data: bytes) -> Path:
    path = cache.temporary()
    path.write_bytes(data)
    return path


def test_what_comes_from_elsewhere_is_taken_only_under_its_own_name(cache: Cache) -> None:
    assert cache.admit(_written(cache, b"good"), md5_hex(b"good"))
    assert mode(cache.object_path(md5_hex(b"good"))) == 0o444
    temporary = _written(cache, b"bad")
    assert not cache.admit(temporary, md5_hex(b"good2"))
    assert not temporary.exists()
    assert not cache.has(md5_hex(b"good2"))


def test_a_name_that_is_no_digest_never_becomes_a_path(cache: Cache) -> None:
    for name in ("../../etc/passwd", "", "0" * 31, "0" * 32 + ".dir/x"):
        with pytest.raises(InputError, match="not an MD5"):
            cache.has(name)


def test_objects_of_dvc_before_3_are_read(cache: Cache, tmp_path: Path) -> None:
    data = b"a\r\nb\r\n"
    md5 = dos2unix_md5(data)
    digest, listing = dir_digest([("sub/f", md5)])
    for name, content in ((md5, data), (digest, listing)):
        path = cache.root / name[:2] / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert not cache.has(md5)
    assert cache.missing(digest, legacy=True) == []
    assert cache.verify(digest, legacy=True)
    cache.materialise(digest, tmp_path / "there", writable=False, legacy=True)
    assert (tmp_path / "there/sub/f").read_bytes() == data
    assert cache.hash(tmp_path / "there/sub/f").md5 == md5_hex(data)
    assert cache.read_bytes(md5, legacy=True) == data


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("pipe", os.mkfifo),
        ("nowhere", lambda path: os.symlink("gone", path)),
        (".dvcignore", lambda path: Path(path).touch()),
    ],
)
def test_what_dvc_cannot_keep_is_refused_by_name(cache: Cache, tmp_path: Path, name: str, make: object) -> None:
    write(tmp_path / "data", {"sub/a": b"1"})
    make(tmp_path / "data" / "sub" / name)  # type: ignore[operator]  # callables of one path
    with pytest.raises(InputError, match=f"sub/{name}"):
        cache.save(tmp_path / "data")


def test_a_path_that_is_missing_is_named(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing-here: does not exist"):
        cache.save(tmp_path / "nothing-here")


def test_what_is_ignored_is_not_in_the_folder(cache: Cache, tmp_path: Path) -> None:
    data = write(tmp_path / "data", {"a": b"1", "b.tmp": b"2", "skip/c": b"3"})
    saved = cache.save(data, ignore=lambda path, is_folder: path.endswith(".tmp") or (is_folder and path == "skip"))
    assert cache.listing(saved.md5) == (("a", md5_hex(b"1")),)


def test_a_full_disk_leaves_no_object_and_says_so(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name, data in (("s", b"small"), ("l", LARGE)):
        (tmp_path / name).write_bytes(data)
        with monkeypatch.context() as patch:
            patch.setattr(objects, "write_all", full)
            with pytest.raises(HostError, match="No space left") as caught:
                cache.save(tmp_path / name)
            assert "free some space" in caught.value.hint
        assert [path for path in cache.root.rglob("*") if path.is_file()] == []


def test_files_left_by_a_killed_process_are_swept(cache: Cache) -> None:
    cache.temporary().write_bytes(b"young")
    old = cache.temporary()
    old.write_bytes(b"old")
    os.utime(old, (1, 1))
    Cache(cache.root, cache.index).put_bytes(b"x")
    assert [path.read_bytes() for path in (cache.root / "runner-tmp").iterdir()] == [b"young"]


def test_threads_store_the_same_content_side_by_side(cache: Cache, tmp_path: Path) -> None:
    folders = [write(tmp_path / f"d{number}", {f"f{i}": f"{i}".encode() for i in range(60)}) for number in range(4)]
    digests: list[str] = []
    threads = [threading.Thread(target=lambda path=path: digests.append(cache.save(path).md5)) for path in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 4
    assert len(set(digests)) == 1
    assert cache.verify(digests[0])


def test_after_a_sync_the_index_is_settled() -> None:
    # On a file system in memory, where the machine's other writers are not waited for.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        index = HashIndex(Path(folder) / "index.db")
        cache = Cache(Path(folder) / "cache", index)
        md5 = cache.put_bytes(b"x")
        cache.sync()
        index.close()
        with sqlite3.connect(Path(folder) / "index.db") as database:
            assert database.execute("SELECT md5, settled FROM files").fetchall() == [(md5, 1)]
        database.close()


def test_reading_the_cache_does_not_import_dvc() -> None:
    import subprocess
    import sys

    code = "import sys, runner.data.cache; sys.exit(any(name.startswith(('dvc', 'pathspec')) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
