"""Whether a statement is one that a ledger may hold: known kind, valid by its schema, and true to itself.

The signer and the verifier both ask here, so nothing is signed that would not be accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runner.core.predicates import BY_TYPE, EXTENSION, KINDS, RUN
from runner.core.provenance import slsa
from runner.core.records import RunFacts, run_subjects
from runner.core.shapes import compiled

Checker = Callable[[Mapping[str, Any]], str | None]
"""Takes a statement and says what is wrong with it, or None."""
NAMES = tuple(kind.name for kind in KINDS)


def checker(schemas: Mapping[str, Mapping[str, Any]]) -> Checker:
    """A checker by the schemas of all kinds, by the kind's name."""
    checks = {kind.predicate_type: compiled(schemas[kind.name]) for kind in KINDS}

    def check(statement: Mapping[str, Any]) -> str | None:
        kind = BY_TYPE.get(statement["predicateType"]) if isinstance(statement["predicateType"], str) else None
        if kind is None:
            return f"the predicate type {statement['predicateType']!r} is not known"
        wrong = checks[kind.predicate_type](statement["predicate"])
        if wrong is not None:
            return wrong
        return _run_problem(statement) if kind is RUN else _subject_problem(statement["subject"])

    return check


def _run_problem(statement: Mapping[str, Any]) -> str | None:
    """Subject and provenance of a run follow from its facts; where they say something else, somebody is deceived."""
    predicate = statement["predicate"]
    own = predicate[EXTENSION]
    try:
        run = RunFacts.from_json(own["run"])
        derived = slsa(run, own["runnerVersion"])
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        return f"the facts of the run make no sense: {error}"
    if any(predicate[name] != value for name, value in derived.items()):
        return "the provenance does not follow from the facts of the run"
    if statement["subject"] != run_subjects(run):
        return "the subject does not follow from the facts of the run"
    return None


def _subject_problem(subject: Any) -> str | None:
    if not isinstance(subject, list) or not subject:
        return "there is no subject"
    return None if all(map(_is_descriptor, subject)) else "a subject has a name and digests"


def _is_descriptor(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str) or not isinstance(row.get("digest"), dict):
        return False
    return all(isinstance(digest, str) for digest in row["digest"].values())
