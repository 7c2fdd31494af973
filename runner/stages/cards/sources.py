"""The inputs of a card, each with the digests by which a record names it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from runner.artefacts import manifest
from runner.core.digests import folder_digest
from runner.errors import InputError
from runner.specs import yaml12
from runner.stages.tables import no_such_file
from runner.values import dataclass

_MOST_BYTES = 16 << 20
"""Of one file with figures."""


@dataclass(frozen=True, slots=True)
class Source:
    """One input."""

    number: int
    """From 1 on, in the order of the card."""
    role: str
    path: str
    md5: str
    """As DVC, `dvc.lock` and the records name it; that of a folder ends with `.dir`."""
    sha256: str
    """Of a model folder that of its manifest, which names those of all other files."""


@dataclass(frozen=True, slots=True)
class Figures:
    """A file with figures, such as metrics."""

    source: Source
    value: dict[str, Any]


class Sources:
    """The inputs that were looked at so far."""

    def __init__(self) -> None:
        self._by_path: dict[str, Source] = {}

    def all(self) -> tuple[Source, ...]:
        """Every input, by its number."""
        return tuple(self._by_path.values())

    def of(self, role: str, path: str) -> Source:
        """An input by its path; raises InputError where it cannot be read."""
        known = self._by_path.get(path)
        if known is None:
            known = Source(len(self._by_path) + 1, role, path, *_digests(Path(path)))
            self._by_path[path] = known
        return known

    def figures(self, role: str, path: str) -> Figures:
        """A file of JSON or YAML; raises InputError where it is none, or no mapping."""
        source = self.of(role, path)
        return Figures(source, _parsed(Path(path)))


def _digests(path: Path) -> tuple[str, str]:
    try:
        if not path.is_dir():
            return _hashed(path, "md5"), _hashed(path, "sha256")
        files = sorted(file for file in path.rglob("*") if file.is_file())
        listing = [(file.relative_to(path).as_posix(), _hashed(file, "md5")) for file in files]
        own = path / manifest.NAME
        return folder_digest(listing), _hashed(own, "sha256") if own.is_file() else ""
    except FileNotFoundError:
        raise no_such_file(path) from None
    except OSError as error:
        raise InputError(f"{path}: it cannot be read: {error.strerror}", "look at its rights and its kind") from error


def _hashed(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def _parsed(path: Path) -> dict[str, Any]:
    data = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else None
    if data is None:
        raise InputError(f"{path}: it is larger than {_MOST_BYTES >> 20} MiB", "name a file of metrics")
    try:
        value = yaml12.load(data, file=str(path)) if path.suffix in (".yaml", ".yml") else json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: it is no JSON: {str(error)[:100]}", "name a file .json or .yaml") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: it holds no mapping of names to values", "name a file of metrics")
    return value
