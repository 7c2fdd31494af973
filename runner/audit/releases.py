"""Releases in a ledger: each follows on the one before and rests on what it names; the files beside say the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runner.audit.findings import Breach, Breakage
from runner.core.canonical import canonical_bytes
from runner.core.predicates import DEPLOY, GATE, RELEASE, Kind
from runner.core.release_files import ROLLBACK, SETTINGS, Files, after_gate, after_release, out_of_order
from runner.core.releases import model_digest
from runner.core.rollbacks import OF_THE_MODEL
from runner.core.targets import after_deploy, deploys_nothing
from runner.ledger import layout
from runner.values import dataclass

if TYPE_CHECKING:
    from runner.audit.chain import Chain
    from runner.audit.tip import Before

FOLDERS = (layout.RELEASES, layout.RELEASED, layout.DEPLOYED)
"""Folders of what follows from records of releases and of commands."""
_PATHS = (layout.release_path, layout.released_path)


def release_breaks(files: Mapping[str, bytes], chain: Chain, before: Before | None) -> Iterator[Breakage]:
    """What is released, what is remembered of it, and what is deployed, follow to the byte from the records."""
    folders = tuple(f"{folder}/" for folder in FOLDERS)
    known, earlier = before.files if before is not None else {}, _Earlier(chain, before)
    wanted = {path: data for path, data in known.items() if path.startswith(folders)}
    for number, record in chain.records():
        if record.kind not in (GATE, RELEASE, DEPLOY):
            continue
        stated = record.own[record.kind.name]
        place = stated["deployment"], stated["environment"]
        held = Files(*(_value(wanted.get(told(*place))) for told in _PATHS))
        if record.kind is DEPLOY:
            path = layout.deployed_path(*place)
            if wrong := deploys_nothing(held.memory, stated) or earlier.other_model(stated):
                yield Breakage(Breach.CHAIN, f"record {number}", wrong)
                continue
            wanted[path] = canonical_bytes(after_deploy(_value(wanted.get(path)), number, stated)) + b"\n"
            continue
        if record.kind is RELEASE and (wrong := out_of_order(held, stated) or earlier.no_ground(held, stated)):
            yield Breakage(Breach.CHAIN, f"record {number}", wrong)
            continue
        after = (after_gate if record.kind is GATE else after_release)(held, number, stated)
        for told, value in zip(_PATHS, (after.live, after.memory), strict=True):
            wanted.pop(told(*place), None)
            wanted |= {} if value is None else {told(*place): canonical_bytes(value) + b"\n"}
    found = {path: data for path, data in files.items() if path.startswith(folders)}
    for path in sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path)):
        yield Breakage(Breach.BYTES, path, "does not say what the records of releases say")


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What was recorded before a release, or before the outcome of a command."""

    chain: Chain
    before: Before | None

    def no_ground(self, held: Files, stated: Mapping[str, Any]) -> str:
        """Why a release cannot rest on what it says it rests on; empty where it can."""
        model = stated["model"]
        if model is None:
            return ""
        if model["sha256"] != model_digest(model["files"]):
            return "names its model otherwise than by the files of it"
        if stated["event"] == ROLLBACK:
            older = self._version(held, stated.get("of"))
            is_older = older is not None and all(stated[name] == older[name] for name in OF_THE_MODEL)
            return "" if is_older else f"goes back to v{stated.get('of')}, which was another"
        if stated["event"] == SETTINGS:
            is_same = held.live is not None and held.live["model"]["sha256"] == model["sha256"]
            return "" if is_same else "serves another model, and says that it is the one that stood"
        if stated["gate"] is None:
            return "" if self._was_released(held, model["sha256"]) else "is of a model that no gate was asked of"
        gate = self._stated(GATE, stated["gate"])
        if gate is None or not _lets_through(gate, stated):
            return f"rests on record {stated['gate']}, which is no verdict that lets it through"
        return ""

    def other_model(self, stated: Mapping[str, Any]) -> str:
        """Why a command was called with another model than that of the release; empty where it was not."""
        release = self._stated(RELEASE, stated["release"])
        if release is not None and release["model"]["sha256"] == stated["model"]:
            return ""
        return f"deploys another model than that of record {stated['release']}"

    def _version(self, held: Files, version: int | None) -> Mapping[str, Any] | None:
        versions = {row[0]: row[1] for row in held.memory["versions"]} if held.memory is not None else {}
        return self._stated(RELEASE, versions[version]) if version in versions else None

    def _was_released(self, held: Files, sha256: str) -> bool:
        rows = held.memory["versions"] if held.memory is not None else []
        found = (self._stated(RELEASE, number) for _, number in rows)
        return any(row is not None and row["model"]["sha256"] == sha256 for row in found)

    def _stated(self, kind: Kind, number: int) -> Mapping[str, Any] | None:
        """What a record of a kind states; None where there is none of that kind."""
        examined = self.chain.at(number)
        record = examined.valid if examined is not None else None
        if examined is None and self.before is not None:
            record = self.before.record(number)
        return record.own[kind.name] if record is not None and record.kind is kind else None


def _lets_through(gate: Mapping[str, Any], stated: Mapping[str, Any]) -> bool:
    """Whether a verdict is of this release, and passes."""
    same = all(gate[name] == stated[name] for name in ("deployment", "environment", "version", "spec", "desired"))
    is_of_it = same and (gate["model"], gate["md5"]) == (stated["model"]["sha256"], stated["model"]["md5"])
    return is_of_it and (gate["outcome"], gate["verdict"], gate["blockers"]) == ("release", "pass", [])


def _value(data: bytes | None) -> Any:
    return None if data is None else json.loads(data)
