"""The working tree as if it were committed: objects in a throw-away store, the repository itself untouched.

Files are read by this process alone, so no filter, hook or file-system monitor of the repository runs. What git's index
knows to be unchanged is not read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from runner.errors import HostError, InputError
from runner.git.command import READ_SWITCHES, Answer, environment, path_text, run
from runner.git.index import is_below
from runner.git.read import Reader
from runner.values import dataclass

_SPEC_LIKE = (b".yaml", b".yml", b".json", b".toml", b".py", b".lock", b".dvc", b".dvcignore", b".gitignore", b"config")
_SPEC_BYTES = 64 << 20
_OTHER_BYTES = 16 << 20
_ALL_BYTES = 512 << 20
"""Of other files than specs so much is kept in all; beyond that, and of larger ones, only the existence counts."""

_ENTRY = re.compile(
    rb"(?P<tag>.) (?P<mode>\d{6}) (?P<oid>[0-9a-f]+) (?P<stage>\d)\t(?P<path>[^\0]*)\0"
    rb"(?:  ctime: (?P<ctime>\d+):(?P<ctime_ns>\d+)\n  mtime: (?P<mtime>\d+):(?P<mtime_ns>\d+)\n"
    rb"  dev: \d+\tino: (?P<ino>\d+)\n  uid: \d+\tgid: \d+\n  size: (?P<size>\d+)\tflags: [0-9a-f]+\n)?"
)
_FILE, _PROGRAM, _SYMLINK, _SUBMODULE = b"100644", b"100755", b"120000", b"160000"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the index."""

    mode: bytes
    oid: bytes
    is_outside: bool
    """Left out of the working tree by a sparse checkout: it counts as it is in the index."""
    numbers: tuple[int, ...]
    """ctime and mtime in nanoseconds, inode and size as git saw them; empty where it does not tell."""


@contextlib.contextmanager
def draft_commit(reader: Reader) -> Iterator[tuple[Reader, str]]:
    """A reader and a commit of what the working tree holds now: tracked files and new ones that are not ignored.

    The commit has no parent and a fixed date, so equal trees give equal commits. Raises InputError for a bare
    repository, HostError when a file or the disk fails.
    """
    root = _worktree(reader)
    with tempfile.TemporaryDirectory(prefix="runner-draft-") as folder:
        store = Path(folder) / "objects"
        store.mkdir()
        commit = _Draft(reader, root, store).commit()
        with Reader(reader.git_dir, [store], root) as drafted:
            yield drafted, commit


def worktree_paths(reader: Reader) -> list[str]:
    """Files of the working tree that are tracked or might be: ignored ones and those of nested repositories are not."""
    root = _worktree(reader)
    with tempfile.TemporaryDirectory(prefix="runner-draft-") as folder:
        draft = _Draft(reader, root, Path(folder))
        found = {path for path, entry in draft.index().items() if entry.mode != _SUBMODULE and draft.status(path)}
        return sorted(path_text(path) for path in found | set(draft.untracked()))


