"""The simulator's ports do what the real ones do: the same small stories on both."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.core.digests import md5_hex
from runner.data.cache import Cache
from runner.data.faults import MissingObjects
from runner.data.hash_index import HashIndex
from runner.record.journal_folder import DiskFolder
from tests.simulator.disk import Disk, SimulatedCache, SimulatedFolder
from tests.simulator.processes import Machine, Process, Scheduler


def process() -> Process:
    return Process(Machine(0, Scheduler(random.Random(0)), []))


@pytest.fixture(params=["real", "simulated"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return DiskFolder(tmp_path / "journal") if request.param == "real" else SimulatedFolder(Disk(), process())


@pytest.fixture(params=["real", "simulated"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "simulated":
        yield SimulatedCache(Disk(), process())
        return
    index = HashIndex(tmp_path / "hashes.sqlite")
    yield Cache(tmp_path / "cache", index)
    index.close()


def test_a_journal_is_held_while_it_is_open(folder: Any) -> None:
    assert (folder.names(), folder.read("a"), folder.is_held("a")) == ([], None, True)
    file = folder.open("a")
    folder.sync()
    file.write(b"one\n")
    file.sync()
    file.write(b"two\n")
    assert (folder.names(), folder.read("a"), folder.is_held("a")) == (["a"], b"one\ntwo\n", True)
    file.close()
    assert not folder.is_held("a")
    folder.replace("a", b"other\n")
    assert folder.read("a") == b"other\n"
    folder.remove("a")
    folder.remove("a")
    assert folder.names() == []


def test_a_cache_has_what_was_put_into_it(cache: Any) -> None:
    md5 = cache.put_bytes(b"bytes")
    assert (md5, cache.has(md5), cache.missing(md5)) == (md5_hex(b"bytes"), True, [])
    assert cache.read_bytes(md5) == b"bytes"
    cache.sync()
    other = md5_hex(b"other")
    assert (cache.has(other), cache.missing(other)) == (False, [other])
    with pytest.raises(MissingObjects):
        cache.trusted([md5, other])


def test_a_cache_admits_only_what_its_name_says(cache: Any) -> None:
    md5 = md5_hex(b"bytes")
    wrong = cache.temporary()
    wrong.write_bytes(b"bytes?")
    assert (cache.admit(wrong, md5), cache.has(md5)) == (False, False)
    right = cache.temporary()
    right.write_bytes(b"bytes")
    assert (cache.admit(right, md5), cache.has(md5)) == (True, True)


def test_a_spoiled_object_counts_as_missing(tmp_path: Path) -> None:
    disk, index = Disk(), HashIndex(tmp_path / "hashes.sqlite")
    real, simulated = Cache(tmp_path / "cache", index), SimulatedCache(disk, process())
    for cache in (real, simulated):
        md5 = cache.put_bytes(b"bytes")
    real.object_path(md5).chmod(0o644)
    real.object_path(md5).write_bytes(b"byt")
    disk.objects[md5] = b"byt"
    disk.known.clear()
    for cache in (real, simulated):
        assert cache.has(md5)  # it only looks whether something is there
        assert (cache.missing(md5), cache.has(md5)) == ([md5], False)
    index.close()
