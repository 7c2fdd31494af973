"""Ways to give a file a second name or a second copy: reflink, hard link, copy; and where that may be."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import shutil
import stat
from pathlib import Path

from runner.data.hashing import StrPath, blocks
from runner.errors import InputError
from runner.values import dataclass

READ_ONLY_MODE = 0o444
"""Mode of every object in the cache; DVC trusts an object with exactly this mode."""

_FICLONE = 0x40049409
_CHUNK_BYTES = 1 << 26
_TOKEN = os.urandom(8).hex()
"""Of this process and those that it forks: others, on hosts that share a cache, have the same process ids."""
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """Which ways other than copying may be tried; a reflink is always safe, a hard link only for readers."""

    reflink: bool = True
    hardlink: bool = True


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
        while copied < size_bytes:
            sent = os.copy_file_range(source, target, min(size_bytes - copied, _CHUNK_BYTES))
            if not sent:
                break
            copied += sent
    except OSError as error:
        if copied or error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            raise
    # Also after a copy within the kernel: some file systems say 0 before the end, and the file may have grown.
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
    if is_plain_way(root, os.path.dirname(path)):
        return target
    parent, top = target.parent.resolve(), root.resolve()
    if parent != top and top not in parent.parents:
        raise InputError(f"{path} goes through a link that leaves the repository", "replace the link by a folder")
    return target


def is_plain_way(root: Path, folders: str) -> bool:
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
    return f"{os.getpid():x}-{_TOKEN}-{next(_numbers):x}"


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
