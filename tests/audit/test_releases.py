"""Releases in a ledger: what an audit, and the second verifier, say of one that rests on nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.audit.chain import Examiner, check_chain
from runner.audit.findings import Breach
from runner.audit.releases import release_breaks
from runner.core.predicates import DEPLOY, GATE, RELEASE, Kind
from runner.core.records import Head, Stamp, append, chain_fields
from runner.core.releases import model_digest
from runner.core.rollbacks import OF_THE_MODEL
from runner.process.signing_keys import verifies

Row = dict[str, Any]
PLACE = {"deployment": "churn-api", "environment": "production", "spec": "s", "desired": "c" * 40}


def model(name: str) -> Row:
    rows = [{"path": "", "sha256": name * 64, "md5": name * 32, "size": 1}]
    return {"path": "m", "md5": name * 32, "sha256": model_digest(rows), "files": rows}


def gate(name: str, version: int, **more: Any) -> tuple[Kind, Row]:
    stated = {"model": model(name)["sha256"], "md5": name * 32, "version": version, "outcome": "release"}
    return GATE, {**PLACE, **stated, "verdict": "pass", "blockers": [], **more}


def release(name: str, version: int, event: str = "release", gate: int | None = None, **more: Any) -> tuple[Kind, Row]:
    stated = dict.fromkeys(OF_THE_MODEL) | {"model": model(name), "quarantined": None, "serving": {}, "at": "now"}
    stated |= {"event": event, "version": version, "replaces": version - 1 or None, "gate": gate, "settings": "t"}
    return RELEASE, {**stated, **PLACE, "metrics": {"m": name}, **more}


def deploy(name: str, version: int, release: int) -> tuple[Kind, Row]:
    stated = {"event": "deploy", "version": version, "release": release, "model": model(name)["sha256"]}
    return DEPLOY, {**PLACE, **stated, "runId": "r", "outcome": {"succeeded": True, "message": ""}}


SOUND = [
    *(gate("a", 1), release("a", 1, gate=1), deploy("a", 1, 2)),
    *(gate("b", 2), release("b", 2, gate=4), release("b", 3, "settings")),
    *(release("a", 4, "rollback", of=1, quarantined={"model": "b" * 32}), deploy("a", 4, 7), release("b", 5)),
]
"""Two models, other settings, a rollback, and a version that a person names again."""


def audit(rows: list[tuple[Kind, Row]]) -> list[tuple[str, str]]:
    """Which records are found, and why."""
    head, records = Head(), []
    for kind, stated in rows:
        predicate = {**chain_fields(head, Stamp("1", "2026-11-22T12:00:00.000Z")), kind.name: stated}
        head, data = append(head, kind, predicate, [{"name": "x", "digest": {"sha256": "e" * 64}}])
        records.append(data)
    chain = check_chain(records, Examiner(lambda _statement: None, verifies))
    found = [one for one in release_breaks({}, chain, None) if one.breach is Breach.CHAIN]
    return [(one.place, one.message) for one in found]


def second(rows: list[tuple[Kind, Row]]) -> bool:
    """Whether the verifier that shares no code with the runner finds sense in them."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples/verify"))
    try:
        standing, read = (importlib.import_module(name) for name in ("standing", "records"))
        standing.differing({}, {}, [(kind.name, stated) for kind, stated in rows])
    except read.NONSENSE:
        return False
    finally:
        sys.path.pop(0)
        for name in ("standing", "records"):
            sys.modules.pop(name, None)
    return True


def test_releases_that_rest_on_what_they_name_are_whole() -> None:
    assert audit(SOUND) == []
    assert second(SOUND)


FORGED: list[tuple[str, int, Mapping[str, Any], str]] = [
    ("of another model than the gates saw", 2, {"model": model("c")}, "no verdict that lets it through"),
    ("by no gate", 2, {"gate": None}, "a model that no gate was asked of"),
    ("by a record that is no verdict", 5, {"gate": 3}, "no verdict that lets it through"),
    ("by the verdict of the version before", 5, {"gate": 1}, "no verdict that lets it through"),
    ("by a verdict that fails", 4, {"verdict": "fail"}, "no verdict that lets it through"),
    ("by a refusal", 4, {"outcome": "refused"}, "no verdict that lets it through"),
    ("of what others made", 4, {"blockers": ["others' evidence"]}, "no verdict that lets it through"),
    ("of another model as other settings", 6, {"model": model("c")}, "serves another model"),
    ("of a new model as a rollback", 7, {"model": model("c")}, "goes back to v1, which was another"),
    ("with other metrics as a rollback", 7, {"metrics": {}}, "goes back to v1, which was another"),
    ("back to a version that never was", 7, {"of": 9}, "goes back to v9"),
    ("of a new model by its number", 9, {"model": model("c")}, "a model that no gate was asked of"),
    (
        "of files that are not the model",
        2,
        {"model": {**model("a"), "files": model("b")["files"]}},
        "by the files of it",
    ),
    ("deployed with another model", 3, {"model": model("b")["sha256"]}, "deploys another model"),
]


@pytest.mark.parametrize(("what", "number", "change", "why"), FORGED, ids=[row[0] for row in FORGED])
def test_a_release_that_rests_on_nothing_is_found_by_both(
    what: str, number: int, change: Mapping[str, Any], why: str
) -> None:
    kind, stated = SOUND[number - 1]
    rows = [*SOUND[: number - 1], (kind, {**stated, **change}), *SOUND[number:]]
    assert any(why in message for _, message in audit(rows))
    assert not second(rows)
