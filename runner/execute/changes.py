"""What is written in a worktree from one moment to another, where stages write into it themselves.

The worktree is looked through once and watched from then on; then only what was touched is looked at again, so that a
stage costs what it touches and not what lies around it. Where folders cannot be watched, all of it is looked through
before and after each stage.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.execute.watch import CLOSED, NAMED, WRITTEN, Watch
from runner.execute.written import Snapshot, Written, compared, is_folder, root_of, scanned, snapshot, value_of
from runner.process.private_folder import TICK_NS


class Changes:
    """Changes in one worktree, for one stage at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._before: Snapshot = {}
        """All of it, where it is not watched."""
        self._watched: _Watched | None = None
        self._may_watch = True

    def begin(self) -> None:
        """What is there now is what was there before. Raises OSError where the worktree cannot be read."""
        if self._watched is not None and self._watched.catch_up():
            return
        self.forget()
        if self._may_watch:
            try:
                self._watched = _Watched(self._root)
                return
            except OSError:
                os.lstat(self._root)
                self._may_watch = False  # too many watches, or a system without them: it is looked through each time
        self._before = snapshot(self._root)

    def written(self, outs: Iterable[str]) -> Written:
        """What is different and is neither a declared output, below one, nor a folder on the way to one."""
        if self._watched is None:
            try:
                return compared(self._before, scanned(self._root), outs)
            except OSError:
                return Written(root=True)
        return self._watched.written(outs)

    def forget(self) -> None:
        """Watch no more, until it begins anew: the worktree is made again, or given back."""
        if self._watched is not None:
            self._watched.close()
            self._watched = None


class _Watched:
    """A worktree as it was when last looked at, and the kernel's word on where to look again."""

    def __init__(self, root: Path) -> None:
        """Raises OSError where it cannot be watched."""
        self._root = root
        self._top = os.fspath(root)
        self._watch = Watch()
        self._folders: dict[str, dict[str, tuple[int, ...]]] = {}
        """What is in each folder, by its path (empty for the worktree): name to value as in a Snapshot."""
        self._has_lost = False
        """Whether the kernel had more to tell than it keeps."""
        self._fresh: set[str] = set()
        """Files that were written just before they were looked at: a write then need not show in their times."""
        self._may_hide = False
        """Whether what was touched is, or may have been, a second name of a file: a write is told of one name alone."""
        try:
            self._itself = root_of(root)
            self._look_through("")
            os.utime(root)
            if not self._watch.touched():
                raise OSError("this file system tells nothing")
        except BaseException:
            self._watch.close()
            raise

    def close(self) -> None:
        self._watch.close()

    def catch_up(self) -> bool:
        """Take over what the runner itself has done; False where it has to be looked through."""
        try:
            touched = None if self._has_lost else self._watch.touched()
            if touched is None or root_of(self._root) != self._itself:
                return False
            self._look_again(touched)
        except OSError:
            return False
        return True

    def written(self, outs: Iterable[str]) -> Written:
        """See Changes."""
        try:
            touched = self._watch.touched()
            if root_of(self._root) != self._itself:
                return Written(root=True)
            if touched is None:
                self._has_lost = True
                whole = {".": self._itself, **dict(self._below(""))}
                return compared(whole, scanned(self._root), outs)
            self._may_hide = False
            before, after, rewritten = self._look_again(touched)
            if self._may_hide:
                self._has_lost = True
                same = {path: value for path, value in self._below("") if path not in after}
                return compared({".": self._itself, **same, **before}, scanned(self._root), outs, rewritten)
        except OSError:
            return Written(root=True)
        return compared(before, after, outs, rewritten)

    def _look_again(self, touched: dict[str, int]) -> tuple[Snapshot, Snapshot, set[str]]:
        """What was, and what is, at and below paths that were touched; and files that were surely written to."""
        before: dict[str, tuple[int, ...]] = {}
        after: dict[str, tuple[int, ...]] = {}
        rewritten: set[str] = set()
        done: set[str] = set()
        for path in sorted(touched):  # a folder before what lies in it
            folder, _, name = path.rpartition("/")
            if not name or (done and _is_at_or_below(folder, done)):
                continue
            mask = touched[path]
            names = self._folders.get(folder)
            old = names.get(name) if names is not None else None
            new = self._value_at(path)
            if new is None and mask & NAMED:
                self._may_hide = True  # a name that came and went, of whatever it was
            if (old and is_folder(old)) or (new and is_folder(new)):
                if old and new and is_folder(old) and is_folder(new) and not mask & NAMED:
                    before[path], after[path] = old, new
                    self._folders[folder][name] = new
                    continue
                done.add(path)
                before |= self._below(path)
                self._drop(path)
            elif old and new and (mask & WRITTEN or (mask & CLOSED and path in self._fresh)):
                rewritten.add(path)
            if old:
                before[path] = old
            if new:
                after[path] = new
                self._keep(folder, name, path, new)
                if is_folder(new):
                    self._look_through(path)
                    after |= self._below(path)
            elif names is not None:
                names.pop(name, None)
        return before, after, rewritten

    def _keep(self, folder: str, name: str, path: str, value: tuple[int, ...]) -> None:
        self._folders.setdefault(folder, {})[name] = value
        if not is_folder(value):
            is_fresh = value[3] > time.time_ns() - TICK_NS
            self._fresh.add(path) if is_fresh else self._fresh.discard(path)

    def _look_through(self, top: str) -> None:
        """Watch a folder and all below it, each before it is read; one that is closed counts as empty."""
        rest = [top]
        while rest:
            folder = rest.pop()
            place = os.path.join(self._root, folder)
            self._folders[folder] = {}
            try:
                self._watch.add(place, folder)
                entries = os.scandir(place)
            except PermissionError:
                if not folder:
                    raise
                continue  # its rights have changed, or it would have been read before
            except (FileNotFoundError, NotADirectoryError):
                continue  # it was removed meanwhile, which is told
            with entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    value = self._value_of(entry.stat(follow_symlinks=False))
                    self._keep(folder, entry.name, path, value)
                    if is_folder(value):
                        rest.append(path)

    def _value_at(self, path: str) -> tuple[int, ...] | None:
        try:
            return self._value_of(os.lstat(f"{self._top}/{path}"))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _value_of(self, status: os.stat_result) -> tuple[int, ...]:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            self._may_hide = True
        return value_of(status)

    def _below(self, folder: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        for name, value in self._folders.get(folder, {}).items():
            path = f"{folder}/{name}" if folder else name
            yield path, value
            if is_folder(value):
                yield from self._below(path)

    def _drop(self, folder: str) -> None:
        for name, value in self._folders.pop(folder, {}).items():
            path = f"{folder}/{name}"
            self._fresh.discard(path)
            if is_folder(value):
                self._drop(path)


def _is_at_or_below(path: str, folders: set[str]) -> bool:
    while path:
        if path in folders:
            return True
        path = path.rpartition("/")[0]
    return False
