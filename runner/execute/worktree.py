"""A private worktree: the commit's files, data and outputs as far as stages need them, and nothing else.

Worktrees lie at a few fixed places below the runner's home, taken by file lock, so that paths inside results are the
same from one reconcile to the next; what a crash left behind is cleared when the place is taken again. Stages on an
overlay share one worktree, since none of them writes to it, and its files are kept for the next reconcile
(`runner/execute/kept.py`). Without an overlay each has one to itself while it runs (see ADR 0013).
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from runner.data.cache import Cache
from runner.data.links import inside
from runner.errors import HostError, RunnerError
from runner.execute.changes import Changes
from runner.execute.kept import Mark, Shelf, is_telling, mark_of, remove, sift
from runner.execute.written import Written
from runner.git.checkout import write_files, write_tree_files
from runner.git.read import Reader
from runner.git.tree import SYMLINK, Tree
from runner.process.isolation import Isolation, LevelRefused, Levels
from runner.process.mounts import unmount_at
from runner.process.private_folder import Vacant, settled, vacate
from runner.process.stage_run import TEMPORARY
from runner.process.survivors import end_survivors
from runner.values import dataclass

_PLACES = 64
_LOCK = "lock"
_SURVIVORS_SECONDS = 10.0


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
    """One folder with the files of a commit; `folder` is where stages see the repository."""

    def __init__(self, folder: Path, content: Content | None, shelf: Shelf | None = None) -> None:
        """Without `content` it begins empty: the upper layer of an overlay, in which outputs are placed.

        `shelf`: where its files come from, and go in the end, if they are kept.
        """
        self.folder = folder
        self._shelf = shelf
        self._marks: dict[str, Mark] = {}
        """Files of the commit as they were written."""
        self.changes = Changes(folder)
        self._content = content
        self._placed: dict[str, tuple[str, bool]] = {}
        """Path to digest, and whether a stage may write to it without reaching the cache."""
        self._guard = threading.Lock()
        self._filling = threading.Lock()
        self._is_filled = False
        self._path_locks: dict[str, threading.Lock] = {}

    def ready(self) -> None:
        """Have the commit's files there, unfiltered, and the overlay over them: where they are not."""
        with self._filling:
            if self._is_filled or self._content is None:
                return
            content = self._content
            self._take_over(content)
            self.folder.mkdir(parents=True, exist_ok=True)
            wrote = None if self._shelf is None else self._wrote
            there = frozenset(self._marks)
            for skipped in write_tree_files(content.reader, content.tree, self.folder, there=there, wrote=wrote):
                content.told(f"{skipped.path} is left out: {skipped.reason}")
            write_files(content.overlay, self.folder)
            for path in content.overlay:
                self._unmark(path)
            self._is_filled = True

    def put_away(self) -> None:
        """Keep its files for the next reconcile, without the data; it is not to be used any more."""
        if self._shelf is None or self._content is None or not self._is_filled:
            return
        try:
            for path in list(self._placed):
                self.clear(path)
        except (OSError, RunnerError):
            return  # it is removed as a whole instead
        self._shelf.put(self.folder, self._content.tree, self._marks)

    def _take_over(self, content: Content) -> None:
        if self._shelf is None:
            return
        kept = self._shelf.take(self.folder)
        if not kept.files:
            return
        try:
            self._marks = sift(self.folder, kept, content.tree)
        except OSError as error:
            remove(self.folder)  # something in it cannot be looked at, or not be removed by itself
            if os.path.lexists(self.folder):
                raise HostError(f"{self.folder} cannot be removed: {error.strerror}", "remove it by hand") from error

    def _wrote(self, path: str, status: os.stat_result) -> None:
        mark = mark_of(status)
        if is_telling(mark):
            self._marks[path] = mark

    def _unmark(self, path: str) -> None:
        """The bytes at and below a path are not the commit's any more."""
        if not self._marks or self._content is None:
            return
        tree = self._content.tree
        for name in (path, *tree.below(path)):
            self._marks.pop(name, None)
        while path:
            if path in tree.files and tree.files[path].mode == SYMLINK:
                return self._marks.clear()  # what lies behind the link may be any of the files
            path = path.rpartition("/")[0]

    def place(self, cache: Cache, path: str, md5: str, *, legacy: bool, isexec: bool, writable: bool) -> None:
        """Have the bytes of `md5` at `path`; raises MissingObjects where the cache lacks them."""
        with self._lock_of(path):
            if self._placed.get(path) in ((md5, True), (md5, writable)):
                return
            target = inside(self.folder, path)
            self._unmark(path)
            cache.materialise(md5, target, writable=writable, isexec=isexec, legacy=legacy)
            self._placed[path] = (md5, writable)

    def placed(self, path: str, md5: str) -> None:
        """A stage left these bytes at `path` itself."""
        self._placed[path] = (md5, True)

    def holds(self, paths: Iterable[str]) -> int:
        """How many of the paths have been placed here."""
        return sum(path in self._placed for path in paths)

    def clear(self, path: str) -> None:
        """Take away what is at `path`."""
        with self._lock_of(path):
            self._placed.pop(path, None)
            self._unmark(path)
            remove(inside(self.folder, path))

    def undo(self, stray: Written) -> None:
        """Have everything as it was: what was added goes, files of the commit come back at once, data that was changed
        goes and is placed again before its next use."""
        try:
            if not stray:
                return
            if stray.is_thorough:
                return self._begin_anew()
            for path in (*stray.added, *stray.changed):
                remove(self.folder / path)
            self._make_good((*stray.changed, *stray.removed))
        except (OSError, RunnerError):
            self._begin_anew()  # too odd to be mended piece by piece

    def _begin_anew(self) -> None:
        self._placed.clear()
        self._marks.clear()
        self.changes.forget()
        self._is_filled = False
        remove(self.folder)

    def _make_good(self, paths: Iterable[str]) -> None:
        files: list[str] = []
        content = self._content
        for path in paths:
            holders = [name for name in self._placed if path == name or path.startswith(name + "/")]
            for name in holders:
                self.clear(name)
            if not holders and content is not None and content.tree.get(path) is not None:
                files.append(path)
        if content is not None:
            write_tree_files(content.reader, content.tree, self.folder, files)
            laid_over = {path: content.overlay[path] for path in paths if path in content.overlay}
            write_files(laid_over, self.folder)

    def _lock_of(self, path: str) -> threading.Lock:
        with self._guard:
            return self._path_locks.setdefault(path, threading.Lock())


