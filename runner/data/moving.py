"""Between caches of a host: moving a whole one to the DVC repository that came later, and copying what is lacking."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from runner.data.cache import Cache
from runner.data.faults import host_errors
from runner.data.links import copy_bytes, reflink


def take_over(cache: Cache, other: Path) -> int:
    """Move every object of the cache at `other` that `cache` lacks into it, and remove what is left; returns how many.

    Each one is hashed on the way; a damaged one is dropped. Raises HostError.
    """
    objects = other / "files" / "md5"
    if not objects.is_dir():
        return 0
    moved = 0
    with host_errors(f"move {other} to {cache.root}"):
        for file in sorted(objects.glob("??/*")):
            md5 = file.parent.name + file.name
            if not cache.has(md5):
                temporary = cache.temporary()
                shutil.move(file, temporary)
                moved += cache.admit(temporary, md5)
        shutil.rmtree(objects)
    return moved


def copy_from(cache: Cache, other: Path, md5: str, legacy: bool = False) -> None:
    """Copy what `cache` lacks of a file, or of a folder and its members, from the cache at `other` where that has it.

    That one stays as it is, since somebody may work with it. Each object is hashed on the way; one that is
    damaged there is not taken. Raises HostError, and DamagedObjects where a folder's listing is none.
    """
    theirs = Cache(other, cache.index)
    for lacking in cache.unusable([md5], legacy):
        _copy(cache, theirs.object_path(lacking, legacy), lacking, legacy)
    if md5.endswith(".dir") and cache.has(md5, legacy):
        for lacking in cache.unusable((name for _, name in cache.listing(md5, legacy)), legacy):
            _copy(cache, theirs.object_path(lacking, legacy), lacking, legacy)


def _copy(cache: Cache, source: Path, md5: str, legacy: bool) -> None:
    if not source.is_file() or source.is_symlink():
        return
    temporary = cache.temporary()
    with host_errors(f"copy {source} to {cache.root}"):
        try:
            with source.open("rb") as theirs, temporary.open("xb") as ours:
                if not reflink(theirs.fileno(), ours.fileno()):
                    copy_bytes(theirs.fileno(), ours.fileno(), os.fstat(theirs.fileno()).st_size)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    cache.admit(temporary, md5, legacy)
