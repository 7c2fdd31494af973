"""Several ledgers read as one, the newest records first, and what in them left which bytes.

Anybody who may push can write a proposal's ledger: one that cannot be read is left out with a word, and the others are
read all the same. One of a watched branch has to be looked at by a person.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from runner.core.experiments import Lineage, Made, metrics_of, own_params
from runner.core.predicates import RECONCILE
from runner.core.records import BadRecord, Record, RunFacts
from runner.errors import Held
from runner.ledger.state import State
from runner.observe import refs
from runner.values import dataclass
from runner.wiring.history import records_of

_ODD = (BadRecord, Held, KeyError, TypeError, ValueError, AttributeError, RecursionError)
"""What reading anybody's records may come to."""


@dataclass(frozen=True, slots=True)
class Read:
    """A record, as far as a table of runs depends on it."""

    ref: str
    number: int
    at: str
    """When it was recorded."""
    record: Record
    run: RunFacts | None
    desired: str = ""
    """Of a reconcile: the commit that it was about."""
    standing: tuple[tuple[int, str], ...] = ()
    """Of a reconcile: records whose result stands from there on, each with its run key."""


def merged(states: Sequence[State], doubt: Callable[[str], None]) -> Iterator[Read]:
    """The records of all ledgers, the newest first; of two alike that of the first ledger comes first.

    `doubt` is told of ledgers of proposals that cannot be read. Raises Held for one of another branch.
    """

    def of(state: State) -> Iterator[Read]:
        try:
            for record in records_of(state, None if state is states[0] else states[0]):
                yield _read(state.ref, record)
        except _ODD as error:
            _left_out(state, error, doubt)

    return heapq.merge(*map(of, states), key=lambda read: read.at, reverse=True)


def lineage_of(read: Sequence[Read], states: Sequence[State], doubt: Callable[[str], None]) -> Lineage:
    """What left which bytes: the runs that were read, what reconciles took over of them, and what stands."""
    lineage = Lineage()
    runs = {(row.ref, row.number): row.run for row in read if row.run is not None and row.run.succeeded}
    shared = {number: run for (_, number), run in reversed(runs.items())}
    for row in reversed(read):
        run = runs.get((row.ref, row.number))
        if run is not None:
            lineage.add(made_by(row.ref, run), ((out.path, out.md5) for out in run.outs))
        for number, key in row.standing:
            # A ledger that began as a copy has the records before under the same numbers.
            took = runs.get((row.ref, number)) or shared.get(number)
            if took is not None and took.key == key:
                made = Made(took.address, took.material, row.desired, row.at, row.ref)
                lineage.add(made, ((out.path, out.md5) for out in took.outs))
    for state in states:  # what stands may have been recorded long before
        try:
            for entry in state.entries().values():
                _check_material(entry.material)
                made = Made(entry.address, entry.material, ref=state.ref)
                lineage.add(made, ((out.path, out.md5) for out in entry.outs))
        except _ODD as error:
            _left_out(state, error, doubt)
    return lineage


def made_by(ref: str, run: RunFacts) -> Made:
    """A run as what left its outputs."""
    return Made(run.address, run.material, run.desired, run.started_at, ref)


def check_record(ref: str, record: Record) -> None:
    """Raises Held for a record that a runner never wrote, such as anybody may put into a proposal's ledger."""
    try:
        _read(ref, record)
    except _ODD as error:
        why = f"record {record.sequence} of {ref} is damaged: {str(error)[:200]}"
        raise Held(why, "look at other records; `runner audit verify` says more of a ledger") from error


def _read(ref: str, record: Record) -> Read:
    """Raises one of `_ODD` for a record that a runner never wrote."""
    run = record.run
    if type(record.sequence) is not int:
        raise ValueError("a record has no number")
    if run is not None:
        numbers = run.seconds, run.max_rss_bytes
        if not all(type(value) in (int, float) and 0 <= value < math.inf for value in numbers):
            raise ValueError(f"record {record.sequence} does not say how long it took")
        _check_material(run.material)
        own_params(run.address, run.material)
        metrics_of(run)
    if record.kind is not RECONCILE:
        return Read(ref, record.sequence, record.recorded_at, record, run)
    facts: dict[str, Any] = record.own["reconcile"]
    standing = tuple((row["record"], row["key"]) for row in facts["standing"] if type(row["record"]) is int)
    return Read(ref, record.sequence, record.recorded_at, record, None, str(facts["desired"]), standing)


def _check_material(material: Any) -> None:
    for kind in ("dep", "param", "with"):
        if not isinstance(material.get(kind, {}), dict):
            raise ValueError(f"what it was made of has odd values of {kind}")
    for kind in ("dep", "with"):
        if not all(isinstance(value, str) for value in material.get(kind, {}).values()):
            raise ValueError(f"what it was made of has odd values of {kind}")


def _left_out(state: State, error: Exception, doubt: Callable[[str], None]) -> None:
    if not state.ref.startswith(f"{refs.PROPOSED}/"):
        if isinstance(error, Held):
            raise error
        why = f"a record of {state.ref or state.commit[:12]} is damaged: {str(error)[:200]}"
        raise Held(why, "compare the state branch with a clone that is known to be good") from error
    doubt(f"{state.ref} is left out from where it cannot be read: {str(error)[:200]}")