@dataclass(frozen=True, slots=True)
class Room:
    """Where one run takes place: the worktree that it sees, a private folder of its own, and how it is kept apart."""

    tree: Worktree
    private: Path
    """Its path is short, since sockets in it may have 108 bytes."""
    level: Isolation

    @property
    def is_layered(self) -> bool:
        """Whether its writes land in a layer of their own; only then may inputs be hard links into the cache."""
        return self.level is Isolation.OVERLAY

    def watch(self) -> None:
        """What is there now is what `strays` compares with; nothing is looked at where an overlay knows what was
        written."""
        try:
            if not self.is_layered:
                self.tree.changes.begin()
        except OSError as error:
            raise HostError(f"{error.filename or self.tree.folder}: {error.strerror}") from error

    def strays(self, outs: Iterable[str]) -> Written:
        """What was written since beside declared outputs, without an overlay; what was mounted there is taken away."""
        if self.level is Isolation.GROUP:
            unmount_at(self.tree.folder, self.private)
        return Written() if self.is_layered else self.tree.changes.written(outs)


class Worktrees:
    """A place that this process holds, with the worktrees in it."""

    def __init__(self, place: Path, lock: IO[str], content: Content, shelf: Shelf | None, *, overlay: bool) -> None:
        self._place = place
        self._shelf = shelf
        self._lock = lock
        self._content = content
        self._private = place / "s"
        self._runs = itertools.count(1)
        self._levels = Levels(self._private, overlay=overlay)
        self._guard = threading.Lock()
        self._made = 0
        self._shared: Worktree | None = None
        self._free: list[Worktree] = []
        self._vacant: list[tuple[Path, Vacant]] = []
        """Private folders of runs that are over, empty by now, and since when."""

    @staticmethod
    def take(home: Path, content: Content, *, overlay: bool, shelf: Shelf | None = None) -> Worktrees:
        """The first free place below `home`; raises HostError when too many reconciles run at once.

        `overlay`: whether stages may run on one, where the system allows it. `shelf`: where the files of the first
        place are kept.
        """
        for number in range(_PLACES):
            place = home / "w" / str(number)
            place.mkdir(parents=True, exist_ok=True)
            lock = open(place / _LOCK, "w")  # noqa: SIM115 - held for as long as the place is
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            worktrees = Worktrees(place, lock, content, None if number else shelf, overlay=overlay)
            worktrees._clear()
            worktrees._private.mkdir()
            return worktrees
        raise HostError(f"{_PLACES} reconciles of this repository run on this host", "wait for one of them")

    @contextlib.contextmanager
    def room(self, inputs: Iterable[str]) -> Iterator[Room]:
        """A room for one run, filled with the commit's files; its private folder is emptied when the run is over.

        `inputs` are paths that will be placed: where worktrees are not shared, one that has most of them is taken.
        """
        level = self._levels.current
        tree = self._common() if level is Isolation.OVERLAY else self._own(inputs)
        with self._guard:
            private, since = self._vacant.pop() if self._vacant else (self._private / str(next(self._runs)), None)
        is_new, since = since is None, settled(since)
        try:
            if is_new:
                private.mkdir(parents=True, exist_ok=True)
            tree.ready()
            yield Room(tree, private, level)
        finally:
            since = vacate(private, TEMPORARY, since)
            with self._guard:
                if since is not None:
                    self._vacant.append((private, since))
                if tree is not self._shared:
                    self._free.append(tree)

    def make_ready(self) -> None:
        """Find out how stages run here, and have files for the first of them; what fails is said when one begins."""
        with contextlib.suppress(OSError, RunnerError):
            tree = self._common() if self._levels.current is Isolation.OVERLAY else self._own(())
            try:
                tree.ready()
            finally:
                if tree is not self._shared:
                    with self._guard:
                        self._free.append(tree)

    def lower(self, refused: LevelRefused) -> None:
        """Go on without what has turned out not to work; raises it where nothing is left to try."""
        self._levels.lower(refused)

    @property
    def aside(self) -> Path:
        """A folder of the place for what is to go with it."""
        return self._place / "aside"

    def close(self) -> None:
        """Give the place back."""
        for tree in self._free:
            tree.changes.forget()
        try:
            if self._shared is not None and self._levels.current is Isolation.OVERLAY:
                self._shared.put_away()
            self._clear(has_survivors=self._levels.leave_processes)
        finally:
            self._lock.close()

    def _common(self) -> Worktree:
        with self._guard:
            if self._shared is None:
                self._shared = self._new(self._shelf)
            return self._shared

    def _own(self, inputs: Iterable[str]) -> Worktree:
        # Never the shared one: hard links into the cache are placed there, and stages on overlays may still read it.
        with self._guard:
            if not self._free:
                return self._new()
            wanted = list(inputs)
            tree = max(self._free, key=lambda free: (free.holds(wanted), free.folder.name == "tree"))
            self._free.remove(tree)
            return tree

    def _new(self, shelf: Shelf | None = None) -> Worktree:
        number, self._made = self._made, self._made + 1
        content = self._content
        if number:  # what is left out has been told with the first one
            content = Content(content.reader, content.tree, content.overlay, lambda left_out: None)
        return Worktree(self._place / f"tree{number or ''}", content, shelf)

    def _clear(self, *, has_survivors: bool = True) -> None:
        """Take away everything: also what a stage has put beside its worktree, and what a killed runner left.

        `has_survivors`: whether processes of stages may be alive, since they had no PID namespace that ended with them.
        """
        if has_survivors and self._private.exists():
            end_survivors(self._private, _SURVIVORS_SECONDS)
        for path in self._place.iterdir():
            unmount_at(path)
            if path.name != _LOCK:
                remove(path)
