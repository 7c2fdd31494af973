"""Private folders of stages: what one stage did to its own, the next one does not find."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from runner.process import private_folder
from runner.process.private_folder import discard, settled, vacate


@pytest.mark.parametrize("changed", [".", "tmp"])
@pytest.mark.parametrize("mode", [0o500, 0o1777])
def test_rights_that_a_stage_changed_are_not_left_to_the_next_one(tmp_path: Path, changed: str, mode: int) -> None:
    private = tmp_path / "s" / "1"
    (private / "tmp").mkdir(parents=True)
    (private / changed).chmod(mode)
    vacate(private, "tmp")
    (private / "tmp").mkdir(parents=True, exist_ok=True)
    assert (private / changed).stat().st_mode == private.parent.stat().st_mode


def test_whatever_time_a_stage_gives_its_folder_what_it_left_is_found(tmp_path: Path) -> None:
    private = tmp_path / "s" / "1"
    (private / "tmp").mkdir(parents=True)
    since = vacate(private, "tmp")
    while settled(since) is None:
        time.sleep(0.01)
    before = (private / "tmp").stat()
    (private / "tmp" / "left").write_text("x")
    os.utime(private / "tmp", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert vacate(private, "tmp", since) != since
    assert os.listdir(private / "tmp") == []


def test_a_folder_that_nobody_touched_is_known_by_its_times(tmp_path: Path) -> None:
    private = tmp_path / "s" / "1"
    (private / "tmp").mkdir(parents=True)
    since = vacate(private, "tmp")
    assert since is not None
    assert vacate(private, "tmp", since) == since
    assert settled((time.time_ns(), 0)) is None


def test_a_folder_that_is_as_it_was_made_is_emptied_and_stays(tmp_path: Path) -> None:
    private = tmp_path / "s" / "1"
    (private / "tmp" / "deep").mkdir(parents=True)
    (private / "upper").mkdir()
    (private / "tmp" / "deep" / "file").write_text("x")
    before = (private / "tmp").stat().st_ino
    vacate(private, "tmp")
    assert [path.name for path in private.rglob("*")] == ["tmp"]
    assert (private / "tmp").stat().st_ino == before


def test_many_folders_are_removed_side_by_side_and_what_links_lead_to_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_folder, "_MANY", 2)
    began: list[list[str]] = []
    side_by_side = private_folder._remove_side_by_side
    monkeypatch.setattr(
        private_folder,
        "_remove_side_by_side",
        lambda names, above: began.append(names) or side_by_side(names, above),  # type: ignore[func-returns-value]
    )
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("x")
    for folder in range(6):
        for number in range(4):
            file = tmp_path / "many" / str(folder) / str(number % 2) / str(number)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("x")
        os.symlink(tmp_path / "outside", tmp_path / "many" / str(folder) / "link")
    discard(tmp_path / "many")
    assert [len(names) for names in began] == [5]
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(tmp_path / "outside") == ["file"]
