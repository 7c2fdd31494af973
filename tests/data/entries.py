"""Lock entries as the runner makes them, from what the cache says of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runner.core.canonical import plain
from runner.core.lock import lock_entry
from runner.core.nouns import Param, Stage
from runner.core.recorded import OutFact
from runner.data.cache import Saved


def entry(
    stage: Stage,
    deps: Mapping[str, Saved | Mapping[str, str]],
    params: Mapping[str, Mapping[str, Any]],
    outs: Mapping[str, Saved] | None,
    *,
    written: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The entry of a stage; `outs` None leaves out what is not known before it ran."""
    pairs = [(file, key, value) for file, values in params.items() for key, value in values.items()]
    stage = replace(
        stage,
        params=tuple(Param(file, key) for file, key, _ in pairs),
        spelled=tuple((written or {}).items()),
    )
    material = {
        "cmd": list(stage.cmd) if stage.cmd_is_list else stage.cmd[0],
        "wdir": stage.wdir,
        "out": {path: {} for path in stage.out_paths},
        "dep": {path: _digest(item) for path, item in deps.items()},
        "param": {f"{file}:{key}": plain(value) for file, key, value in pairs},
    }
    sizes = {path: _sizes(item) for path, item in deps.items() if isinstance(item, Saved)}
    facts = None if outs is None else [_fact(path, item) for path, item in outs.items()]
    return lock_entry(stage, material, facts, sizes)


def _digest(item: Saved | Mapping[str, str]) -> str:
    if isinstance(item, Saved):
        return item.md5
    ((kind, value),) = item.items()
    return f"{kind}:{value}"


def _sizes(item: Saved) -> dict[str, Any]:
    row = {"size": item.size_bytes, "nfiles": item.nfiles, "isexec": item.isexec or None}
    return {name: value for name, value in row.items() if value is not None}


def _fact(path: str, item: Saved) -> OutFact:
    return OutFact(path, item.md5, item.size_bytes, item.nfiles, item.isexec)
