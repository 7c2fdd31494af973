"""What goes wrong with stored bytes, as errors that name the objects."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from runner.errors import HostError

_SHOWN = 5


class MissingObjects(HostError):
    """Objects that are needed are neither in the cache nor where they were looked for; `md5s` names them all."""

    def __init__(self, md5s: Iterable[str], where: str, hint: str = "") -> None:
        self.md5s: tuple[str, ...] = tuple(dict.fromkeys(md5s))
        super().__init__(
            f"{where}: {_counted(self.md5s)} missing: {_listed(self.md5s)}",
            hint or "pull them from a remote that has them, or let the stage that makes them run again",
        )


class DamagedObjects(HostError):
    """Objects whose bytes do not match their name; none of them was used. `md5s` names them all."""

    def __init__(self, md5s: Iterable[str], where: str, hint: str = "") -> None:
        self.md5s: tuple[str, ...] = tuple(dict.fromkeys(md5s))
        super().__init__(
            f"{where}: {_counted(self.md5s)} damaged, bytes and name differ: {_listed(self.md5s)}",
            hint or "delete them there and push them again from a place that has them whole",
        )


@contextmanager
def host_errors(doing: str) -> Iterator[None]:
    """Turn an error of the operating system into a HostError that says what was being done."""
    try:
        yield
    except OSError as error:
        raise HostError(f"{doing}: {error.strerror or error}{_at(error)}", _HINTS.get(error.errno or 0, "")) from error


_HINTS = {
    errno.ENOSPC: "the disk is full: free some space and call again; nothing that was stored is lost",
    errno.EDQUOT: "the quota is used up: free some space and call again; nothing that was stored is lost",
    errno.EACCES: "give this user the right to read and write there",
    errno.EPERM: "give this user the right to read and write there",
    errno.ENOTDIR: "something that is no folder stands where one should be: move it away",
    errno.EROFS: "the file system is mounted read-only",
    errno.EMFILE: "too many open files: raise `ulimit -n`",
}


def _at(error: OSError) -> str:
    return f": {error.filename}" if error.filename else ""


def _counted(md5s: Sequence[str]) -> str:
    return "1 object is" if len(md5s) == 1 else f"{len(md5s)} objects are"


def _listed(md5s: Sequence[str]) -> str:
    more = len(md5s) - _SHOWN
    return ", ".join(md5s[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
