"""The parse cache: what was computed from blobs, kept on disk by the digest of what it was computed from.

Every entry may be deleted, shared between repositories and processes, or damaged: a damaged one counts as absent.
The folder is bounded: what was used longest ago is dropped. Commits that nobody trusts have a cache of their own, which
looks into the trusted one and never writes there.
Entries are JSON; what JSON cannot say (dates, sets, tuples, keys that are not text) is written as tagged objects. Or
they are lines of text, for whoever takes apart only those that are asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import runner

FORMAT_VERSION = 12
"""Part of every entry, with the runner's version; raised when the meaning of any cached value changes."""

_HEX = frozenset("0123456789abcdef")
_NAMESPACE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_KEEP_FRESH_SECONDS = 24 * 3600
_DEFAULT_BOUND_BYTES = 512 << 20
_BLOCK_BYTES = 4096
_TALLY = "added"
"""A file with a byte for each block that was added since the folder was looked through, and one more."""


class ParseCache:
    """JSON files below a folder, one for each entry; `root` None keeps nothing and finds nothing."""

    def __init__(
        self, root: Path | None, *, bound_bytes: int = _DEFAULT_BOUND_BYTES, reads: ParseCache | None = None
    ) -> None:
        """`reads` is another cache, which is asked for what this one does not have."""
        self._root = root
        self._bound_bytes = bound_bytes
        self._reads = reads

    def get(self, namespace: str, key: str) -> Any | None:
        """The value put under this key, or None if there is none or it is damaged."""
        value = self._get(namespace, key)
        return self._reads.get(namespace, key) if value is None and self._reads is not None else value

    def get_lines(self, namespace: str, key: str) -> list[str] | None:
        """The lines put under this key, or None if there are none or they are damaged."""
        body = self._body(namespace, key)
        if body is None:
            return self._reads.get_lines(namespace, key) if self._reads is not None else None
        try:
            return body.decode("utf-8", "surrogatepass").split("\n")
        except ValueError:
            return None

    def _get(self, namespace: str, key: str) -> Any | None:
        body = self._body(namespace, key)
        if body is None:
            return None
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return None
        return decoded(value["!"]) if isinstance(value, dict) and len(value) == 1 and "!" in value else value

    def _body(self, namespace: str, key: str) -> bytes | None:
        path = self._path(namespace, key)
        if path is None:
            return None
        try:
            data = path.read_bytes()
        except OSError:
            return None
        header, _, body = data.partition(b"\n")
        if header != _header(namespace, key, body):
            return None
        self._keep_fresh(path)
        return body

    def put(self, namespace: str, key: str, value: Any, *, plain: bool = False) -> None:
        """Keep a value; silently keeps nothing where the folder cannot be written, since nothing depends on it.

        With `plain` it is a list of what JSON gives back as it is, and is not looked through for anything else.
        """
        if self._root is not None:
            self._put(namespace, key, _json(value, tagged=not plain and _needs_tags(value)))

    def put_lines(self, namespace: str, key: str, lines: Sequence[str]) -> None:
        """Keep lines of text, at least one and none with a line end in it, in the same way."""
        if self._root is not None:
            self._put(namespace, key, "\n".join(lines).encode("utf-8", "surrogatepass"))

    def _put(self, namespace: str, key: str, body: bytes) -> None:
        path = self._path(namespace, key)
        if path is None:
            return
        if len(body) > self._bound_bytes // 8:
            return  # one entry must not push all others out
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_atomically(path, _header(namespace, key, body) + b"\n" + body)
            self._prune(len(body))

    def _path(self, namespace: str, key: str) -> Path | None:
        if self._root is None:
            return None
        if not (_NAMESPACE.issuperset(namespace) and namespace[:1].isalpha() and len(namespace) <= 41):
            raise ValueError(f"not a namespace of the parse cache: {namespace!r}")
        is_safe = 16 <= len(key) <= 64 and _HEX.issuperset(key)
        name = key if is_safe else hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return self._root / namespace / name[:2] / f"{name[2:]}.json"

    def _keep_fresh(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _KEEP_FRESH_SECONDS:
                os.utime(path)

    def _prune(self, added_bytes: int) -> None:
        """Drop the entries used longest ago once the folder has grown over its bound.

        It is looked through at its first entry, and whenever an eighth of the bound was added by whichever processes:
        thousands of entries are too many for each of these to look at.
        """
        if self._root is None:
            return
        added = -(-added_bytes // _BLOCK_BYTES)
        with open(self._root / _TALLY, "ab") as tally:
            tally.write(b"." * added)
            tally.flush()
            blocks = tally.tell()
            if added < blocks <= self._bound_bytes // 8 // _BLOCK_BYTES:
                return
            tally.truncate(1)
        entries = [
            (entry.stat(), entry) for entry in self._root.glob("*/*/*") if entry.name.endswith((".json", ".new"))
        ]
        total = sum(_size_on_disk(status) for status, _ in entries)
        for status, entry in sorted(entries, key=lambda pair: pair[0].st_mtime):
            if total <= self._bound_bytes:
                return
            entry.unlink(missing_ok=True)
            total -= _size_on_disk(status)


def _size_on_disk(status: os.stat_result) -> int:
    """Bytes that a file takes, which for a small one is a whole block."""
    return max(status.st_size, status.st_blocks * 512)


def _header(namespace: str, key: str, body: bytes) -> bytes:
    return f"{FORMAT_VERSION} {runner.__version__} {namespace} {key} {len(body)} {zlib.crc32(body):08x}".encode(
        "utf-8", "surrogatepass"
    )


def _write_atomically(path: Path, data: bytes) -> None:
    # By hand: the module for such names takes as long to import as this takes to write.
    name = f"{path.parent}/.{os.getpid()}-{os.urandom(8).hex()}.new"
    try:
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _json(value: Any, *, tagged: bool) -> bytes:
    """JSON of a value; one that JSON cannot give back as it is stands tagged inside `{"!": ...}`."""
    document = {"!": encoded(value)} if tagged else value
    return _ENCODER.encode(document).encode("utf-8", "surrogatepass")


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False)
"""Without a look at each list for a circle: what is kept came out of files, which have none."""


def _needs_tags(value: Any) -> bool:
    todo = [value]
    while todo:
        item = todo.pop()
        kind = type(item)
        if kind is list:
            todo.extend(item)
        elif kind is dict:
            if not all(type(key) is str and not key.startswith("!") for key in item):
                return True
            todo.extend(item.values())
        elif kind not in (str, int, float, bool, type(None)):
            return True
    return False


def encoded(value: Any) -> Any:
    """The value with what JSON cannot say as one-member objects whose key starts with `!`."""
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    if isinstance(value, dict):
        if all(isinstance(key, str) and not key.startswith("!") for key in value):
            return {key: encoded(item) for key, item in value.items()}
        return {"!map": [[encoded(key), encoded(item)] for key, item in value.items()]}
    if isinstance(value, list):
        return [encoded(item) for item in value]
    if isinstance(value, tuple):
        return {"!tuple": [encoded(item) for item in value]}
    if isinstance(value, (set, frozenset)):
        return {"!set": [encoded(item) for item in value]}
    return _encoded_leaf(value)


def _encoded_leaf(value: Any) -> Any:
    import datetime  # imported late: start-up

    for tag, kind in (("!datetime", datetime.datetime), ("!date", datetime.date), ("!time", datetime.time)):
        if isinstance(value, kind):
            return {tag: value.isoformat()}
    if isinstance(value, bytes):
        return {"!bytes": value.hex()}
    if isinstance(value, complex):
        return {"!complex": [value.real, value.imag]}
    if value is Ellipsis:
        return {"!ellipsis": None}
    raise TypeError(f"cannot be cached: {type(value).__name__}")


_DECODERS: dict[str, Any] = {
    "!map": lambda item: {decoded(key): decoded(value) for key, value in item},
    "!tuple": lambda item: tuple(decoded(part) for part in item),
    "!set": lambda item: {decoded(part) for part in item},
    "!datetime": lambda item: _moment("datetime", item),
    "!date": lambda item: _moment("date", item),
    "!time": lambda item: _moment("time", item),
    "!bytes": bytes.fromhex,
    "!complex": lambda item: complex(item[0], item[1]),
    "!ellipsis": lambda item: Ellipsis,
}


def _moment(kind: str, text: str) -> Any:
    import datetime  # imported late: start-up

    return getattr(datetime, kind).fromisoformat(text)


def decoded(value: Any) -> Any:
    """The inverse of `encoded`."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, item),) = value.items()
        if key in _DECODERS:
            return _DECODERS[key](item)
    return {key: decoded(item) for key, item in value.items()}
