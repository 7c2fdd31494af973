"""The prediction log holds whole lines, whatever happens to its writer, and drops rather than delays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest

from runner.errors import InputError
from runner.serve import prediction_log
from runner.serve.checks import Rows
from runner.serve.prediction_log import PredictionLog, repair
from runner.serve.predictors import Said
from runner.serve.settings import LogSettings

NAMES = ("age", "name")


def log_of(folder: Path, key: bytes = b"", **settings: Any) -> PredictionLog:
    return PredictionLog(LogSettings(str(folder), **settings), NAMES, None, {"version": "3"}, key)


def offer(log: PredictionLog, count: int, rows: int = 1) -> None:
    for number in range(count):
        said = Said(numpy.full(rows, 0.5), None)
        log.offer(f"r{number}", Rows(rows, few=[[float(number), "Ada"]] * rows), said)


def lines_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def test_rows_come_whole_and_files_change_by_size(tmp_path: Path) -> None:
    log = log_of(tmp_path, file_bytes=1, files=2, drop=("name",))
    offer(log, 3)
    log.close()
    assert log.written_rows == 3
    found = lines_in(tmp_path)
    assert [line["id"] for line in found] == ["r0/0", "r1/0", "r2/0"]
    assert found[1] == {"id": "r1/0", "at": found[1]["at"], "version": "3", "inputs": {"age": 1.0}, "prediction": 0.5}


def test_a_hashed_column_can_be_joined_and_not_read(tmp_path: Path) -> None:
    for folder, key in (("a", b"k" * 16), ("b", b"k" * 16), ("c", b"o" * 16)):
        log = log_of(tmp_path / folder, key, hashed=("name",))
        offer(log, 1)
        log.close()
    first, same, other = (lines_in(tmp_path / folder)[0]["inputs"]["name"] for folder in "abc")
    assert first == same != other
    assert len(first) == 64
    with pytest.raises(InputError, match="there is no key"):
        log_of(tmp_path, hashed=("name",))
    with pytest.raises(InputError, match="`nmae`, which is no column"):
        log_of(tmp_path, drop=("nmae",))


def test_a_torn_last_line_is_cut_off_and_a_living_writer_left_alone(tmp_path: Path) -> None:
    torn = tmp_path / "predictions-1-1-0001.jsonl.part"
    torn.write_bytes(b'{"id": "a"}\n{"id": "b"}\n{"id": "c')
    assert repair(tmp_path) == ["predictions-1-1-0001.jsonl"]
    assert [line["id"] for line in lines_in(tmp_path)] == ["a", "b"]
    log = log_of(tmp_path)
    offer(log, 1)
    log._stop.wait(0)
    while not log.written_rows:
        log._stop.wait(0.01)
    assert repair(tmp_path) == []
    log.close()


def test_what_does_not_fit_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(tmp_path)
    offer(log, 1, rows=prediction_log.MOST_WAITING_ROWS + 1)
    assert log.dropped_rows == prediction_log.MOST_WAITING_ROWS + 1
    log.close()
    assert lines_in(tmp_path) == []


def test_whole_numbers_are_hashed_alike_however_many_rows_came(tmp_path: Path) -> None:
    kinds = {"age": "integer", "name": "string", "": "number"}
    log = PredictionLog(LogSettings(str(tmp_path), hashed=("age",)), NAMES, None, {}, b"k" * 16, kinds)
    log.offer("few", Rows(1, few=[[5, "Ada"]]), Said(numpy.zeros(1), None))
    many = [numpy.asarray([5.0, numpy.nan]), numpy.asarray(["Ada", "Ada"], dtype=object)]
    log.offer("many", Rows(2, many=many), Said(numpy.zeros(2), None))
    log.close()
    few, same, missing = (line["inputs"]["age"] for line in lines_in(tmp_path))
    assert few == same
    assert missing is None


def test_rows_of_large_bodies_wait_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_log, "_EVERY_SECONDS", 3600.0)
    log = log_of(tmp_path)
    for _ in range(20):
        log.offer("large", Rows(1, few=[[1.0, "Ada"]]), Said(numpy.zeros(1), None), 16 << 20)
    assert log.dropped_rows == 15
    log.close()
