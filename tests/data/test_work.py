"""How much work big data makes, in exact counts of small scenes: what is opened, read and written, and how often."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runner.data.cache import Cache
from runner.data.external import probe
from runner.data.hash_index import HashIndex
from tests.aged import age
from tests.counted import counted

FILES = 200
MIB = 1 << 20


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """200 small files in two folders, old enough for the index to trust their times."""
    for number in range(FILES):
        file = tmp_path / "many" / str(number % 2) / str(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(number))
    age(*(path for path in (tmp_path / "many").rglob("*") if path.is_file()))
    return tmp_path / "many"


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file of 16 MiB."""
    (tmp_path / "big").write_bytes(os.urandom(MIB) * 16)
    return tmp_path / "big"


def test_a_big_file_that_is_given_is_read_once_and_not_written(cache: Cache, big: Path) -> None:
    with counted() as work:
        saved = cache.save(big, give=True)
    assert work.below(big.parent)[:1] == [str(big)]
    assert 16 * MIB <= work.read_bytes < 17 * MIB
    assert work.written_bytes < MIB
    assert cache.object_path(saved.md5).stat().st_ino == big.stat().st_ino


def test_a_big_file_that_stays_is_read_once_and_written_once(cache: Cache, big: Path) -> None:
    with counted() as work:
        cache.save(big)
    assert work.opened.count(str(big)) == 1
    assert 16 * MIB <= work.read_bytes < 17 * MIB
    assert 16 * MIB <= work.written_bytes < 17 * MIB


@pytest.mark.parametrize("give", [True, False])
def test_each_file_of_a_folder_is_opened_once(cache: Cache, many: Path, give: bool) -> None:
    with counted() as work:
        saved = cache.save(many, give=give)
    assert sorted(work.below(many)) == sorted(str(path) for path in many.rglob("*") if path.is_file())
    made = [path for path in work.below(cache.root) if path not in work.below(many)]
    assert len(made) == (1 if give else FILES + 1)  # the listing, and the copies
    assert saved.nfiles == FILES
    with counted() as work:
        assert cache.save(many, give=give) == saved
    assert work.below(many) == []


def test_a_folder_that_has_not_changed_is_not_opened_and_nothing_is_noted(
    cache: Cache, many: Path, tmp_path: Path
) -> None:
    first = cache.hash(many)
    cache.index.close()
    again = Cache(cache.root, HashIndex(tmp_path / "index.db"))
    with closing(sqlite3.connect(tmp_path / "index.db")) as watcher:
        before = watcher.execute("PRAGMA data_version").fetchone()
        with counted() as work:
            assert again.hash(many) == first
            assert probe(str(many), again) == first.md5
        again.index.close()
        assert work.below(many) == []
        assert watcher.execute("PRAGMA data_version").fetchone() == before


def test_of_a_folder_only_what_changed_is_opened(cache: Cache, many: Path) -> None:
    first = cache.hash(many)
    changed = many / "1" / "7"
    changed.write_text("another")
    with counted() as work:
        assert cache.hash(many) != first
    assert work.below(many) == [str(changed)]


def test_a_check_out_opens_the_listing_and_nothing_else(cache: Cache, many: Path, tmp_path: Path) -> None:
    saved = cache.save(many)
    again = Cache(cache.root, cache.index)
    with counted() as work:
        again.materialise(saved.md5, tmp_path / "out", writable=False)
        assert again.missing(saved.md5) == []
    assert work.below(tmp_path) == [str(cache.object_path(saved.md5))]
    assert work.written_bytes < 4096


def test_a_listing_is_what_json_makes_of_it(cache: Cache, tmp_path: Path) -> None:
    names = ['quote"', "back\\slash", "new\nline", "ünï 漢字 🎲", os.fsdecode(b"bad-\xff"), "\x7f\x01", "a b"]
    (tmp_path / "odd").mkdir()
    for name in names:
        (tmp_path / "odd" / name).write_text(name, errors="surrogateescape")
    saved = cache.save(tmp_path / "odd")
    rows = [{"md5": md5, "relpath": name} for name, md5 in cache.listing(saved.md5)]
    assert [row["relpath"] for row in rows] == sorted(names)
    assert cache.read_bytes(saved.md5) == json.dumps(rows, sort_keys=True).encode()
