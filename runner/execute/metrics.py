"""What of a run's outputs enters the state branch and so must hold no secret: metrics, uncached files, names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from runner.core.nouns import Out, OutKind, Stage
from runner.core.recorded import SMALL_BYTES, OutFact
from runner.data.cache import Cache
from runner.errors import RunnerError
from runner.values import dataclass

METRIC_BYTES = 64 << 10
"""So much of the metric files of one run stands in its record."""
_HINT = "what is recorded must hold no secret; write it elsewhere, or not at all"


class Made(Protocol):
    """Where the outputs of one run lie."""

    def file(self, out: Out) -> Path | None:
        """The one file that an output is; None for a folder."""

    def files(self, out: Out) -> Iterator[Path]:
        """All files of an output."""

    def names(self, out: Out) -> bytes:
        """Names of all files and folders in an output, with a NUL between any two."""


@dataclass(frozen=True, slots=True)
class Written(Made):
    """Outputs as a stage has just written them below a folder."""

    root: Path

    def file(self, out: Out) -> Path | None:
        """See `Made`."""
        path = self.root / out.path
        return path if path.is_file() else None

    def files(self, out: Out) -> Iterator[Path]:
        """See `Made`."""
        path = self.root / out.path
        yield from (file for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())

    def names(self, out: Out) -> bytes:
        """See `Made`."""
        below = os.walk(os.fsencode(self.root / out.path))
        return b"\0".join(name for _, folders, files in below for name in (*folders, *files))


@dataclass(frozen=True, slots=True)
class Kept(Made):
    """Outputs that a cache has the bytes of, and that lie nowhere else."""

    cache: Cache
    facts: Mapping[str, OutFact]
    """Path to output; each is in the cache, and whole."""

    def file(self, out: Out) -> Path | None:
        """See `Made`."""
        md5 = self.facts[out.path].md5
        return None if md5.endswith(".dir") else self.cache.object_path(md5)

    def files(self, out: Out) -> Iterator[Path]:
        """See `Made`."""
        file = self.file(out)
        md5s = (md5 for _, md5 in self.cache.listing(self.facts[out.path].md5)) if file is None else ()
        yield from (self.cache.object_path(md5) for md5 in md5s)
        yield from () if file is None else (file,)

    def names(self, out: Out) -> bytes:
        """See `Made`."""
        if self.file(out) is not None:
            return b""
        names = {part for name, _ in self.cache.listing(self.facts[out.path].md5) for part in name.split("/")}
        return b"\0".join(os.fsencode(name) for name in sorted(names))


def too_large(stage: Stage, made: Made) -> str:
    """What is wrong with the size of an output that would be committed to git; empty where nothing is."""
    for out in stage.outs:
        size_bytes = 0 if out.cache else sum(file.stat().st_size for file in made.files(out))
        if size_bytes > SMALL_BYTES:
            return (
                f"{out.path} has {size_bytes / SMALL_BYTES:.1f} MiB: an output with `cache: false` is committed to git "
                "and may have 1 MiB; take `cache: false` away"
            )
    return ""


def recorded_metrics(stage: Stage, made: Made, secrets: Mapping[str, str]) -> dict[str, Any]:
    """Values of metric files, as far as all of them together stay small; gates and comparisons read these.

    One that has the value of a secret too short to be told from chance is left out.
    """
    found: dict[str, Any] = {}
    left = METRIC_BYTES
    for out in stage.outs:
        data = _metric_bytes(out, made, left)
        if data is None or any(value.encode("utf-8", "surrogateescape") in data for value in secrets.values() if value):
            continue
        value = _parsed(data, out.path)
        if value is not None:
            found[out.path] = value
            left -= len(data)
    return found


def told_secret(stage: Stage, made: Made, secrets: Mapping[str, str]) -> str:
    """What is wrong with outputs that would bring a secret onto the state branch; empty where nothing is.

    Looked at are metric files and their values, the bytes of outputs with `cache: false`, and the names of files in
    folders. The bytes of cached outputs are the user's own and stay unread.
    """
    if not secrets:
        return ""
    from runner.process.redaction import Redactor, secrets_in_value  # imported late: only stages with secrets need it

    redactor = Redactor(secrets)
    for out in stage.outs:
        if held := redactor.names_in(made.names(out)):
            return f"the name of a file in {out.path} holds the value of {', '.join(held)}: {_HINT}"
        for file in _recorded_files(out, made):
            data = file.read_bytes()
            held = redactor.names_in(data)
            if not held and out.kind is OutKind.METRIC:
                held = secrets_in_value(_parsed(data, out.path), redactor)
            if held:
                return f"{out.path} holds the value of {', '.join(held)}: {_HINT}"
    return ""


def short_secrets(stage: Stage, made: Made, secrets: Mapping[str, str]) -> list[str]:
    """Sentences about what will be published and has the value of a secret that is too short to be told from chance.

    Of a run whose outputs `told_secret` finds nothing wrong with.
    """
    values = {name: value.encode("utf-8", "surrogateescape") for name, value in secrets.items() if value}
    if not values:
        return []
    said = []
    for out in stage.outs:
        data = [file.read_bytes() for file in _recorded_files(out, made)]
        held = sorted(name for name, value in values.items() if any(value in one for one in data))
        if held:
            of = ", ".join(held)
            where = "committed to the state branch as it is" if not out.cache else "not recorded as a metric"
            said.append(f"{out.path} has the value of {of}, which is too short to be told from chance: {where}")
    return said


def _recorded_files(out: Out, made: Made) -> Iterator[Path]:
    """Files whose bytes go to the state branch: uncached ones, which are small by then, and metrics."""
    if not out.cache or _metric_bytes(out, made, METRIC_BYTES) is not None:
        yield from made.files(out)


def _metric_bytes(out: Out, made: Made, most: int) -> bytes | None:
    path = made.file(out) if out.kind is OutKind.METRIC else None
    if path is None or path.stat().st_size > most:
        return None
    return path.read_bytes()


def _parsed(data: bytes, path: str) -> Any:
    from runner.specs.params import load_params  # imported late: only where something ran

    try:
        return load_params(data, path)
    except (RunnerError, ValueError):
        return None  # a metric that is no structured file is an output like any other
