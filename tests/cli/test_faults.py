"""What an error of the operating system is told as: with a hint that helps where it happened."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from runner.cli.faults import host_fault


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_another_home_is_advised_only_where_the_home_cannot_be_written(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, clone = tmp_path / "home", tmp_path / "clone"
    home.mkdir()
    (tmp_path / "link").symlink_to(home)
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "link"))
    monkeypatch.chdir(home)

    def hint_of(first: str | Path | int | None, second: Path | None = None) -> str:
        fault = host_fault(OSError(number, os.strerror(number), first, None, second))
        assert fault is not None
        return fault.hint or ""

    for path in (home / "r", tmp_path / "link" / "r", "r"):
        assert "set RUNNER_HOME to a folder of its own that can be written" in hint_of(path)
    assert "RUNNER_HOME" in hint_of(clone / "o", home / "o")
    for other in (clone / ".git" / "info" / "exclude", f"{home}-of-another", 3, None):
        assert "RUNNER_HOME" not in hint_of(other)
    assert hint_of(clone)
