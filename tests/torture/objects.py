"""Objects of a bare repository, read as plain git by one process; shares no code with the runner's reader."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path


class Objects(AbstractContextManager["Objects"]):
    """One `git cat-file --batch`, asked for names one after the other; what has a fixed name is remembered."""

    def __init__(self, repository: Path) -> None:
        command = ["git", "-C", str(repository), "cat-file", "--batch"]
        self._git = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._known: dict[str, bytes] = {}

    def __exit__(self, *_: object) -> None:
        assert self._git.stdin is not None
        assert self._git.stdout is not None
        self._git.stdin.close()
        self._git.stdout.close()
        self._git.wait()

    def blobs(self, commit: str, folder: str) -> dict[str, bytes]:
        """Every file below a folder of a commit, by its path there, sorted; empty where there is no such folder."""
        found = self._asked(f"{commit}:{folder}")
        return dict(sorted(self._below(found[1], ""))) if found is not None else {}

    def has(self, name: str) -> bool:
        """Whether there is such an object."""
        return self._asked(name) is not None

    def _below(self, tree: bytes, prefix: str) -> Iterator[tuple[str, bytes]]:
        while tree:
            head, _, rest = tree.partition(b"\0")
            mode, _, name = head.partition(b" ")
            oid, tree = rest[:20].hex(), rest[20:]
            path = prefix + name.decode()
            data = self._object(oid)
            if mode == b"40000":
                yield from self._below(data, path + "/")
            else:
                yield path, data

    def _object(self, oid: str) -> bytes:
        if oid not in self._known:
            found = self._asked(oid)
            assert found is not None, f"{oid} is named and not there"
            self._known[oid] = found[1]
        return self._known[oid]

    def _asked(self, name: str) -> tuple[str, bytes] | None:
        assert self._git.stdin is not None
        assert self._git.stdout is not None
        self._git.stdin.write(name.encode() + b"\n")
        self._git.stdin.flush()
        answer = self._git.stdout.readline().decode()
        words = answer.split()
        if len(words) != 3:
            assert words[-1:] == ["missing"], f"git says of {name}: {answer!r}"
            return None
        data = self._git.stdout.read(int(words[2]) + 1)
        return words[0], data[:-1]
