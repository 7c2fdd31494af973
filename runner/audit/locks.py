"""What `dvc.lock` files of a state commit say of stages, held against what stands for them.

What the runner writes follows from what stands, down to parameters and sizes. A stage without a result, and one whose
result others vouch for, keeps the row that it has in the desired commit.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runner.audit.findings import Breach, Breakage
from runner.audit.made import Made
from runner.core.canonical import canonical_bytes, restored
from runner.core.lock import MEANINGS, lock_entry, relative, rooted_rows
from runner.core.nouns import Address, Stage, is_external
from runner.core.plan import EVIDENCE
from runner.core.recorded import Entry
from runner.data.lockfile import dumps
from runner.errors import SpecError
from runner.git.read import Reader
from runner.ledger import layout
from runner.specs.yaml12 import DVC_LOCK_BOUNDS, load

_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_MEANT = tuple(f"{kind}:" for kind in MEANINGS)
_PARTS = frozenset(["cmd", "deps", "params", "outs"])
Row = Mapping[str, Any]
"""One stage of a lock file."""
Rows = Mapping[str, Row]
"""The stages of a lock file."""


def lock_breaks(
    reader: Reader,
    commit: str,
    entries: Mapping[Address, Entry],
    desired: str | None = None,
    made: Made | None = None,
) -> Iterator[Breakage]:
    """What `dvc.lock` files say of stages that is not what stands; of stages without a result where `desired` is given.

    Of a stage without a result a lock file says what it says in the desired commit. Where `desired` is not given the
    file may be one that DVC wrote: which fields it writes beside commands, paths and digests is left to its version.
    `made` says which lock files there are, and how each row spells its paths, where that is known.
    """
    by_lock: dict[str, dict[str, Entry]] = {}
    locks = made.locks if made is not None else {}
    stages = made.stages if made is not None else {}
    for address, entry in sorted(entries.items()):
        path = locks.get(address.pipeline) or _lock_path(reader, commit, address.pipeline)
        if path is None or reader.tree(commit).get(path) is None:
            yield Breakage(Breach.BYTES, f"{address}", "stands, and there is no dvc.lock that would say so")
            continue
        by_lock.setdefault(path, {})[address.stage] = entry
    if desired is not None:
        tree, theirs = reader.tree(commit), reader.tree(desired)
        changed = [path for path in tree.paths if path.endswith("dvc.lock") and tree.get(path) != theirs.get(path)]
        by_lock |= {path: {} for path in changed if path not in by_lock and posixpath.basename(path) == "dvc.lock"}
    for path, standing in sorted(by_lock.items()):
        now = reader.file(commit, path) or b""
        older = (reader.file(desired, path) or b"") if desired is not None else None
        read = _read(now, path)
        if older not in (None, now) and not (_is_written(read) and (made is None or path in locks.values())):
            yield Breakage(Breach.BYTES, path, "is no lock file that the runner writes")
            continue
        asked = {address.stage: stage for address, stage in stages.items() if locks[address.pipeline] == path}
        for stage in _wrong_stages(_rows(read), older, standing, path, asked):
            yield Breakage(Breach.BYTES, path, f"does not say of {stage} what is recorded")


def _wrong_stages(
    rows: Rows, desired: bytes | None, standing: Mapping[str, Entry], path: str, asked: Mapping[str, Stage]
) -> Iterator[str]:
    """The stages of which a lock file with these rows says something else; `asked`: as the specs have them."""
    others: Rows | None = None
    for stage in sorted(rows.keys() | standing.keys()):
        row, entry = rows.get(stage), standing.get(stage)
        is_of = row is not None and entry is not None and _is_of(stage, row, entry, exactly=desired is not None)
        if is_of and (stage not in asked or _is_spelled(row or {}, asked[stage], entry)):
            continue
        if others is None:
            others = _rows(_read(desired, path)) if desired is not None else {}
        may_keep = entry is None or entry.provenance.startswith(EVIDENCE)
        is_kept = may_keep and row is not None and row == others.get(stage)
        if desired is None and entry is None:
            continue
        if not is_kept or not (entry is None or (row is not None and _says(row, entry, outs_alone=True))):
            yield stage


def _is_of(stage: str, row: Row, entry: Entry, *, exactly: bool) -> bool:
    """Whether a row says what stands for a stage; `exactly`: in all that the runner writes."""
    if not exactly:
        return _says(row, entry, outs_alone=False)
    wdir = str(entry.material.get("wdir", "."))
    try:
        params = _param_rows(entry.material.get("param", {}), [_rooted(file, wdir) for file in row.get("params", {})])
        wanted = {**rooted_rows(entry.material, entry.outs, entry.sizes), **({"params": params} if params else {})}
        now = _compared(row, wdir)
        if now == _compared(wanted, "."):
            return True
        # What a parameter file of another format holds may be read back from YAML as something else.
        return now == _compared(_rows(_read(dumps({stage: wanted}).encode(), stage))[stage], ".")
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def _is_spelled(row: Row, stage: Stage, entry: Entry | None) -> bool:
    """Whether a row that says what stands names each path as the specs do: DVC tells entries apart by spelling."""
    if entry is None:
        return False
    wdir = str(entry.material.get("wdir", "."))
    paths = {part: entry.material.get(part, {}) for part in ("dep", "out")}
    wanted = lock_entry(stage, {"cmd": "", "wdir": wdir, **paths}, entry.outs)
    files = {relative(_rooted(file, wdir), wdir) for file in row.get("params", {})}
    return files == row.get("params", {}).keys() and all(
        sorted(one["path"] for one in row.get(part, ())) == sorted(one["path"] for one in wanted.get(part, ()))
        for part in ("deps", "outs")
    )


def _compared(row: Row, wdir: str) -> bytes:
    """A row in a form of its own: paths from the root, in any order; ValueError for what the runner never writes."""
    rows = {
        part: [(_rooted(str(one["path"]), wdir), {**one, "path": ""}) for one in row.get(part, ())]
        for part in ("deps", "outs")
    }
    parts = {part: dict(pairs) for part, pairs in rows.items()}
    is_one = all(parts["deps"][path] == one for path, one in rows["deps"])  # a dep has a row for each of its spellings
    if not row.keys() <= _PARTS or not is_one or len(parts["outs"]) != len(rows["outs"]):
        raise ValueError("not a row that the runner writes")
    params = {_rooted(file, wdir): values for file, values in row.get("params", {}).items()}
    return canonical_bytes([row["cmd"], parts, params])


def _param_rows(values: Mapping[str, Any], files: list[str]) -> dict[str, dict[str, Any]]:
    """Parameters (`FILE:KEY`, or `FILE` for all of a file) by file, as a lock file has them, which names `files`."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        fitting = [file for file in files if name == file or name.startswith(f"{file}:")]
        file = max(fitting, key=len) if fitting else name.partition(":")[0]
        key = name[len(file) + 1 :]
        found.setdefault(file, {}).update({key: restored(value)} if key else restored(value) or {})
    return found


