"""DVC's cache, read and written by our own code: files and folders go in, come out, and are checked by their digest."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from runner.core.digests import Member, md5_hex, parse_listing
from runner.data.faults import DamagedObjects, MissingObjects, host_errors
from runner.data.folders import Saved, hash_folder, is_past, is_settled
from runner.data.giving import Given, Giver
from runner.data.hash_index import HashIndex
from runner.data.hashing import (
    BUFFER_BYTES,
    descriptor_md5,
    dir_digest,
    file_dos2unix_md5,
    file_md5,
    open_regular,
)
from runner.data.links import (
    READ_ONLY_MODE,
    LinkPolicy,
    clear,
    copy_bytes,
    is_executable,
    reflink,
    sync_file_system,
    temporary_name,
)
from runner.data.listings import check_members
from runner.data.objects import ObjectStore, OpenFolder
from runner.data.walk import BATCH, FileFound, Ignoring, batches, check_regular, dvc_walk, files_of, whole_walk
from runner.errors import InputError
from runner.failpoints import reached
from runner.side_by_side import kernel_threads, side_by_side

_MEMO_MEMBERS = 1_000_000
_MD5_CHARACTERS = 32


_Digested = tuple[str, int]
_Batch = Sequence[FileFound]
_Of = TypeVar("_Of")


class Cache:
    """A DVC cache folder (`.dvc/cache`) with an index of what was hashed.

    Objects are trusted while device, inode, size, mtime and mode are those of the moment they were hashed; any other
    object is hashed before its first use, and a damaged one is put into quarantine and counts as missing. Of all other
    files the ctime counts as well.
    Every method raises HostError where the operating system does, with a hint, and InputError for what is no digest.
    Safe for threads and for several processes.
    """

    def __init__(
        self,
        root: Path,
        index: HashIndex,
        *,
        link: LinkPolicy | None = None,
        on_damaged: Callable[[str, Path | None], None] = lambda md5, aside: None,
    ) -> None:
        """`on_damaged` hears of every damaged object that is found, with where it was put aside, if it was kept."""
        self.root = root
        self._on_damaged = on_damaged
        self.index = index
        self._link = link or LinkPolicy()
        self._store = ObjectStore(root, self._link)
        self._giver = Giver(self._store)
        self._lock = threading.Lock()
        self._listings: OrderedDict[tuple[str, bool], tuple[Member, ...]] = OrderedDict()
        self._memo_members = 0
        self._no_reflink: set[tuple[int, int]] = set()

    def object_path(self, md5: str, legacy: bool = False) -> Path:
        """Where the object is or would be; `legacy` for the layout of DVC before 3.0."""
        return Path(self._store.path(md5, legacy))

    def has(self, md5: str, legacy: bool = False) -> bool:
        """Whether the object is there; says nothing of a folder's members."""
        return self._store.status(md5, legacy) is not None

    def missing(self, md5: str, legacy: bool = False) -> list[str]:
        """What is not there, or damaged, of a file, or of a folder and its members.

        Without its listing the folder itself is. What the index does not know is hashed.
        """
        if self.unusable([md5], legacy):
            return [md5]
        if not md5.endswith(".dir"):
            return []
        return self.unusable((name for _, name in self.listing(md5, legacy)), legacy)

    def unusable(self, md5s: Iterable[str], legacy: bool = False) -> list[str]:
        """Those of the objects that are not there, or damaged; says nothing of a folder's members."""
        with host_errors(f"check {self.root}"):
            return [md5 for batch in batches(dict.fromkeys(md5s)) for md5 in self._unusable(batch, legacy)]

    def size_bytes(self, md5: str) -> int | None:
        """The size of an object's file; None where there is none."""
        found = self._store.status(md5)
        return None if found is None else found.st_size

    def hash(self, path: Path, *, ignore: Ignoring | None = None, as_it_is: bool = False) -> Saved:
        """The digest of a file or folder as `save` would give it, without storing anything.

        No file is opened while names, devices, inodes, sizes and times are those of the last time. `as_it_is`: of a
        folder that DVC does not keep; every file counts, and what cannot be hashed does not.
        """
        with host_errors(f"hash {path}"):
            status = _status(path)
            if not stat.S_ISDIR(status.st_mode):
                return self._file(path, status, self._hash_files)
            walk = partial(whole_walk, path) if as_it_is else partial(dvc_walk, path, ignore)
            return hash_folder(self.index, status, walk, self._hash_files)

    def save(self, path: Path, *, ignore: Ignoring | None = None, give: bool = False) -> Saved:
        """Put a file or folder into the cache.

        `ignore` says what below a folder DVC ignores, None for its built-in rules alone. The files stay as they are,
        unless `give` is true: then they may become the objects themselves, under a second name and without a right to
        write, which costs no copy; nobody may hold them open or write to them any more. What a symlink leads to is
        copied.
        A folder's listing is stored after its members. Raises InputError for a path that is missing, neither file nor
        folder, or contains a broken symlink or a .dvcignore.
        """
        with host_errors(f"store {path}"):
            status, way = _status(path), self._give_files if give and not path.is_symlink() else self._save_files
            if stat.S_ISDIR(status.st_mode):
                saved = self._save_folder(path, ignore, way)
            else:
                saved = self._file(path, status, way)
            reached("object-stored")
            return saved

    def put_bytes(self, data: bytes) -> str:
        """Store bytes as a file object and return their MD5."""
        md5 = md5_hex(data)
        with host_errors(f"store {md5}"):
            self._put(data, md5)
        return md5

    def read_bytes(self, md5: str, legacy: bool = False) -> bytes:
        """The bytes of one object. Raises MissingObjects."""
        with host_errors(f"read {md5}"):
            self._require([md5], legacy)
            return self.object_path(md5, legacy).read_bytes()

    def listing(self, md5_dir: str, legacy: bool = False) -> tuple[Member, ...]:
        """The members of a folder as (relative path, MD5), sorted by path.

        Raises MissingObjects, and DamagedObjects where the object is no listing or names a path outside the folder.
        """
        key = (md5_dir, legacy)
        with self._lock:
            if key in self._listings:
                self._listings.move_to_end(key)
                return self._listings[key]
        try:
            members = parse_listing(self.read_bytes(md5_dir, legacy))
        except (ValueError, RecursionError) as error:
            raise DamagedObjects([md5_dir], f"{self.root}: not a folder's listing") from error
        check_members(md5_dir, members)
        members = tuple(sorted(members))
        self._remember(key, members)
        return members

    def materialise(self, md5: str, dest: Path, *, writable: bool, isexec: bool = False, legacy: bool = False) -> None:
        """Put a file or folder at `dest` in place of what is there.

        By reflink where the file system can; else by hard link, mode 0444, where `writable` is false; else by copy.
        Files that are not writable have no write permission. All objects are checked before `dest` is touched: raises
        MissingObjects with every one that is missing or was damaged. `dest` appears whole or not at all. The caller
        answers for `dest` itself: that no folder above it is a symlink that leads out.
        """
        with host_errors(f"check out {dest}"):
            members = self.listing(md5, legacy) if md5.endswith(".dir") else None
            self._require([md5] if members is None else (name for _, name in members), legacy)
            folder = os.path.dirname(dest)
            if not os.path.isdir(folder):
                os.makedirs(folder, exist_ok=True)
            fresh = f"{folder}/.{temporary_name()}.tmp"
            try:
                if members is None:
                    self._link_file(md5, fresh, writable, isexec, legacy)
                else:
                    self._link_folder(members, fresh, writable, legacy)
                if members is not None:
                    clear(dest)
                try:
                    os.rename(fresh, dest)
                except IsADirectoryError:
                    clear(dest)
                    os.rename(fresh, dest)
                if members is None and writable:
                    self._learn_copy(os.lstat(dest), md5, legacy)  # by its new name it has another ctime
            except BaseException:
                shutil.rmtree(fresh) if os.path.isdir(fresh) else clear(fresh)
                raise

    def verify(self, md5: str, legacy: bool = False) -> bool:
        """Whether the bytes of an object, and of a folder's members, are those their names say; reads all of them.

        What is damaged goes into quarantine. Raises MissingObjects for what is not there.
        """
        missing = self.missing(md5, legacy)
        if missing:
            raise MissingObjects(missing, str(self.root))
        if self.damaged([md5], legacy):
            return False
        return not md5.endswith(".dir") or not self.damaged((name for _, name in self.listing(md5, legacy)), legacy)

    def damaged(self, md5s: Iterable[str], legacy: bool = False) -> list[str]:
        """Hash objects that are there, put those whose bytes do not match their name into quarantine, and name them."""
        with host_errors(f"check {self.root}"):
            return [md5 for md5 in dict.fromkeys(md5s) if self.has(md5, legacy) and not self._sound(md5, legacy)]

    def temporary(self) -> Path:
        """A fresh path on the cache's file system, to write something for `admit` to."""
        with host_errors(f"write to {self.root}"):
            return Path(self._store.temporary())

    def admit(self, temporary: Path, md5: str, legacy: bool = False) -> bool:
        """Take a file from elsewhere as the object `md5` if its bytes say so; else remove it and return False."""
        with host_errors(f"store {md5}"):
            if _hash_of(temporary, legacy) != md5.removesuffix(".dir"):
                os.unlink(temporary)
                return False
            self.index.put(self._store.admit(temporary, md5, legacy), _indexed(md5, legacy))
            return True

    def trusted(self, md5s: Iterable[str], legacy: bool = False) -> dict[str, Path]:
        """Paths of objects whose bytes are what their names say. Raises MissingObjects for the others."""
        with host_errors(f"read {self.root}"):
            wanted = dict.fromkeys(md5s)
            self._require(wanted, legacy)
            return {md5: self.object_path(md5, legacy) for md5 in wanted}

    def sync(self) -> None:
        """Wait until every byte of the cache is on the disk (one `syncfs`), and let the index count on it."""
        with host_errors(f"sync {self.root}"):
            sync_file_system(self.root)
        self.index.settle()

    def _file(self, path: Path, status: os.stat_result, way: Callable[[_Batch], list[_Digested]]) -> Saved:
        check_regular(path, status)
        [(md5, size)] = way([FileFound("", os.fspath(path), status)])
        return Saved(md5, size, isexec=is_executable(status.st_mode))

    def _save_folder(self, path: Path, ignore: Ignoring | None, way: Callable[[_Batch], list[_Digested]]) -> Saved:
        members: list[Member] = []
        size = 0
        for batch in batches(files_of(dvc_walk(path, ignore))):
            for file, (md5, size_bytes) in zip(batch, way(batch), strict=True):
                members.append((file.relpath, md5))
                size += size_bytes
        members.sort()
        digest, listing = dir_digest(members)
        self._put(listing, digest)
        self._remember((digest, False), tuple(members))
        return Saved(digest, size, nfiles=len(members))

    def _hash_files(self, batch: _Batch) -> list[_Digested]:
        known = self._known(batch)
        digested = _each([file for file, md5 in zip(batch, known, strict=True) if md5 is None], self._hash_file)
        return _in_order(batch, known, digested)

    def _save_files(self, batch: _Batch) -> list[_Digested]:
        return self._stored(batch, lambda files: _each(files, self._save_file))

    def _give_files(self, batch: _Batch) -> list[_Digested]:
        return self._stored(batch, self._give)

    def _stored(self, batch: _Batch, store: Callable[[_Batch], list[_Digested]]) -> list[_Digested]:
        known = self._known(batch)
        lacking = set(self.unusable((md5 for md5 in known if md5 is not None), False))
        known = [None if md5 in lacking else md5 for md5 in known]
        digested = store([file for file, md5 in zip(batch, known, strict=True) if md5 is None])
        return _in_order(batch, known, digested)

    def _give(self, files: _Batch) -> list[_Digested]:
        if not files:
            return []
        with self._giver.open() as giving:
            given = _each(files, giving.give, giving.give_large)
        self.index.put_many((found[1], found[0]) for found in given if found is not None and found[1] is not None)
        return [self._digested(file, found) for file, found in zip(files, given, strict=True)]

    def _digested(self, file: FileFound, given: Given | None) -> _Digested:
        if given is None or (given[1] is None and self._usable(given[0], False) is None):
            return self._save_file(file)
        return given[0], file.status.st_size

    def _hash_file(self, file: FileFound) -> _Digested:
        descriptor, status = open_regular(file.path)
        try:
            md5 = descriptor_md5(descriptor, status.st_size)
            return md5, self._learn(descriptor, status, md5)
        finally:
            os.close(descriptor)

    def _save_file(self, file: FileFound) -> _Digested:
        descriptor, status = open_regular(file.path)
        try:
            md5, stored = self._store.copy(descriptor, lambda found, md5: self._is_known(found, md5, False))
            self.index.put(stored, md5)
            self._learn(descriptor, status, md5)
            return md5, stored.st_size
        finally:
            os.close(descriptor)

    def _known(self, batch: _Batch) -> list[str | None]:
        """The MD5s of files that have not changed since they were hashed; None for the others."""
        found = self.index.get_many([file.status for file in batch])
        return [md5 if md5 is not None and len(md5) == _MD5_CHARACTERS else None for md5 in found]

    def _learn(self, descriptor: int, before: os.stat_result, md5: str) -> int:
        """Remember a digest if the file surely did not change while it was read; returns its size in bytes."""
        after = os.fstat(descriptor)
        same = (after.st_size, after.st_mtime_ns, after.st_ctime_ns) == (
            before.st_size,
            before.st_mtime_ns,
            before.st_ctime_ns,
        )
        if same and is_settled(after):
            self.index.put(after, md5)
        return after.st_size

    def _holds(self, md5: str, size_bytes: int) -> bool:
        """Whether the object is there, with the bytes that its name says."""
        found = self._store.status(md5)
        return found is not None and found.st_size == size_bytes and not self.unusable([md5], False)

    def _put(self, data: bytes, md5: str) -> None:
        if not self._holds(md5, len(data)):
            self.index.put(self._store.write(data, md5), md5)

    def _require(self, md5s: Iterable[str], legacy: bool) -> None:
        """Raise MissingObjects for those that are not there, or damaged."""
        missing = self.unusable(md5s, legacy)
        if missing:
            raise MissingObjects(missing, str(self.root))

    def _unusable(self, batch: Sequence[str], legacy: bool) -> list[str]:
        """Those that are not there, or damaged; what the index knows is looked up for all of them at once."""
        statuses = self._store.statuses(batch, legacy)
        there = [status for status in statuses if status is not None]
        known = iter(self.index.get_many(there, objects=True))
        names = [_indexed(md5, legacy) for md5 in batch] if legacy else batch
        doubtful = [
            md5
            for md5, name, status in zip(batch, names, statuses, strict=True)
            if status is None or next(known) != name or stat.S_IMODE(status.st_mode) != READ_ONLY_MODE
        ]
        return [md5 for md5 in doubtful if self._usable(md5, legacy) is None]

    def _usable(self, md5: str, legacy: bool) -> os.stat_result | None:
        """The status of an object once it is known to be sound; a damaged one is put aside and counts as missing."""
        status = self._store.status(md5, legacy)
        if status is None:
            if self._store.is_other(md5, legacy):
                self._on_damaged(md5, self._store.quarantine(md5, legacy))
            return None
        if self._is_known(status, md5, legacy):
            return status
        return self._store.status(md5, legacy) if self._sound(md5, legacy) else None

    def _is_known(self, status: os.stat_result, md5: str, legacy: bool) -> bool:
        # The mode is DVC's own sign of an object that nobody has made writable.
        return stat.S_IMODE(status.st_mode) == READ_ONLY_MODE and self.index.get(status) == _indexed(md5, legacy)

    def _sound(self, md5: str, legacy: bool) -> bool:
        path = self.object_path(md5, legacy)
        try:
            before = path.stat()
            is_sound = _hash_of(path, legacy) == md5.removesuffix(".dir")
            if not is_sound and path.stat().st_ino != before.st_ino:
                return self._sound(md5, legacy)  # another process has just replaced it
        except FileNotFoundError:
            return False  # another process has just put it aside
        if not is_sound:
            self.index.forget(before)
            self._on_damaged(md5, self._store.quarantine(md5, legacy))
            return False
        if stat.S_IMODE(before.st_mode) != READ_ONLY_MODE:
            path.chmod(READ_ONLY_MODE)
        self.index.put(before, _indexed(md5, legacy))
        return True

    def _remember(self, key: tuple[str, bool], members: tuple[Member, ...]) -> None:
        with self._lock:
            if key not in self._listings:
                self._memo_members += len(members)
            self._listings[key] = members
            while self._memo_members > _MEMO_MEMBERS and len(self._listings) > 1:
                self._memo_members -= len(self._listings.popitem(last=False)[1])

    def _link_folder(self, members: Sequence[Member], dest: str, writable: bool, legacy: bool) -> None:
        os.mkdir(dest)
        folders: dict[str, list[Member]] = {}
        for relpath, md5 in members:
            folder, _, name = relpath.rpartition("/")
            folders.setdefault(folder, []).append((name, md5))
        may_link = self._link.hardlink and not writable
        with OpenFolder(self._store.folder(legacy)) as objects:

            def fill(folder: str) -> None:
                place = f"{dest}/{folder}" if folder else dest
                if folder:
                    os.makedirs(place, exist_ok=True)
                with OpenFolder(place) as opened:
                    for name, md5 in folders[folder]:  # digests all of them, which the listing was checked for
                        if not (may_link and _hard_link(f"{md5[:2]}/{md5[2:]}", name, objects, opened)):
                            self._copy_file(md5, f"{place}/{name}", writable, False, legacy)

            side_by_side(fill, folders, kernel_threads() if len(members) > BATCH else 1)

    def _link_file(self, md5: str, dest: str, writable: bool, isexec: bool, legacy: bool) -> None:
        source = self._store.path(md5, legacy)
        # A file that others can execute would need a mode of its own, which a hard link cannot have.
        if not (self._link.hardlink and not writable and not isexec and _hard_link(source, dest)):
            self._copy_file(md5, dest, writable, isexec, legacy)

    def _copy_file(self, md5: str, dest: str, writable: bool, isexec: bool, legacy: bool) -> None:
        source = self._store.path(md5, legacy)
        mode = (0o666 if writable else READ_ONLY_MODE) | (0o111 if isexec else 0)
        reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(reader)
            writer = os.open(dest, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            try:
                if not self._share_blocks(reader, writer, status):
                    copy_bytes(reader, writer, status.st_size)
                # With the object's own, older time any later write to the copy is seen.
                os.utime(writer, ns=(status.st_atime_ns, status.st_mtime_ns))
                self._learn_copy(os.fstat(writer), md5, legacy)
            finally:
                os.close(writer)
        finally:
            os.close(reader)

    def _learn_copy(self, copied: os.stat_result, md5: str, legacy: bool) -> None:
        """Remember a copy that nobody else has written to yet."""
        if is_past(copied.st_mtime_ns) and not legacy:
            self.index.put(copied, md5)

    def _share_blocks(self, reader: int, writer: int, status: os.stat_result) -> bool:
        if not self._link.reflink or not status.st_size:
            return False
        devices = (status.st_dev, os.fstat(writer).st_dev)
        if devices in self._no_reflink:
            return False
        if reflink(reader, writer):
            return True
        self._no_reflink.add(devices)
        return False


def _status(path: Path) -> os.stat_result:
    try:
        return os.stat(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: does not exist", "make it, or take it out of the stage's list") from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise InputError(f"{path}: a symlink that leads to itself", "make a file of it") from error


def _each(
    found: _Batch, digest: Callable[[FileFound], _Of], digest_large: Callable[[FileFound], _Of] | None = None
) -> list[_Of]:
    """What there is to say of each file; large ones side by side, since hashing them leaves Python's lock."""
    large = [file for file in found if file.status.st_size > BUFFER_BYTES]
    if len(large) < 2:
        return [digest(file) for file in found]
    from concurrent.futures import ThreadPoolExecutor  # imported late: start-up

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as threads:
        coming = {file.relpath: threads.submit(digest_large or digest, file) for file in large}
        return [coming[file.relpath].result() if file.relpath in coming else digest(file) for file in found]


def _in_order(batch: _Batch, known: Sequence[str | None], digested: Sequence[_Digested]) -> list[_Digested]:
    """The digests of all files of a batch: those that were known, and between them the others."""
    rest = iter(digested)
    return [next(rest) if md5 is None else (md5, file.status.st_size) for file, md5 in zip(batch, known, strict=True)]


def _indexed(md5: str, legacy: bool) -> str:
    """The digest as the index holds it: the legacy one is not the MD5 of the file's bytes and must not pass for it."""
    return f"dos2unix:{md5}" if legacy else md5


def _hash_of(path: Path, legacy: bool) -> str:
    return file_dos2unix_md5(path) if legacy else file_md5(path)


def _hard_link(source: str, dest: str, source_folder: int | None = None, dest_folder: int | None = None) -> bool:
    try:
        os.link(source, dest, src_dir_fd=source_folder, dst_dir_fd=dest_folder)
    except OSError:
        return False  # another file system, too many links, not our file: a copy does
    return True