class _Draft:
    def __init__(self, reader: Reader, root: Path, store: Path) -> None:
        self._root = os.fsencode(root)
        self._store = store
        self._index_file = reader.git_dir / "index"
        self._git_dir = f"--git-dir={reader.git_dir}"
        self._env = environment([reader.common_dir / "objects"])
        self._own = self._env | {
            "GIT_OBJECT_DIRECTORY": str(store),
            "GIT_INDEX_FILE": str(store.parent / "index"),
            **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _NOBODY.items()},
        }
        self._is_real: dict[bytes, bool] = {b"": True}
        self._kept_bytes = 0

    def commit(self) -> str:
        lines = b"".join(line + b"\0" for line in self._lines())
        self._written("update-index", "-z", "--index-info", stdin=lines)
        tree = self._written("write-tree", "--missing-ok").out.decode().strip()
        return self._written("commit-tree", tree, stdin=b"draft\n").out.decode().strip()

    def index(self) -> dict[bytes, _Entry]:
        """What git tracks; of a path in conflict any version, since the file in the working tree is what counts."""
        said = self._asked("ls-files", "-z", "--stage", "-t", "--debug").out
        return {found["path"]: _entry(found) for found in _ENTRY.finditer(said)}

    def untracked(self) -> list[bytes]:
        """New files that are not ignored; a nested repository is one name with a slash at the end, and left out."""
        said = self._asked("ls-files", "-z", "--others", "--exclude-standard").out
        return [path for path in said.split(b"\0") if path and not path.endswith(b"/")]

    def status(self, path: bytes) -> os.stat_result | None:
        """What is at a path itself; None where nothing is, or only behind a symbolic link, or outside."""
        if not is_below(path) or not self._is_real_folder(path.rpartition(b"/")[0]):
            return None
        try:
            return os.lstat(os.path.join(self._root, path))
        except OSError:
            return None  # deleted, and not committed yet

    def _lines(self) -> Iterator[bytes]:
        """The index of the draft, as `update-index --index-info` reads it."""
        index = self.index()
        noted_ns = self._noted_ns()
        for path in sorted({*index, *self.untracked()}):
            entry = index.get(path)
            if entry is not None and (entry.mode == _SUBMODULE or entry.is_outside):
                yield entry.mode + b" " + entry.oid + b"\t" + path
                continue
            status = self.status(path)
            line = None if status is None else self._line(path, status, entry, noted_ns)
            if line is not None:
                yield line

    def _line(self, path: bytes, status: os.stat_result, entry: _Entry | None, noted_ns: int) -> bytes | None:
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(os.path.join(self._root, path))
            return _SYMLINK + b" " + self._blob(target) + b"\t" + path
        if not stat.S_ISREG(status.st_mode):
            return None  # a folder, a pipe or a socket stands where a file was
        mode = _PROGRAM if status.st_mode & 0o100 else _FILE
        if entry is not None and _is_unchanged(entry, status, noted_ns):
            return mode + b" " + entry.oid + b"\t" + path
        return mode + b" " + self._blob(self._data(path, status.st_size)) + b"\t" + path

    def _data(self, path: bytes, size_bytes: int) -> bytes:
        is_spec = path.rpartition(b"/")[2].endswith(_SPEC_LIKE)
        if size_bytes > (_SPEC_BYTES if is_spec else _OTHER_BYTES):
            return b""
        if not is_spec and self._kept_bytes + size_bytes > _ALL_BYTES:
            return b""
        self._kept_bytes += size_bytes
        try:
            # Not through a link, nor waiting for a pipe, that took the file's place a moment ago.
            handle = os.open(os.path.join(self._root, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(handle, "rb") as file:
                return file.read()
        except OSError as problem:
            if is_spec:
                raise HostError(f"{path_text(path)}: {problem.strerror}", "make the file readable") from problem
            return b""  # no spec, so nobody asks what is in it

    def _blob(self, data: bytes) -> bytes:
        """Put a blob into the store; returns its name."""
        whole = b"blob %d\0" % len(data) + data
        algorithm = hashlib.sha256 if self._is_sha256 else hashlib.sha1
        name = algorithm(whole, usedforsecurity=False).hexdigest()
        folder = self._store / name[:2]
        folder.mkdir(exist_ok=True)
        (folder / name[2:]).write_bytes(zlib.compress(whole, 1))
        return name.encode()

    @property
    def _is_sha256(self) -> bool:
        if self._object_format is None:
            self._object_format = self._asked("rev-parse", "--show-object-format").out.strip()
        return self._object_format == b"sha256"

    _object_format: bytes | None = None

    def _noted_ns(self) -> int:
        """When the index was written; a file as young as that may have changed without a trace."""
        try:
            return self._index_file.stat().st_mtime_ns
        except OSError:
            return 0

    def _is_real_folder(self, folder: bytes) -> bool:
        """Whether a folder is reached without going through a symbolic link."""
        if folder not in self._is_real:
            above = self._is_real_folder(folder.rpartition(b"/")[0])
            path = os.path.join(self._root, folder)
            self._is_real[folder] = above and os.path.isdir(path) and not os.path.islink(path)
        return self._is_real[folder]

    def _asked(self, *arguments: str) -> Answer:
        worktree = b"--work-tree=" + self._root
        return _checked(run([*READ_SWITCHES, self._git_dir, worktree, *arguments], env=self._env, cwd=self._folder))

    def _written(self, *arguments: str, stdin: bytes | None = None) -> Answer:
        words = [*READ_SWITCHES, self._git_dir, *arguments]
        return _checked(run(words, env=self._own, cwd=self._folder, stdin=stdin))

    @property
    def _folder(self) -> Path:
        return Path(os.fsdecode(self._root))


_NOBODY = {"NAME": "draft", "EMAIL": "draft@localhost", "DATE": "@0 +0000"}


def _worktree(reader: Reader) -> Path:
    if reader.worktree is None:
        raise InputError("a bare repository has no working tree", "name a revision, or work in a clone")
    return reader.worktree


def _entry(found: re.Match[bytes]) -> _Entry:
    numbers: tuple[int, ...] = ()
    if found["size"] is not None:
        ctime = int(found["ctime"]) * 10**9 + int(found["ctime_ns"])
        mtime = int(found["mtime"]) * 10**9 + int(found["mtime_ns"])
        numbers = (ctime, mtime, int(found["ino"]), int(found["size"]))
    return _Entry(found["mode"], found["oid"], found["tag"] == b"S", numbers)


def _is_unchanged(entry: _Entry, status: os.stat_result, noted_ns: int) -> bool:
    """Whether a file is what git last saw there, by git's own rule."""
    if entry.mode not in (_FILE, _PROGRAM) or not entry.numbers or status.st_mtime_ns >= noted_ns:
        return False
    return entry.numbers == (status.st_ctime_ns, status.st_mtime_ns, status.st_ino & 0xFFFFFFFF, status.st_size)


def _checked(answer: Answer) -> Answer:
    if answer.code:
        full = "make room in TMPDIR, then run this again" if "No space left" in answer.error else ""
        raise HostError(f"git cannot take the working tree as a draft: {answer.error or answer.code}", full)
    return answer
