"""Which paths lie in a sealed hold-out, or hold a part of it; asked of every input of every stage and run."""

from __future__ import annotations

from collections.abc import Iterable

from runner.core.graph import ancestors_of


class Sealed:
    """The paths of hold-outs."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = frozenset(paths)
        self._above = frozenset(folder for path in self.paths for folder in (".", *ancestors_of(path)))

    def is_read_by(self, path: str) -> bool:
        """Whether whoever reads a path reads a hold-out, or a part of one."""
        return path in self.paths or path in self._above or any(part in self.paths for part in ancestors_of(path))
