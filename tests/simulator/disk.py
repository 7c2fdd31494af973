"""A disk that forgets: what was written and not synced may be gone, cut or mixed up after a loss of power."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

from runner.core.digests import Member, md5_hex
from runner.core.records import RunFacts
from runner.data.faults import MissingObjects
from tests.simulator.processes import Process


@dataclass(eq=False)
class File:
    """Bytes in the host's memory, and how many of them are on its disk."""

    data: bytes = b""
    synced_bytes: int = 0
    holder: Process | None = None

    @property
    def is_held(self) -> bool:
        return self.holder is not None and not self.holder.is_dead


@dataclass
class Disk:
    """What a host has on its disk: journals, and the objects of its DVC cache."""

    names: dict[str, File] = field(default_factory=dict)
    """Journals as the processes of this host see them."""
    durable_names: dict[str, File] = field(default_factory=dict)
    """The same as of the last sync of their folder."""
    objects: dict[str, bytes] = field(default_factory=dict)
    synced_objects: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    """Objects that are known to be what their names say, by the index of what was hashed."""
    lost: set[str] = field(default_factory=set)
    """Digests of all objects that were taken from it or spoiled: an excuse for results that needed them."""
    told: list[RunFacts] = field(default_factory=list)
    """Runs that were in a journal of this host."""

    def believed(self, md5: str) -> bytes | None:
        """The bytes of an object, if they are what its name says."""
        data = self.objects.get(md5)
        return data if data is not None and md5_hex(data) == md5 else None

    def lose_power(self, rng: random.Random) -> None:
        """Keep what was synced; of everything else keep some, none or the wrong part."""
        kept: dict[str, File] = {}
        for name in sorted({*self.names, *self.durable_names}):
            place = self.names if rng.random() < 0.5 else self.durable_names
            if name in place:
                kept[name] = _after_power_loss(place[name], rng)
        self.names = kept
        self.durable_names = dict(kept)
        for md5 in [md5 for md5 in self.objects if md5 not in self.synced_objects]:
            fate = rng.random()
            if fate < 0.4:
                continue
            self.lost.add(md5)
            self.known.discard(md5)
            if fate < 0.7:
                del self.objects[md5]
            else:
                self.objects[md5] = self.objects[md5][: rng.randrange(len(self.objects[md5]) or 1)]
        self.synced_objects = set(self.objects)

    def lose_cache(self) -> None:
        """Somebody wanted the space, and knows that all is on the DVC remote."""
        self.lost |= self.objects.keys()
        self.objects.clear()
        self.synced_objects.clear()
        self.known.clear()


def _after_power_loss(file: File, rng: random.Random) -> File:
    tail = file.data[file.synced_bytes :]
    fate = rng.random()
    if fate < 0.4:
        tail = b""
    elif fate < 0.7:
        tail = tail[: rng.randrange(len(tail) + 1)]
    elif fate < 0.85:  # the length arrived before the bytes
        tail = b"\0" * len(tail)
    data = file.data[: file.synced_bytes] + tail
    return File(data, len(data))


class SimulatedFolder:
    """Journals on such a disk; implements `runner.record.journal_folder.JournalFolder`."""

    def __init__(self, disk: Disk, process: Process) -> None:
        self._disk = disk
        self._process = process

    def open(self, name: str) -> SimulatedFile:
        self._process.step("make the journal")
        file = self._disk.names.setdefault(name, File())
        file.holder = self._process
        return SimulatedFile(file, self._process)

    def sync(self) -> None:
        self._process.step("sync the journal's folder")
        self._disk.durable_names = dict(self._disk.names)

    def names(self) -> list[str]:
        return sorted(self._disk.names)

    def read(self, name: str) -> bytes | None:
        file = self._disk.names.get(name)
        return None if file is None else file.data

    def is_held(self, name: str) -> bool:
        file = self._disk.names.get(name)
        return file is None or file.is_held

    def replace(self, name: str, data: bytes) -> None:
        self._process.step("replace a journal")
        self._disk.names[name] = File(data, len(data))

    def remove(self, name: str) -> None:
        self._process.step("remove a journal")
        self._disk.names.pop(name, None)


class SimulatedFile:
    """An open journal."""

    def __init__(self, file: File, process: Process) -> None:
        self._file = file
        self._process = process

    def write(self, data: bytes) -> None:
        self._process.step("write the journal")
        if self._process.take("disk full"):
            self._file.data += data[: self._process.machine.scheduler.rng.randrange(len(data))]
            raise OSError(28, "No space left on device")
        self._file.data += data

    def sync(self) -> None:
        self._process.step("sync the journal")
        self._file.synced_bytes = len(self._file.data)

    def close(self) -> None:
        self._file.holder = None


