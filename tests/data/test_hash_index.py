"""The memory of digests, and what it survives."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from runner.data import hash_index
from runner.data.hash_index import HashIndex

MD5 = "0" * 32


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("x")
    return path


def test_a_digest_is_remembered_across_openings(tmp_path: Path, file: Path) -> None:
    index = HashIndex(tmp_path / "index.db")
    index.put(file.stat(), MD5)
    assert index.get(file.stat()) == MD5
    index.close()
    assert HashIndex(tmp_path / "index.db").get(file.stat()) == MD5


def test_a_changed_time_or_size_is_another_file(tmp_path: Path, file: Path) -> None:
    index = HashIndex(tmp_path / "index.db")
    index.put(file.stat(), MD5)
    os.utime(file, ns=(0, 1))
    assert index.get(file.stat()) is None
    index.put(file.stat(), MD5)
    file.write_text("longer")
    os.utime(file, ns=(0, 1))
    assert index.get(file.stat()) is None


def test_a_file_can_be_forgotten(tmp_path: Path, file: Path) -> None:
    index = HashIndex(tmp_path / "index.db")
    index.put(file.stat(), MD5)
    index.flush()
    index.forget(file.stat())
    assert index.get(file.stat()) is None


@pytest.mark.parametrize("junk", [b"not a database at all, by far" * 400, b""])
def test_a_corrupt_index_is_dropped_and_begun_anew(tmp_path: Path, file: Path, junk: bytes) -> None:
    (tmp_path / "index.db").write_bytes(junk)
    index = HashIndex(tmp_path / "index.db")
    assert index.get(file.stat()) is None
    index.put(file.stat(), MD5)
    index.close()
    assert HashIndex(tmp_path / "index.db").get(file.stat()) == MD5


def test_an_index_that_is_damaged_inside_is_begun_anew(tmp_path: Path, file: Path) -> None:
    index = HashIndex(tmp_path / "index.db")
    index.put(file.stat(), MD5)
    index.close()
    data = bytearray((tmp_path / "index.db").read_bytes())
    data[100:] = b"\xff" * (len(data) - 100)
    (tmp_path / "index.db").write_bytes(data)
    index = HashIndex(tmp_path / "index.db")
    assert index.get(file.stat()) is None
    index.put(file.stat(), MD5)
    index.close()
    assert HashIndex(tmp_path / "index.db").get(file.stat()) == MD5


def test_an_index_that_cannot_be_written_still_remembers_in_memory(tmp_path: Path, file: Path) -> None:
    index = HashIndex(file / "below-a-file" / "index.db")
    index.put(file.stat(), MD5)
    index.flush()
    assert index.get(file.stat()) == MD5


@pytest.mark.parametrize("opened", [1, 2])
def test_an_index_waits_for_the_disk_as_soon_as_it_holds_something(tmp_path: Path, file: Path, opened: int) -> None:
    for _ in range(opened):
        index = HashIndex(tmp_path / "index.db")
        index.put(file.stat(), MD5)
        index.flush()
        said = [index._connected().execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        index.close()
    assert said == ["wal", 1]  # NORMAL: no power cut mixes old pages with new ones


def test_after_a_restart_only_settled_digests_count(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled, unsettled = file, tmp_path / "second"
    unsettled.write_text("y")
    index = HashIndex(tmp_path / "index.db")
    index.put(settled.stat(), MD5)
    index.settle()
    index.put(unsettled.stat(), MD5)
    index.close()
    (tmp_path / "boot").write_text("another boot")
    monkeypatch.setattr(hash_index, "_BOOT_ID", tmp_path / "boot")
    after = HashIndex(tmp_path / "index.db")
    assert after.get(settled.stat()) == MD5
    assert after.get(unsettled.stat()) is None


def test_threads_share_an_index(tmp_path: Path) -> None:
    index = HashIndex(tmp_path / "index.db")
    files = [tmp_path / f"f{number}" for number in range(1500)]
    for path in files:
        path.write_text("x")

    def work(part: list[Path]) -> None:
        for path in part:
            index.put(path.stat(), MD5)
            assert index.get(path.stat()) == MD5

    threads = [threading.Thread(target=work, args=(files[number::3],)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    index.flush()
    assert all(HashIndex(tmp_path / "index.db").get(path.stat()) == MD5 for path in files)


def _fill(file: Path, folder: Path, name: str, rows: int, together: Barrier) -> None:
    together.wait()
    index = HashIndex(file)
    for number in range(rows):
        path = folder / f"{name}{number}"
        path.write_text("x")
        index.put(path.stat(), MD5)
    index.close()


@pytest.mark.parametrize(("rounds", "rows"), [(1, 700), (15, 3)], ids=["many-rows", "that-make-it"])
def test_several_processes_share_an_index(tmp_path: Path, rounds: int, rows: int) -> None:
    context = multiprocessing.get_context("fork")
    for round_ in range(rounds):
        file, together = tmp_path / f"{round_}.db", context.Barrier(5)
        folder = tmp_path / str(round_)
        folder.mkdir()
        workers = [context.Process(target=_fill, args=(file, folder, name, rows, together)) for name in "abcde"]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
        index = HashIndex(file)
        assert {path.name for path in folder.iterdir() if index.get(path.stat()) != MD5} == set()
