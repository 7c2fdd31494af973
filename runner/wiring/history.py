"""Finding recorded runs and their logs from a clone."""

from __future__ import annotations

from dataclasses import dataclass

from runner.core.naming import find_stages
from runner.core.nouns import Address
from runner.core.records import Record, RunFacts
from runner.errors import InputError
from runner.ledger.state import State
from runner.wiring.clone import Clone

_SEARCHED = 5_000


@dataclass(frozen=True, slots=True)
class Log:
    """The log of a run, whole where this host ran it."""

    run: RunFacts
    text: str
    whole: bool


def the_state(clone: Clone, ref: str | None = None) -> State:
    """The recorded state of a clone; raises InputError where there is none."""
    if ref is not None:
        if ref not in clone.states.tips:
            known = ", ".join(sorted(clone.states.tips)) or "none yet"
            raise InputError(f"there is no state branch {ref}", f"there are: {known}")
        return State(clone.reader, clone.states.tips[ref], memo=clone.cache)
    state = clone.state()
    if state is None:
        raise InputError("nothing is recorded yet", "run `runner reconcile` first, or fetch the state branch")
    return state


def recorded_runs(
    clone: Clone, stage: str | None, failed: bool, limit: int, ref: str | None
) -> list[tuple[Record, RunFacts]]:
    """Runs, the newest first, of one stage or of all."""
    if ref is None and clone.state() is None:
        return []
    state = the_state(clone, ref)
    found: list[tuple[Record, RunFacts]] = []
    for record in state.records():
        run = record.run
        if run is not None and _is_wanted(run, stage) and not (failed and run.succeeded):
            found.append((record, run))
        if len(found) >= limit:
            break
    return found


def find_record(clone: Clone, name: str) -> Record:
    """The record with this number, or of the run whose key or id starts so; raises InputError."""
    state = the_state(clone)
    if name.isdecimal() and len(name) < 10:
        record = state.record(int(name))
        if record is None:
            raise InputError(f"there is no record {name}", f"the newest one is {state.summary.head.sequence}")
        return record
    for record in state.records(_SEARCHED):
        run = record.run
        if run is not None and len(name) >= 4 and (run.key.startswith(name) or run.run_id.startswith(name)):
            return record
    raise InputError(f"there is no record {name}", "`runner runs list` shows them")


def run_of(record: Record) -> RunFacts:
    """The run a record states; raises InputError for a record of another kind."""
    run = record.run
    if run is None:
        raise InputError(f"record {record.sequence} is of no run", "`runner runs list` shows the runs")
    return run


def compared(clone: Clone, names: list[str], stage: str | None) -> tuple[Record, Record]:
    """Two records to be compared: those named, else the last two of a stage, the older first."""
    if len(names) == 2:
        one, other = (find_record(clone, name) for name in names)
        run_of(one), run_of(other)
        return one, other
    if names and not stage:
        stage = names[0]
    if not stage:
        raise InputError("say which runs to compare", "two records, or --stage STAGE for its last two runs")
    rows = recorded_runs(clone, stage, False, 2, None)
    if len(rows) < 2:
        raise InputError(f"{stage} has fewer than two recorded runs", "`runner runs list` shows the runs")
    return rows[1][0], rows[0][0]


def find_log(clone: Clone, name: str) -> Log:
    """The log of a record's run, or of a stage's last one."""
    run = run_of(find_record(clone, name)) if name.isdecimal() else _last_run(clone, name)
    file = clone.home.logs / f"{run.run_id}.log"
    if file.is_file():
        return Log(run, file.read_text(errors="replace"), True)
    return Log(run, run.log_tail, False)


def _last_run(clone: Clone, name: str) -> RunFacts:
    wanted = find_stages(name, _known_stages(clone))
    for _, run in recorded_runs(clone, None, False, _SEARCHED, None):
        if run.address in wanted:
            return run
    raise InputError(f"{name} has no recorded run", "`runner runs list` shows the runs")


def _known_stages(clone: Clone) -> list[Address]:
    state = the_state(clone)
    seen = {run.address for record in state.records(_SEARCHED) if (run := record.run) is not None}
    return sorted(seen | set(state.addresses()))


def _is_wanted(run: RunFacts, stage: str | None) -> bool:
    return stage is None or stage in (str(run.address), run.address.stage, run.address.stage.partition("@")[0])
