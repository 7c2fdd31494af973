"""Giving files to a cache: a file becomes an object by a second name, so that nothing is copied."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter

from runner.data.hashing import descriptor_md5
from runner.data.links import READ_ONLY_MODE
from runner.data.objects import ObjectStore, OpenFolder, name_of
from runner.data.walk import FileFound

Given = tuple[str, os.stat_result | None]
"""The MD5 of a file that was given, and what it is then; None for that where the object is there already."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_NO_DEVICE = -1
_NOT_HIS = (errno.ELOOP, errno.EPERM)
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOATIME
"""Without a time of access, which would be one more change of the inode: an owner may do without."""
_bytes_of = attrgetter("st_ino", "st_dev", "st_size", "st_mtime_ns")
"""What stays the same of a file that is the same one, and that nobody has written to in between."""


class Giver:
    """Lets files be objects of a store, as long as its file system takes that. Safe for threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._user = os.geteuid()
        self._is_refused = False

    @contextmanager
    def open(self) -> Iterator[Giving]:
        """Something to give files to within a block."""
        self._store.prepare()
        os.makedirs(self._store.folder(), exist_ok=True)  # somebody may have emptied the cache since
        with OpenFolder(self._store.folder()) as objects, contextlib.ExitStack() as held:
            device = _NO_DEVICE if self._is_refused else os.fstat(objects).st_dev
            giving = Giving(self._store.folder(), objects, device, self._user, held)
            try:
                yield giving
            finally:
                self._is_refused = self._is_refused or giving.device == _NO_DEVICE


class Giving:
    """Files that are given one after the other; the folder of the last one stays open."""

    def __init__(self, path: str, objects: int, device: int, user: int, held: contextlib.ExitStack) -> None:
        """`objects` is the open folder of objects at `path`; `held` closes what is open at the end."""
        self.device = device
        """Of the objects; `_NO_DEVICE` once they turn out to take no second names."""
        self._path = path
        self._objects = objects
        self._user = user
        self._held = held
        self._folder_path: str | None = None
        self._folder: int | None = None

    def give(self, file: FileFound) -> Given | None:
        """Let a file itself be an object; for one thread at a time, as it keeps the file's folder open.

        None, and the file has to be copied, where it cannot be one: what a link leads to, what has another name
        already or another owner, what lies elsewhere, and what somebody writes to.
        """
        path, _, name = file.path.rpartition("/")
        if path != self._folder_path:
            self._held.close()
            self._folder = self._held.enter_context(OpenFolder(os.path.dirname(file.path) or "."))
            self._folder_path = path
        return self._give(file, name, self._folder)

    def give_large(self, file: FileFound) -> Given | None:
        """As `give`, for several threads at once."""
        return self._give(file, file.path, None)

    def _give(self, file: FileFound, name: str, folder: int | None) -> Given | None:
        before = file.status
        if file.is_link or before.st_nlink != 1 or before.st_dev != self.device or before.st_uid != self._user:
            return None
        try:
            descriptor = os.open(name, _FLAGS, dir_fd=folder)
        except OSError as error:
            if error.errno in _NOT_HIS:
                return None  # somebody has put a link there since, or a file of another owner
            raise
        try:
            was = _bytes_of(before)
            if _bytes_of(os.fstat(descriptor)) != was:
                return None  # another file by now, or one that somebody writes to: its rights are not ours to change
            md5 = descriptor_md5(descriptor, before.st_size)
            if stat.S_IMODE(before.st_mode) != READ_ONLY_MODE:
                os.fchmod(descriptor, READ_ONLY_MODE)
            self._link(name, folder, f"{md5[:2]}/{md5[2:]}")
            after = os.fstat(descriptor)
        except FileExistsError:
            return md5, None
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise
            self.device = _NO_DEVICE  # no right to, or no hard links there: from now on there are copies
            return None
        finally:
            os.close(descriptor)
        if after.st_nlink == 2 and _bytes_of(after) == was:
            return md5, after
        self._take_back(file, f"{self._path}/{name_of(md5)}", after)
        return None

    def _link(self, name: str, folder: int | None, target: str) -> None:
        try:
            os.link(name, target, src_dir_fd=folder, dst_dir_fd=self._objects, follow_symlinks=False)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):  # another process has just made it
                os.mkdir(target[:2], dir_fd=self._objects)
            os.link(name, target, src_dir_fd=folder, dst_dir_fd=self._objects, follow_symlinks=False)

    def _take_back(self, file: FileFound, target: str, after: os.stat_result) -> None:
        """Somebody writes to a file, or has put another there: no object. A whole one that is in its place by now
        stays."""
        ours = {after.st_ino}
        with contextlib.suppress(FileNotFoundError):
            ours.add(os.lstat(file.path).st_ino)
        with contextlib.suppress(FileNotFoundError):
            if os.lstat(target).st_ino in ours:
                os.unlink(target)
