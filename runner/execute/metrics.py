"""What of a run's outputs enters the state branch and so must hold no secret: metrics, uncached files, names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.core.nouns import Out, OutKind, Stage
from runner.errors import RunnerError

METRIC_BYTES = 64 << 10
"""So much of the metric files of one run stands in its record."""
_HINT = "what is recorded must hold no secret; write it elsewhere, or not at all"


def recorded_metrics(stage: Stage, root: Path, secrets: Mapping[str, str]) -> dict[str, Any]:
    """Values of metric files, as far as all of them together stay small; gates and comparisons read these.

    One that has the value of a secret too short to be told from chance is left out.
    """
    found: dict[str, Any] = {}
    left = METRIC_BYTES
    for out in stage.outs:
        data = _metric_bytes(out, root, left)
        if data is None or any(value.encode("utf-8", "surrogateescape") in data for value in secrets.values() if value):
            continue
        value = _parsed(data, out.path)
        if value is not None:
            found[out.path] = value
            left -= len(data)
    return found


def told_secret(stage: Stage, root: Path, secrets: Mapping[str, str]) -> str:
    """What is wrong with outputs that would bring a secret onto the state branch; empty where nothing is.

    Looked at are metric files and their values, the bytes of outputs with `cache: false`, and the names of files in
    folders. The bytes of cached outputs are the user's own and stay unread.
    """
    if not secrets:
        return ""
    from runner.process.redaction import Redactor, secrets_in_value  # imported late: only stages with secrets need it

    redactor = Redactor(secrets)
    for out in stage.outs:
        if held := redactor.names_in(_names(root / out.path)):
            return f"the name of a file in {out.path} holds the value of {', '.join(held)}: {_HINT}"
        for file in _recorded_files(out, root):
            data = file.read_bytes()
            held = redactor.names_in(data)
            if not held and out.kind is OutKind.METRIC:
                held = secrets_in_value(_parsed(data, out.path), redactor)
            if held:
                return f"{out.path} holds the value of {', '.join(held)}: {_HINT}"
    return ""


def short_secrets(stage: Stage, root: Path, secrets: Mapping[str, str]) -> list[str]:
    """Sentences about what will be published and has the value of a secret that is too short to be told from chance.

    Of a run whose outputs `told_secret` finds nothing wrong with.
    """
    values = {name: value.encode("utf-8", "surrogateescape") for name, value in secrets.items() if value}
    if not values:
        return []
    said = []
    for out in stage.outs:
        data = [file.read_bytes() for file in _recorded_files(out, root)]
        held = sorted(name for name, value in values.items() if any(value in one for one in data))
        if held:
            of = ", ".join(held)
            where = "committed to the state branch as it is" if not out.cache else "not recorded as a metric"
            said.append(f"{out.path} has the value of {of}, which is too short to be told from chance: {where}")
    return said


def _recorded_files(out: Out, root: Path) -> Iterator[Path]:
    """Files whose bytes go to the state branch: uncached ones, which are small by then, and metrics."""
    path = root / out.path
    if not out.cache:
        yield from (file for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    elif _metric_bytes(out, root, METRIC_BYTES) is not None:
        yield path


def _names(path: Path) -> bytes:
    """Names of all files and folders below, with a NUL between any two."""
    return b"\0".join(name for _, folders, files in os.walk(os.fsencode(path)) for name in (*folders, *files))


def _metric_bytes(out: Out, root: Path, most: int) -> bytes | None:
    path = root / out.path
    if out.kind is not OutKind.METRIC or not path.is_file() or path.stat().st_size > most:
        return None
    return path.read_bytes()


def _parsed(data: bytes, path: str) -> Any:
    from runner.specs.params import load_params  # imported late: only where something ran

    try:
        return load_params(data, path)
    except (RunnerError, ValueError):
        return None  # a metric that is no structured file is an output like any other
