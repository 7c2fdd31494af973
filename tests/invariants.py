"""What must hold of every world, simulated or real, however often its runners were killed.

One function, `violations`, reads a neutral description of what is on the remote, what runners told and what they found
when all was quiet again. It shares no code with the runner.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ledger:
    """A state branch at one of the commits it ever was at."""

    records: Sequence[bytes]
    """The raw bytes of every record, the first one first."""
    standing: Sequence[Mapping[str, Any]] = ()
    """What stands for the stages, as `.runner/recorded/` has it."""


@dataclass(frozen=True)
class Told:
    """A finished run that somebody was told of: it was in a host's journal by then."""

    run_id: str
    key: str
    succeeded: bool


@dataclass
class Evidence:
    """What was seen of a world after its troubles were over and every host had reconciled in peace."""

    history: Sequence[Ledger] = ()
    """The state branch at each of its commits along first parents, the oldest first."""
    told: Sequence[Told] = ()
    dropped: frozenset[str] = frozenset()
    """Runs of which a runner said that their work was recorded by somebody else first."""
    excused: frozenset[str] = frozenset()
    """Runs whose bytes were lost with the host's power before they could be published."""
    has_bytes: Callable[[str], bool] | None = None
    """Whether an object is whole where its name says: on the DVC remote, else safely on a host; None: not looked at."""
    last_actions: Sequence[Mapping[str, str]] = ()
    """The last plans that were made in peace: stage to action."""
    last_commits: Sequence[str] = ()
    """State commits made by reconciles after the world had come to rest: there must be none."""
    untold: Sequence[str] = ()
    """Commits on the state branch by runners that had no trouble to report, and that they did not tell of."""
    read_wrong: Sequence[str] = ()
    """Stages that were given bytes other than those their inputs' digests name."""


def violations(seen: Evidence) -> list[str]:
    """Every rule that is broken, in words; empty where all is well."""
    tip = seen.history[-1] if seen.history else Ledger(())
    return [
        *_rewritten(seen.history),
        *_chain(tip.records),
        *_twice(tip.records),
        *_lost(seen, tip.records),
        *nameless_bytes(tip, seen.has_bytes),
        *_unbacked(tip),
        *_restless(seen),
        *(f"the commit {commit[:8]} was made, and its runner did not say so" for commit in seen.untold),
        *(f"a stage read wrong bytes: {what}" for what in seen.read_wrong),
    ]


def nameless_bytes(ledger: Ledger, has_bytes: Callable[[str], bool] | None) -> list[str]:
    """No name without its bytes where they belong: of every recorded success and of everything that stands."""
    if has_bytes is None:
        return []
    outs = [out for _, run in runs_of(ledger.records) if run["outcome"]["succeeded"] for out in run["outs"]]
    outs += [out for row in ledger.standing for out in row["outs"]]
    wanted = {out["md5"] for out in outs if out.get("cache", True) and out.get("push", True)}
    return [f"{md5} is recorded, and its bytes are not there" for md5 in sorted(wanted) if not has_bytes(md5)]


def runs_of(records: Iterable[bytes]) -> list[tuple[int, Mapping[str, Any]]]:
    """Number and facts of every run that is recorded."""
    found = [(number, predicate_of(data)) for number, data in enumerate(records, start=1)]
    return [(number, predicate["run"]) for number, predicate in found if "run" in predicate]


@functools.lru_cache(maxsize=4096)
def predicate_of(data: bytes) -> Mapping[str, Any]:
    """What a record says, without what only provenance for others says."""
    predicate = json.loads(base64.b64decode(json.loads(data)["payload"]))["predicate"]
    own: Mapping[str, Any] = predicate.get("gitopsrunner_record", predicate)
    return own


def _rewritten(history: Sequence[Ledger]) -> list[str]:
    """Each head extends every earlier one."""
    found = []
    for earlier, later in itertools.pairwise(history):
        if list(later.records[: len(earlier.records)]) != list(earlier.records):
            found.append(f"a ledger of {len(earlier.records)} records was followed by one that does not extend it")
    return found


def _chain(records: Sequence[bytes]) -> list[str]:
    previous = None
    for number, data in enumerate(records, start=1):
        predicate = predicate_of(data)
        if (predicate["sequence"], predicate["previous"]) != (number, previous):
            return [f"the chain of records is broken at {number}"]
        previous = hashlib.sha256(data).hexdigest()
    return []


def _twice(records: Sequence[bytes]) -> list[str]:
    """One accepted result for a run key, unless its bytes were lost; no run is recorded twice."""
    found, accepted, ids = [], {}, set()
    for number, run in runs_of(records):
        if run["runId"] in ids and "adoptedFrom" not in predicate_of(records[number - 1]):
            found.append(f"run {run['runId']} is recorded twice")
        ids.add(run["runId"])
        if run["outcome"]["succeeded"]:
            if run["key"] in accepted and run["outcome"]["reason"] != "remade":
                found.append(f"records {accepted[run['key']]} and {number} are both accepted for {run['key'][:8]}")
            accepted[run["key"]] = number
    return found


def _lost(seen: Evidence, records: Sequence[bytes]) -> list[str]:
    """A run that somebody was told of is recorded, or was dropped for an equal one that is."""
    recorded = {run["runId"] for _, run in runs_of(records)}
    accepted = {run["key"] for _, run in runs_of(records) if run["outcome"]["succeeded"]}
    found = []
    for run in seen.told:
        if run.run_id in recorded or run.run_id in seen.excused:
            continue
        if run.run_id not in seen.dropped:
            found.append(f"run {run.run_id} was told of and is lost")
        elif run.key not in accepted:
            found.append(f"run {run.run_id} was dropped for one that is not there")
    return found


def _unbacked(ledger: Ledger) -> list[str]:
    """Whatever stands by the runner's word names a record of a success that says the same."""
    runs = dict(runs_of(ledger.records))
    found = []
    for row in ledger.standing:
        if row["record"] is None:
            found += [f"{row['stage']} stands without a record"] if row["provenance"] == "runner" else []
            continue
        run = runs.get(row["record"])
        outs = [(out["path"], out["md5"]) for out in row["outs"]]
        if run is None or run["key"] != row["key"] or [(out["path"], out["md5"]) for out in run["outs"]] != outs:
            found.append(f"{row['stage']} stands by record {row['record']}, which says something else")
    return found


def _restless(seen: Evidence) -> list[str]:
    """In peace every host comes to rest without a person: all stages keep, or stand failed, and nothing is written."""
    found = [f"a reconcile in peace still made the commit {commit[:8]}" for commit in seen.last_commits]
    for actions in seen.last_actions:
        failed = "failed" in actions.values()
        settled = {"keep", "failed", "wait"} if failed else {"keep"}
        found += [
            f"{stage} does not come to rest: {action}" for stage, action in actions.items() if action not in settled
        ]
    return found
