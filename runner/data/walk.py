"""The walk over a folder's files, as DVC takes it or over all of them, as a stream: no folder is too big for it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import NamedTuple, TypeVar

from runner.data.hashing import StrPath
from runner.errors import InputError

Ignoring = Callable[[str, bool], bool]
"""Whether DVC ignores a path below a folder (relative to it, POSIX), given whether it is a folder itself."""

BATCH = 4096
"""So many files are held in memory at once with all that is known of them."""

_IGNORE_FILE = ".dvcignore"
_DVC_FOLDER = ".dvc"
_Thing = TypeVar("_Thing")


class FileFound(NamedTuple):
    """One file below a folder; a tuple, which is made in half the time of a dataclass."""

    relpath: str
    """POSIX, relative to the folder."""
    path: str
    status: os.stat_result
    """Of the file itself where a symlink leads to it."""
    is_link: bool = False
    """Whether a symlink leads to it."""


class Group(NamedTuple):
    """Some files of one folder, `BATCH` of them at most."""

    path: str
    """Of the folder."""
    prefix: str
    """What stands before their names in paths relative to the top of the walk."""
    names: list[str]
    statuses: list[os.stat_result]
    links: frozenset[str]
    """Those of the names that are symlinks to files."""

    def files(self) -> Iterator[FileFound]:
        """Each of the files."""
        path, prefix, links = self.path, self.prefix, self.links
        for name, status in zip(self.names, self.statuses, strict=True):
            yield FileFound(prefix + name, f"{path}/{name}", status, name in links)


Walk = Callable[[], Iterator[Group]]
"""Walks over the same folder each time it is called."""


def files_of(groups: Iterable[Group]) -> Iterator[FileFound]:
    """Each file of a walk."""
    return chain.from_iterable(group.files() for group in groups)


def dvc_walk(folder: StrPath, ignoring: Ignoring | None = None) -> Iterator[Group]:
    """Every file below a folder that DVC would hash, in no particular order.

    As in DVC: symlinks to files count as the files, symlinks to folders are passed over, empty folders do not count,
    and neither does a folder with a DVC project of its own. Raises InputError, naming the path, for a broken symlink,
    for what is neither file nor folder, and for a .dvcignore inside the folder.
    """
    ignores = ignoring or dvc_default_ignores
    rest = [(os.fspath(folder), "")]
    while rest:
        path, prefix = rest.pop()
        with _listed(path) as found:
            if prefix and any(entry.name == _DVC_FOLDER for entry in found):
                continue
            for some in batches(found):
                names, statuses, links = [], [], []
                for entry in some:
                    name, is_link = entry.name, entry.is_symlink()
                    if _leads(entry.is_dir) if is_link else entry.is_dir(follow_symlinks=False):
                        if not is_link and not ignores(prefix + name, True):
                            rest.append((f"{path}/{name}", f"{prefix}{name}/"))
                    elif not ignores(prefix + name, False):
                        names.append(name)
                        statuses.append(_status(entry, path))
                        if is_link:
                            links.append(name)
                yield Group(path, prefix, names, statuses, frozenset(links))


def whole_walk(folder: StrPath) -> Iterator[Group]:
    """Every regular file below a folder, in no particular order, also in folders of other tools.

    Symlinks to files count as the files; symlinks to folders, and what is neither file nor folder, are passed over.
    """
    rest = [(os.fspath(folder), "")]
    while rest:
        path, prefix = rest.pop()
        with _listed(path) as found:
            for some in batches(found):
                names, statuses, links = [], [], []
                for entry in some:
                    name, is_link = entry.name, entry.is_symlink()
                    if entry.is_dir(follow_symlinks=False):
                        rest.append((f"{path}/{name}", f"{prefix}{name}/"))
                    elif _leads(entry.is_file) if is_link else entry.is_file(follow_symlinks=False):
                        names.append(name)
                        statuses.append(entry.stat())
                        if is_link:
                            links.append(name)
                yield Group(path, prefix, names, statuses, frozenset(links))


def dvc_default_ignores(relpath: str, is_folder: bool) -> bool:
    """What DVC ignores without any .dvcignore: `.git`, `.hg/` and `.dvc/`, at any depth."""
    name = relpath.rpartition("/")[2]
    return name == ".git" or (is_folder and name in (".hg", _DVC_FOLDER))


def check_regular(path: StrPath, status: os.stat_result) -> None:
    """Raise InputError for what is not a regular file, before it is opened: that alone can wait, or do something."""
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            f"{os.fspath(path)}: neither a file nor a folder", "remove it: pipes, sockets and devices hold no data"
        )


def batches(things: Iterable[_Thing]) -> Iterator[list[_Thing]]:
    """The things in their order, `BATCH` at a time."""
    rest = iter(things)
    while batch := list(islice(rest, BATCH)):
        yield batch


@contextmanager
def _listed(folder: str) -> Iterator[list[os.DirEntry[str]]]:
    """What is in a folder; the entries look themselves up from its descriptor, which is shorter than the whole path."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with os.scandir(descriptor) as entries:
            yield list(entries)
    finally:
        os.close(descriptor)


def _leads(to: Callable[[], bool]) -> bool:
    """Whether a link leads to a folder, or to a file; one that leads to itself does neither, and more is said of it
    where it is read."""
    try:
        return to()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


def _status(entry: os.DirEntry[str], folder: str) -> os.stat_result:
    """What a file is. Raises InputError for what DVC refuses."""
    name = entry.name
    if name == _IGNORE_FILE:
        raise InputError(
            f"{folder}/{name}: a {_IGNORE_FILE} inside a folder that DVC tracks",
            f"DVC refuses it: move the patterns to a {_IGNORE_FILE} above the folder",
        )
    try:
        status = entry.stat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            raise
        raise InputError(
            f"{folder}/{name}: a symlink that leads nowhere", "remove it or make what it points to"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        check_regular(f"{folder}/{name}", status)
    return status
