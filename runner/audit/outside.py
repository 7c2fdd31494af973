"""What lies beside the ledger at the newest state commit: the desired commit's files, outputs that are not cached, and
DVC's files. Held against the desired commit and against what stands.

On a watched branch that has results on itself people's files are theirs, so nothing of this is asked there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Container, Iterator, Mapping

from runner.audit.findings import Breach, Breakage
from runner.audit.inside import unknown_breaks
from runner.audit.locks import lock_breaks
from runner.audit.made import Adds
from runner.core.digests import folder_digest, md5_hex
from runner.core.nouns import Address
from runner.core.recorded import Entry, OutFact
from runner.git.read import Reader
from runner.git.tree import EXECUTABLE, FILE, Tree, TreeEntry
from runner.ledger import layout
from runner.specs.places import parents

_OWN = f"{layout.ROOT}/"
_WORKFLOWS = ".github/"
_IGNORE_LINE = re.compile(rb"/[^/\n]+")
_IGNORES = (".gitignore", ".dvcignore")


def outside_breaks(
    reader: Reader, commit: str, desired: str, entries: Mapping[Address, Entry], adds: Adds | None = None
) -> Iterator[Breakage]:
    """What of the tree of a state commit is neither the desired commit's nor follows from what stands there."""
    yield from unknown_breaks(reader, commit)
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
    above = {folder for out in outs for folder in parents(out)}
    [changed] = reader.tree_changes([(reader.commit(desired).tree, reader.commit(commit).tree)])
    for path, oid in sorted(changed.items()):
        if path.startswith(_OWN) or _is_rendered(path) or _is_below(path, outs):
            continue
        if oid is None:
            if not path.startswith(_WORKFLOWS) and path not in above:
                yield Breakage(Breach.BYTES, path, "is in the desired commit, and is gone")
        elif not _is_of_dvc(reader, path, ours, theirs):
            yield Breakage(Breach.BYTES, path, "is neither the desired commit's nor what the runner adds to it")
    made = adds(commit, desired) if adds is not None else None
    yield from lock_breaks(reader, commit, entries, desired, made)
    if made is not None:
        new = {path for path, oid in changed.items() if oid is not None and not _is_below(path, outs)}
        yield from _added_breaks(reader, ours, new, made.files)


def _added_breaks(reader: Reader, ours: Tree, new: Collection[str], added: Mapping[str, bytes]) -> Iterator[Breakage]:
    """Files that the runner makes of the desired commit alone, and that are not as it makes them."""
    made = {path for path in new if posixpath.basename(path) == "dvc.yaml" and _is_of_pipeline(path)}
    made |= {path for path in new if posixpath.basename(path) in _IGNORES or path in layout.DVC_FOLDER}
    for path in sorted(added.keys() | made):
        entry = ours.get(path)
        if entry is None or entry.mode != FILE or reader.blob(entry.oid) != added.get(path):
            yield Breakage(Breach.BYTES, path, "is not what the runner makes of the desired commit")


def _is_of_pipeline(path: str) -> bool:
    return layout.is_of_pipeline(path) or _is_rendered(path)


def _is_below(path: str, outs: Container[str]) -> bool:
    return path in outs or any(folder in outs for folder in parents(path))


def _is_rendered(path: str) -> bool:
    """Whether a file is that of a pipeline which the runner renders, where the DVC project is not at the root."""
    place = path.find(f"/{layout.PIPELINES}/")
    return place >= 0 and layout.is_of_pipeline(path[place + 1 :])


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
    if path in layout.DVC_FOLDER:
        return old is None and now == layout.DVC_FOLDER[path] and not theirs.is_folder(".dvc")
    if posixpath.basename(folder) == ".dvc":
        return False  # anywhere else it would make a DVC project of a folder
    if name == ".dvcignore":
        return now == old or (not folder and now == layout.with_dvcignore_lines(old or b""))
    if name == ".gitignore":
        kept = (old or b"") + (b"" if not old or old.endswith(b"\n") else b"\n")
        return now.startswith(kept) and all(map(_IGNORE_LINE.fullmatch, now[len(kept) :].splitlines()))
    # What it says is looked at below; it lies beside the pipeline that it is of.
    return name == "dvc.lock" and theirs.get(posixpath.join(folder, "dvc.yaml")) is not None
