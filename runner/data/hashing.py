"""MD5 of files as DVC computes it, today's and the one of DVC before 3.0."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.core.digests import Member, folder_listing, md5_hex
from runner.errors import InputError

BUFFER_BYTES = 1 << 20
"""One read; also the block within which the legacy digest decides between text and binary."""

_LEGACY_SAMPLE_BYTES = 512
_LEGACY_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"
_LEGACY_MAX_BINARY_SHARE = 0.30
_DIGEST = re.compile(r"[0-9a-f]{32}(\.dir)?")

StrPath = str | os.PathLike[str]


def is_digest(text: object) -> bool:
    """Whether this is a digest as DVC writes it: 32 lower-case hex digits, `.dir` behind them for a folder."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def dir_digest(entries: Iterable[Member]) -> tuple[str, bytes]:
    """Digest (`<md5>.dir`) and bytes of DVC's listing of a folder."""
    listing = folder_listing(entries)
    return f"{md5_hex(listing)}.dir", listing


def open_regular(path: StrPath) -> tuple[int, os.stat_result]:
    """A descriptor for reading a regular file, and what it is; never waits on a pipe.

    Raises InputError for what is not a regular file, OSError where it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return descriptor, status
    os.close(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise InputError(
        f"{os.fspath(path)}: neither a file nor a folder", "remove it: pipes, sockets and devices hold no data"
    )


def blocks(descriptor: int, first_bytes: int = BUFFER_BYTES) -> Iterator[bytes]:
    """What is left to read of a descriptor, block by block; `first_bytes` bounds the first one."""
    while block := os.read(descriptor, first_bytes):
        yield block
        first_bytes = BUFFER_BYTES


def file_md5(path: StrPath) -> str:
    """MD5 of the bytes of a file, lower-case hex."""
    descriptor, status = open_regular(path)
    try:
        return descriptor_md5(descriptor, status.st_size)
    finally:
        os.close(descriptor)


def descriptor_md5(descriptor: int, size_bytes: int) -> str:
    """MD5 of what a descriptor still has to give; `size_bytes` is only a hint for the size of the buffer."""
    first = os.read(descriptor, min(size_bytes + 1, BUFFER_BYTES))
    digest = hashlib.md5(first, usedforsecurity=False)
    if len(first) == size_bytes < BUFFER_BYTES:
        return digest.hexdigest()  # one byte more was asked for: this is the end
    for block in blocks(descriptor):
        digest.update(block)
    return digest.hexdigest()


def dos2unix_md5(data: bytes) -> str:
    """The legacy digest of DVC before 3.0 (`md5-dos2unix`): line ends of blocks that look like text count as LF.

    Source of the rule: dvc_data.hashfile.hash.Dos2UnixHashStreamFile; a block is 1 MiB, its first 512 bytes decide.
    """
    digest = hashlib.md5(usedforsecurity=False)
    for start in range(0, len(data), BUFFER_BYTES):
        digest.update(_unix_lines(data[start : start + BUFFER_BYTES]))
    return digest.hexdigest()


def file_dos2unix_md5(path: StrPath) -> str:
    """The legacy digest of a file; see `dos2unix_md5`."""
    digest = hashlib.md5(usedforsecurity=False)
    with Path(path).open("rb") as file:
        while block := file.read(BUFFER_BYTES):
            digest.update(_unix_lines(block))
    return digest.hexdigest()


def _unix_lines(block: bytes) -> bytes:
    return block.replace(b"\r\n", b"\n") if _looks_like_text(block[:_LEGACY_SAMPLE_BYTES]) else block


def _looks_like_text(sample: bytes) -> bool:
    if b"\x00" in sample:
        return False
    return len(sample.translate(None, _LEGACY_TEXT)) / len(sample) <= _LEGACY_MAX_BINARY_SHARE
