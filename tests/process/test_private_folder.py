"""Private folders of stages: what one stage did to its own, the next one does not find."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.process.private_folder import vacate


@pytest.mark.parametrize("changed", [".", "tmp"])
@pytest.mark.parametrize("mode", [0o500, 0o1777])
def test_rights_that_a_stage_changed_are_not_left_to_the_next_one(tmp_path: Path, changed: str, mode: int) -> None:
    private = tmp_path / "s" / "1"
    (private / "tmp").mkdir(parents=True)
    (private / changed).chmod(mode)
    vacate(private, "tmp")
    (private / "tmp").mkdir(parents=True, exist_ok=True)
    assert (private / changed).stat().st_mode == private.parent.stat().st_mode


def test_a_folder_that_is_as_it_was_made_is_emptied_and_stays(tmp_path: Path) -> None:
    private = tmp_path / "s" / "1"
    (private / "tmp" / "deep").mkdir(parents=True)
    (private / "upper").mkdir()
    (private / "tmp" / "deep" / "file").write_text("x")
    before = (private / "tmp").stat().st_ino
    vacate(private, "tmp")
    assert [path.name for path in private.rglob("*")] == ["tmp"]
    assert (private / "tmp").stat().st_ino == before
