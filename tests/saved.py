"""What many tests begin with, made once: each of them goes on from a copy."""

from __future__ import annotations

import copy
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Saved(Generic[T]):
    """A folder, and what speaks of it, as they once were. Only one test at a time goes on from there."""

    what: T
    folder: Path
    copied: Path

    @staticmethod
    def of(what: T, folder: Path) -> Saved[T]:
        """Save a folder on which no process works any more."""
        saved = Saved(copy.deepcopy(what), folder, folder.with_name(f"{folder.name}.saved"))
        _copy(folder, saved.copied)
        return saved

    def again(self) -> T:
        """The same as when it was saved; whatever became of it since is gone."""
        shutil.rmtree(self.folder)
        _copy(self.copied, self.folder)  # where it was: clones, mirrors and configurations have its path in them
        return copy.deepcopy(self.what)


def _copy(folder: Path, target: Path) -> None:
    subprocess.run(["cp", "--archive", str(folder), str(target)], check=True)
