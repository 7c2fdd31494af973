"""A commit to be made: what it changes in which tree, and the one stream of `git fast-import` that makes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from runner.core.git_ids import folder_id
from runner.errors import InputError
from runner.git.command import checked_oid, path_bytes
from runner.values import dataclass, field

SCRATCH_REF = "refs/runner/made"
"""A commit of fast-import needs a ref; it is taken back in the same stream, so none is ever seen."""

_PLAIN = re.compile(rb"[A-Za-z0-9_.+@=,/-]+")
_IDENTITY_UNFIT = re.compile(r"[<>\x00-\x1f\x7f]+")
_MODES = ("100644", "100755")


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file of a commit: its bytes, or the name of a blob that is there."""

    mode: str = "100644"
    data: bytes | None = None
    oid: str | None = None

    def __post_init__(self) -> None:
        if self.mode not in _MODES or (self.data is None) == (self.oid is None):
            raise ValueError("a file has mode 100644 or 100755, and either data or an oid")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who made a commit."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """All that a commit is made of; the same request gives the same commit id everywhere.

    Applied in this order: `base_tree` at the root, then `trees` put at their paths, then `deletes` (files or whole
    folders; absent ones are no error), then `files`.
    """

    parents: tuple[str, ...]
    base_tree: str | None
    """Name of the tree to start from; None starts from nothing."""
    message: str
    author: Identity
    """Also the committer."""
    time_epoch: int
    """Seconds since 1970; written in UTC."""
    deletes: tuple[str, ...] = ()
    trees: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, FileContent] = field(default_factory=dict)


def fast_import_stream(request: CommitRequest) -> bytes:
    """What `git fast-import --date-format=raw` reads; it answers with the id of the commit, one line.

    InputError for a path that no repository may hold and for anything that is not a full object name.
    """
    return b"".join(_commands(request))


def commit_object(request: CommitRequest) -> bytes | None:
    """The commit itself as git holds it, where it has no files; None where there are any, and trees to be made."""
    if request.base_tree is not None or request.trees or request.files or not request.parents:
        return None
    rows = [f"tree {folder_id([], len(request.parents[0]))}"]
    rows += [f"parent {checked_oid(parent)}" for parent in dict.fromkeys(request.parents)]
    identity = _identity(request)
    return "\n".join(rows).encode() + b"\nauthor " + identity + b"committer " + identity + b"\n" + _message(request)


def _identity(request: CommitRequest) -> bytes:
    return f"{_fit(request.author.name)} <{_fit(request.author.email)}> {request.time_epoch} +0000\n".encode()


def _message(request: CommitRequest) -> bytes:
    return path_bytes(request.message.rstrip("\n") + "\n")


def _commands(request: CommitRequest) -> Iterator[bytes]:
    identity = _identity(request)
    yield b"feature done\n"
    yield b"commit " + SCRATCH_REF.encode() + b"\nmark :1\nauthor " + identity + b"committer " + identity
    yield _data(_message(request))
    for position, parent in enumerate(dict.fromkeys(request.parents)):
        yield (b"merge " if position else b"from ") + checked_oid(parent).encode() + b"\n"
    yield b"deleteall\n"
    if request.base_tree is not None:
        yield b"M 040000 " + checked_oid(request.base_tree).encode() + b' ""\n'
    for path, tree in request.trees.items():
        yield b"M 040000 " + checked_oid(tree).encode() + b" " + quoted(path) + b"\n"
    for path in request.deletes:
        yield b"D " + quoted(path) + b"\n"
    for path, content in request.files.items():
        yield from _file(path, content)
    zeros = b"0" * (len(request.parents[0]) if request.parents else len(request.base_tree or "0" * 40))
    yield b"get-mark :1\nreset " + SCRATCH_REF.encode() + b"\nfrom " + zeros + b"\n\ndone\n"


def _file(path: str, content: FileContent) -> Iterator[bytes]:
    mode = content.mode.encode()
    if content.data is None:
        yield b"M " + mode + b" " + checked_oid(content.oid or "").encode() + b" " + quoted(path) + b"\n"
    else:
        yield b"M " + mode + b" inline " + quoted(path) + b"\n"
        yield _data(content.data)


def _data(data: bytes) -> bytes:
    return b"data %d\n" % len(data) + data + b"\n"


def quoted(path: str) -> bytes:
    """A path as fast-import reads it; InputError when no work tree could hold it."""
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in path.split("/")) or "\0" in path:
        raise InputError(f"{path!r} cannot be a path in a repository")
    raw = path_bytes(path)
    if _PLAIN.fullmatch(raw):
        return raw
    return b'"' + b"".join(_escaped(byte) for byte in raw) + b'"'


def _escaped(byte: int) -> bytes:
    if byte in b'"\\':
        return b"\\" + bytes([byte])
    return bytes([byte]) if 0x20 <= byte < 0x7F else b"\\%03o" % byte


def _fit(text: str) -> str:
    return " ".join(_IDENTITY_UNFIT.sub(" ", text).split()) or "runner"
