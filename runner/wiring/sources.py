"""Where bytes and recorded runs come from while stages run and a state commit is put together: git and the cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.core.recorded import Hit
from runner.core.records import RunFacts
from runner.data.cache import Cache
from runner.errors import HostError
from runner.git.read import Reader
from runner.ledger.state import State
from runner.observe.observation import Observation
from runner.record.tree import Sources
from runner.wiring.clone import cached_bytes
from runner.wiring.states import StateRefs


def sources_of(observation: Observation, cache: Cache) -> Sources:
    """What the tree of a state commit is made from."""
    reader, commit, state = observation.reader, observation.commit, observation.state
    cached = cached_bytes(cache.root)

    def desired_id(path: str, is_folder: bool) -> str | None:
        if is_folder:
            return observation.tree.folder(path)
        entry = observation.tree.get(path)
        return entry.oid if entry is not None else None

    def object_bytes(md5: str) -> bytes | None:
        return cached(md5) or (state.small(md5) if state else None)

    def dumps_lock(rows: Mapping[str, Any]) -> str:
        from runner.data import lockfile  # imported late: only where something is recorded

        return lockfile.dumps(rows)

    return Sources(
        object_bytes=object_bytes,
        desired_file=lambda path: reader.file(commit, path),
        overlay=observation.overlay,
        dumps_lock=dumps_lock,
        in_git=reader.exists,
        has_object=lambda md5: not cache.missing(md5),
        desired_id=desired_id,
    )


def recorded_run(reader: Reader, states: StateRefs, hit: Hit) -> RunFacts:
    """The run that another state branch recorded; raises HostError where it is there no more."""
    record = State(reader, states.tips[hit.ref], ref=hit.ref).record(hit.record)
    if record is None or record.run is None:
        raise HostError(f"record {hit.record} of {hit.ref} is gone", "the next reconcile decides again")
    return record.run


def git_bytes(reader: Reader, oid: str) -> bytes | None:
    """The bytes of a blob; None where git does not have it."""
    return reader.blob(oid) if reader.exists(oid) else None


def git_folder(reader: Reader, oid: str) -> dict[str, bytes] | None:
    """The files of a tree, by their paths in it; None where git does not have it."""
    if not reader.exists(oid):
        return None
    files = reader.tree(oid).files
    blobs = reader.blobs([entry.oid for entry in files.values()])
    return {path: blobs[entry.oid] for path, entry in files.items()}
