"""The text of `dvc.lock`, byte for byte as DVC writes it, stage by stage; reading it belongs to the specs room."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.core.nouns import Stage, is_external
from runner.data.cache import Saved
from runner.data.yaml_text import block

HEADER = "schema: '2.0'\nstages:\n"
"""What comes before the first stage; followed by blocks in any order it is a whole lock file."""

_EMPTY = "schema: '2.0'\nstages: {}\n"
_DEFAULT_PARAMS = "params.yaml"


def dumps(entries: Mapping[str, Mapping[str, Any]], datasets: Any = None) -> str:
    """A whole `dvc.lock` of these stages, in the order given; `datasets` is that top-level key, kept as it was."""
    text = HEADER + "".join(stage_block(name, entry) for name, entry in entries.items()) if entries else _EMPTY
    return text + (_by_dvc({"datasets": datasets}) if datasets is not None else "")


def stage_block(name: str, entry: Mapping[str, Any]) -> str:
    """The lines of one stage below `stages:`."""
    plain = {name: _plain(entry)}
    return block(plain, 2) or _by_dvc({"stages": plain}).removeprefix("stages:\n")


def entry_text(entry: Mapping[str, Any]) -> str:
    """One entry as a document of its own, as DVC's run-cache holds it."""
    plain = _plain(entry)
    return block(plain, 0) or _by_dvc(plain)


def entry(
    stage: Stage,
    deps: Mapping[str, Saved | Mapping[str, Any]],
    params: Mapping[str, Mapping[str, Any]],
    outs: Mapping[str, Saved | Mapping[str, Any]],
    *,
    written: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What the lock file says of a stage that ran, everything in DVC's order.

    Paths are relative to the root of the repository here and to the stage's `wdir` in the result. A mapping in place of
    a Saved is written as it is, after its path: `{"etag": …}`, or what an entry of an older DVC said. `params` is file
    to key to value; of a whole file its top-level mapping. Source of the order: dvc.stage.serialize.

    DVC compares paths of deps and outs as they are spelled in `dvc.yaml` (`./a.txt` is not `a.txt`, nor `sub/` `sub`):
    `written` maps paths of the repository to such a spelling, where it is not the plain one. Params files are plain.
    """
    spell = _Spelling(stage.wdir, written or {})
    result: dict[str, Any] = {"cmd": list(stage.cmd) if stage.cmd_is_list else stage.cmd[0]}
    if deps:
        result["deps"] = _rows(spell, deps)
    if params:
        result["params"] = _params(stage.wdir, params)
    if outs:
        result["outs"] = _rows(spell, outs)
    return result


def relative(path: str, wdir: str) -> str:
    """A path of the repository as DVC writes it for a stage with this `wdir`; external paths stay as they are."""
    return path if is_external(path) else posixpath.relpath(path, wdir)


@dataclass(frozen=True, slots=True)
class _Spelling:
    """How a stage's paths are spelled in its lock entry."""

    wdir: str
    written: Mapping[str, str]

    def __call__(self, path: str) -> str:
        return self.written.get(path) or relative(path, self.wdir)


def _rows(spell: _Spelling, items: Mapping[str, Saved | Mapping[str, Any]]) -> list[dict[str, Any]]:
    named = {spell(path): item for path, item in items.items()}
    return [_row(path, named[path]) for path in sorted(named)]


def _row(path: str, item: Saved | Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(item, Saved):
        return {"path": path, **item}
    row: dict[str, Any] = {"path": path, "hash": "md5", "md5": item.md5, "size": item.size_bytes}
    if item.nfiles is not None:
        row["nfiles"] = item.nfiles
    if item.isexec:
        row["isexec"] = True
    return row


def _params(wdir: str, params: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    named = {relative(file, wdir): values for file, values in params.items()}
    order = sorted(named, key=lambda file: (file != _DEFAULT_PARAMS, file))
    return {file: {key: named[file][key] for key in sorted(named[file])} for file in order}


def _plain(value: Any) -> Any:
    """A copy of plain dicts and lists that share nothing, so that no serialiser writes anchors."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    # A date that two entries share would become an anchor too; scalars proper never do.
    return value if value is None or isinstance(value, (str, bytes, int, float)) else copy.copy(value)


def _by_dvc(value: Any) -> str:
    from dvc.utils.serialize import dumps_yaml  # imported late: start-up

    text = str(dumps_yaml(_plain(value)))
    return text if _reads_back(text, value) else _on_one_line(_plain(value))


def _reads_back(text: str, value: Any) -> bool:
    from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml  # imported late: start-up

    try:
        return repr(parse_yaml(text, "dvc.lock")) == repr(value)
    except YAMLFileCorruptedError:
        return False


def _on_one_line(value: Any) -> str:
    """DVC's text without folding, for strings that ruamel.yaml folds in a way that does not read back."""
    import io

    from dvc.utils.serialize import _yaml  # imported late: start-up

    serialiser = _yaml._get_yaml()
    serialiser.width = 1 << 30
    text = io.StringIO()
    serialiser.dump(value, text)
    return text.getvalue()
