"""What lies outside `.runner/` at the newest state commit: the desired commit's files, outputs that are not cached, and
DVC's files. Held against the desired commit and against what stands.

On a watched branch that has results on itself people's files are theirs, so nothing of this is asked there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Container, Iterator, Mapping
from typing import Any

from runner.audit.findings import Breach, Breakage
from runner.core.digests import folder_digest, md5_hex
from runner.core.nouns import Address, is_external
from runner.core.recorded import Entry, OutFact
from runner.errors import SpecError
from runner.git.read import Reader
from runner.git.tree import EXECUTABLE, FILE, Tree, TreeEntry
from runner.ledger import layout
from runner.specs.yaml12 import DVC_LOCK_BOUNDS, load

_OWN = f"{layout.ROOT}/"
_RENDERED = re.compile(re.escape(layout.PIPELINES) + r"/[^/]+/dvc\.(?:yaml|lock)")
_WORKFLOWS = ".github/"
_IGNORE_LINE = re.compile(rb"/[^/\n]+")
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
Rows = Mapping[str, Mapping[str, Any]]
"""The stages of a lock file."""
_DVC_ROOT = {".dvc/config": b"", ".dvc/.gitignore": layout.DVC_FOLDER_IGNORED}


def outside_breaks(reader: Reader, commit: str, desired: str, entries: Mapping[Address, Entry]) -> Iterator[Breakage]:
    """What of the tree of a state commit is neither the desired commit's nor follows from what stands there."""
    if not reader.exists(desired):
        if not reader.is_shallow():
            message = f"is recorded as the desired commit, and is not in the history of {commit[:12]}"
            yield Breakage(Breach.BYTES, f"commit {desired[:12]}", message)
        return
    ours, theirs = reader.tree(commit), reader.tree(desired)
    outs = {out.path: (out, entry) for entry in entries.values() for out in entry.outs if not out.cached}
    for path, (out, entry) in sorted(outs.items()):
        if not _is_output(reader, ours, theirs, out, entry):
            yield Breakage(Breach.BYTES, path, f"is not what {entry.address} left, whose uncached output it is")
    above = {folder for out in outs for folder in _folders(out)}
    [changed] = reader.tree_changes([(reader.commit(desired).tree, reader.commit(commit).tree)])
    for path, oid in sorted(changed.items()):
        if path.startswith(_OWN) or _is_rendered(path) or _is_below(path, outs):
            continue
        if oid is None:
            if not path.startswith(_WORKFLOWS) and path not in above:
                yield Breakage(Breach.BYTES, path, "is in the desired commit, and is gone")
        elif not _is_of_dvc(reader, path, ours, theirs):
            yield Breakage(Breach.BYTES, path, "is neither the desired commit's nor what the runner adds to it")
    yield from lock_breaks(reader, commit, entries, desired)


