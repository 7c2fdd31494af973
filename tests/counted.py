"""Counts what a piece of work asks of the operating system: which files it opens, how much it reads and writes."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, FunctionType

_now: list[Work] = []
"""Who counts; a hook of the interpreter cannot be taken out again, so there is one for all."""

_thread = threading.local()
"""The folder that each thread opened last."""


@dataclass
class Work:
    """What was asked for so far."""

    opened: list[str] = field(default_factory=list)
    """Paths of files, as they were opened; folders do not count."""
    started: list[list[str]] = field(default_factory=list)
    """The command lines of processes."""
    read_bytes: int = 0
    """By every thread of the process, of whatever descriptor; known at the end."""
    written_bytes: int = 0

    def below(self, folder: Path) -> list[str]:
        """The files opened below a folder, each as often as it was."""
        return [path for path in self.opened if path.startswith(f"{folder}/")]

    def git(self) -> list[str]:
        """The commands of git that were started, by their names, in order."""
        return [_git_command(words) for words in self.started if words[:1] == ["git"]]


@contextmanager
def counted() -> Iterator[Work]:
    """Count what this process does within the block."""
    if not hasattr(counted, "is_hooked"):
        sys.addaudithook(_hear)
        counted.is_hooked = True  # type: ignore[attr-defined]
    work, before = Work(), _moved()
    _now.append(work)
    try:
        yield work
    finally:
        _now.remove(work)
        after = _moved()
        work.read_bytes, work.written_bytes = after[0] - before[0], after[1] - before[1]


@contextmanager
def calls(*functions: FunctionType) -> Iterator[Counter[str]]:
    """Count by name how often this thread calls these functions within the block."""
    names = {function.__code__: function.__name__ for function in functions}
    found: Counter[str] = Counter()

    def hear(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in names:
            found[names[frame.f_code]] += 1

    before = sys.getprofile()
    sys.setprofile(hear)
    try:
        yield found
    finally:
        sys.setprofile(before)


def _git_command(words: list[str]) -> str:
    rest = iter(words[1:])
    return next(word for word in rest if not (word.startswith("--") or (word == "-c" and next(rest))))


def _hear(event: str, values: tuple[object, ...]) -> None:
    if event == "subprocess.Popen":
        words = values[1]
        for work in _now if isinstance(words, list | tuple) else ():
            work.started.append([os.fsdecode(word) for word in words])
    if event == "open" and _now:
        path, _, flags = values
        if not isinstance(path, str | bytes | os.PathLike) or not isinstance(flags, int):
            return
        # A name alone is looked up from an open folder. The event does not say from which: it is the newest.
        whole = os.path.join(getattr(_thread, "folder", ""), os.fsdecode(path))
        if flags & os.O_DIRECTORY:
            _thread.folder = whole
            return
        for work in _now:
            work.opened.append(whole)


def _moved() -> tuple[int, int]:
    """Bytes that this process has read and written in all, from a cache of the system or from the disk."""
    rows = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(rows["rchar"]), int(rows["wchar"])
