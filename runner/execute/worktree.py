"""A private worktree: the commit's files, data and outputs as far as stages need them, and nothing else.

Worktrees lie at a few fixed places below the runner's home, taken by file lock, so that paths inside results are the
same from one reconcile to the next; what a crash left behind is cleared when the place is taken again.
"""

from __future__ import annotations

import fcntl
import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runner.data.cache import Cache
from runner.errors import HostError
from runner.git.checkout import write_tree_files
from runner.git.read import Reader
from runner.git.tree import Tree
from runner.process.private_folder import discard

_PLACES = 64


@dataclass(frozen=True, slots=True)
class Content:
    """What a worktree holds before any stage has run."""

    reader: Reader
    tree: Tree
    overlay: Mapping[str, bytes]
    """Files with other bytes than in the commit."""
    told: Callable[[str], None]
    """Hears of files that cannot be checked out, with the reason."""


class Worktree:
    """One worktree that this process holds; `folder` is where stages see the repository."""

    def __init__(self, place: Path, lock: IO[str], content: Content) -> None:
        self._place = place
        self._lock = lock
        self._content = content
        self.folder = place / "tree"
        self.private = place / "s"
        self._runs = itertools.count(1)
        self._placed: dict[str, tuple[str, bool]] = {}
        """Path to digest, and whether a stage may write to it without reaching the cache."""
        self._guard = threading.Lock()
        self._filling = threading.Lock()
        self._is_filled = False
        self._path_locks: dict[str, threading.Lock] = {}

    @staticmethod
    def take(home: Path, content: Content) -> Worktree:
        """The first free place below `home`; raises HostError when too many reconciles run at once."""
        for number in range(_PLACES):
            place = home / "w" / str(number)
            place.mkdir(parents=True, exist_ok=True)
            lock = open(place / "lock", "w")  # noqa: SIM115 - held for as long as the worktree is
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            worktree = Worktree(place, lock, content)
            worktree._clear()
            worktree.private.mkdir()
            return worktree
        raise HostError(f"{_PLACES} reconciles of this repository run on this host", "wait for one of them")

    def ready(self) -> None:
        """Have the commit's files there, unfiltered, and the overlay over them: at the first call only."""
        with self._filling:
            if self._is_filled:
                return
            self.folder.mkdir(parents=True)
            for skipped in write_tree_files(self._content.reader, self._content.tree, self.folder):
                self._content.told(f"{skipped.path} is left out: {skipped.reason}")
            for path, data in self._content.overlay.items():
                target = self.folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            self._is_filled = True

    def place(self, cache: Cache, path: str, md5: str, *, legacy: bool, isexec: bool, writable: bool) -> None:
        """Have the bytes of `md5` at `path`; raises MissingObjects where the cache lacks them."""
        with self._lock_of(path):
            if self._placed.get(path) in ((md5, True), (md5, writable)):
                return
            target = self.inside(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            cache.materialise(md5, target, writable=writable, isexec=isexec, legacy=legacy)
            self._placed[path] = (md5, writable)

    def placed(self, path: str, md5: str) -> None:
        """A stage left these bytes at `path` itself."""
        self._placed[path] = (md5, True)

    def clear(self, path: str) -> None:
        """Take away what is at `path`."""
        with self._lock_of(path):
            self._placed.pop(path, None)
            target = self.inside(path)
            if target.is_dir() and not target.is_symlink():
                discard(target)
            else:
                target.unlink(missing_ok=True)

    def make_good(self, paths: Iterable[str]) -> None:
        """These paths were written to: data is placed again before its next use, files of the commit at once."""
        files: list[str] = []
        for path in paths:
            holders = [placed for placed in self._placed if path == placed or path.startswith(placed + "/")]
            for placed in holders:
                del self._placed[placed]
            if not holders and self._content.tree.get(path) is not None:
                files.append(path)
        if files:
            write_tree_files(self._content.reader, self._content.tree, self.folder, files)

    def inside(self, path: str) -> Path:
        """The path in the worktree; raises HostError where a link on the way leads out of it."""
        target = self.folder / path
        parent = target.parent.resolve()
        if parent != self.folder.resolve() and self.folder.resolve() not in parent.parents:
            raise HostError(f"{path} goes through a link that leaves the repository", "replace the link by a folder")
        return target

    def stage_folder(self) -> Path:
        """A fresh private folder for one run; its path is short, since sockets in it may have 108 bytes."""
        folder = self.private / str(next(self._runs))
        folder.mkdir(parents=True)
        return folder

    def close(self) -> None:
        """Give the place back."""
        self._clear()
        self._lock.close()

    def _clear(self) -> None:
        discard(self.folder)
        discard(self.private)

    def _lock_of(self, path: str) -> threading.Lock:
        with self._guard:
            return self._path_locks.setdefault(path, threading.Lock())
