"""What the runner makes of the specs at a desired commit, whatever stands; the audit is handed it from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runner.core.nouns import Address, Stage
from runner.values import dataclass


@dataclass(frozen=True, slots=True)
class Made:
    """Files that follow from the desired commit alone, and what says how its `dvc.lock` files are written."""

    files: Mapping[str, bytes]
    """Path to bytes: rendered pipelines, `.gitignore` files with the lines of outputs, `.dvcignore` at the root."""
    locks: Mapping[str, str]
    """Name of each pipeline to the path of its `dvc.lock`."""
    stages: Mapping[Address, Stage]
    """Every stage, which tells the spelling of paths in its row."""


Adds = Callable[[str, str], Made | None]
"""What the runner makes of a desired commit (second) for a state commit (first). None where that cannot be told: the
commit was written by a runner that renders otherwise, or the specs cannot be read."""
