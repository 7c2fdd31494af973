"""What DVC itself has written: `.dvc` files (data that git does not hold) and `dvc.lock` (evidence of past runs)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from runner.core.nouns import LockEntry, LockOut, Notice, TrackedData, is_external
from runner.errors import Finding, Place, SpecError
from runner.patterns import regex
from runner.specs import places, yaml12
from runner.values import dataclass

_MD5 = regex(r"^[0-9a-f]{32}(?:\.dir)?$")
_DIGEST_FIELDS = ("md5", "etag", "checksum")


@dataclass(frozen=True, slots=True)
class PartialImport:
    """A `.dvc` file without the digest of its bytes (`dvc import --no-download`)."""

    path: str
    dvc_file: str


@dataclass(frozen=True, slots=True)
class LiveImport:
    """A `.dvc` file of an import that is not frozen: DVC asks its source, which the runner does not."""

    dvc_file: str


Item = TrackedData | PartialImport | LiveImport
"""What a `.dvc` file comes to."""


def read_dvc_file(blob: bytes, file: str) -> list[Item]:
    """What a `.dvc` file tracks, and whether it is an import that is not frozen.

    Raises SpecError: broken YAML, a command of DVC before 1.0, no `outs`, a path outside the repository.
    """
    document = yaml12.load(blob, file=file, bounds=yaml12.DVC_FILE_BOUNDS)
    if isinstance(document, dict) and "cmd" in document:
        place = places.Locator(file, lambda: blob).position(("cmd",))
        message = "the .dvc file holds a stage, as of a DVC before 1.0, which is not read (nor by DVC 3)"
        raise SpecError([Finding(file, *place, message, "write the stage into a dvc.yaml, and remove this file")])
    if not isinstance(document, dict) or not isinstance(document.get("outs"), list):
        raise SpecError([places.file_finding(file, "the .dvc file names no `outs`", "run `dvc add` again")])
    folder = posixpath.dirname(file) or "."
    wdir = document.get("wdir")
    base = places.joined(folder, wdir) if isinstance(wdir, str) else folder
    locator = places.Locator(file, lambda: blob)
    found: list[Item] = [
        _tracked(out, base, file, locator.position(("outs", index))) for index, out in enumerate(document["outs"])
    ]
    is_import = bool(document.get("deps")) and not document.get("cmd")
    is_frozen = document.get("frozen") or document.get("locked")
    return [*found, LiveImport(file)] if is_import and not is_frozen else found


def notices(items: Iterable[Item]) -> list[Notice]:
    """What people may not expect of imports."""
    found = []
    for item in items:
        if isinstance(item, PartialImport):
            message = f"`{item.path}` was imported without its bytes; `dvc update {item.dvc_file}` fetches them"
        elif isinstance(item, LiveImport):
            ways = f"`dvc update {item.dvc_file}` brings what is new there, `dvc freeze {item.dvc_file}` leaves it so"
            message = f"the import `{item.dvc_file}` is not frozen, and its source is not looked at; {ways}"
        else:
            continue
        found.append(Notice(message, Place(item.dvc_file)))
    return found


def _tracked(out: Any, base: str | None, file: str, position: tuple[int, int]) -> TrackedData | PartialImport:
    if not isinstance(out, dict) or not isinstance(out.get("path"), str):
        raise SpecError([Finding(file, *position, "the output has no `path`", "run `dvc add` again")])
    path = None if base is None else places.resolved(base, out["path"])
    if path is None or is_external(path) or path == ".":
        raise SpecError(
            [
                Finding(
                    file,
                    *position,
                    f"the path `{out['path']}` leaves the repository",
                    "track data inside the repository",
                )
            ]
        )
    md5 = out.get("md5") or _files_digest(out.get("files"))
    if md5 is None:
        return PartialImport(path, file)
    if not isinstance(md5, str) or not _MD5.match(md5.lower()):
        raise SpecError([Finding(file, *position, f"`{md5}` is not an md5", "run `dvc add` again")])
    hash_name = out.get("hash", "md5" if "files" in out else "md5-dos2unix")
    return TrackedData(
        path=path,
        md5=md5.lower(),
        dvc_file=file,
        size=_whole(out.get("size")),
        nfiles=_whole(out.get("nfiles")),
        legacy=hash_name == "md5-dos2unix",
        remote=out["remote"] if isinstance(out.get("remote"), str) else None,
    )


def _files_digest(files: Any) -> str | None:
    """The `.dir` digest of a listing that cloud-versioned remotes leave in place of it; None without one."""
    if not isinstance(files, list):
        return None
    import hashlib
    import json

    entries = [
        {"md5": item["md5"], "relpath": item["relpath"]}
        for item in files
        if isinstance(item, dict) and {"md5", "relpath"} <= item.keys()
    ]
    if len(entries) != len(files):
        return None
    listing = json.dumps(sorted(entries, key=lambda entry: str(entry["relpath"])), sort_keys=True)
    return hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest() + ".dir"


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# ---------------------------------------------------------------------------------------------------------------
# dvc.lock


def read_lock(blob: bytes, file: str) -> tuple[dict[str, dict[str, Any]], bool]:
    """Stage name to raw entry of a `dvc.lock`, and whether it is of a DVC before 2.0 (stages at the top level).

    Raises SpecError: merge-conflict markers, broken YAML, aliases, an unknown version, entries that are no entries.
    """
    document = yaml12.load(blob, file=file, bounds=yaml12.DVC_LOCK_BOUNDS)
    if document is None:
        return {}, False
    if not isinstance(document, dict):
        raise _broken_lock(file, "the lock file is no mapping")
    version = document.get("schema")
    if version is not None and str(version) != "2.0":
        raise _broken_lock(file, f"the lock file has the unknown version `{version}`")
    entries = document.get("stages", {}) if version is not None else document
    if entries is None:
        return {}, False
    if not isinstance(entries, dict):
        raise _broken_lock(file, "`stages` of the lock file is no mapping")
    for name, entry in entries.items():
        if not isinstance(name, str) or not isinstance(entry, dict) or not isinstance(entry.get("cmd"), (str, list)):
            raise _broken_lock(file, f"the entry `{name}` of the lock file is broken")
    return entries, version is None


def _broken_lock(file: str, message: str) -> SpecError:
    hint = "restore it from git, or delete it: it is written again"
    return SpecError([places.file_finding(file, message, hint)])


def lock_entry(raw: Mapping[str, Any], wdir: str, *, before_two: bool = False) -> LockEntry | None:
    """The entry of one stage with paths from the root of the repository; None where it has no shape of an entry.

    `wdir` is the folder the stage runs in: the paths of a lock entry are relative to it.
    """
    try:
        return _lock_entry(raw, wdir, before_two)
    except (KeyError, TypeError, AttributeError):
        return None


def _lock_entry(raw: Mapping[str, Any], wdir: str, before_two: bool) -> LockEntry:
    cmd = raw["cmd"]
    outs = tuple(_lock_out(item, wdir) for item in raw.get("outs") or () if _md5_of(item) is not None)
    deps = {
        _lock_path(wdir, item["path"]): digest
        for item in raw.get("deps") or ()
        if (digest := _digest(item)) is not None
    }
    params = {_lock_path(wdir, file): dict(values) for file, values in (raw.get("params") or {}).items()}
    return LockEntry(
        cmd=tuple(cmd) if isinstance(cmd, list) else (cmd,),
        cmd_is_list=isinstance(cmd, list),
        deps=deps,
        params=params,
        outs=outs,
        raw=raw,
        before_two=before_two,
    )


def _lock_path(wdir: str, path: str) -> str:
    """The path from the root; one that leaves the repository stays as written, and then equals no dep."""
    if wdir == "." and "." not in path[:1] and "/./" not in path and "//" not in path and "/../" not in path:
        return path.rstrip("/") if path != "/" else path
    return places.resolved(wdir, path) or path


def _md5_of(item: Mapping[str, Any]) -> str | None:
    md5 = item.get("md5") or _files_digest(item.get("files"))
    return str(md5).lower() if md5 else None


def _digest(item: Mapping[str, Any]) -> str | None:
    """`name:value` of the digest of a dep; an md5 without `hash` is the one of DVC before 3.0 (CRLF read as LF)."""
    for name in _DIGEST_FIELDS:
        value = item.get(name)
        if value:
            if name == "md5":
                name = str(item.get("hash") or "md5-dos2unix")
                value = str(value).lower()
            return f"{name}:{value}"
    from_files = _files_digest(item.get("files"))
    return f"md5:{from_files}" if from_files else None


def _lock_out(item: Mapping[str, Any], wdir: str) -> LockOut:
    md5 = _md5_of(item)
    assert md5 is not None
    return LockOut(
        path=_lock_path(wdir, item["path"]),
        md5=md5,
        size=_whole(item.get("size")),
        nfiles=_whole(item.get("nfiles")),
        isexec=item.get("isexec") is True,
        legacy=item.get("hash", "md5" if "files" in item else None) is None,
    )


# ---------------------------------------------------------------------------------------------------------------
# Rows for the parse cache


def tracked_row(item: Item) -> list[Any]:
    """An item of a `.dvc` file as a JSON array, whose length says what it is."""
    if isinstance(item, LiveImport):
        return [item.dvc_file]
    if isinstance(item, PartialImport):
        return [item.path, item.dvc_file]
    return [item.path, item.md5, item.dvc_file, item.size, item.nfiles, item.legacy, item.remote]


_KINDS: Mapping[int, Callable[..., Item]] = {1: LiveImport, 2: PartialImport}


def tracked_of(rows: Iterable[list[Any]]) -> list[Item]:
    """The inverse of `tracked_row`, for many."""
    return [_KINDS.get(len(row), TrackedData)(*row) for row in rows]
