"""A cache of our own, and a DVC project beside it to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.data.cache import Cache
from runner.data.hash_index import HashIndex
from tests.data.oracle import run_dvc
from tests.repositories import GitRepo, new_repository


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    """An empty cache."""
    index = HashIndex(tmp_path / "index.db")
    yield Cache(tmp_path / "cache", index)
    index.close()


@pytest.fixture
def dvc_project(tmp_path: Path) -> GitRepo:
    """A git repository with an initialised DVC project."""
    repo = new_repository(tmp_path / "project", {"README": "x\n"})
    run_dvc(repo.path, "init", "-q")
    return repo
