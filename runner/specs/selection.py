"""Which keys of parameter files the `vars` of a definition take; DVC takes these first, and judges nothing else."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

_ANYWHERE = "**/"


def selection_of(definition: Mapping[str, Any], base: str, default: str) -> Callable[[str], Collection[str] | None]:
    """For a path the keys that any `vars` of the definition of a pipeline takes of it; None for all of them.

    `base` is the folder of the definition, `default` the file that DVC loads without being asked. A file of a folder
    that only a template names goes by its name alone.
    """
    whole: set[str] = set()
    keys: dict[str, set[str]] = {}
    for folder, item in [(base, default), *_named(definition, base)]:
        file, _, wanted = item.partition(":")
        path = _ANYWHERE + posixpath.basename(file) if folder is None else _normal(folder, file)
        taken = [key for key in wanted.split(",") if key]
        keys.setdefault(path, set()).update(taken)
        if not taken:
            whole.add(path)

    def selects(path: str) -> Collection[str] | None:
        names = {path, _ANYWHERE + posixpath.basename(path)} & keys.keys()
        return None if not names or names & whole else set().union(*(keys[name] for name in names))

    return selects


def _named(definition: Mapping[str, Any], base: str) -> Iterator[tuple[str | None, str]]:
    """Folder and text of everything in `vars` that names a file; None for a folder that is not known yet."""
    for item in _texts(definition.get("vars")):
        yield base, item
    for stage in (definition.get("stages") or {}).values():
        inner = stage.get("do", stage) if isinstance(stage, Mapping) else None
        if not isinstance(inner, Mapping):
            continue
        wdir = inner.get("wdir") or ""
        folder = posixpath.join(base, wdir) if isinstance(wdir, str) and "${" not in wdir else None
        for item in _texts(inner.get("vars")):
            yield folder, item


def _texts(items: Any) -> list[str]:
    return [item for item in items if isinstance(item, str)] if isinstance(items, list) else []


def _normal(folder: str, file: str) -> str:
    return posixpath.normpath(posixpath.join(folder, file))
