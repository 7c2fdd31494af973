"""A remote, a mirror of it, and commits made there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.git.mirror import Mirror
from tests.repositories import GitRepo

MakeRepo = Callable[..., GitRepo]
MakeRemote = Callable[..., Path]


@pytest.fixture
def repo(git_repo: MakeRepo) -> GitRepo:
    return git_repo({"a.txt": "a", "src/x.py": "x", "src/y.py": "y"})


@pytest.fixture
def remote(repo: GitRepo, bare_remote: MakeRemote) -> Path:
    return bare_remote(repo)


@pytest.fixture
def mirror(remote: Path, tmp_path: Path) -> Iterator[Mirror]:
    opened = Mirror.open(tmp_path / "mirrors" / "m.git", str(remote))
    opened.fetch()
    yield opened
    opened.close()
