"""What a stage wrote where no overlay keeps its writes apart: its worktree is compared with what it was before.

With an overlay its writes land in a layer that is dropped, and nothing has to be compared. The cost without one is an
`lstat` of every file in the worktree before and after each stage, a few microseconds each; `changes.py` says how most
of it is saved.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath

from runner.process.private_folder import TICK_NS
from runner.values import dataclass

Snapshot = Mapping[str, tuple[int, ...]]
"""Path relative to the worktree to what a write would change; the mode comes last. Of a folder, `.` for the worktree
itself, that is device and mode (and inode, for the worktree); of all else device, inode, size in bytes, time of change
in ns and mode."""

_ROOT = "."


@dataclass(frozen=True, slots=True)
class Written:
    """Paths that changed beside the declared outputs, each list sorted; a new folder is in `added` without what is
    below it, a folder that is gone is in `removed` with all that was in it."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    """Folders with other rights."""
    root: bool = False
    """Whether the worktree itself was moved, removed or closed; then nothing else is known."""
    new_folders: frozenset[str] = frozenset()
    folders_gone: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.root or self.added or self.changed or self.removed or self.modes)

    @property
    def is_thorough(self) -> bool:
        """Whether the worktree is better made anew than mended: what lies below a closed folder is not known."""
        return self.root or bool(self.modes)

    def names(self) -> list[str]:
        """The paths for people, sorted: a folder that is new or gone is one path with a slash at its end."""
        if self.root:
            return ["./"]
        top = [path for path in self.removed if not _is_below(path, {*self.folders_gone, *self.modes})]
        folders = {*self.new_folders, *self.folders_gone, *self.modes}
        paths = {*self.added, *self.changed, *top, *self.modes}
        return sorted(f"{path}/" if path in folders else path for path in paths)


def snapshot(root: Path) -> Snapshot:
    """The worktree as it is, once a write from now on is sure to show."""
    found = scanned(root)
    newest = max((value[3] for value in found.values() if len(value) > 3), default=0)
    wait = newest + TICK_NS - time.time_ns()
    if 0 < wait <= TICK_NS:
        time.sleep(wait / 1e9)
    return found


def compared(before: Snapshot, after: Snapshot, outs: Iterable[str], rewritten: Collection[str] = ()) -> Written:
    """What is different from before and is neither a declared output, below one, nor a folder on the way to one.

    `rewritten`: files that were written to for certain, whatever their times say. Both may be parts of the worktree,
    if they are the same parts.
    """
    if after.get(_ROOT) != before.get(_ROOT):
        return Written(root=True)
    declared = {PurePosixPath(out).as_posix() for out in outs}
    differing = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    differing += [path for path in rewritten if before.get(path) == after.get(path)]
    stray = sorted(path for path in differing if path not in declared and not _is_below(path, declared))
    if not stray:
        return Written()
    passages = {parent.as_posix() for out in declared for parent in PurePosixPath(out).parents}
    folders_gone = frozenset(path for path in stray if path not in after and is_folder(before[path]))
    new = [path for path in stray if path not in before and not (is_folder(after[path]) and path in passages)]
    new_folders = frozenset(path for path in new if is_folder(after[path]))
    both = [path for path in stray if path in before and path in after]
    modes = tuple(path for path in both if is_folder(before[path]) and is_folder(after[path]))
    return Written(
        added=tuple(path for path in new if not _is_below(path, new_folders)),
        changed=tuple(path for path in both if path not in modes),
        removed=tuple(path for path in stray if path not in after),
        modes=modes,
        new_folders=new_folders,
        folders_gone=folders_gone,
    )


def scanned(root: Path) -> dict[str, tuple[int, ...]]:
    """The worktree as it is; raises OSError when it cannot be read itself; a folder in it that is closed counts as
    empty."""
    found: dict[str, tuple[int, ...]] = {_ROOT: root_of(root)}
    rest = [""]
    while rest:
        folder = rest.pop()
        try:
            entries = os.scandir(root / folder)
        except OSError:
            if not folder:
                raise
            continue  # its rights have changed, or it would have been read before
        with entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                found[path] = value_of(entry.stat(follow_symlinks=False))
                if is_folder(found[path]):
                    rest.append(path)
    return found


def root_of(root: Path) -> tuple[int, ...]:
    """The value of the worktree itself; raises OSError where it is no folder any more."""
    status = os.lstat(root)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(str(root))
    return (status.st_dev, status.st_ino, status.st_mode)


def value_of(status: os.stat_result) -> tuple[int, ...]:
    """What of a file or folder in the worktree a write would change."""
    if stat.S_ISDIR(status.st_mode):
        return (status.st_dev, status.st_mode)
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode)


def is_folder(value: tuple[int, ...]) -> bool:
    """Whether a value is a folder's."""
    return stat.S_ISDIR(value[-1])


def _is_below(path: str, folders: Iterable[str]) -> bool:
    """Whether a folder above the path is among these."""
    if not folders:
        return False
    parent = path.rpartition("/")[0]
    while parent:
        if parent in folders:
            return True
        parent = parent.rpartition("/")[0]
    return False
