"""The log of a stage on disk."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from runner.errors import HostError
from runner.process import stage_log
from runner.process.stage_log import StageLog, WrittenLog
from runner.wiring.home import prune_logs


def _logged(path: Path, text: bytes, piece_bytes: int) -> tuple[WrittenLog, bytes]:
    """What is said of a log that is fed in pieces, and the file."""
    log = StageLog(path, {}, None)
    for start in range(0, len(text), piece_bytes):
        log.feed(text[start : start + piece_bytes])
    return log.finish(), path.read_bytes()


def test_what_is_fed_is_written_hashed_and_its_last_lines_kept(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.log"
    log = StageLog(path, {}, None)
    for number in range(30):
        log.feed(f"line {number}\n".encode())
    log.feed("10%\r50%\r100%\r\nlast ü \xff".encode("latin-1"))
    written = log.finish()
    data = path.read_bytes()
    assert written.size_bytes == len(data)
    assert written.sha256 == hashlib.sha256(data).hexdigest()
    assert written.tail.split("\n") == [*(f"line {number}" for number in range(12, 30)), "100%", "last � �"]
    assert written.left_out_bytes == 0


def test_of_a_long_log_head_and_tail_are_kept_and_the_rest_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_log, "HEAD_BYTES", 1000)
    monkeypatch.setattr(stage_log, "SEGMENT_BYTES", 100)
    text = b"".join(b"%07d\n" % number for number in range(1000))
    written, data = _logged(tmp_path / "a.log", text, 37)
    assert data.startswith(text[:1000])
    note = f"\n[runner: {written.left_out_bytes} bytes of this log were left out here]\n".encode()
    assert data == text[:1000] + note + text[1000 + written.left_out_bytes :]
    assert 6500 <= written.left_out_bytes < 6700
    assert written.sha256 == hashlib.sha256(data).hexdigest()
    assert written.size_bytes == len(data)
    assert os.listdir(tmp_path) == ["a.log"]


def test_a_log_that_just_fits_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_log, "HEAD_BYTES", 10)
    monkeypatch.setattr(stage_log, "SEGMENT_BYTES", 10)
    log = StageLog(tmp_path / "a.log", {}, None)
    log.feed(b"x" * 49 + b"y")
    assert log.finish().left_out_bytes == 0
    assert (tmp_path / "a.log").read_bytes() == b"x" * 49 + b"y"


def test_a_long_log_grows_no_more_where_the_disk_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_log, "LEAST_BYTES", 1000)
    monkeypatch.setattr(stage_log, "TAIL_BYTES", 100)
    monkeypatch.setattr(stage_log, "DISK_ROOM_BYTES", 1 << 62)
    text = b"".join(b"%07d\n" % number for number in range(1000))
    written, data = _logged(tmp_path / "a.log", text, 50)
    note = b"\n[runner: 6900 bytes of this log were left out here, since the disk was full]\n"
    assert data == text[:1000] + note + text[-100:]
    assert (written.left_out_bytes, written.size_bytes) == (6900, len(data))
    assert written.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_long_log_gives_the_disk_back_what_it_took_when_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_log, "LEAST_BYTES", 1000)
    monkeypatch.setattr(stage_log, "HEAD_BYTES", 3000)
    monkeypatch.setattr(stage_log, "TAIL_BYTES", 100)
    monkeypatch.setattr(stage_log, "DISK_ROOM_BYTES", 0)
    (tmp_path / "a.log.tail0").symlink_to("/dev/full")
    text = b"".join(b"%07d\n" % number for number in range(1000))
    written, data = _logged(tmp_path / "a.log", text, 50)
    note = b"\n[runner: 6900 bytes of this log were left out here, since the disk was full]\n"
    assert data == text[:1000] + note + text[-100:]
    assert written.sha256 == hashlib.sha256(data).hexdigest()
    assert written.size_bytes == len(data)
    assert os.listdir(tmp_path) == ["a.log"]


def test_the_logs_of_a_repository_are_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    for number in range(40):
        file = tmp_path / f"{number}.log"
        file.write_bytes(b"x" * 100)
        os.utime(file, (number, number))
    prune_logs(tmp_path)
    assert len(os.listdir(tmp_path)) == 40
    prune_logs(tmp_path, kept_bytes=350)
    assert sorted(os.listdir(tmp_path)) == ["37.log", "38.log", "39.log"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_error_of_the_host(tmp_path: Path) -> None:
    log = StageLog(tmp_path / "a.log", {}, None)
    log._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115 - closed by the log
    with pytest.raises(HostError, match=r"a\.log: the log of the stage cannot be written: No space left"):
        log.feed(b"line\n")
    log.abandon()
    assert os.listdir(tmp_path) == []


def test_what_prints_nothing_has_no_file_not_even_that_of_an_earlier_try(tmp_path: Path) -> None:
    first, _ = _logged(tmp_path / "a.log", b"the first try said this\n", 5)
    assert first.size_bytes == 24
    silent = StageLog(tmp_path / "a.log", {}, None).finish()
    assert (silent.size_bytes, silent.sha256) == (0, hashlib.sha256().hexdigest())
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match=r"file/a\.log: the log of the stage cannot be written"):
        StageLog(tmp_path / "file" / "a.log", {}, None)
