"""What a model consists of: each of its files with its SHA-256, read from this host's cache or a DVC remote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.core.digests import Member
from runner.core.recorded import OutFact
from runner.core.releases import model_digest
from runner.data.cache import Cache
from runner.data.remotes import Remotes
from runner.errors import HostError
from runner.values import dataclass

MANIFEST = "manifest.json"
RUNS_CODE = ("pickle", "joblib")
"""Formats that run code of whoever wrote the file when they are read."""
_SUFFIXES = {"pkl": "pickle", "pickle": "pickle", "joblib": "joblib", "skops": "skops", "onnx": "onnx"}
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Models:
    """Where the bytes of models are."""

    cache: Cache
    remotes: Remotes

    def format(self, out: OutFact) -> str:
        """The format of a model: as its manifest says, else by the name of its file; `folder` for any other folder.

        Raises HostError where its bytes are neither here nor at the DVC remote.
        """
        names = dict(self._members(out))
        if out.md5.endswith(".dir"):
            return self._stated(out, names[MANIFEST]) if MANIFEST in names else _by_names(list(names))
        return _by_names([out.path])

    def contents(self, out: OutFact) -> dict[str, Any]:
        """The model as a release names it. Raises HostError as `format` does, and for bytes that are damaged."""
        rows, manifest = [], None
        for path, md5 in self._members(out):
            row = self._file(out, path, md5)
            rows.append(row)
            manifest = row["sha256"] if path == MANIFEST else manifest
        named = {"path": out.path, "md5": out.md5, "remote": out.remote, "manifest": manifest, "files": rows}
        return {**named, "sha256": model_digest(rows)}

    def check(self, stated: Mapping[str, Any]) -> None:
        """Whether the model of a release is there as it was released; raises HostError."""
        model = stated["model"]
        found = self.contents(OutFact(model["path"], model["md5"], remote=model["remote"]))
        if found["sha256"] != model["sha256"]:
            raise HostError(
                f"the bytes of {model['path']} are not those that were released",
                "`runner audit verify --deep` says more; `runner rollback --to N` goes back to another version",
            )

    def lay_out(self, stated: Mapping[str, Any], folder: Path) -> None:
        """Have the files of a released model in a new folder, read-only, each of them the bytes that were released.

        Raises HostError where they are lost, or are not those.
        """
        out = OutFact(stated["path"], stated["md5"], remote=stated["remote"])
        members = set(self._members(out))
        if stray := next((row for row in stated["files"] if (row["path"], row["md5"]) not in members), None):
            raise HostError(
                f"{stray['path'] or out.path} is no file of the model {out.md5}",
                "`runner audit verify` says whether somebody changed what is recorded",
            )
        folder.mkdir()
        for row in stated["files"]:
            target = folder / (row["path"] or stated["path"].rpartition("/")[2])
            target.parent.mkdir(parents=True, exist_ok=True)
            if self._copied(out, row["md5"], target) != row["sha256"]:
                raise HostError(
                    f"{target.relative_to(folder)} of {out.path} is not the file that was released",
                    "`runner audit verify --deep` looks through the cache; take the object away, and it is fetched "
                    "again",
                )
        for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            path.chmod(0o555)

    def _copied(self, out: OutFact, md5: str, target: Path) -> str:
        """Copy an object; gives the SHA-256 of what was written."""
        sha256 = hashlib.sha256()
        try:
            with self.cache.object_path(md5).open("rb") as source, target.open("xb") as copy:
                while chunk := source.read(_CHUNK_BYTES):
                    sha256.update(chunk)
                    copy.write(chunk)
            target.chmod(0o444)
        except OSError as error:
            raise HostError(f"{out.path} cannot be copied: {error.strerror}", "look at this host's disk") from error
        return sha256.hexdigest()

    def _members(self, out: OutFact) -> tuple[Member, ...]:
        """Path and digest of each file; a model that is one file has the empty path."""
        if self.cache.missing(out.md5, out.legacy):
            try:
                self.remotes.pull([out.md5], out.remote, legacy=out.legacy)
            except HostError as error:
                raise HostError(f"{out.path} cannot be released: {error.message}", error.hint) from error
        return self.cache.listing(out.md5, out.legacy) if out.md5.endswith(".dir") else (("", out.md5),)

    def _stated(self, out: OutFact, md5: str) -> str:
        try:
            found = json.loads(self.cache.read_bytes(md5, out.legacy))["format"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return "folder"
        return found if isinstance(found, str) and found.isprintable() and 0 < len(found) <= 40 else "folder"

    def _file(self, out: OutFact, path: str, md5: str) -> dict[str, Any]:
        size, sha256, own = 0, hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        place = self.cache.object_path(md5, out.legacy)
        try:
            with place.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    size += len(chunk)
                    sha256.update(chunk)
                    own.update(chunk)
        except OSError as error:
            raise HostError(f"{out.path} cannot be read: {error.strerror}", "look at the cache on this host") from error
        if not out.legacy and own.hexdigest() != md5:
            raise HostError(
                f"{out.path} cannot be released: the bytes of {md5} in the cache are damaged",
                "`runner audit verify --deep` looks through the cache; take the object away, and it is fetched again",
            )
        return {"path": path, "md5": md5, "sha256": sha256.hexdigest(), "size": size}


def format_by_name(out: OutFact) -> str:
    """The format of a model that is one file, which its name tells; empty for a folder, whose files tell it."""
    return "" if out.md5.endswith(".dir") else _by_names([out.path])


def _by_names(names: list[str]) -> str:
    if len(names) == 1:
        suffix = names[0].rpartition("/")[2].rpartition(".")[2].lower() if "." in names[0] else ""
        return _SUFFIXES.get(suffix, suffix if suffix.isalnum() and len(suffix) <= 40 else "file")
    dangerous = {_SUFFIXES.get(name.rpartition(".")[2].lower(), "") for name in names} & set(RUNS_CODE)
    return sorted(dangerous)[0] if dangerous else "folder"
