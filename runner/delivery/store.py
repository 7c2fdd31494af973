"""Models on this host, each in a folder of its own that is named by its SHA-256, and what was served last.

A folder appears whole or not at all. It is hashed before each use: what lies on a disk for weeks is believed no more
than what comes over the network. All of it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.data.faults import DamagedObjects, host_errors
from runner.data.hashing import blocks, open_regular
from runner.delivery.release import ModelFile, Release
from runner.errors import HostError, RunnerError

_KEPT_MODELS = 3
"""The one that is served, the one that it replaced, and one more."""
_STALE_SECONDS = 3600.0
"""A half-written folder that is younger may be of another server on this host."""
_LAST = "last.json"

Fetch = Callable[[str, Path], None]
"""Writes the object of an MD5 to a new file; raises HostError where that cannot be."""


class Store:
    """The models of one server."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._models = root / "models"

    def brought(self, release: Release, fetch: Fetch) -> Path:
        """The folder of the model, every byte of it compared; fetched where it is not here, or not whole.

        Raises HostError, which is a DamagedObjects where the bytes that come are not those that were released.
        """
        folder = self._models / release.model
        with host_errors(f"store the model in {self.root}"):
            if not self.holds(release):
                self._fetched(release, folder, fetch)
            os.utime(folder)
            self._prune(folder)
        return folder

    def holds(self, release: Release) -> Path | None:
        """The folder of the model where it is here, and every byte of it is what was released."""
        folder = self._models / release.model
        wanted = {file.path: file for file in release.files}
        try:
            found = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
            whole = found == wanted.keys() and all(_is_whole(folder / path, file) for path, file in wanted.items())
        except (OSError, RunnerError):
            return None  # then it is fetched again
        return folder if whole else None

    def keep(self, last: Mapping[str, Any]) -> None:
        """Remember what is served, for a start without a network."""
        self.root.mkdir(parents=True, exist_ok=True)
        before = [name for name in self._served() if name != last["release"]["model"]["sha256"]]
        last = {**last, "before": before[:1]}
        part = self.root / f".{_LAST}.{os.getpid()}"
        part.write_text(json.dumps(last))
        os.replace(part, self.root / _LAST)

    def forget(self) -> None:
        """Nothing is served any more."""
        (self.root / _LAST).unlink(missing_ok=True)

    def kept(self) -> dict[str, Any] | None:
        """What was served last; None where nothing is known of it."""
        try:
            found = json.loads((self.root / _LAST).read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def _served(self) -> list[str]:
        """The models that are served and that were served before it, by their SHA-256."""
        last = self.kept() or {}
        try:
            return [str(name) for name in (last["release"]["model"]["sha256"], *last.get("before", ()))]
        except (KeyError, TypeError):
            return []

    def _fetched(self, release: Release, folder: Path, fetch: Fetch) -> None:
        fresh = self._models / f".{uuid.uuid4().hex}"
        try:
            for file in release.files:
                target = fresh / file.path
                target.parent.mkdir(parents=True, exist_ok=True)
                fetch(file.md5, target)
                if not _is_whole(target, file):
                    raise DamagedObjects(
                        [file.md5],
                        f"{release.deployment} v{release.version}: {file.path}",
                        "its bytes are not those that were released: bring the object back on the DVC remote, or roll "
                        "back",
                    )
                target.chmod(0o444)
            if os.path.lexists(folder):
                os.rename(folder, self._models / f".{uuid.uuid4().hex}")  # what is not whole; swept with the rest
            os.rename(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _prune(self, used: Path) -> None:
        """Remove what is older than the newest few, and what a killed process left half-written.

        What is served stays, however many came after it that could not be: a worker that dies reads it again.
        """
        found = sorted(self._models.iterdir(), key=lambda path: path.lstat().st_mtime_ns, reverse=True)
        models = [path for path in found if not path.name.startswith(".")]
        served = {self._models / name for name in self._served()}
        for path in {*found} - {*models[:_KEPT_MODELS], used} - served:
            if path in models or path.lstat().st_mtime < time.time() - _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def copy_of(source: Path, target: Path) -> bool:
    """Copy an object that may lie on this host to a new file; False where there is none."""
    try:
        with source.open("rb") as reader, target.open("xb") as writer:
            if not stat.S_ISREG(os.fstat(reader.fileno()).st_mode):
                raise HostError(f"{source}: not a regular file", "remove it")
            shutil.copyfileobj(reader, writer, 1 << 20)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Have the kernel refuse, to all of this process, what would make a file larger than so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _is_whole(path: Path, file: ModelFile) -> bool:
    """Whether a file is a regular one with one name, of this size and with both of these digests."""
    descriptor, status = open_regular(path)
    try:
        if path.is_symlink() or status.st_nlink != 1 or status.st_size != file.size:
            return False
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        for block in blocks(descriptor):
            md5.update(block)
            sha256.update(block)
    finally:
        os.close(descriptor)
    return (md5.hexdigest(), sha256.hexdigest()) == (file.md5, file.sha256)
