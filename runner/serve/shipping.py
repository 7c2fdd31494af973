"""Finished files of the prediction log are taken to where they are wanted: a bucket, or a folder as Parquet.

A process of its own, since it may need credentials and the network, which no model gets. Files stay on the disk until
all of their bytes are known to be there; names come of the content, so that a file that is sent twice is one file.
Where the address cannot be reached, it is tried again, and what takes more disk than it may is dropped, the oldest
first, and counted.

`python -m runner.serve.shipping DESCRIPTOR`: orders come over the socket of this number.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runner.errors import InputError
from runner.serve import pipe
from runner.serve.prediction_log import FINISHED, repair
from runner.values import dataclass

_EVERY_SECONDS = 1.0
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 1.0, 60.0
_HASHED_BYTES = 1 << 20
_PASSWORD = re.compile(r"://[^/\s]+@")
_BUCKETS = frozenset(["s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "r2", "oss"])
"""Where folders need not be made, and to make one may make a bucket that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Way:
    """From which folder to which address, and as what."""

    folder: str
    to: str
    format: str
    space_bytes: int


class _Unreadable(Exception):
    """A file that a crash of the host has left with something else in its midst."""


class Shipper:
    """Ships the files of one folder."""

    def __init__(self, way: Way, clock: Callable[[], float] = time.monotonic) -> None:
        self.way = way
        self._clock = clock
        self._folder = Path(way.folder)
        self._failures = 0
        self._again = 0.0
        self.shipped_files = 0
        self.lost_files = 0
        """Dropped, since they took more disk than they may."""
        self.waiting_bytes = 0
        self.fault: str | None = None
        """Why the last one could not be shipped, until one can."""

    def ship(self, at_once: bool = False) -> bool:
        """Ship what is finished, as far as that is possible; whether nothing is left."""
        if not self._folder.is_dir():
            return True
        with contextlib.suppress(OSError):
            repair(self._folder)
        files = self._kept(sorted(self._folder.glob(FINISHED)))
        if self._again > self._clock() and not at_once:
            return not files
        unreadable: str | None = None
        for path in files:
            try:
                self._ship(path)
            except _Unreadable as error:  # for this file alone; it waits for a person, and others go on
                self.fault = unreadable = f"{path.name}: {error}; it is kept as {_aside(path).name}"
                self.lost_files += 1
                continue
            except Exception as error:  # noqa: BLE001 - whatever a file system of any kind raises; it is told and tried again
                self.fault = _shown(f"{self.way.to}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
                wait = min(_FIRST_WAIT_SECONDS * 2**self._failures, _LONGEST_WAIT_SECONDS)
                self._failures = min(self._failures + 1, 16)
                self._again = self._clock() + wait
                return False
            self.shipped_files += 1
            self._failures, self.fault = 0, unreadable
        self.waiting_bytes = 0
        return True

    def _kept(self, files: list[Path]) -> list[Path]:
        """The newest files that may stay on the disk; the others are gone."""
        sizes = [path.stat().st_size for path in files]
        left = sum(sizes)
        dropped = 0
        while dropped < len(files) and left > self.way.space_bytes:
            files[dropped].unlink(missing_ok=True)
            left -= sizes[dropped]
            dropped += 1
        self.lost_files += dropped
        self.waiting_bytes = left
        return files[dropped:]

    def _ship(self, path: Path) -> None:
        import fsspec

        made = path
        if self.way.format == "parquet":
            from runner.serve.parquet_log import as_parquet

            made = path.with_suffix(".parquet.part")
            try:
                as_parquet(path, made)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                made.unlink(missing_ok=True)
                raise _Unreadable(
                    f"it holds no rows of the prediction log: {' '.join(str(error).split())[:200]}"
                ) from error
        try:
            files, root = fsspec.core.url_to_fs(self.way.to)
            ending = self.way.format
            day = f"{path.name[12:16]}-{path.name[16:18]}-{path.name[18:20]}"
            there = f"{root.rstrip('/')}/{day}/{path.stem}-{_digest(path)[:12]}.{ending}"
            size = made.stat().st_size
            if not _has(files, there, size):
                kinds = {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)
                if not kinds & _BUCKETS:
                    files.makedirs(there.rpartition("/")[0], exist_ok=True)
                if "file" in kinds:
                    files.put_file(str(made), f"{there}.part")
                    os.replace(f"{there}.part", there)
                else:
                    files.put_file(str(made), there)
                if not _has(files, there, size):
                    raise OSError(f"{there} does not have {size} bytes after it was sent")
        finally:
            if made != path:
                made.unlink(missing_ok=True)
        path.unlink()


def _aside(path: Path) -> Path:
    return path.rename(path.with_suffix(".unreadable"))


def _shown(text: str) -> str:
    """The text without user names and passwords of addresses, since everybody may read `/status`."""
    return _PASSWORD.sub("://***@", text)


def _has(files: Any, path: str, size: int) -> bool:
    files.invalidate_cache()
    try:
        return bool(files.info(path)["size"] == size)
    except FileNotFoundError:
        return False


def _digest(path: Path) -> str:
    made = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASHED_BYTES):
            made.update(block)
    return made.hexdigest()


def check_address(address: str, format: str) -> None:
    """Whether files can go there at all; raises InputError. It is not asked whether it can be reached."""
    try:
        import fsspec

        fsspec.get_filesystem_class(address.partition("://")[0])
    except ImportError as error:
        raise InputError(f"{_shown(address)}: {error}", "install the package for it beside the server") from error
    except ValueError as error:
        raise InputError(f"{_shown(address)}: {error}", "such as s3://BUCKET/FOLDER") from error
    if format == "parquet":
        import importlib.util

        if importlib.util.find_spec("pyarrow") is None:
            text = "for a prediction log as Parquet, pyarrow is needed, and not installed"
            raise InputError(text, "pip install 'gitops-runner[parquet]'")


class _Process:
    """The process around the shippers."""

    def __init__(self, supervisor: socket.socket) -> None:
        self._supervisor = supervisor
        self._shippers: dict[Way, Shipper] = {}

    def run(self) -> None:
        """Ship until the supervisor is gone or says that it is enough; then once more."""
        self._supervisor.settimeout(_EVERY_SECONDS)
        while True:
            try:
                message, _ = pipe.heard(self._supervisor)
            except TimeoutError:
                message = {}
            if message is None or message.get("do") == "finish":
                self._round(at_once=True)
                return
            if message.get("do") == "ship":
                way = Way(**message["way"])
                self._shippers.setdefault(way, Shipper(way))
            self._round()

    def _round(self, at_once: bool = False) -> None:
        for shipper in self._shippers.values():
            shipper.ship(at_once)
        pipe.say(self._supervisor, {"say": "alive", **self._told()})

    def _told(self) -> Mapping[str, Any]:
        every = list(self._shippers.values())
        counts = {
            "prediction_log_shipped_files": sum(one.shipped_files for one in every),
            "prediction_log_lost_files": sum(one.lost_files for one in every),
        }
        gauges = {"prediction_log_waiting_bytes": sum(one.waiting_bytes for one in every)}
        numbers = {"counts": counts, "gauges": gauges, "requests": {}, "histograms": {}}
        return {"numbers": numbers, "fault": next((one.fault for one in every if one.fault), None)}


def main() -> int:
    """Ship what the supervisor says."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Process(socket.socket(fileno=int(sys.argv[1]))).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