class SimulatedPath:
    """A file of the cache, as far as `Remotes` looks at it."""

    def __init__(self, data: bytes | None = None) -> None:
        self.data = data

    def stat(self) -> SimpleNamespace:
        return SimpleNamespace(st_size=len(self.data or b""))

    def unlink(self, missing_ok: bool = False) -> None:
        self.data = None

    def write_bytes(self, data: bytes) -> None:
        self.data = data


class SimulatedCache:
    """A DVC cache on such a disk; does what `runner.data.cache.Cache` does, see test_ports.py."""

    def __init__(self, disk: Disk, process: Process) -> None:
        self._disk = disk
        self._process = process

    def has(self, md5: str, legacy: bool = False) -> bool:
        return md5 in self._disk.objects

    def missing(self, md5: str, legacy: bool = False) -> list[str]:
        return self.unusable([md5], legacy)

    def size_bytes(self, md5: str) -> int | None:
        data = self._disk.objects.get(md5)
        return None if data is None else len(data)

    def unusable(self, md5s: Iterable[str], legacy: bool = False) -> list[str]:
        wanted = list(dict.fromkeys(md5s))
        try:
            self.trusted(wanted)
        except MissingObjects as error:
            return list(error.md5s)
        return []

    def listing(self, md5: str, legacy: bool = False) -> tuple[Member, ...]:
        raise AssertionError("no folders here")

    def put_bytes(self, data: bytes) -> str:
        self._process.step("store an object")
        return self._put(data, md5_hex(data))

    def read_bytes(self, md5: str, legacy: bool = False) -> bytes:
        return self.trusted([md5])[md5].data or b""

    def trusted(self, md5s: Iterable[str], legacy: bool = False) -> dict[str, SimulatedPath]:
        wanted = list(md5s)
        for md5 in wanted:
            if md5 not in self._disk.known and md5 in self._disk.objects:
                if md5_hex(self._disk.objects[md5]) == md5:
                    self._disk.known.add(md5)
                else:
                    del self._disk.objects[md5]  # into quarantine
        missing = [md5 for md5 in wanted if md5 not in self._disk.objects]
        if missing:
            raise MissingObjects(missing, "cache")
        return {md5: SimulatedPath(self._disk.objects[md5]) for md5 in wanted}

    def temporary(self) -> SimulatedPath:
        return SimulatedPath()

    def admit(self, temporary: SimulatedPath, md5: str, legacy: bool = False) -> bool:
        self._process.step("take an object into the cache")
        if not self.is_sound(temporary.data or b"", md5):
            return False
        self._put(temporary.data or b"", md5)
        return True

    def is_sound(self, data: bytes, md5: str) -> bool:
        return md5_hex(data) == md5

    def believed(self, md5: str) -> bytes | None:
        """Small objects, hashed before they are believed, as `runner.wiring.clone.cached_bytes` has them."""
        return self._disk.believed(md5)

    def sync(self) -> None:
        self._process.step("sync the cache")
        self._disk.synced_objects = set(self._disk.objects)

    def _put(self, data: bytes, md5: str) -> str:
        held = self._disk.objects.get(md5)
        if held is None or len(held) != len(data):
            self._disk.objects[md5] = data
            self._disk.synced_objects.discard(md5)
        self._disk.known.add(md5)
        return md5


class SimulatedPlace:
    """A DVC remote behind a network; implements `runner.data.places.Place`."""

    jobs = 1

    def __init__(self, objects: dict[str, bytes], process: Process) -> None:
        self._objects = objects
        self._process = process

    def exists(self, md5s: Sequence[str], legacy: bool) -> set[str]:
        self._reach("ask the DVC remote")
        return {md5 for md5 in md5s if md5 in self._objects}

    def sizes(self, md5s: Sequence[str]) -> Mapping[str, int | None]:
        self._reach("ask the DVC remote")
        return {md5: len(self._objects[md5]) for md5 in md5s if md5 in self._objects}

    def put(self, objects: Mapping[str, SimulatedPath]) -> None:
        for md5, path in objects.items():
            self._reach("send an object")
            self._objects[md5] = path.data or b""

    def get(self, md5: str, target: SimulatedPath, legacy: bool) -> bool:
        self._reach("fetch an object")
        data = self._objects.get(md5)
        if data is None:
            return False
        target.data = data[:-1] + b"?" if self._process.take("damage") else data
        return True

    def _reach(self, what: str) -> None:
        from runner.errors import HostError

        self._process.step(what)
        if self._process.take("dvc cut"):
            raise HostError("the DVC remote cannot be reached")
