"""Moving a whole cache to another place: what was kept where no DVC repository was yet goes to the one that came."""

from __future__ import annotations

import shutil
from pathlib import Path

from runner.data.cache import Cache
from runner.data.faults import host_errors


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
