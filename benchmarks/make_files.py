"""Writes N files of so many bytes each, a thousand in a folder, no two alike; one file alone is the path itself.

python -I -S benchmarks/make_files.py FILES BYTES FOLDER
"""

from __future__ import annotations

import os
import sys

BLOCK_BYTES = 1 << 20


def main() -> None:
    """Write them."""
    files, size_bytes, top = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    if files == 1:
        write(top, 0, size_bytes)
        return
    os.mkdir(top)
    for number in range(files):
        folder = f"{top}/{number // 1000:03d}"
        if number % 1000 == 0:
            os.mkdir(folder)
        write(f"{folder}/{number:06d}.bin", number, size_bytes)


def write(path: str, number: int, size_bytes: int) -> None:
    """One file that begins with its number."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    written = 0
    while written < size_bytes:
        block = (
            BLOCK[: size_bytes - written] if written else (b"%016d" % number + BLOCK)[: min(size_bytes, BLOCK_BYTES)]
        )
        written += os.write(descriptor, block)
    os.close(descriptor)


BLOCK = os.urandom(BLOCK_BYTES)

if __name__ == "__main__":
    main()
