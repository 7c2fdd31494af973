"""What a call does to the world, as Python itself reports it: processes, files that are opened, connections.

Audit hooks cannot be taken away again, so there is one, and it listens only while somebody watches.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")
_PROCESSES = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.startfile", "pty.spawn")
_CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.truncate")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Folders that may be read and folders that may be written to; what lies elsewhere is a misdeed."""

    read: tuple[str, ...]
    written: tuple[str, ...]


@dataclass
class Watch:
    """What happened while somebody watched, as far as it must not happen."""

    bounds: Bounds
    misdeeds: list[str] = field(default_factory=list)

    def event(self, name: str, arguments: tuple[Any, ...]) -> None:
        """One event of Python's."""
        if name == "open":
            path, mode, flags = arguments
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if mode is None else set(mode) & set("wax+")
            self._path("writes" if writes else "reads", path, self.bounds.written if writes else self.bounds.read)
        elif name == "os.listdir" or name == "os.scandir":
            self._path("lists", arguments[0], (*self.bounds.read, *map(os.path.abspath, sys.path)))
        elif name == "subprocess.Popen":
            words = [os.fsdecode(word) for word in arguments[1]]
            if words[0] != "git" and words != ["uname", "-p"]:  # Python's own `platform`
                self.misdeeds.append(f"starts {words}")
        elif name in _PROCESSES or name in _NETWORK:
            self.misdeeds.append(f"{name} {arguments!r}")
        elif name in _CHANGES:
            for path in arguments[:2]:
                if isinstance(path, (str, bytes, os.PathLike)):
                    self._path(name, path, self.bounds.written)

    def _path(self, what: str, path: Any, allowed: tuple[str, ...]) -> None:
        if path is None or isinstance(path, int):
            return
        text = os.path.normpath(os.path.join(os.getcwd(), os.fsdecode(path)))
        if not text.startswith(allowed) and text not in ("/dev/null", "/dev/urandom"):
            self.misdeeds.append(f"{what} {text}")


_watching: list[Watch] = []
_installed: list[bool] = []


def _hook(name: str, arguments: tuple[Any, ...]) -> None:
    if _watching:
        _watching[-1].event(name, arguments)


@contextlib.contextmanager
def watched(bounds: Bounds) -> Iterator[Watch]:
    """Watch everything that this process does."""
    if not _installed:
        sys.addaudithook(_hook)
        _installed.append(True)
    watch = Watch(bounds)
    _watching.append(watch)
    writes_none, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a module that was edited is no misdeed
    try:
        yield watch
    finally:
        _watching.remove(watch)
        sys.dont_write_bytecode = writes_none


def own_places() -> tuple[str, ...]:
    """Where Python, its packages and the system's own files lie."""
    return _places(len(sys.modules))


@functools.lru_cache(maxsize=1)
def _places(modules: int) -> tuple[str, ...]:
    """The same as long as no module comes along: there are thousands to ask, and a call of the runner is short."""
    root = Path(__file__).resolve().parents[2]
    places = {sys.prefix, sys.base_prefix, *map(str, (root / "runner", root / "schemas", root / "templates"))}
    places |= {os.path.dirname(file) for module in list(sys.modules.values()) if (file := _file(module))}
    places |= {"/usr/", "/lib", "/etc/localtime", "/etc/ld.so", "/etc/mime.types", "/proc/", "/sys/"}
    return tuple(place for place in sorted(places) if not any(place.startswith(f"{other}/") for other in places))


def _file(module: Any) -> str:
    file = getattr(module, "__file__", None) or ""
    return os.path.abspath(file) if "/site-packages/" in file or "/lib/python" in file else ""
