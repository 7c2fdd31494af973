"""Where things are: paths of the repository, globs over its tree, and positions inside its YAML documents."""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from runner.core.nouns import is_external
from runner.errors import Finding, Place
from runner.git.tree import LONGEST_PATH
from runner.specs import yaml12
from runner.values import dataclass, field


def joined(base: str, path: str) -> str | None:
    """`path`, written relative to the folder `base`, from the root of the repository; None if it leaves it.

    None, too, where it is too long for a path. Normalised, `.` for the root itself. Paths outside the repository
    (`is_external`) are not for this function.
    """
    whole = posixpath.normpath(posixpath.join(base, path))
    if whole == ".." or whole.startswith(("../", "/")) or len(whole) > LONGEST_PATH:
        return None
    return whole


def resolved(base: str, path: str) -> str | None:
    """As `joined`, but an external path (absolute, in a home folder, with a scheme) stays as written."""
    return path if is_external(path) else joined(base, path)


def is_inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies below it; everything of the repository lies below `.`."""
    return folder == "." or path == folder or path.startswith(folder + "/")


def parents(path: str) -> Iterable[str]:
    """The folders above a path, nearest first, without the root."""
    while (cut := path.rfind("/")) > 0:
        path = path[:cut]
        yield path


# ---------------------------------------------------------------------------------------------------------------
# Globs


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern over paths of the repository: `*` and `?` stay within a folder name, `**` spans folders.

    Matched name by name, so that no pattern can take more than its length times the path's.
    """

    parts: tuple[str, ...]
    """The names of the pattern, in which `**` stands for any number of folders."""
    prefix: str
    """What every match starts with."""
    suffix: str
    """What every match ends with."""

    @classmethod
    def of(cls, pattern: str) -> Glob | None:
        """The glob of a pattern; None if it leaves the repository."""
        if pattern.startswith(("/", "~")) or ".." in pattern.split("/"):
            return None
        clean = posixpath.normpath(pattern)
        every = clean.split("/")
        # Neighbouring `**` stand for no more than one.
        parts = [part for part, before in zip(every, ["", *every], strict=False) if part != SPAN or before != SPAN]
        names = re.split(r"[*?\[]", clean)
        suffix = "" if "[" in clean else names[-1]
        return cls(tuple(parts), names[0], suffix)

    def matches(self, paths: list[str]) -> list[str]:
        """The paths of a sorted list that match."""
        first = bisect_left(paths, self.prefix)
        last = bisect_left(paths, self.prefix + "\U0010ffff") if self.prefix else len(paths)
        return [path for path in paths[first:last] if path.endswith(self.suffix) and self._fits(path.split("/"))]

    def _fits(self, names: list[str]) -> bool:
        """Whether the names of a path fit: the set of places in the pattern that could be reached, name by name."""
        reached = self._with_spans({0})
        for name in names:
            reached = self._with_spans({after for at in reached for after in self._steps(at, name)})
            if not reached:
                return False
        return len(self.parts) in reached

    def _steps(self, at: int, name: str) -> tuple[int, ...]:
        if at == len(self.parts):
            return ()
        if self.parts[at] == SPAN:
            return (at,)
        return (at + 1,) if fnmatchcase(name, self.parts[at]) else ()

    def _with_spans(self, reached: set[int]) -> set[int]:
        """The places, and those behind a `**`, which may stand for no folder."""
        behind = {at + 1 for at in reached if at < len(self.parts) and self.parts[at] == SPAN}
        return reached | behind


SPAN = "**"


# ---------------------------------------------------------------------------------------------------------------
# Positions


@dataclass(slots=True)
class Locator:
    """Finds lines and columns in one document, reading its text only when somebody asks."""

    file: str
    text: Callable[[], str | bytes]
    document: int = 0
    prefix: yaml12.Path = ()
    """Where the paths that are asked for start in the document (`("spec",)` for a runner document)."""
    _marks: Mapping[yaml12.Path, tuple[int, int]] | None = field(default=None)
    _stages: Mapping[Any, Any] | None = field(default=None)
    _items: dict[tuple[str, str], Mapping[str, tuple[str, int]]] = field(default_factory=dict)

    def position(self, path: yaml12.Path) -> tuple[int, int]:
        """Line and column of a key or item, or of the nearest parent that is there; (0, 0) if nothing is known."""
        if self._marks is None:
            self._marks = yaml12.marks_of(self.text(), _MARKED_LEVELS, document=self.document)
        whole = (*self.prefix, *path)
        for length in range(min(len(whole), _MARKED_LEVELS), -1, -1):
            mark = self._marks.get(whole[:length])
            if mark is not None:
                return mark
        return 0, 0

    def place(self, path: yaml12.Path) -> Place:
        """The place of a key or item."""
        return Place(self.file, *self.position(path))

    def finding(self, path: yaml12.Path, message: str, hint: str = "") -> Finding:
        """A finding at a key or item."""
        return Finding(self.file, *self.position(path), message, hint)

    def item_place(self, stage: str, path: str, wdir: str) -> Place | None:
        """The item of a stage's deps, outs, metrics, plots or params that names this path, or `file:key`.

        None where templates or groups hide it.
        """
        if self._stages is None:
            found = yaml12.value_at(self.text(), (*self.prefix, "stages"), document=self.document)
            self._stages = found if isinstance(found, dict) else {}
        if (stage, wdir) not in self._items:
            if len(self._items) > _KEPT_STAGES:
                self._items.clear()
            self._items[stage, wdir] = _items_of(self._stages.get(stage), wdir)
        where = self._items[stage, wdir].get(path)
        return None if where is None else self.place(("stages", stage, *where))


def _items_of(stage: Any, wdir: str) -> Mapping[str, tuple[str, int]]:
    """The first section and index at which a stage names each path, and each parameter as `file:key`."""
    found: dict[str, tuple[str, int]] = {}
    for section in ("deps", "outs", "metrics", "plots", "params"):
        items = stage.get(section) if isinstance(stage, dict) else None
        for index, item in enumerate(items if isinstance(items, list) else ()):
            for name, keys in item.items() if isinstance(item, dict) else [(item, ())]:
                path = resolved(wdir, name) if isinstance(name, str) else None
                if path is None:
                    continue
                found.setdefault(path, (section, index))
                if section == "params" and isinstance(item, dict):
                    for key in keys if isinstance(keys, list) else ():
                        found.setdefault(f"{path}:{key}", (section, index))
            if section == "params" and not isinstance(item, dict):
                found.setdefault(f"{resolved(wdir, 'params.yaml')}:{item}", (section, index))
    return found


_KEPT_STAGES = 20
_MARKED_LEVELS = 10


def file_finding(file: str, message: str, hint: str = "") -> Finding:
    """A finding about a file as a whole."""
    return Finding(file, 0, 0, message, hint)
