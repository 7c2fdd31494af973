"""A release file as a server reads it: every field is looked at before anything is done with it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from runner.core.releases import model_digest
from runner.errors import InputError
from runner.values import dataclass

FORMATS = ("skops", "onnx")
"""Formats that are read where the Deployment names none: reading them runs no code of whoever wrote the file."""
_MD5 = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NOT_INSIDE = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|[\0\\]")
"""An empty part, `.`, `..`, a NUL, or what another system takes for a slash."""
_MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model."""

    path: str
    md5: str
    """Where it is on the DVC remote."""
    sha256: str
    size: int
    """In bytes."""


@dataclass(frozen=True, slots=True)
class Release:
    """What is to be served of a Deployment in an environment."""

    row: Mapping[str, Any]
    """The file as it stands on the state branch."""
    id: str
    """The SHA-256 of the file."""
    deployment: str
    environment: str
    version: int
    record: int
    """Number of the record that says so."""
    format: str
    serving: Mapping[str, Any]
    model: str
    """The SHA-256 that names the model."""
    manifest: str | None
    remote: str | None
    files: tuple[ModelFile, ...]

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats that the Deployment lets a server read."""
        return tuple(self.serving.get("formats") or FORMATS)


def read_release(data: bytes) -> Release:
    """The release that a file says; raises InputError for what is none."""
    try:
        row = json.loads(data)
        return _release(row, hashlib.sha256(data).hexdigest())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"the release file is none: {type(error).__name__}: {str(error)[:200]}"
        raise InputError(why, "`runner audit verify` says more of the state branch") from error


def check_servable(release: Release) -> None:
    """Raise InputError for a model that a server does not load, whatever its bytes are."""
    if release.format not in release.formats:
        raise InputError(
            f"the model is in the format {release.format}, and `formats` of the Deployment allows: "
            f"{', '.join(release.formats)}",
            f"`formats: [{release.format}]` in the spec would allow it, where you know who made the model",
        )
    if release.manifest is None:
        raise InputError(
            "the model is no folder with a manifest.json, and a server loads no other",
            "the built-in stage `train` writes such a folder, and so does `runner.artefacts.write`",
        )


def _release(row: Any, digest: str) -> Release:
    if row["schema"] != 1:
        raise ValueError(f"it has schema {str(row['schema'])[:20]}, and this runner reads 1")
    model = row["model"]
    files = tuple(map(_file, model["files"]))
    paths = {file.path for file in files}
    if not files or len(paths) != len(files) or len(files) > _MOST_FILES:
        raise ValueError("it names no files, or one of them twice")
    if paths != {""} and any(_NOT_INSIDE.search(path) for path in paths):
        raise ValueError("it names a path outside of the model")
    if any(other.startswith(f"{path}/") for path in paths if path for other in paths):
        raise ValueError("it names a path that is a file and a folder")
    if model_digest(model["files"]) != model["sha256"]:
        raise ValueError("the files are not those that the digest of the model names")
    manifest, remote, serving = model["manifest"], model["remote"], row["serving"]
    if not (manifest is None or _is(_SHA256, manifest)) or not (remote is None or isinstance(remote, str)):
        raise ValueError("`manifest` or `remote` is no text")
    if manifest != next((file.sha256 for file in files if file.path == "manifest.json"), None):
        raise ValueError("the manifest has another digest than the file")
    if not isinstance(serving, dict) or not _texts(serving.get("formats") or []):
        raise ValueError("`serving` is no mapping, or its `formats` no list")
    if not _texts([row["deployment"], row["environment"], row["format"]]):
        raise ValueError("a name is no text")
    return Release(
        row=row,
        id=digest,
        deployment=row["deployment"],
        environment=row["environment"],
        version=_count(row["version"], 1),
        record=_count(row["record"], 1),
        format=row["format"],
        serving=serving,
        model=model["sha256"],
        manifest=manifest,
        remote=remote,
        files=files,
    )


def _file(row: Any) -> ModelFile:
    if not (isinstance(row["path"], str) and _is(_MD5, row["md5"]) and _is(_SHA256, row["sha256"])):
        raise ValueError("a file has no path, or no digest")
    return ModelFile(row["path"], row["md5"], row["sha256"], _count(row["size"], 0))


def _is(form: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) and value for value in values)


def _count(value: Any, least: int) -> int:
    if type(value) is not int or value < least:
        raise ValueError("a number is none")
    return value
