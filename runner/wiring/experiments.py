"""Recorded runs of every branch as the rows of a table: which are read, what is asked of them, in what order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice
from urllib.parse import unquote

from runner.core.experiments import (
    OF_COMMITS,
    Columns,
    Lineage,
    Ran,
    UnknownColumn,
    metrics_of,
    sorted_rows,
)
from runner.core.query import BadQuery, Query, parse_query
from runner.core.records import Record, RunFacts
from runner.errors import InputError
from runner.ledger.state import State
from runner.observe import refs
from runner.values import dataclass, replace
from runner.wiring.clone import Clone
from runner.wiring.history import check_stage, find_record, is_of_stage, key_of_stage
from runner.wiring.ledgers import Read, check_record, lineage_of, made_by, merged
from runner.wiring.states import opened

_FIRST_ROWS = 200
"""So many are read where no more are asked for: a ledger gives them at once."""
_READ_FOR_NAMED = 2_000
"""Newest records that are looked through for what made the inputs of runs that somebody named."""
_WITHIN = re.compile(r"(?P<branch>.+)@(?P<record>[0-9]{1,9})", re.ASCII)


Found = tuple[str, Record, RunFacts]
"""State branch, record and run."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which runs a person wants to see."""

    stage: str | None = None
    failed: bool = False
    branch: str | None = None
    """The branch that runs were recorded for first; None for all."""
    ref: str | None = None
    """The state branch to look into; None for all."""
    where: str | None = None
    same_as: str | None = None
    sort: str | None = None
    reverse: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """The runs that were asked for."""

    rows: tuple[Ran, ...]
    columns: Columns
    """What they have to show."""
    more: int | None
    """How many others there are; None where that was not counted."""
    doubts: tuple[str, ...] = ()
    """What was left out, and why."""


def table_of(clone: Clone, asked: Asked) -> Table:
    """The runs that are asked for, in the order asked for; raises InputError for what makes no sense."""
    query = None if asked.where is None else _parsed(asked.where)
    states = _states(clone, asked.ref)
    is_whole = query is not None or asked.sort is not None
    is_wanted = _chooses(clone, asked)
    only = None if asked.branch is None else state_ref(clone, asked.branch)
    found: list[Found] = []
    read: list[Read] = []
    doubts: dict[str, None] = {}
    enough = None if is_whole else asked.limit
    seen: set[str] = set()
    for row in merged(states, lambda text: doubts.update({text: None})):
        read.append(row)
        if row.run is None or row.run.run_id in seen:  # a copy that another branch took over is no other run
            continue
        seen.add(row.run.run_id)
        if only in (None, row.ref) and is_wanted(row.run) and (enough is None or len(found) < enough):
            found.append((row.ref, row.record, row.run))
        if enough is not None and len(found) >= enough and len(read) >= _FIRST_ROWS:
            break
    lineage = lineage_of(read, states if found else (), lambda text: doubts.update({text: None}))
    rows = _rows(clone, found, lineage, states)
    if not rows and asked.stage is not None and states:
        check_stage(clone, asked.stage, states[0])
    rows = _with_commits(clone, rows, query, asked)
    columns = Columns(rows)
    if query is not None:
        rows = _chosen(rows, columns, query)
        columns = Columns(rows)
    if asked.sort is not None:
        rows = sorted_rows(rows, _order(columns, asked.sort, asked.reverse))
    elif asked.reverse:
        rows = rows[::-1]
    shown = rows if asked.limit is None else rows[: asked.limit]
    columns = columns if len(shown) == len(rows) else Columns(shown)
    return Table(tuple(shown), columns, _left(rows, shown, enough), tuple(doubts))


