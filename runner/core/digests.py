"""Digests of content in DVC's own terms, so that a file has one name in git, in DVC and in a run key.

A file is the MD5 of its bytes, a folder the MD5 of a JSON listing of its files, with `.dir` behind it
(layout of dvc-data 3.x: entries sorted by relpath, keys sorted, default separators, ASCII). These are addresses,
not proofs; what has to be proved carries SHA-256 elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

_quoted = json.encoder.encode_basestring_ascii
"""A string as JSON, in ASCII; the C function that `json.dumps` uses."""

Member = tuple[str, str]
"""Path below a folder, and the MD5 of the file there."""


def md5_hex(data: bytes) -> str:
    """MD5 of bytes, lower-case hex."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def folder_listing(members: Iterable[Member]) -> bytes:
    """The bytes of DVC's `.dir` object for these members."""
    # Joined by hand: the same bytes as `json.dumps(rows, sort_keys=True)`, in a third of the time and of the memory.
    rows = (f'{{"md5": {_quoted(md5)}, "relpath": {_quoted(relpath)}}}' for relpath, md5 in sorted(members))
    return f"[{', '.join(rows)}]".encode()


def folder_digest(members: Iterable[Member]) -> str:
    """The digest of a folder with these members, `<md5>.dir`."""
    return md5_hex(folder_listing(members)) + ".dir"


def parse_listing(data: bytes) -> tuple[Member, ...]:
    """Members of a `.dir` object; raises ValueError where the bytes are not one."""
    try:
        rows = json.loads(data)
    except RecursionError as error:
        raise ValueError("a folder listing is flat") from error
    if not isinstance(rows, list):
        raise ValueError("a folder listing is a JSON array")
    try:
        return tuple((str(row["relpath"]), str(row["md5"])) for row in rows)
    except (KeyError, TypeError) as error:
        raise ValueError("a row of a folder listing has a relpath and an md5") from error


def inside(members: Iterable[Member], relpath: str) -> str | None:
    """The digest of one file or folder within a listing; None where nothing is there."""
    prefix = relpath + "/"
    below: list[Member] = []
    for name, md5 in members:
        if name == relpath:
            return md5
        if name.startswith(prefix):
            below.append((name[len(prefix) :], md5))
    return folder_digest(below) if below else None
