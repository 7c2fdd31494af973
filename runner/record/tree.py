"""The files of a state commit: the desired commit's tree, DVC's own files as DVC would have left them, and `.runner/`.

Everything here is computed from what stands; the same entries give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from runner.core.digests import parse_listing
from runner.core.graph import OutputIndex, build_graph, depth_first
from runner.core.lock import lock_entry
from runner.core.nouns import Address, Desired, Stage, is_external
from runner.core.recorded import SMALL_BYTES, Entry, OutFact
from runner.core.records import Head
from runner.errors import HostError
from runner.ledger import layout
from runner.ledger.state import Summary, pretty_bytes
from runner.values import dataclass, field


@dataclass
class Files:
    """Changes to put on top of the desired commit's tree."""

    data: dict[str, bytes] = field(default_factory=dict)
    executable: set[str] = field(default_factory=set)
    blobs: dict[str, str] = field(default_factory=dict)
    """Path to the id of a blob that git has already."""
    folders: dict[str, str] = field(default_factory=dict)
    """Path to the id of a tree that git has already."""
    deletes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where bytes come from while a tree is put together."""

    object_bytes: Callable[[str], bytes | None]
    """Bytes of a cached or kept object by its MD5."""
    has_object: Callable[[str], bool]
    """Whether this host's cache has a file, or a folder with all of its files."""
    desired_file: Callable[[str], bytes | None]
    """Bytes of a file of the desired commit."""
    overlay: Mapping[str, bytes]
    """The `.gitignore` files with the lines of outputs."""
    dumps_lock: Callable[[Mapping[str, Any]], str]
    """DVC's own text for the stages of a `dvc.lock`."""
    in_git: Callable[[str], bool]
    """Whether an object is in the mirror already."""
    desired_id: Callable[[str, bool], str | None]
    """Id of the file, or (True) of the folder, that the desired commit has at a path."""


def dvc_files(desired: Desired, entries: Mapping[Address, Entry], sources: Sources, files: Files) -> None:
    """What every DVC client reads: locks, rendered pipelines, ignore files, configuration, uncached outputs."""
    position = {address: number for number, address in enumerate(depth_first(build_graph(desired.stages())))}
    for pipeline in desired.pipelines:
        if pipeline.rendered is not None:
            files.data[pipeline.dvc_file] = pipeline.rendered.encode()
        in_order = sorted(pipeline.stages, key=lambda stage: position[stage.address])
        text = lock_text(desired, in_order, entries, sources)
        if text is not None:
            files.data[pipeline.lock_file] = text.encode()
        for stage in pipeline.stages:
            entry = entries.get(stage.address)
            if entry is not None:
                _uncached(entry, sources, files)
    files.data.update(sources.overlay)
    _dvc_root(desired, sources, files)


def lock_text(
    desired: Desired, stages: Iterable[Stage], entries: Mapping[Address, Entry], sources: Sources
) -> str | None:
    """Text of a pipeline's `dvc.lock` with its stages in this order; None where there is nothing to say.

    A stage without a result keeps the entry it had in the commit, as DVC leaves it.
    """
    rows: dict[str, Any] = {}
    for stage in stages:
        entry = entries.get(stage.address)
        lock = desired.locks.get(stage.address)
        if entry is None:
            if lock is not None:
                rows[stage.address.stage] = dict(lock.raw)
        elif lock is not None and entry.provenance.startswith("dvc.lock@") and _same_outs(lock.outs, entry.outs):
            rows[stage.address.stage] = dict(lock.raw)
        else:
            rows[stage.address.stage] = lock_entry(stage, entry.material, entry.outs, entry.sizes)
    return sources.dumps_lock(rows) if rows else None


