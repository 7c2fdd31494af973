"""Objects that are not what their name says, in a cache and on remotes, and what a push does about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.core.digests import md5_hex
from runner.data import objects
from runner.data.cache import Cache
from runner.data.damage import Damage
from runner.data.faults import DamagedObjects, MissingObjects
from runner.data.hash_index import HashIndex
from runner.data.remotes import Remotes
from tests.data.test_remotes import remotes_of, web_store

__all__ = ["web_store"]

GOOD = b"good bytes"


def spoil(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)


def stored(root: Path, md5: str) -> Path:
    return root / "files/md5" / md5[:2] / md5[2:]


def with_damage(cache: Cache, url: str, damage: Damage) -> Remotes:
    text = f"[core]\n    remote = main\n['remote \"main\"']\n    url = {url}\n"
    return Remotes.load(text.encode(), None, None, None, cache=cache, durable=False, damage=damage)


def test_an_object_of_another_size_on_a_remote_is_replaced(
    cache: Cache, web_store: tuple[str, Path], tmp_path: Path
) -> None:
    md5 = cache.put_bytes(GOOD)
    for url, root in ((str(tmp_path / "store"), tmp_path / "store"), web_store):
        remotes = remotes_of(cache, url)
        remotes.push([md5])
        spoil(stored(root, md5), GOOD[:-1])
        assert remotes.push([md5]).objects == 1
        assert stored(root, md5).read_bytes() == GOOD
        assert remotes.push([md5]).objects == 0


def test_a_short_object_here_does_not_replace_a_good_one_there(cache: Cache, tmp_path: Path) -> None:
    md5 = cache.put_bytes(GOOD)
    remotes = remotes_of(cache, str(tmp_path / "store"))
    remotes.push([md5])
    spoil(cache.object_path(md5), GOOD[:-1])
    assert remotes.push([md5]).objects == 0
    assert stored(tmp_path / "store", md5).read_bytes() == GOOD


def test_what_is_known_to_be_damaged_is_replaced_by_another_process(
    cache: Cache, web_store: tuple[str, Path], tmp_path: Path
) -> None:
    url, root = web_store
    md5 = cache.put_bytes(GOOD)
    remotes_of(cache, url).push([md5])
    spoil(stored(root, md5), b"evil bytes")
    empty = Cache(tmp_path / "empty", HashIndex(tmp_path / "empty.db"))
    with pytest.raises(DamagedObjects):
        with_damage(empty, url, Damage(tmp_path / "damaged.json")).pull([md5])
    said: list[str] = []
    damage = Damage(tmp_path / "damaged.json", said.append)
    assert with_damage(cache, url, damage).push([md5]).objects == 1
    assert stored(root, md5).read_bytes() == GOOD
    assert said == [f"replaced on the DVC remote 'main' by good bytes: {md5}"]
    assert damage.report(cache.has) == [{"where": "main", "md5": md5, "replaced": True}]
    assert not (tmp_path / "damaged.json").exists()
    assert with_damage(cache, url, damage).push([md5]).objects == 0


@pytest.mark.parametrize("content", [b"", b"[]", b'{"main": 1}', b"\xff"])
def test_a_memory_of_damage_that_cannot_be_read_is_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "damaged.json").write_bytes(content)
    damage = Damage(tmp_path / "damaged.json")
    assert damage.known("main") == frozenset()
    damage.there("main", ["0" * 32])
    assert Damage(tmp_path / "damaged.json").known("main") == {"0" * 32}


def test_a_damaged_object_of_the_right_size_is_not_taken_for_what_is_saved(cache: Cache, tmp_path: Path) -> None:
    md5 = cache.put_bytes(GOOD)
    spoil(cache.object_path(md5), b"evil bytes")
    (tmp_path / "file").write_bytes(GOOD)
    assert cache.save(tmp_path / "file").md5 == md5
    assert cache.read_bytes(md5) == GOOD
    spoil(cache.object_path(md5), b"evil bytes")
    cache.save(tmp_path / "file")  # known to the index by now
    assert cache.object_path(md5).read_bytes() == GOOD


def test_a_folder_in_the_place_of_an_object_is_put_aside(cache: Cache, tmp_path: Path) -> None:
    md5 = md5_hex(GOOD)
    (cache.object_path(md5) / "inside").mkdir(parents=True)
    with pytest.raises(MissingObjects):
        cache.read_bytes(md5)
    assert (cache.root / "quarantine" / md5 / "inside").is_dir()
    cache.object_path(md5).mkdir()
    cache.put_bytes(GOOD)
    assert cache.read_bytes(md5) == GOOD


def test_a_quarantine_keeps_the_newest_and_is_bounded(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "QUARANTINE_OBJECTS", 3)
    monkeypatch.setattr(objects, "QUARANTINE_BYTES", 30)
    md5s = [cache.put_bytes(f"{number}".encode()) for number in range(5)]
    for md5 in md5s:
        spoil(cache.object_path(md5), b"10 bytes..")
        assert cache.damaged([md5]) == [md5]
    assert {path.name for path in (cache.root / "quarantine").iterdir()} == set(md5s[2:])
    large = cache.put_bytes(b"large")
    spoil(cache.object_path(large), b"x" * 31)
    assert cache.damaged([large]) == [large]
    assert list((cache.root / "quarantine").iterdir()) == []
