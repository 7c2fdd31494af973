"""The journal on a disk that is full, that fails, and that is read by others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.core.nouns import Address
from runner.core.records import RunFacts
from runner.record.journal import Journal, waiting_runs
from runner.record.journal_folder import DiskFolder


def run(name: str) -> RunFacts:
    return RunFacts(name, Address("p", name), "ab" * 32, {}, True, "ok", "", "c" * 40, "2026-01-01T00:00:00+00:00", 1.0)


def ids(runs: list[RunFacts]) -> list[str]:
    return [run.run_id for run in runs]


def test_a_line_that_was_cut_off_does_not_swallow_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(DiskFolder(tmp_path), "one")
    journal.add(run("before"))

    def fails(handle: int) -> None:
        os.ftruncate(handle, os.fstat(handle).st_size - 9)  # what a full disk leaves
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="No space"):
            journal.add(run("cut"))
    journal.add(run("after"))
    assert ids(waiting_runs(DiskFolder(tmp_path))) == ["before", "after"]
    journal.close()


def test_the_names_of_new_folders_are_on_the_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def sync(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        real(handle)

    monkeypatch.setattr(os, "fsync", sync)
    journal = Journal(DiskFolder(tmp_path / "journal" / "runner%2Fstate"), "one")
    journal.add(run("first"))
    journal.close()
    expected = [tmp_path / "journal" / "runner%2Fstate", tmp_path / "journal", tmp_path]
    assert {str(folder) for folder in expected} <= set(synced)


def test_what_a_living_reconcile_holds_is_not_left_over(tmp_path: Path) -> None:
    living = Journal(DiskFolder(tmp_path), "living")
    living.add(run("a"))
    other = Journal(DiskFolder(tmp_path), "other")
    assert other.left_over() == []
    living.close()
    assert ids(other.left_over()) == ["a"]
    other.remove([run("a")])
    assert list(tmp_path.iterdir()) == []
