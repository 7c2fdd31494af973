"""One stage's entry of `dvc.lock`, to and from what is recorded.

Paths in a lock are relative to the stage's working directory; ours are relative to the root. `hash: md5` is always
written: without it DVC takes an entry for one of its old line-end-folding kind.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from runner.core.canonical import restored
from runner.core.nouns import Stage, is_external
from runner.core.recorded import InputSizes, OutFact

MEANINGS = ("ast", "cells")
"""Kinds of digests of what a file says; the MD5 of its bytes, which a lock file has, stands beside its size."""


def lock_entry(
    stage: Stage, material: Mapping[str, Any], outs: Sequence[OutFact] | None, sizes: InputSizes | None = None
) -> dict[str, Any]:
    """The entry DVC would write for this result; without `outs` the form that DVC's run-cache keys are made of.

    What ran is told by the material: the stage may be another one by now, and its spelling of paths is all it gives.
    """
    wdir: str = material["wdir"]
    spelled: dict[str, list[str]] = {}
    for path, way in stage.spelled if wdir == stage.wdir else ():
        spelled.setdefault(path, []).append(way)

    def written(path: str) -> list[str]:
        return spelled.get(path) or [relative(path, wdir)]

    entry: dict[str, Any] = {"cmd": material["cmd"]}
    digests = material.get("dep", {}).items()
    deps = [_dep(path, digest, way, sizes or {}) for path, digest in digests for way in written(path)]
    if deps:
        entry["deps"] = sorted(deps, key=lambda row: str(row["path"]))
    params = _params(stage, material.get("param", {}), wdir)
    if params:
        entry["params"] = params
    if outs is None:
        rows: list[dict[str, Any]] = [{"path": way} for path in material.get("out", {}) for way in written(path)]
    else:
        rows = [_out(out, way) for out in outs for way in written(out.path)]
    if rows:
        entry["outs"] = sorted(rows, key=lambda row: str(row["path"]))
    return entry


def rooted_rows(material: Mapping[str, Any], outs: Sequence[OutFact], sizes: InputSizes) -> dict[str, Any]:
    """The same but for parameters, in any order and with paths from the root: what follows from a result alone."""
    entry: dict[str, Any] = {"cmd": material["cmd"]}
    deps = [_dep(path, digest, path, sizes) for path, digest in material.get("dep", {}).items()]
    rows = [_out(out, out.path) for out in outs]
    return entry | ({"deps": deps} if deps else {}) | ({"outs": rows} if rows else {})


def out_facts(stage: Stage, entry: Mapping[str, Any]) -> tuple[OutFact, ...]:
    """The outputs that an entry of DVC's states for the stage, in the order of the stage."""
    stated = {out.path: out for out in stage.outs}
    facts = {}
    for row in entry.get("outs", ()):
        path = posixpath.normpath(posixpath.join(stage.wdir, row["path"]))
        out = stated.get(path)
        if out is not None:
            facts[path] = OutFact(
                path,
                row["md5"],
                row.get("size"),
                row.get("nfiles"),
                row.get("isexec", False),
                cached=out.cache,
                push=out.push,
                remote=out.remote,
            )
    return tuple(facts[path] for path in stage.out_paths if path in facts)


def input_sizes(stage: Stage, entry: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What an entry of DVC's says of inputs beside their digests, by root-relative path."""
    found = {}
    for row in entry.get("deps", ()):
        path = row["path"]
        path = path if is_external(path) else posixpath.normpath(posixpath.join(stage.wdir, path))
        found[path] = {name: row[name] for name in ("size", "nfiles", "isexec") if name in row}
    return found


def relative(path: str, wdir: str) -> str:
    """A root-relative path as seen from a working directory."""
    return path if wdir == "." or is_external(path) else posixpath.relpath(path, wdir)


def _dep(path: str, digest: str, written: str, sizes: InputSizes) -> dict[str, Any]:
    kind, colon, value = digest.rpartition(":")
    row: dict[str, Any] = {"path": written}
    known = sizes.get(path, {})
    if colon and kind == "md5-dos2unix":
        return row | {"md5": value}
    if colon and kind not in MEANINGS:
        return row | {kind: value}
    row |= {"hash": "md5", "md5": known.get("md5", "") if colon else digest}
    return row | {name: known[name] for name in ("size", "nfiles", "isexec") if name in known}


def _out(out: OutFact, written: str) -> dict[str, Any]:
    row: dict[str, Any] = {"path": written}
    row |= {"md5": out.md5} if out.legacy else {"hash": "md5", "md5": out.md5}
    row |= {"size": out.size_bytes} if out.size_bytes is not None else {}
    row |= {"nfiles": out.nfiles} if out.nfiles is not None else {}
    return row | ({"isexec": True} if out.isexec else {})


def _params(stage: Stage, values: Mapping[str, Any], wdir: str) -> dict[str, dict[str, Any]]:
    """File to key to value: `params.yaml` first, then by name, keys sorted, as DVC writes them."""
    stated = {
        f"{param.file}:{param.key}" if param.key else param.file: (param.file, param.key) for param in stage.params
    }
    files: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        file, _, key = name.partition(":")
        file, key_or_none = stated.get(name, (file, key or None))
        into = files.setdefault(relative(file, wdir), {})
        into.update((restored(value) or {}) if key_or_none is None else {key_or_none: restored(value)})
    ordered = sorted(files, key=lambda name: (name != "params.yaml", name))
    return {name: dict(sorted(files[name].items())) for name in ordered}
