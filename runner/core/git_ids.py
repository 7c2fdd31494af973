"""The ids git gives to bytes and folders, computed without git.

Uncached outputs are known by them from the moment they are recorded, so that every host finds the bytes in the history
of a state branch (gitformat: `<kind> <size>` NUL and the content; SHA-1 or SHA-256 by the repository).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any


def blob_id(data: bytes, hex_digits: int) -> str:
    """The id of these bytes; `hex_digits` is how long ids are in this repository, 40 or 64."""
    return _id(b"blob", data, hex_digits)


def folder_id(files: Iterable[tuple[str, str]], hex_digits: int) -> str:
    """The id of a folder of these files, (relative path, id of the blob), none of them executable."""
    root: dict[str, Any] = {}
    for path, oid in files:
        *folders, name = path.split("/")
        place = root
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = oid
    return _tree_id(root, hex_digits)


def _tree_id(entries: Mapping[str, Any], hex_digits: int) -> str:
    rows = []
    for name, value in entries.items():
        raw = name.encode("utf-8", "surrogateescape")
        if isinstance(value, str):
            rows.append((raw, b"100644", value))
        else:
            rows.append((raw + b"/", b"40000", _tree_id(value, hex_digits)))  # git sorts folders with a slash behind
    data = b"".join(
        mode + b" " + raw.removesuffix(b"/") + b"\0" + bytes.fromhex(oid) for raw, mode, oid in sorted(rows)
    )
    return _id(b"tree", data, hex_digits)


def _id(kind: bytes, data: bytes, hex_digits: int) -> str:
    digest = hashlib.sha256() if hex_digits == 64 else hashlib.sha1(usedforsecurity=False)
    digest.update(b"%s %d\0" % (kind, len(data)) + data)
    return digest.hexdigest()
