"""The working tree as if it were committed: objects in a throw-away store, the repository itself untouched."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runner.errors import HostError, InputError
from runner.git.command import Answer, environment, path_text, run
from runner.git.read import Reader

_LARGEST_BYTES = 16 << 20
"""Specs and parameters are smaller; of larger files only the existence is looked at."""


@contextlib.contextmanager
def draft_commit(reader: Reader) -> Iterator[tuple[Reader, str]]:
    """A reader and a commit of what the working tree holds now: tracked files and new ones that are not ignored.

    No filter and no hook runs. Raises InputError for a bare repository, HostError when git fails.
    """
    if reader.worktree is None:
        raise InputError("a bare repository has no working tree")
    with tempfile.TemporaryDirectory(prefix="runner-draft-") as folder:
        store = Path(folder)
        (store / "objects").mkdir()
        env = environment([reader.common_dir / "objects"]) | {
            "GIT_OBJECT_DIRECTORY": str(store / "objects"),
            "GIT_INDEX_FILE": str(store / "index"),
            "GIT_AUTHOR_NAME": "draft",
            "GIT_AUTHOR_EMAIL": "draft@localhost",
            "GIT_COMMITTER_NAME": "draft",
            "GIT_COMMITTER_EMAIL": "draft@localhost",
        }
        draft = _Draft(reader, env)
        commit = draft.commit()
        with Reader(reader.git_dir, [store / "objects"], reader.worktree) as drafted:
            yield drafted, commit


class _Draft:
    def __init__(self, reader: Reader, env: dict[str, str]) -> None:
        if reader.worktree is None:
            raise InputError("a bare repository has no working tree")
        self._root = reader.worktree
        self._git_dir = f"--git-dir={reader.git_dir}"
        self._env = env
        self._switches = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false"]

    def commit(self) -> str:
        lines = b"".join(self._index_lines())
        self._git("update-index", "-z", "--index-info", stdin=lines)
        tree = self._git("write-tree", "--missing-ok").out.decode().strip()
        return self._git("commit-tree", tree, stdin=b"draft\n").out.decode().strip()

    def _index_lines(self) -> Iterator[bytes]:
        plain: list[tuple[bytes, bytes]] = []
        for path in self._paths():
            try:
                status = os.lstat(os.path.join(os.fsencode(self._root), path))
            except OSError:
                continue  # deleted, and not committed yet
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink(os.path.join(os.fsencode(self._root), path))
                yield b"120000 " + self._blob(target) + b"\t" + path + b"\0"
            elif stat.S_ISREG(status.st_mode):
                mode = b"100755 " if status.st_mode & 0o100 else b"100644 "
                if status.st_size > _LARGEST_BYTES or b"\n" in path:
                    yield mode + self._blob(b"") + b"\t" + path + b"\0"
                else:
                    plain.append((mode, path))
        yield from self._plain_lines(plain)

    def _plain_lines(self, files: list[tuple[bytes, bytes]]) -> Iterator[bytes]:
        names = b"".join(path + b"\n" for _, path in files)
        answer = self._git("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=names)
        for (mode, path), oid in zip(files, answer.out.split(), strict=True):
            yield mode + oid + b"\t" + path + b"\0"

    def _paths(self) -> list[bytes]:
        environ = {name: value for name, value in self._env.items() if name != "GIT_INDEX_FILE"}
        worktree = f"--work-tree={self._root}"
        answer = run(
            [self._git_dir, worktree, *self._switches, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            env=environ,
            cwd=self._root,
        )
        return sorted(set(_checked(answer).out.split(b"\0")) - {b""})

    def _blob(self, data: bytes) -> bytes:
        return self._git("hash-object", "-w", "--no-filters", "--stdin", stdin=data).out.strip()

    def _git(self, *arguments: str, stdin: bytes | None = None) -> Answer:
        return _checked(run([self._git_dir, *self._switches, *arguments], env=self._env, cwd=self._root, stdin=stdin))


def _checked(answer: Answer) -> Answer:
    if answer.code:
        raise HostError(f"git cannot read the working tree: {path_text(answer.error.encode())}")
    return answer
