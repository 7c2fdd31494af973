"""Links in outputs: those that lead out of an overlay's upper layer are pointed at what the command saw there, and
those that lead out of the repository are found."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path


def mend_links(upper: Path, worktree: Path, path: str) -> None:
    """Point broken links at or below `path` of the upper layer at the files of the worktree that they stood for.

    DVC keeps what a link leads to. A link that leads nowhere in the repository stays as it is.
    """
    for link in _links(upper / path):
        if link.exists():
            continue
        target = os.path.join(worktree / link.parent.relative_to(upper), os.readlink(link))
        relative = os.path.relpath(os.path.normpath(target), worktree)
        if relative.split(os.sep)[0] != os.pardir:
            found = next((base / relative for base in (upper, worktree) if os.path.lexists(base / relative)), None)
            if found is not None and not stat.S_ISCHR(found.lstat().st_mode):  # which is how an overlay says: deleted
                link.unlink()
                link.symlink_to(found)


def leads_out(output: Path, allowed: Iterable[Path]) -> Path | None:
    """The first link at or below an output, or on the way to it, that ends in none of the allowed folders.

    The runner reads outputs when the stage has ended, with rights that the stage may not have had: through a link to
    `/proc/self/environ` it would read its own environment.
    """
    roots = [os.path.realpath(folder) for folder in allowed]
    for path in (output, *_links(output)):
        target = os.path.realpath(path)
        if not any(target == root or target.startswith(root + os.sep) for root in roots):
            return path
    return None


def _links(place: Path) -> Iterator[Path]:
    if place.is_symlink():
        yield place
    elif place.is_dir():
        for folder, folders, files in os.walk(place):
            yield from (Path(folder, name) for name in (*folders, *files) if os.path.islink(os.path.join(folder, name)))