def selected(table: Table, names: str) -> list[str]:
    """The columns that a person names, separated by commas; raises InputError."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    try:
        return table.columns.select(wanted)
    except UnknownColumn as error:
        raise InputError(f"--columns: {error.message}", error.hint) from error


def run_named(clone: Clone, name: str) -> tuple[str, Record, RunFacts | None]:
    """The state branch and the record that a name stands for: `17`, digits of a run key, or `BRANCH@17`."""
    within = _WITHIN.fullmatch(name)
    if within is not None:
        ref = state_ref(clone, within["branch"])
        record, run = find_record(clone, within["record"], ref)
        check_record(ref, record)
        return ref, record, run
    record, run = find_record(clone, name)
    return _own_ref(clone), record, run


def is_named_record(clone: Clone, name: str) -> bool:
    """Whether a name is that of a record, and not of a revision."""
    if name.isascii() and name.isdecimal() and len(name) < 7:
        return True
    within = _WITHIN.fullmatch(name)
    return within is not None and _ref_of(clone, within["branch"]) is not None


def state_ref(clone: Clone, name: str) -> str:
    """The state branch with this name, or of the branch with this name; raises InputError."""
    found = _ref_of(clone, name)
    if found is None:
        known = ", ".join(sorted(clone.states.tips)) or "none yet"
        raise InputError(f"there is no state branch {name} here", f"there are: {known}")
    return found


def branch_of(clone: Clone, ref: str) -> str:
    """The branch whose results a state branch has."""
    for prefix in (f"{refs.PROPOSED}/", f"{refs.STATE_OF}/"):
        if ref.startswith(prefix):
            text = ref.removeprefix(prefix)
            return unquote(text) if prefix.startswith(refs.PROPOSED) else text
    return clone.policy.watched or ref


def named_rows(clone: Clone, names: Sequence[str]) -> list[Ran]:
    """Runs by the names of their records, as the rows of a table; raises InputError."""
    found: list[Found] = []
    for name in names:
        ref, record, run = run_named(clone, name)
        if run is None:
            raise InputError(f"record {name} is of no run", "`runner runs list` shows the runs")
        found.append((ref, record, run))
    refs_of = {_own_ref(clone), *(ref for ref, _, _ in found)}
    states = [state for state in _states(clone, None) if state.ref in refs_of]
    read = list(islice(merged(states, lambda text: None), _READ_FOR_NAMED))
    lineage = lineage_of(read, states, lambda text: None)
    return _with_commits(clone, _rows(clone, found, lineage, states), None, Asked())


def _ref_of(clone: Clone, name: str) -> str | None:
    tips = clone.states.tips
    if name in tips:
        return name
    if name == clone.policy.watched and clone.states.first in tips:
        return clone.states.first
    return next((ref for ref in (f"{refs.STATE_OF}/{name}", refs.proposed_branch(name)) if ref in tips), None)


def _own_ref(clone: Clone) -> str:
    """The state branch that counts for HEAD: records that are named by a number alone are of it."""
    return clone.own_ref() or clone.states.first


def _states(clone: Clone, name: str | None) -> list[State]:
    """The states to look into, of watched branches first: what a proposal began with is theirs."""
    if name is not None:
        return opened(clone.reader, clone.states, [state_ref(clone, name)], clone.cache)
    own = [clone.states.first, refs.STATE]
    others = [ref for ref in sorted(clone.states.tips) if ref.startswith(f"{refs.STATE_OF}/")]
    names = dict.fromkeys([*own, *others, *clone.states.proposals(), _own_ref(clone)])
    return opened(clone.reader, clone.states, names, clone.cache)


def _chooses(clone: Clone, asked: Asked) -> Callable[[RunFacts], bool]:
    """Whether a run is one of those that are asked for by name; raises InputError for what there is not."""
    key = None if asked.same_as is None else _key_named(clone, asked.same_as)
    stage, failed = asked.stage, asked.failed

    def is_wanted(run: RunFacts) -> bool:
        return is_of_stage(run, stage) and not (failed and run.succeeded) and key in (None, run.key)

    return is_wanted


def _key_named(clone: Clone, name: str) -> str:
    """The run key of a record, or the one that the plan of HEAD gives a stage; raises InputError."""
    if is_named_record(clone, name):
        _, record, run = run_named(clone, name)
        if run is None:
            raise InputError(f"record {record.sequence} is of no run", "`runner runs list` shows the runs")
        return run.key
    return key_of_stage(clone, name)


def _rows(clone: Clone, found: Sequence[Found], lineage: Lineage, states: Sequence[State]) -> list[Ran]:
    own = _own_ref(clone)
    opened_as = {state.ref: state for state in states}

    def is_own(ref: str, number: int) -> bool:
        here, there = opened_as.get(own), opened_as.get(ref)
        return ref == own or (here is not None and there is not None and here.shares_record(there, number))

    branches = {ref: branch_of(clone, ref) for ref in dict.fromkeys(ref for ref, _, _ in found)}
    called = {ref: name if _ref_of(clone, name) == ref else ref for ref, name in branches.items()}
    return [
        Ran(
            ref=ref,
            branch=branches[ref],
            record=record.sequence,
            name=str(record.sequence) if is_own(ref, record.sequence) else f"{called[ref]}@{record.sequence}",
            run=run,
            params=lineage.params(made_by(ref, run)),
            metrics=metrics_of(run),
        )
        for ref, record, run in found
    ]


def _with_commits(clone: Clone, rows: list[Ran], query: Query | None, asked: Asked) -> list[Ran]:
    """The rows with what their commits say; read only where a filter or an order asks for it, or few are shown."""
    asks = {comparison.name for comparison in query.comparisons()} if query is not None else set()
    asks |= {name.strip().lstrip("-") for name in (asked.sort or "").split(",")}
    if len(rows) > _FIRST_ROWS and not asks & set(OF_COMMITS):
        return rows
    said: dict[str, tuple[str, str]] = {}
    for commit in dict.fromkeys(row.run.desired for row in rows):
        if clone.reader.exists(commit):
            found = clone.reader.commit(commit)
            said[commit] = (found.author, found.message.strip().partition("\n")[0])
    none = ("", "")
    return [
        replace(row, author=said.get(row.run.desired, none)[0], subject=said.get(row.run.desired, none)[1])
        for row in rows
    ]


def _parsed(text: str) -> Query:
    try:
        return parse_query(text)
    except BadQuery as error:
        raise _refused(error) from error


def _refused(error: BadQuery) -> InputError:
    return InputError(
        f"--where, character {error.position}: {error.message}",
        "an expression is such as `metrics.auc > 0.8 and stage in (train, evaluate)`",
    )


def _chosen(rows: list[Ran], columns: Columns, query: Query) -> list[Ran]:
    named: dict[str, str] = {}
    for comparison in query.comparisons():
        try:
            column = named[comparison.name] = columns.find(comparison.name)
            comparison.check(row.cell(column) for row in rows)
        except UnknownColumn as error:
            if not rows:
                return []
            raise InputError(f"--where, character {comparison.position}: {error.message}", error.hint) from error
        except BadQuery as error:
            raise _refused(error) from error
    return [row for row in rows if query.matches(lambda name, row=row: row.cell(named[name]))]  # type: ignore[misc] # bound here


def _order(columns: Columns, text: str, reverse: bool) -> list[tuple[str, bool]]:
    """The columns to sort by, each with whether it goes down: `-` before a name turns it around."""
    found: list[tuple[str, bool]] = []
    for word in (word.strip() for word in text.split(",")):
        name = word.removeprefix("-")
        try:
            found += [(columns.find(name), word.startswith("-") is not reverse)] if name else []
        except UnknownColumn as error:
            raise InputError(f"--sort: {error.message}", error.hint) from error
    return found


def _left(rows: Sequence[Ran], shown: Sequence[Ran], enough: int | None) -> int | None:
    return None if enough is not None and len(rows) >= enough else len(rows) - len(shown)
