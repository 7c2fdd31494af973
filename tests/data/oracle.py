"""DVC itself, to compare with."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from pathlib import Path

from runner.data.cache import Cache
from runner.data.hash_index import HashIndex
from tests.repositories import GitRepo


def run_dvc(folder: Path, *args: str, expect: int = 0) -> str:
    """Run DVC's own command line inside this process (starting it anew would cost half a second a call)."""
    from dvc.cli import main

    out = io.StringIO()
    before = os.getcwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = main(list(args))
    finally:
        os.chdir(before)
    assert code == expect, f"dvc {' '.join(args)} ended with {code}: {out.getvalue()}"
    return out.getvalue()


def cache_of(repo: GitRepo, index: Path) -> Cache:
    """The cache of a DVC project, as ours."""
    return Cache(repo.path / ".dvc" / "cache", HashIndex(index))