def _folders(path: str) -> Iterator[str]:
    """The folders that a path is in."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _is_below(path: str, outs: Container[str]) -> bool:
    return path in outs or any(folder in outs for folder in _folders(path))


def _is_rendered(path: str) -> bool:
    """Whether a file is that of a pipeline which the runner renders, where the DVC project is not at the root."""
    place = path.find(f"/{layout.PIPELINES}/")
    return place >= 0 and _RENDERED.fullmatch(path[place + 1 :]) is not None


def _is_output(reader: Reader, ours: Tree, theirs: Tree, out: OutFact, entry: Entry) -> bool:
    """Whether an uncached output has the bytes that stand; of evidence also what the desired commit has there."""
    found = _below(ours, out.path)
    if entry.record is None and found == _below(theirs, out.path):
        return True  # whoever ran the stage committed other bytes, or none
    if out.legacy:
        return ours.get(out.path) is not None and ours.get(out.path) == _as_file(out)
    is_file = not out.md5.endswith(".dir")
    if is_file != ("" in found) or not all(entry.mode in (FILE, EXECUTABLE) for entry in found.values()):
        return False
    if is_file and entry.record is not None and found[""].mode != (EXECUTABLE if out.isexec else FILE):
        return False
    blobs = reader.blobs(one.oid for one in found.values())
    digests = {path: md5_hex(blobs[one.oid]) for path, one in found.items()}
    return out.md5 == (digests[""] if is_file else folder_digest(digests.items()))


def _as_file(out: OutFact) -> TreeEntry:
    return TreeEntry(EXECUTABLE if out.isexec else FILE, out.git_id or "")


def _below(tree: Tree, path: str) -> dict[str, TreeEntry]:
    """What lies at a path: one file under no name, or those of a folder by their paths in it."""
    entry = tree.get(path)
    if entry is not None:
        return {"": entry}
    below = {name: tree.get(name) for name in tree.below(path)}
    return {name[len(path) + 1 :]: one for name, one in below.items() if one is not None}


def _is_of_dvc(reader: Reader, path: str, ours: Tree, theirs: Tree) -> bool:
    """Whether a file that is not as in the desired commit is one that DVC reads, with what is added there."""
    entry, before = ours.get(path), theirs.get(path)
    if entry is None or entry.mode != FILE or (before is not None and before.mode not in (FILE, EXECUTABLE)):
        return False
    now = reader.blob(entry.oid)
    old = reader.blob(before.oid) if before is not None else None
    folder, name = posixpath.split(path)
    whole = posixpath.join(posixpath.basename(folder), name)
    if whole in _DVC_ROOT:
        return old is None and now == _DVC_ROOT[whole]
    if name == ".dvcignore":
        return now == (b"" if folder else layout.with_dvcignore_lines(old or b"")) and not (folder and old)
    if name == ".gitignore":
        kept = (old or b"") + (b"" if not old or old.endswith(b"\n") else b"\n")
        return now.startswith(kept) and all(map(_IGNORE_LINE.fullmatch, now[len(kept) :].splitlines()))
    # What it says is looked at below; it lies beside the pipeline that it is of.
    return name == "dvc.lock" and theirs.get(posixpath.join(folder, "dvc.yaml")) is not None


def lock_breaks(
    reader: Reader, commit: str, entries: Mapping[Address, Entry], desired: str | None = None
) -> Iterator[Breakage]:
    """What `dvc.lock` files say of stages that is not what stands; of stages without a result where `desired` is given.

    Of a stage without a result a lock file says what it says in the desired commit. Which fields DVC writes beside
    commands, paths and digests is left to its version.
    """
    by_lock: dict[str, dict[str, Entry]] = {}
    for address, entry in sorted(entries.items()):
        path = _lock_path(reader, commit, address.pipeline)
        if path is None:
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
        for stage in _wrong_stages(now, older, standing, path):
            yield Breakage(Breach.BYTES, path, f"does not say of {stage} what is recorded")


def _wrong_stages(now: bytes, desired: bytes | None, standing: Mapping[str, Entry], path: str) -> Iterator[str]:
    """The stages of which a lock file says something else."""
    rows = _stages(now, path)
    others: Rows | None = None
    for stage in sorted(rows.keys() | standing.keys()):
        row, entry = rows.get(stage), standing.get(stage)
        if row is not None and entry is not None and _says(row, entry, outs_alone=False):
            continue
        if others is None:
            others = _stages(desired, path) if desired is not None else {}
        is_kept = row is not None and row == others.get(stage)
        if desired is None and entry is None:
            continue
        if not is_kept or not (entry is None or (row is not None and _says(row, entry, outs_alone=True))):
            yield stage


def _says(row: Mapping[str, Any], entry: Entry, *, outs_alone: bool) -> bool:
    """Whether a lock file says of a stage what stands for it."""
    wdir = str(entry.material.get("wdir", "."))
    if _digests(row, "outs", wdir) != {(out.path, out.md5) for out in entry.outs}:
        return False
    if outs_alone:
        return True
    deps = {(str(path), str(digest)) for path, digest in entry.material.get("dep", {}).items()}
    plain = all(_MD5.fullmatch(digest) for _, digest in deps)  # not of an input outside the repository, or of old data
    said = _digests(row, "deps", wdir)
    return row.get("cmd") == entry.material.get("cmd") and (not plain or said == deps)


def _digests(row: Mapping[str, Any], part: str, wdir: str) -> set[tuple[str, str]]:
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
    beside = pipeline.removesuffix(".yaml") + ".lock"
    rendered = f"{layout.PIPELINES}/{layout.encoded(pipeline)}/dvc.lock"
    for path in (beside, rendered):
        if tree.get(path) is not None:
            return path
    return next((path for path in tree.files if path.endswith("/" + rendered)), None)


def _stages(data: bytes, path: str) -> Rows:
    try:
        value = load(data, file=path, bounds=DVC_LOCK_BOUNDS)
        found = value.get("stages", {}) if "schema" in value else value
        return {name: row for name, row in found.items() if isinstance(row, dict)}
    except (SpecError, AttributeError, TypeError):
        return {}
