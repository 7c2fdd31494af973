"""Links in outputs: those that lead out of an overlay's upper layer are pointed at what the command saw there, and
those that lead out of the repository are found."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path


def mend_links(upper: Path, worktree: Path, links: Iterable[Path]) -> None:
    """Point those of the links in the upper layer that are broken at the files of the worktree that they stood for.

    DVC keeps what a link leads to. A link that leads nowhere in the repository stays as it is.
    """
    for link in links:
        if link.exists():
            continue
        target = os.path.join(worktree / link.parent.relative_to(upper), os.readlink(link))
        relative = os.path.relpath(os.path.normpath(target), worktree)
        if relative.split(os.sep)[0] != os.pardir:
            found = next((base / relative for base in (upper, worktree) if os.path.lexists(base / relative)), None)
            if found is not None and not stat.S_ISCHR(found.lstat().st_mode):  # which is how an overlay says: deleted
                link.unlink()
                link.symlink_to(found)


def leads_out(output: Path, links: Sequence[Path], allowed: Iterable[Path]) -> Path | None:
    """The first link of an output, or on the way to it, that ends in none of the allowed folders.

    The runner reads outputs when the stage has ended, with rights that the stage may not have had: through a link to
    `/proc/self/environ` it would read its own environment.
    """
    folders = [*allowed]
    if not links and any(_is_plainly_below(output, folder) for folder in folders):
        return None
    roots = [os.path.realpath(folder) for folder in folders]
    for path in (output, *links):
        target = os.path.realpath(path)
        if not any(target == root or target.startswith(root + os.sep) for root in roots):
            return path
    return None


def _is_plainly_below(output: Path, root: Path) -> bool:
    """Whether an output, which is no link itself, lies below a folder with no link on the way, by the names alone."""
    place = os.fspath(root)
    way = os.fspath(output)
    if not way.startswith(place + os.sep):
        return False
    *folders, last = way[len(place) + 1 :].split(os.sep)
    for name in folders:
        place = f"{place}{os.sep}{name}"
        if name == os.pardir or os.path.islink(place):
            return False
    return last != os.pardir


def links_of(place: Path) -> Iterator[Path]:
    """The links at and below a path."""
    try:
        mode = os.lstat(place).st_mode
    except OSError:
        return  # not to be read, which is said where the output is taken
    if stat.S_ISLNK(mode):
        yield place
    elif stat.S_ISDIR(mode):
        yield from map(Path, _links_below(os.fspath(place)))


def _links_below(top: str) -> Iterator[str]:
    # The kinds come with the names: of a hundred thousand files not one is looked at by itself.
    rest = [top]
    while rest:
        try:
            entries = os.scandir(rest.pop())
        except OSError:
            continue  # not to be read, which is said where the output is taken
        with entries:
            for entry in entries:
                if entry.is_symlink():
                    yield entry.path
                elif entry.is_dir(follow_symlinks=False):
                    rest.append(entry.path)
