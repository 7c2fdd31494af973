"""Ways to give a file a second name or a second copy: reflink, hard link, copy; where that may be; and the walk over a
folder's files."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.data.hashing import StrPath, blocks
from runner.errors import InputError
from runner.values import dataclass

Ignoring = Callable[[str, bool], bool]
"""Whether DVC ignores a path below a folder (relative to it, POSIX), given whether it is a folder itself."""

READ_ONLY_MODE = 0o444
"""Mode of every object in the cache; DVC trusts an object with exactly this mode."""

_FICLONE = 0x40049409
_CHUNK_BYTES = 1 << 26
_IGNORE_FILE = ".dvcignore"
_DVC_FOLDER = ".dvc"


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """Which ways other than copying may be tried; a reflink is always safe, a hard link only for readers."""

    reflink: bool = True
    hardlink: bool = True


@dataclass(frozen=True, slots=True)
class FileFound:
    """One file below a folder."""

    relpath: str
    """POSIX, relative to the folder."""
    path: str
    status: os.stat_result
    """Of the file itself where a symlink leads to it."""
    is_link: bool = False
    """Whether a symlink leads to it."""


def reflink(source: int, target: int) -> bool:
    """Let two descriptors share their blocks, copied when written to; False where the file systems cannot."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        return False
    return True


def copy_bytes(source: int, target: int, size_bytes: int) -> None:
    """Copy everything from the beginning of one descriptor to another, within the kernel where it can."""
    copied = 0
    try:
        while sent := os.copy_file_range(source, target, min(max(size_bytes - copied, 1), _CHUNK_BYTES)):
            copied += sent
    except OSError as error:
        if copied or error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            raise
    # Also after a copy within the kernel: some file systems say 0 before the end.
    for block in blocks(source):
        write_all(target, block)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the bytes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def inside(root: Path, path: str) -> Path:
    """A path below `root`; raises InputError where a link on the way leads out of it."""
    target = root / path
    if _is_plain_way(root, os.path.dirname(path)):
        return target
    parent, top = target.parent.resolve(), root.resolve()
    if parent != top and top not in parent.parents:
        raise InputError(f"{path} goes through a link that leaves the repository", "replace the link by a folder")
    return target


def _is_plain_way(root: Path, folders: str) -> bool:
    """Whether the folders below `root` on the way to a path are folders, or not there yet, and no links."""
    place = os.fspath(root)
    for name in folders.split("/") if folders else ():
        if name in ("", ".", ".."):
            return False
        place = f"{place}/{name}"
        try:
            if not stat.S_ISDIR(os.lstat(place).st_mode):
                return False
        except FileNotFoundError:
            return True
    return True


def temporary_name() -> str:
    """A name that no other thread or process uses."""
    return f"{os.getpid():x}-{secrets.token_hex(8)}"


def clear(path: StrPath) -> None:
    """Remove the file, symlink or folder that is there, if any."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        if not os.path.isdir(path) or os.path.islink(path):
            raise
        shutil.rmtree(path)


def is_executable(mode: int) -> bool:
    """Whether anybody may execute it; DVC's `isexec`."""
    return bool(mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH))


def dvc_default_ignores(relpath: str, is_folder: bool) -> bool:
    """What DVC ignores without any .dvcignore: `.git`, `.hg/` and `.dvc/`, at any depth."""
    name = relpath.rpartition("/")[2]
    return name == ".git" or (is_folder and name in (".hg", _DVC_FOLDER))


def files_below(folder: StrPath, ignoring: Ignoring | None = None) -> Iterator[FileFound]:
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
            for entry in found:
                relpath = prefix + entry.name
                if _is_folder(entry):
                    if not entry.is_symlink() and not ignores(relpath, True):
                        rest.append((f"{path}/{entry.name}", relpath + "/"))
                elif not ignores(relpath, False):
                    yield _file(entry, f"{path}/{entry.name}", relpath)


def all_files_below(folder: StrPath) -> Iterator[FileFound]:
    """Every regular file below a folder, in no particular order, also in folders of other tools.

    Symlinks to files count as the files; symlinks to folders, and what is neither file nor folder, are passed over.
    """
    rest = [(os.fspath(folder), "")]
    while rest:
        path, prefix = rest.pop()
        with _listed(path) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    rest.append((f"{path}/{entry.name}", f"{prefix}{entry.name}/"))
                elif _is_file(entry):
                    is_link = entry.is_symlink()
                    yield FileFound(prefix + entry.name, f"{path}/{entry.name}", entry.stat(), is_link)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


@contextmanager
def _listed(folder: str) -> Iterator[list[os.DirEntry[str]]]:
    """What is in a folder; the entries look themselves up from its descriptor, which is shorter than the whole path."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with os.scandir(descriptor) as entries:
            yield list(entries)
    finally:
        os.close(descriptor)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; of a link that leads to itself more is said where it is read."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


def check_regular(path: StrPath, status: os.stat_result) -> None:
    """Raise InputError for what is not a regular file, before it is opened: that alone can wait, or do something."""
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            f"{os.fspath(path)}: neither a file nor a folder", "remove it: pipes, sockets and devices hold no data"
        )


def _file(entry: os.DirEntry[str], path: str, relpath: str) -> FileFound:
    if entry.name == _IGNORE_FILE:
        raise InputError(
            f"{path}: a {_IGNORE_FILE} inside a folder that DVC tracks",
            f"DVC refuses it: move the patterns to a {_IGNORE_FILE} above the folder",
        )
    try:
        status = entry.stat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            raise
        raise InputError(f"{path}: a symlink that leads nowhere", "remove it or make what it points to") from error
    check_regular(path, status)
    return FileFound(relpath, path, status, entry.is_symlink())


def sync_file_system(folder: StrPath) -> None:
    """Wait until everything written to the file system of a folder is on the disk. Raises OSError."""
    import ctypes  # imported late: start-up

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(descriptor)
