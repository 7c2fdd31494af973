"""Where a remote keeps its objects: a folder of this host, reached directly, or anything else, reached through DVC."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from runner.data.faults import DamagedObjects, host_errors
from runner.data.links import LinkPolicy, copy_bytes, reflink, sync_file_system
from runner.data.objects import ObjectStore
from runner.errors import HostError, InputError, RunnerError
from runner.side_by_side import side_by_side

_FEW = 8
_FOLDER_JOBS = 4
_MOST_SIZES = 256
"""Of so many objects that are there a remote elsewhere is asked for their sizes: each one is a request."""

Item = TypeVar("Item")


class Place(Protocol):
    """What every remote can do; all methods raise HostError where it cannot be reached."""

    jobs: int
    """Transfers side by side."""

    def exists(self, md5s: Sequence[str], legacy: bool) -> set[str]:
        """Those of the objects that are there."""

    def sizes(self, md5s: Sequence[str]) -> Mapping[str, int | None]:
        """Those of the objects that are there, with their size in bytes, or None where asking would cost too much."""

    def put(self, objects: Mapping[str, Path]) -> None:
        """Bring objects there from these files, each whole or not at all, in place of what has their name.

        Returns when all of them are there.
        """

    def get(self, md5: str, target: Path, legacy: bool) -> bool:
        """Write an object to a new file; False where it is not there.

        Raises DamagedObjects where something is there that can be no object.
        """


def place(name: str, options: Mapping[str, Any], config: Mapping[str, Any], *, durable: bool) -> Place:
    """The place of a remote; `config` is what DVC needs beside its own options: `core` and all of `remote`.

    Raises InputError for a remote that is not well described.
    """
    url = str(options.get("url", ""))
    if not url:
        raise InputError(f"remote '{name}' has no url", f"set it: dvc remote modify {name} url URL")
    if re.match(r"\w+://", url):
        return CloudPlace(name, config)
    if not os.path.isabs(url):
        raise InputError(
            f"remote '{name}': the path {url} is relative, and there is no clone to resolve it against",
            "give the remote an absolute path or a URL in the file that RUNNER_DVC_CONFIG names",
        )
    return FolderPlace(name, Path(url), durable=durable)


class FolderPlace:
    """A remote that is a folder of this host."""

    def __init__(self, name: str, root: Path, *, durable: bool) -> None:
        self.jobs = _FOLDER_JOBS
        self._doing = f"remote '{name}'"
        self._root = root
        self._durable = durable
        self._store = ObjectStore(root, LinkPolicy())

    def exists(self, md5s: Sequence[str], legacy: bool) -> set[str]:
        """See Place."""
        with host_errors(self._doing):
            return {md5 for md5 in md5s if self._store.status(md5, legacy) is not None}

    def sizes(self, md5s: Sequence[str]) -> Mapping[str, int | None]:
        """See Place."""
        with host_errors(self._doing):
            found = {md5: self._store.status(md5) for md5 in md5s}
            return {md5: status.st_size for md5, status in found.items() if status is not None}

    def put(self, objects: Mapping[str, Path]) -> None:
        """See Place."""
        with host_errors(self._doing):
            each(self._put_one, objects.items(), self.jobs)
            if self._durable and objects:
                sync_file_system(self._root)

    def get(self, md5: str, target: Path, legacy: bool) -> bool:
        """See Place."""
        with host_errors(self._doing):
            if self._store.is_other(md5, legacy):
                raise DamagedObjects([md5], self._doing)
            try:
                _copy_new(Path(self._store.path(md5, legacy)), target)
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

    def _put_one(self, item: tuple[str, Path]) -> None:
        md5, source = item
        temporary = Path(self._store.temporary())
        _copy_new(source, temporary)
        self._store.admit(temporary, md5)


class CloudPlace:
    """A remote of any other kind, through DVC's file systems."""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        from dvc.config import ConfigError  # imported late: start-up
        from dvc.exceptions import DvcException
        from dvc.fs import get_cloud_fs
        from dvc_data.hashfile.db import get_odb

        self._name = name
        with self._told():
            try:
                kind, options, path = get_cloud_fs(dict(config), name=name)
            except (ConfigError, DvcException) as error:
                raise InputError(f"remote '{name}': {error}", "`dvc remote list` shows what DVC reads") from error
            if options.get("version_aware") or options.get("worktree"):
                raise InputError(
                    f"remote '{name}' is cloud-versioned (version_aware or worktree): the runner does not use those",
                    "name a plain remote beside it as the default one",
                )
            self._fs = kind(**options)
            self._path = path
            make_odb: Any = get_odb  # it has no types
            self._objects = make_odb(self._fs, self._fs.join(path, "files", "md5"), hash_name="md5")
            self._legacy = make_odb(self._fs, path, hash_name="md5-dos2unix")
            self.jobs = int(options.get("jobs") or self._fs.jobs)

    def exists(self, md5s: Sequence[str], legacy: bool) -> set[str]:
        """See Place."""
        if not md5s:
            return set()
        with self._told():
            return set((self._legacy if legacy else self._objects).oids_exist(list(md5s), jobs=self.jobs))

    def sizes(self, md5s: Sequence[str]) -> Mapping[str, int | None]:
        """See Place."""
        there = sorted(self.exists(md5s, False))
        if not there or len(there) > _MOST_SIZES:
            return dict.fromkeys(there)
        with self._told():
            paths = [self._objects.oid_to_path(md5) for md5 in there]
            found = self._fs.info(paths, batch_size=self.jobs, return_exceptions=True)
        # What is not told (an error, no length in the answer of a web server) is not known, and no reason to send.
        return {
            md5: info.get("size") if isinstance(info, dict) else None for md5, info in zip(there, found, strict=True)
        }

    def put(self, objects: Mapping[str, Path]) -> None:
        """See Place."""
        from dvc_objects.fs.local import localfs  # imported late: start-up

        failed: list[tuple[str, BaseException]] = []
        with self._told():
            self._objects.add(
                [str(path) for path in objects.values()],
                localfs,
                list(objects),
                check_exists=False,
                verify=False,
                batch_size=self.jobs,
                on_error=lambda md5, error: failed.append((md5, error)),
            )
        if failed:
            md5, error = failed[0]
            raise HostError(
                f"remote '{self._name}': {len(failed)} of {len(objects)} objects not pushed; {md5}: {_said(error)}",
                "call again: what has arrived is not sent twice",
            ) from error

    def get(self, md5: str, target: Path, legacy: bool) -> bool:
        """See Place."""
        with self._told():
            try:
                self._fs.get_file((self._legacy if legacy else self._objects).oid_to_path(md5), str(target))
            except FileNotFoundError:
                return False
            return True

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except RunnerError:
            raise
        except Exception as error:
            # Every cloud library has exceptions of its own, without a common root.
            raise HostError(
                f"remote '{self._name}' cannot be reached: {_said(error)}",
                "check the network and the credentials; `dvc remote list` and `dvc push` show more",
            ) from error


def each(work: Callable[[Item], None], items: Iterable[Item], jobs: int) -> None:
    """Do the work for every item, several at a time where there are many; the first error ends it and is raised."""
    queue = list(items)
    side_by_side(work, queue, jobs if len(queue) > _FEW else 1)


def _copy_new(source: Path, target: Path) -> None:
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            if not reflink(reader, writer):
                copy_bytes(reader, writer, os.fstat(reader).st_size)
        except BaseException:
            os.unlink(target)
            raise
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _said(error: BaseException) -> str:
    """An error of a cloud library, without user and password of an URL in it."""
    said = re.sub(r"(\w+://)[^/@\s]*@", r"\1", str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
