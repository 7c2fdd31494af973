"""Finding recorded runs and their logs from a clone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

from runner.core.actions import Action
from runner.core.naming import find_stage, find_stages
from runner.core.nouns import Address
from runner.core.plan import Step
from runner.core.recorded import Verified
from runner.core.records import BadRecord, Record, RunFacts
from runner.errors import Held, InputError
from runner.ledger.state import State
from runner.observe.observation import Observation
from runner.values import dataclass
from runner.wiring.clone import Clone

_SEARCHED = 50_000
_RECENT = 200
_LISTED = "`runner runs list` shows them"


@dataclass(frozen=True, slots=True)
class Log:
    """The log of a run, or of its repetition, whole where this host ran it."""

    stage: Address
    run_id: str
    record: int | None
    """Number of the record that states it; None while it is not published."""
    outcome: str
    message: str
    host: str
    """The name of the host that ran it."""
    size_bytes: int | None
    """Of the whole log; None where the record does not say it."""
    text: str
    whole: bool


def the_state(clone: Clone, ref: str | None = None) -> State:
    """The recorded state of a clone; raises InputError where there is none."""
    if ref is not None:
        if ref not in clone.states.tips:
            known = ", ".join(sorted(clone.states.tips)) or "none yet"
            raise InputError(f"there is no state branch {ref} here", f"there are: {known}")
        return State(clone.reader, clone.states.tips[ref], memo=clone.cache)
    state = clone.state()
    if state is None:
        raise InputError("nothing is recorded yet", "run `runner reconcile` first, or fetch the state branch")
    return state


def is_of_stage(run: RunFacts, stage: str | None) -> bool:
    """Whether a run is of the stage, or of a member of the group, that a name stands for; None stands for all."""
    if stage is None:
        return True
    name, group = run.address.stage, run.address.stage.partition("@")[0]
    return stage in (str(run.address), name, group, f"{run.address.pipeline}:{group}")


def check_stage(clone: Clone, stage: str, state: State) -> None:
    """Raises InputError for the name of a stage that never was."""
    find_stages(stage, sorted({*_known_stages(clone, state), *_planned(clone)}))


def key_of_stage(clone: Clone, name: str) -> str:
    """The run key that the plan of HEAD gives a stage; raises InputError where it gives none."""
    observation = clone.observation()
    plan, _ = observation.plan()
    address = find_planned(observation, name)
    step = next(step for step in plan.steps if step.address == address)
    if step.key is None:
        hint = f"`runner explain {name}` says what it needs; say a record instead"
        raise InputError(f"{name} has no run key yet: {'; '.join(step.reasons[:1])}", hint)
    return step.key


def find_recorded(clone: Clone, name: str, recorded: Iterable[Address]) -> list[Address]:
    """Every one of the recorded stages that a name stands for.

    Raises InputError that tells a stage which the specs have, and which has not run, from one that is nowhere.
    """
    known = list(recorded)
    try:
        return find_stages(name, known)
    except InputError:
        planned = _planned(clone)
        found = find_stages(name, sorted({*known, *planned}))
    among = [address for address in found if address in known]
    if not among:
        raise _not_run(clone, _one(name, found), planned[found[0]])
    return among


def find_results(clone: Clone, name: str, state: State) -> list[Address]:
    """Every stage with a result that a name stands for; raises InputError, also for one that never succeeded."""
    standing = list(state.addresses())
    try:
        return find_stages(name, standing)
    except InputError:  # the whole ledger is only read where that is not enough
        found = find_recorded(clone, name, _known_stages(clone, state))
    among = [address for address in found if address in standing]
    if not among:
        hint = f"`runner status` says why, and `runner log {_one(name, found)}` shows its last run"
        raise InputError(f"{name} has no recorded result yet", hint)
    return among


def find_planned(observation: Observation, name: str) -> Address:
    """The one stage of the specs that a name stands for; raises InputError, for one that left them with that."""
    desired = observation.graph.stages
    try:
        return find_stage(name, desired)
    except InputError:
        recorded = observation.state.addresses() if observation.state is not None else ()
        found = find_stages(name, sorted({*desired, *recorded}))
        if any(address in desired for address in found):
            raise
    raise InputError(
        f"{name} is recorded, but the specs of {observation.commit[:12]} have it no more",
        f"`runner runs list --stage {_one(name, found)}` shows its runs; to explain it, name a commit that has it",
    )


def find_record(clone: Clone, name: str, ref: str | None = None) -> tuple[Record, RunFacts | None]:
    """The record with this number, or of the run whose key or id starts so; raises InputError.

    `ref` is the state branch that it is on; None for the one that counts for HEAD.
    """
    state = the_state(clone, ref)
    if name.isascii() and name.isdecimal() and len(name) < 10:
        record = _checked(state, int(name))
        if record is None:
            raise InputError(f"there is no record {int(name)}", f"the newest one is {state.summary.head.sequence}")
        try:
            return record, record.run
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _damaged(state, error) from error
    for record, run in runs_of(state):
        if len(name) >= 4 and (run.key.startswith(name) or run.run_id.startswith(name)):
            return record, run
    known = _known_stages(clone, state)
    if any(name in (str(address), address.stage) for address in known):
        raise InputError(f"{name} is a stage, not a record", f"`runner runs list --stage {name}` shows its records")
    raise InputError(f"there is no record {name}", _LISTED)


def record_of_step(step: Step, observation: Observation) -> Record | None:
    """The record behind what a plan says of a stage: of the result that stands, or of the run that failed."""
    hit = step.hit
    if hit is not None and hit.ref:
        other = next((state for state in observation.others if state.ref == hit.ref), None)
        return None if other is None else _checked(other, hit.record)
    sequence = step.entry.record if step.entry is not None else hit.record if hit is not None else None
    return None if sequence is None or observation.state is None else _checked(observation.state, sequence)


def verification_of_step(step: Step, observation: Observation) -> Record | None:
    """The verification that tells most of what stands: one that found other bytes, else the newest."""
    state = observation.state
    found = state.verified(step.entry.key) if state is not None and step.entry is not None else None
    if state is None or found is None:
        return None
    return _checked(state, found.differed or found.newest)


def newest_results(state: State, verified: Mapping[str, Verified]) -> dict[str, str]:
    """By run key, of those that stand, how the newest verification came out: `same`, `differs` or `failed`."""
    standing = {entry.key for entry in state.entries().values()}
    results: dict[str, str] = {}
    for key, found in verified.items():
        record = _checked(state, found.newest) if key in standing else None
        rows = record.own["verification"]["runs"] if record is not None else ()
        results |= {row["key"]: row["result"] for row in rows if row["key"] == key}
    return results


def were_recorded(state: State, wanted: Mapping[str, str]) -> set[str]:
    """Those of the paths, each with a digest, at which some recorded run left just that."""
    left = dict(wanted)
    for _, run in runs_of(state) if left else ():
        for out in run.outs:
            if left.get(out.path) == out.md5:
                del left[out.path]
        if not left:
            break
    return set(wanted) - set(left)


def last_two_runs(clone: Clone, stage: str) -> tuple[tuple[Record, RunFacts], tuple[Record, RunFacts]]:
    """The last two runs of a stage, the older first; raises InputError where there are fewer."""
    state = clone.state()
    found = (row for row in runs_of(state) if is_of_stage(row[1], stage)) if state is not None else iter(())
    rows = list(islice(found, 2))
    if len(rows) < 2:
        if state is not None and not rows:
            check_stage(clone, stage, state)
        raise InputError(f"{stage} has fewer than two recorded runs", "`runner runs list` shows the runs")
    return rows[1], rows[0]


def is_stage(clone: Clone, name: str) -> bool:
    """Whether something stands for a stage of just this name, which may look like that of a record (`train@3`)."""
    state = clone.state()
    return state is not None and any(name == address.stage for address in state.addresses())


def find_log(clone: Clone, name: str, stage: str | None = None) -> Log:
    """The log of a stage's last run, or of the run or the repetition that a record states.

    `stage` says which one is meant of a verification of several. Raises InputError.
    """
    if not name.isdecimal():
        if (deployed := _log_of_command(clone, name)) is not None:
            return deployed
        if stage is not None:
            raise InputError(f"{name} is not the number of a record", f"`runner log {name}` shows the stage's last run")
        return _log_of_run(clone, *_last_run(clone, name))
    return log_of(clone, name, *find_record(clone, name), stage)


def log_of(clone: Clone, name: str, record: Record, run: RunFacts | None, stage: str | None = None) -> Log:
    """The log of what a record states, which a person called `name`; raises InputError as above."""
    if run is None and "deploy" in record.own:
        return _log_told(clone, record)
    if run is None and "verification" in record.own:
        return _log_of_repetition(clone, name, record, stage)
    if run is None:
        raise InputError(
            f"record {record.sequence} is of no run, so it has no log", f"`runner runs show {name}` shows it"
        )
    if stage is not None and stage not in (str(run.address), run.address.stage):
        raise InputError(f"record {record.sequence} is of {run.address}, not of {stage}", _LISTED)
    return _log_of_run(clone, record.sequence, run)


def _log_of_run(clone: Clone, record: int | None, run: RunFacts) -> Log:
    text = _log_here(clone, run.run_id, run.log_bytes)
    host = str(run.host.get("name", "another host"))
    facts = (run.address, run.run_id, record, run.reason, run.message, host, run.log_bytes)
    return Log(*facts, text=run.log_tail if text is None else text, whole=text is not None)


def _log_of_command(clone: Clone, name: str) -> Log | None:
    """The log of the command that was called last for a Deployment of this name; `NAME/ENVIRONMENT` says where.

    None where there is none, or a stage has that name.
    """
    state = clone.state()
    places = state.all_deployed() if state is not None else []
    found = [state.deployed(*place) for place in places if name in (place[0], "/".join(place))] if state else []
    numbers = [row["record"] for row in found if row is not None]
    if state is None or not numbers or name in (address.stage for address in _known_stages(clone, state)):
        return None
    record = _checked(state, max(numbers))
    return None if record is None else _log_told(clone, record)


def _log_told(clone: Clone, record: Record) -> Log:
    """The log of a command of a target, by the record of its outcome."""
    stated = record.own["deploy"]
    address = Address(stated["event"], f"{stated['deployment']}/{stated['environment']}")
    outcome, log = stated["outcome"], stated["log"]
    text = _log_here(clone, stated["runId"], log["bytes"])
    said = (stated["runId"], record.sequence, outcome["reason"], outcome["message"], stated["host"].get("name", ""))
    tail = log["tail"] if text is None else text
    return Log(address, *said, log["bytes"], text=tail, whole=text is not None)


def _log_of_repetition(clone: Clone, name: str, record: Record, stage: str | None) -> Log:
    facts = record.own["verification"]
    rows = {Address(row["pipeline"], row["stage"]): row for row in facts["runs"]}
    if stage is None and len(rows) > 1:
        names = ", ".join(str(address) for address in list(rows)[:5]) + (", ..." if len(rows) > 5 else "")
        raise InputError(
            f"record {record.sequence} is of {len(rows)} repetitions",
            f"say which one: `runner log {name} STAGE` with one of {names}",
        )
    address = find_stage(stage, rows) if stage is not None else next(iter(rows))
    row, host = rows[address], str(facts["host"].get("name", "another host"))
    text = _log_here(clone, row["runId"], None)
    outcome = row["outcome"]
    said = (address, row["runId"], record.sequence, outcome["reason"], outcome["message"], host, None)
    return Log(*said, text=text or "", whole=text is not None)


def _log_here(clone: Clone, run_id: str, size_bytes: int | None) -> str | None:
    """The log of a run as this host has it; None where it ran elsewhere, or the log is too old.

    `size_bytes`: what is recorded of it, where that is; one without a byte is known everywhere.
    """
    if size_bytes == 0:
        return ""
    file = clone.home.logs / f"{run_id}.log"
    return file.read_text(errors="replace") if file.is_file() else None


def _last_run(clone: Clone, name: str) -> tuple[int | None, RunFacts]:
    waiting = clone.waiting_runs()
    state = the_state(clone) if not waiting or clone.state() is not None else None
    recorded = runs_of(state) if state is not None else iter(())
    recent = list(islice(recorded, _RECENT))
    known = {run.address for run in (*waiting, *(run for _, run in recent))}
    wanted = _meant(clone, name, known, state)
    for run in sorted(waiting, key=lambda run: run.started_at, reverse=True):
        if run.address in wanted:
            return None, run
    for record, run in chain(recent, recorded):
        if run.address in wanted:
            return record.sequence, run
    raise InputError(f"{name} has no recorded run", "a stage that is kept by evidence, or never ran, has no log")


def _meant(clone: Clone, name: str, recent: set[Address], state: State | None) -> list[Address]:
    """Every stage that a name stands for; the whole ledger is only read where what is recent and what stands do not
    tell. Raises InputError."""
    if state is None:
        return find_recorded(clone, name, sorted(recent))
    try:
        return find_stages(name, sorted({*recent, *state.addresses()}))
    except InputError:
        return find_recorded(clone, name, _known_stages(clone, state))


def runs_of(state: State) -> Iterator[tuple[Record, RunFacts]]:
    """Runs of a ledger, the newest first; few are read as long as few are asked for."""
    for record in records_of(state):
        if record.run is not None:
            yield record, record.run


def records_of(state: State, beyond: State | None = None) -> Iterator[Record]:
    """Records of a ledger, the newest first; few are read as long as few are asked for.

    `beyond` is a ledger whose records are known: of one that began as its copy only the others are read.
    """
    try:
        yield from state.records_beyond(beyond) if beyond is not None else islice(state.records(), _SEARCHED)
    except BadRecord as error:
        raise _damaged(state, error) from error


def _checked(state: State, sequence: int) -> Record | None:
    try:
        return state.record(sequence)
    except BadRecord as error:
        raise _damaged(state, error) from error


def _damaged(state: State, error: Exception) -> Held:
    return Held(
        f"a record of {state.ref or state.commit[:12]} is damaged: {error}",
        "compare the state branch with a clone that is known to be good",
    )


def _known_stages(clone: Clone, state: State) -> list[Address]:
    seen = {run.address for _, run in runs_of(state)} | {run.address for run in clone.waiting_runs()}
    return sorted(seen | set(state.addresses()))


def _planned(clone: Clone) -> dict[Address, Step]:
    """What the plan of HEAD says of its stages; nothing where its specs cannot be read, which other commands say."""
    try:
        plan, _ = clone.observation().plan()
    except InputError:
        return {}
    return {step.address: step for step in plan.steps if step.action is not Action.REMOVE}


def _not_run(clone: Clone, name: str, step: Step) -> InputError:
    """What to say of a stage that has no record, and what to do."""
    more = f"`runner explain {name}` says what it needs"
    if step.action in (Action.FAILED, Action.REUSE):  # the same work ran as another stage
        return InputError(f"{name} has no run of its own", f"{'; '.join(step.reasons[:1])}; {more}")
    if step.action is Action.KEEP:
        return InputError(f"{name} has not run yet: {'; '.join(step.reasons[:1])}", more)
    if step.action is Action.UNKNOWN:
        return InputError(f"{name} has not run yet", f"it cannot: {'; '.join(step.reasons[:1])}; {more}")
    first = "push its commit, then `runner reconcile` runs it" if clone.has_remote else "`runner reconcile` runs it"
    return InputError(f"{name} has not run yet", f"{first}; {more}")


def _one(name: str, found: Sequence[Address]) -> str:
    """What to say in a command for one stage, where a name may stand for a group."""
    return name if len(found) == 1 else found[0].stage
