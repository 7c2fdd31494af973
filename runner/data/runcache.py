"""DVC's run-cache: which outputs a command gave for its inputs, kept beside the cache as `runs/ab/<key>/<value>`.

Key and value are those of DVC 3 (dvc.stage.cache). It has a defect: parameters named `size` or `nfiles` are not in the
key (treeverse/dvc#10296), so a hit for a stage that has one, at any depth, is never believed here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.core.nouns import OutKind, Stage, is_external
from runner.data.faults import host_errors
from runner.data.hashing import is_digest
from runner.data.links import temporary_name, write_all
from runner.data.lockfile import entry_text

KEY_VERSION = 1
"""The algorithm of `key`; it becomes 2 when DVC mends its own."""

FOLDER = "runs"

_NOT_IN_THE_KEY = frozenset(["size", "nfiles"])
_SCALARS = frozenset({str, int})
_MAX_BYTES = 16 * 1024 * 1024
_ENCODER = json.JSONEncoder(sort_keys=True)
"""JSON as DVC digests it."""

Entry = Mapping[str, Any]


def exists(cache_root: Path) -> bool:
    """Whether anything was ever saved here."""
    return os.path.isdir(cache_root / FOLDER)


def eligible(stage: Stage) -> bool:
    """Whether DVC keeps runs of this stage: it has inputs and outs, all of them here, and carries nothing over."""
    if stage.always_changed or not stage.cmd or not (stage.deps or stage.params) or not stage.outs:
        return False
    if any(is_external(path) for path in (*stage.deps, *stage.out_paths)):
        return False
    return not any(out.persist for out in stage.outs)


def saved_by_dvc(stage: Stage) -> bool:
    """Whether DVC would save a run of this stage, too: also, none of its plain outs is uncached."""
    return eligible(stage) and all(out.cache or out.kind is not OutKind.OUT for out in stage.outs)


def key(entry: Entry) -> str:
    """Name of the inputs: the entry with only the paths of its outs. Raises TypeError for what JSON cannot say."""
    return _key(_without_sizes(entry))


def value(entry: Entry) -> str:
    """Name of the whole entry."""
    return _digest(_without_sizes(entry))


def path(cache_root: Path, entry: Entry) -> Path:
    """Where the entry is or would be. Raises TypeError for what JSON cannot say."""
    bare = _without_sizes(entry)
    name = _key(bare)
    return Path(f"{cache_root}/{FOLDER}/{name[:2]}/{name}/{_digest(bare)}")


def save(cache_root: Path, entry: Entry) -> Path | None:
    """Write an entry that is not there yet and return its path; None where DVC could not read it.

    The caller asks `eligible` first and has stored the bytes of every out, also of metrics that are not cached.
    """
    if not _is_whole(entry):
        return None
    try:
        target = path(cache_root, entry)
    except TypeError:  # a date among the parameters: DVC fails on it
        return None
    with host_errors(f"write the run-cache {target}"):
        folder = os.path.dirname(target)
        if _made(folder) or not os.path.exists(target):
            fresh = f"{folder}/.{temporary_name()}.tmp"
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try:
                write_all(descriptor, entry_text(entry).encode())
            finally:
                os.close(descriptor)
            os.replace(fresh, target)
    return target


def lookup(cache_root: Path, entry: Entry) -> dict[str, Any] | None:
    """The newest run with the inputs of `entry`, whose outs need nothing but paths; None where none can be believed.

    The caller still has to see whether the cache has the bytes. Damaged files count as not there.
    """
    if has_ambiguous_param(entry):
        return None
    try:
        wanted = key(entry)
    except TypeError:
        return None
    folder = cache_root / FOLDER / wanted[:2] / wanted
    with host_errors(f"read the run-cache {folder}"):
        for file in _newest_first(folder):
            found = _read(file)
            if found is not None and key(found) == wanted and value(found) == file.name:
                return found
    return None


def _made(folder: str) -> bool:
    """Have the folder, and say whether it is new."""
    try:
        os.mkdir(folder)
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
    except FileExistsError:
        return False
    return True


def has_ambiguous_param(entry: Entry) -> bool:
    """Whether a parameter, at any depth, has a name that DVC leaves out of the key."""
    return any(_names_ambiguous(values) for values in entry.get("params", {}).values())


def _names_ambiguous(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(name in _NOT_IN_THE_KEY or _names_ambiguous(item) for name, item in value.items())
    return isinstance(value, (list, tuple)) and any(_names_ambiguous(item) for item in value)


def _newest_first(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            files = [(entry.stat().st_mtime_ns, entry.path) for entry in entries if entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [Path(name) for _, name in sorted(files, reverse=True)]


def _read(file: Path) -> dict[str, Any] | None:
    if file.stat().st_size > _MAX_BYTES:
        return None
    from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml  # imported late: start-up

    try:
        entry = parse_yaml(file.read_text(encoding="utf-8"), str(file))
    except (YAMLFileCorruptedError, UnicodeDecodeError):
        return None
    return entry if isinstance(entry, dict) and _is_whole(entry) else None


def _is_whole(entry: Entry) -> bool:
    """Whether the entry has what DVC asks of one: a command, outs and deps or params, all with digests."""
    deps, outs = _rows(entry.get("deps")), _rows(entry.get("outs"))
    return (
        bool(entry.get("cmd"))
        and bool(deps or entry.get("params"))
        and bool(outs)
        and all(isinstance(row.get("path"), str) and is_digest(row.get("md5")) for row in (*deps, *outs))
        and isinstance(entry.get("params", {}), Mapping)
        and set(entry) <= {"cmd", "deps", "params", "outs"}
    )


def _rows(rows: Any) -> list[Mapping[str, Any]]:
    if not isinstance(rows, list) or not ({dict}.issuperset(map(type, rows)) or all(map(_is_mapping, rows))):
        return []
    return rows


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _key(bare: Entry) -> str:
    return _digest({**bare, "outs": [out["path"] for out in bare.get("outs", ())]})


def _digest(bare: Entry) -> str:
    return hashlib.sha256(_ENCODER.encode(bare).encode()).hexdigest()


def _without_sizes(item: Any) -> Any:
    kind = type(item)
    if kind is dict or isinstance(item, Mapping):
        return {
            name: inner if type(inner) in _SCALARS else _without_sizes(inner)
            for name, inner in item.items()
            if name not in _NOT_IN_THE_KEY
        }
    if kind is list or kind is tuple or isinstance(item, (list, tuple)):
        return [inner if type(inner) in _SCALARS else _without_sizes(inner) for inner in item]
    return item