def runner_files(
    desired: Desired,
    entries: Mapping[Address, Entry],
    before: Mapping[Address, Entry],
    sources: Sources,
    files: Files,
    objects_before: Collection[str],
    *,
    fresh: bool,
) -> None:
    """What stands, and the small objects a plan looks into; `before` is what the state had of these."""
    for address, entry in entries.items():
        if fresh or before.get(address) != entry:
            files.data[layout.recorded_path(address)] = pretty_bytes(entry.as_json())
    files.deletes.extend(layout.recorded_path(address) for address in before if address not in entries)
    needed = needed_objects(desired, entries, sources.object_bytes)
    files.deletes.extend(layout.object_path(md5) for md5 in objects_before if md5 not in needed)
    for md5 in sorted(needed.difference(objects_before)):
        data = sources.object_bytes(md5)
        if data is not None and len(data) <= SMALL_BYTES:
            files.data[layout.object_path(md5)] = data


def state_file(desired_commit: str, head: Head, location: str) -> bytes:
    """The bytes of `.runner/state.json`; `location` is where the bytes of what stands are."""
    return Summary(desired_commit, head, location).as_bytes()


def needed_objects(
    desired: Desired, entries: Mapping[Address, Entry], object_bytes: Callable[[str], bytes | None]
) -> set[str]:
    """Digests of folders and files that the next plan looks into: deps inside or around them, parameters in them."""
    known = {path: data.md5 for path, data in desired.tracked.items()}
    known |= {fact.path: fact.md5 for entry in entries.values() for fact in entry.outs}
    index = OutputIndex({path: Address("", path) for path in known})
    needed: set[str] = set()
    for stage in desired.stages():
        for path in stage.deps:
            if path not in known and not is_external(path):
                needed |= {md5 for name in index.overlapping(path) if (md5 := known[name]).endswith(".dir")}
        for param in stage.params:
            above = index.at_or_above(param.file)
            if above is not None:
                needed.add(known[above])
                needed |= _member(object_bytes(known[above]), param.file[len(above) + 1 :])
    return needed


def _member(listing: bytes | None, relpath: str) -> set[str]:
    """The digest of a file in a folder; nothing where the path is the folder itself, or the listing is not known."""
    if not relpath or listing is None:
        return set()
    return {md5 for name, md5 in parse_listing(listing) if name == relpath}


def uncached_files(fact: OutFact, path: str, sources: Sources) -> dict[str, bytes]:
    """The files of an uncached output as they would lie at `path`; raises HostError where their bytes are gone."""
    data = sources.object_bytes(fact.md5)
    if data is None:
        raise HostError(f"the bytes of {fact.path} are not in the cache any more", "reconcile again to make them anew")
    if not fact.md5.endswith(".dir"):
        return {path: data}
    files: dict[str, bytes] = {}
    for name, md5 in parse_listing(data):
        member = sources.object_bytes(md5)
        if member is None:
            raise HostError(f"the bytes of {fact.path}/{name} are not in the cache any more")
        files[f"{path}/{name}"] = member
    return files


def _uncached(entry: Entry, sources: Sources, files: Files) -> None:
    for fact in entry.outs:
        if fact.cached:
            continue
        is_folder = fact.md5.endswith(".dir")
        if fact.isexec:
            files.executable.add(fact.path)
        if fact.git_id is not None and sources.in_git(fact.git_id):
            (files.folders if is_folder else files.blobs)[fact.path] = fact.git_id
        elif entry.provenance.startswith("dvc.lock@") and sources.object_bytes(fact.md5) is None:
            continue  # whoever ran the stage did not commit the bytes either
        else:
            files.deletes.append(fact.path)
            files.data |= uncached_files(fact, fact.path, sources)


def _dvc_root(desired: Desired, sources: Sources, files: Files) -> None:
    prefix = "" if desired.dvc_root == "." else f"{desired.dvc_root}/"
    if not desired.has_dvc:
        files.data[f"{prefix}.dvc/config"] = b""
        files.data[f"{prefix}.dvc/.gitignore"] = layout.DVC_FOLDER_IGNORED
    ignore = f"{prefix}.dvcignore"
    text = sources.desired_file(ignore) or b""
    if not prefix:
        text = layout.with_dvcignore_lines(text)
    if text or not desired.has_dvc:
        files.data[ignore] = text


def _same_outs(lock_outs: Iterable[Any], outs: Iterable[OutFact]) -> bool:
    return {(out.path, out.md5) for out in lock_outs} == {(out.path, out.md5) for out in outs}
