"""The files of a commit from one reconcile to the next, since writing them costs more than all else of a small change.

Where stages run on overlays none of them writes to the worktree that they share, so it is put away when they are done.
The next reconcile finds it as it was left, has what its own commit has otherwise written, and all else removed. Files
are believed one by one: only while inode, size, mode and both times of change are what they were when the file was
written. No program can set the second of these times, so a stage or a person who changed a file shows. The note of it
lies where stages on overlays cannot write, and goes before the files are used: a runner that was killed leaves none,
and the files are written anew. So they are after a new start of the system, since bytes may have been lost with its
power.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.git.tree import Tree, TreeEntry
from runner.process.private_folder import discard
from runner.values import dataclass, field

Mark = tuple[int, ...]
"""What of a file or folder shows that it was touched: device, inode, mode, size in bytes, times of change of its bytes
and of what is known of it, in ns."""

_FORMAT = 1
_MOST_FILES = 200_000
_MOST_BYTES = 1 << 30
"""More is not kept: it would lie on this host's disk a second time for as long as the runner is used."""
_SECOND_NS = 1_000_000_000
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a worktree that was put away."""

    files: Mapping[str, tuple[TreeEntry, Mark]] = field(default_factory=dict)
    folders: Mapping[str, Mark] = field(default_factory=dict)
    root: Mark = ()
    """Of the worktree itself: only device, inode and mode, since moving it changes the rest."""


class Shelf:
    """Where the worktree of one place is put away; for the process that holds the place."""

    def __init__(self, folder: Path, note: Path) -> None:
        """`note`: a file that stages on overlays cannot see."""
        self._folder = folder
        self._note = note

    def take(self, target: Path) -> Kept:
        """Have at `target`, where nothing is, what was put away; empty where there is nothing to be believed."""
        try:
            text = self._note.read_bytes()
            self._note.unlink()
            kept = _understood(text, _here())
            if kept.files and _root_of(self._folder) == kept.root:
                os.rename(self._folder, target)
                return kept
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass  # whatever is wrong with it: all files are written then, as if there were none
        discard(self._folder)
        return Kept()

    def put(self, source: Path, tree: Tree, marks: Mapping[str, Mark]) -> None:
        """Put a worktree away, in which these files of `tree` were written so and nothing else is to be believed."""
        here = _here()
        size_bytes = sum(mark[3] for mark in marks.values())
        if not here or not marks or len(marks) > _MOST_FILES or size_bytes > _MOST_BYTES:
            return
        files = {path: [*tree.files[path], *mark] for path, mark in marks.items()}
        try:
            folders = {path: mark_of(os.lstat(source / path)) for path in tree.folders if (source / path).is_dir()}
            note = {"format": _FORMAT, "here": here, "root": _root_of(source), "files": files, "folders": folders}
            discard(self._folder)
            os.rename(source, self._folder)
            part = self._note.with_name(f"{self._note.name}.part")
            self._note.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(note, separators=(",", ":")))
            os.replace(part, self._note)
        except OSError:
            discard(self._folder)  # a full disk, say: nothing is lost but time


def mark_of(status: os.stat_result) -> Mark:
    """The mark of a file or folder."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_mode,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def is_telling(mark: Mark) -> bool:
    """Whether the file system has finer times than seconds; else a change soon after would not show."""
    return mark[-1] % _SECOND_NS != 0


def sift(root: Path, kept: Kept, tree: Tree) -> dict[str, Mark]:
    """Remove all below `root` but the files of `tree` that are as they were written; these, with their marks.

    Raises OSError.
    """
    files = tree.files
    wanted = {path: mark for path, (entry, mark) in kept.files.items() if files.get(path) == entry}
    folders = {path: mark for path, mark in kept.folders.items() if tree.is_folder(path)}
    found: dict[str, Mark] = {}
    rest = [""]
    while rest:
        above = rest.pop()
        strange: list[str] = []
        with os.scandir(root / above) as entries:
            for entry in entries:
                path = f"{above}/{entry.name}" if above else entry.name
                mark = mark_of(entry.stat(follow_symlinks=False))
                if wanted.get(path) == mark and stat.S_ISREG(mark[2]):
                    found[path] = mark
                elif folders.get(path) == mark and stat.S_ISDIR(mark[2]):
                    rest.append(path)
                else:
                    strange.append(entry.path)
        for name in strange:
            remove(Path(name))
            if os.path.lexists(name):
                raise FileExistsError(errno.EEXIST, "it cannot be removed", name)
    return found


def remove(path: Path) -> None:
    """Take away what is at a path, if anything is."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except (IsADirectoryError, PermissionError):
        discard(path)


def _understood(text: bytes, here: Mapping[str, Any]) -> Kept:
    """Raises ValueError, TypeError, KeyError or AttributeError for what is no note."""
    note = json.loads(text)
    if not here or note["format"] != _FORMAT or note["here"] != here:
        return Kept()
    files = {path: (TreeEntry(mode, oid), tuple(mark)) for path, (mode, oid, *mark) in note["files"].items()}
    folders = {path: tuple(mark) for path, mark in note["folders"].items()}
    return Kept(files, folders, tuple(note["root"]))


def _root_of(folder: Path) -> Mark:
    return mark_of(os.lstat(folder))[:3]


def _here() -> dict[str, Any]:
    """What has to be the same for files to be as they would be written now; empty where the system does not say."""
    try:
        umask = re.search(r"^Umask:\t(\d+)$", _STATUS.read_text(), re.MULTILINE)
        return {"boot": _BOOT.read_text().strip(), "umask": umask[1], "user": os.geteuid()} if umask else {}
    except OSError:
        return {}
