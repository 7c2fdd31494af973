"""Records of verdicts, releases and outcomes of commands, and the files that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.core.canonical import canonical_bytes
from runner.core.predicates import APPROVAL, DEPLOY, GATE, RELEASE, Kind
from runner.core.records import chain_fields
from runner.core.release_files import Files, after_gate, after_release
from runner.core.releases import Verdict
from runner.core.targets import after_deploy
from runner.ledger import layout
from runner.ledger.state import State
from runner.record.ledger import Batch, append_stated


def append_releases(base: State, batch: Batch, facts: Mapping[str, Any], verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The records of what is new among some verdicts, and the files that follow; gives those that were new."""
    told = [verdict for verdict in verdicts if verdict.gate or verdict.release or verdict.deploy]
    common = {**facts, "signing": dict(batch.signer.facts())}
    for verdict in told:
        place = verdict.deployment, verdict.environment
        files, gate = base.release_files(*place), None
        if verdict.gate is not None:
            gate = _append(batch, GATE, {**common, **verdict.gate})
            files = after_gate(files, gate, verdict.gate)
        if verdict.release is not None:
            stated = {**common, **verdict.release, "at": batch.stamp.recorded_at}
            stated["gate"] = gate if gate is not None else stated["gate"]
            stated["approvals"] = [_taken_over(batch, common, row) for row in verdict.approvals]
            files = after_release(files, _append(batch, RELEASE, stated), stated)
        if verdict.gate is not None or verdict.release is not None:
            _write(batch, place, files)
        if verdict.deploy is not None:
            before = base.deployed(*place)
            deployed = after_deploy(before, _append(batch, DEPLOY, {**common, **verdict.deploy}), verdict.deploy)
            batch.files[layout.deployed_path(*place)] = release_bytes(deployed)
    return told


def _taken_over(batch: Batch, common: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """The record of an approval, and what the release says of it."""
    number = _append(batch, APPROVAL, {**common, **row})
    return {name: row[name] for name in ("role", "keyid", "principal")} | {"record": number}


def release_bytes(value: Mapping[str, Any]) -> bytes:
    """The one form of a file of a release."""
    return canonical_bytes(value) + b"\n"


def _append(batch: Batch, kind: Kind, stated: Mapping[str, Any]) -> int:
    own = {**chain_fields(batch.head, batch.stamp), kind.name: stated}
    append_stated(batch, kind, own, _subjects(stated))
    return batch.head.sequence


def _subjects(stated: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The deployment by its model, then each file of the model; of a removal the commit that removed it."""
    name = f"deployment:{stated['deployment']}/{stated['environment']}"
    model = stated.get("model")
    if model is None:
        return [{"name": name, "digest": {"gitCommit": stated["desired"]}}]
    if isinstance(model, str):
        return [{"name": name, "digest": {"sha256": model}}]
    files = [
        {"name": _joined(model["path"], row["path"]), "digest": {"sha256": row["sha256"]}} for row in model["files"]
    ]
    return [{"name": name, "digest": {"sha256": model["sha256"]}}, *files]


def _joined(folder: str, path: str) -> str:
    return f"{folder}/{path}" if path else folder


def _write(batch: Batch, place: tuple[str, str], files: Files) -> None:
    for path, value in ((layout.release_path(*place), files.live), (layout.released_path(*place), files.memory)):
        if value is not None:
            batch.files[path] = release_bytes(value)
        else:
            batch.deletes.append(path)
