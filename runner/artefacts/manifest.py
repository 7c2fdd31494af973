"""The manifest of a model folder: the SHA-256 and the size of every other file in it, compared before one is opened."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.artefacts.documents import document
from runner.errors import InputError

NAME = "manifest.json"
VERSION = 1
_MOST_BYTES = 1 << 20
"""Of the manifest itself, which names a dozen files."""
_AGAIN = "bring the folder back as it was recorded (`runner pull`), or train it again"


def manifest_of(files: Mapping[str, bytes], format: str) -> bytes:
    """The manifest of the files of a folder, by their names."""
    told = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in sorted(files.items())
    }
    return document({"version": VERSION, "format": format, "files": told})


def checked(folder: Path, digest: str | None) -> tuple[str, dict[str, bytes], str]:
    """The format of the model, every file of a folder, held against the manifest first, and the manifest's SHA-256.

    digest: the SHA-256 that the manifest itself must have, from a record; None where nobody knows one.
    Raises InputError: the folder is none of ours, of a newer version, or a file is missing, damaged or not named.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder", "name the folder that the stage `train` wrote")
    raw = _read(folder, NAME, _MOST_BYTES)
    own = hashlib.sha256(raw).hexdigest()
    if digest is not None and own != digest:
        raise InputError(f"{folder / NAME}: its SHA-256 is not {digest}", _AGAIN)
    manifest = _parsed(folder, raw)
    named = manifest["files"]
    extra = sorted(path.name for path in folder.iterdir() if path.name not in named and path.name != NAME)
    if extra:
        raise InputError(f"{folder / extra[0]}: the manifest does not name this file", "take it out of the folder")
    return manifest["format"], {name: _file(folder, name, told) for name, told in named.items()}, own


def _parsed(folder: Path, raw: bytes) -> Any:
    try:
        manifest = json.loads(raw)
        version, files = manifest["version"], manifest["files"]
        fits = isinstance(manifest["format"], str) and all(
            "/" not in name and name not in ("", ".", "..", NAME) and "\0" not in name
            and isinstance(told["sha256"], str) and isinstance(told["size"], int)
            for name, told in files.items()
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{folder / NAME}: it is no manifest of a model folder", _AGAIN) from error
    if version != VERSION:
        hint = f"this runner reads version {VERSION}: use the runner that wrote it, or train the model again"
        raise InputError(f"{folder / NAME}: it has version {str(version)[:20]}", hint)
    if not fits:
        raise InputError(f"{folder / NAME}: it is no manifest of a model folder", _AGAIN)
    return manifest


def _file(folder: Path, name: str, told: Mapping[str, Any]) -> bytes:
    data = _read(folder, name, told["size"])
    if len(data) != told["size"] or hashlib.sha256(data).hexdigest() != told["sha256"]:
        raise InputError(f"{folder / name}: its bytes are not those that the manifest names", _AGAIN)
    return data


def _read(folder: Path, name: str, most: int) -> bytes:
    """Up to one byte more than `most`, so that a file that grew is never read whole."""
    path = folder / name
    try:
        # A pipe without a writer would keep its reader waiting for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise InputError(f"{path}: it is no file", _AGAIN)
            return file.read(max(0, min(most, found.st_size)) + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file, and a model folder has one", _AGAIN) from None
    except OSError as error:
        raise InputError(f"{path}: it cannot be read: {error.strerror}", "look at its rights and its kind") from error
