"""What lies below `.runner/` at the newest state commit and is no file of the ledger, its indexes or what stands."""

from __future__ import annotations

from collections.abc import Iterator

from runner.audit.findings import Breach, Breakage
from runner.audit.tip import READ
from runner.core.digests import folder_digest, md5_hex
from runner.core.predicates import RUN
from runner.core.recorded import OutFact
from runner.core.records import BadRecord, parse_record
from runner.errors import Held, InputError
from runner.git.read import Reader
from runner.git.tree import EXECUTABLE, FILE, Tree
from runner.ledger import layout
from runner.ledger.in_place import records_at
from runner.ledger.state import State

_FOLDERS = tuple(f"{name}/" for name in READ)


def unknown_breaks(reader: Reader, commit: str) -> Iterator[Breakage]:
    """Files that the runner never writes, and outputs beside what stands that are not of the runs recorded last."""
    tree = reader.tree(commit)
    aside: dict[str, list[str]] = {}
    for path in tree.below(layout.ROOT):
        entry = tree.get(path)
        if path.startswith(f"{layout.ASIDE}/"):
            aside.setdefault(path.split("/")[2], []).append(path)
        elif (
            entry is None
            or entry.mode != FILE
            or not (path in READ or path.startswith(_FOLDERS) or layout.is_of_pipeline(path))
        ):
            yield Breakage(Breach.BYTES, path, "is no file that the runner writes")
    outs = _outs_of_newest(reader, commit) if aside else {}
    for run_id, paths in sorted(aside.items()):
        known = {name for out in outs.get(run_id, ()) for name in _as_left(reader, tree, run_id, out)}
        for path in paths:
            if path not in known:
                yield Breakage(Breach.BYTES, path, "is not what a run left that the newest records tell of")


def _outs_of_newest(reader: Reader, commit: str) -> dict[str, tuple[OutFact, ...]]:
    """Run id to uncached outputs, of the runs that the newest state commit recorded."""
    found = {}
    try:
        state = State(reader, commit)
        parents = reader.commit(commit).parents
        first = records_at(reader, parents[0]) + 1 if parents else 1
        for data in state.record_range(first, state.summary.head.sequence):
            record = parse_record(data)
            if record.kind is RUN:
                outs = (OutFact.from_json(row) for row in record.own["run"]["outs"])
                found[record.own["run"]["runId"]] = tuple(out for out in outs if not out.cached)
    except (Held, InputError, BadRecord, KeyError, TypeError, ValueError, AttributeError):
        return {}  # said of the records themselves
    return found


def _as_left(reader: Reader, tree: Tree, run_id: str, out: OutFact) -> list[str]:
    """The paths of an output that was put aside; none where it has other bytes than its record says."""
    place = f"{layout.ASIDE}/{run_id}/{out.path}"
    names = [place] if tree.get(place) is not None else list(tree.below(place))
    entries = {name: entry for name in names if (entry := tree.get(name)) is not None}
    if not all(entry.mode in (FILE, EXECUTABLE) for entry in entries.values()):
        return []
    blobs = reader.blobs(entry.oid for entry in entries.values())
    digests = {name[len(place) + 1 :]: md5_hex(blobs[entry.oid]) for name, entry in entries.items()}
    is_same = out.md5 == (digests[""] if "" in digests else folder_digest(digests.items()))
    return names if is_same else []