def _says(row: Row, entry: Entry, *, outs_alone: bool) -> bool:
    """Whether a lock file says of a stage what stands for it."""
    wdir = str(entry.material.get("wdir", "."))
    if _digests(row, "outs", wdir) != {(out.path, out.md5) for out in entry.outs}:
        return False
    if outs_alone:
        return True
    deps = {(str(path), _of_bytes(entry, path, str(digest))) for path, digest in entry.material.get("dep", {}).items()}
    plain = all(_MD5.fullmatch(digest) for _, digest in deps)  # not of an input outside the repository, or of old data
    said = _digests(row, "deps", wdir)
    return row.get("cmd") == entry.material.get("cmd") and (not plain or said == deps)


def _of_bytes(entry: Entry, path: str, digest: str) -> str:
    """The digest that a lock file has of an input, also where it counts by what it says."""
    return str(entry.sizes.get(path, {}).get("md5")) if digest.startswith(_MEANT) else digest


def _digests(row: Row, part: str, wdir: str) -> set[tuple[str, str]]:
    """Paths from the root and digests of one part of a stage in a `dvc.lock`."""
    try:
        return {(_rooted(str(item["path"]), wdir), str(item["md5"])) for item in row.get(part, [])}
    except (KeyError, TypeError, AttributeError):
        return set()


def _rooted(path: str, wdir: str) -> str:
    return path if is_external(path) else posixpath.normpath(posixpath.join(wdir, path))


def _lock_path(reader: Reader, commit: str, pipeline: str) -> str | None:
    """The `dvc.lock` of a pipeline: beside an adopted `dvc.yaml`, or of a rendered document."""
    tree = reader.tree(commit)
    if posixpath.basename(pipeline) == "dvc.yaml":  # no document can have such a name
        return path if tree.get(path := pipeline.removesuffix(".yaml") + ".lock") is not None else None
    rendered = f"{layout.PIPELINES}/{layout.encoded(pipeline)}/dvc.lock"
    if tree.get(rendered) is not None:
        return rendered
    return next((path for path in tree.files if path.endswith("/" + rendered)), None)


def _read(data: bytes, path: str) -> Any:
    """The value of a lock file; None for what is none."""
    try:
        return load(data, file=path, bounds=DVC_LOCK_BOUNDS)
    except SpecError:
        return None


def _is_written(value: Any) -> bool:
    """Whether it has the form that the runner writes, and says something, and nothing but of stages."""
    try:
        rows = list(value["stages"].values())
        return value.keys() == {"schema", "stages"} and bool(rows) and all(isinstance(row, dict) for row in rows)
    except (AttributeError, KeyError, TypeError):
        return False


def _rows(value: Any) -> Rows:
    try:
        found = value.get("stages", {}) if "schema" in value else value
        return {name: row for name, row in found.items() if isinstance(row, dict)}
    except (AttributeError, TypeError):
        return {}
