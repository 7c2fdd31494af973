"""Verification: what stands is run again, by itself and with the same inputs, and compared; nothing recorded changes.

Recorded runs are repeated at the commit that is desired now: what stands for it has to be what comes out of it.
"""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Iterable, Sequence

from runner.core.nouns import Address
from runner.core.plan import Step, Walk
from runner.core.recorded import OutFact
from runner.core.records import RunFacts
from runner.core.replay import Replay
from runner.core.verification import Checked, Skipped, Verification, why_not
from runner.errors import InputError, RunnerError
from runner.execute.materials import BytesMissing
from runner.ledger.state import State
from runner.observe.observation import ignore_files
from runner.parts import Request
from runner.specs.places import is_inside
from runner.values import replace
from runner.wiring.parts import RealParts


class Verifier:
    """Verifies stages of the watched branch, as they stand recorded when it begins."""

    def __init__(self, parts: RealParts, told: Callable[[Address, int], None] = lambda address, record: None) -> None:
        """`told` hears of each stage before it runs, with the number of its record. Raises InputError, HostError."""
        self._parts = parts
        self._told = told
        self.observation = parts.observe(Request())
        if self.observation.state is None:
            raise InputError("nothing is recorded yet", "run `runner reconcile` first")
        self.state: State = self.observation.state
        plan, self._walk = self.observation.plan()
        self._steps = {step.address: step for step in plan.steps}

    def why_not(self, address: Address) -> str | None:
        """Why what stands for a stage cannot be verified; None where nothing is known that speaks against it."""
        return why_not(self.observation.graph.stages[address], self._steps[address])

    def key(self, address: Address) -> str:
        """The run key of what stands for a stage; empty where nothing does."""
        entry = self._steps[address].entry
        return entry.key if entry is not None else ""

    def found(self, names: Sequence[str]) -> list[Address]:
        """The stages that names stand for, in the order of the graph; raises InputError for one that is not there."""
        from runner.core.naming import find_stages  # imported late: only where stages are named

        order = self.observation.graph.order
        wanted = {address for name in names for address in find_stages(name, order)}
        return [address for address in order if address in wanted]

    def verifiable(self) -> list[Address]:
        """Every stage that can be verified as far as the specs and the state tell, in the order of the graph."""
        return [address for address in self.observation.graph.order if self.why_not(address) is None]

    def verify(self, addresses: Iterable[Address], stop: threading.Event) -> Verification:
        """Repeat what stands for these stages, one after the other; a stop ends it at once."""
        result = Verification(self.observation.commit, self.state.commit)
        for address in addresses:
            found = self._one(address, stop)
            if found is None or stop.is_set():
                return Verification(self.observation.commit, self.state.commit, cancelled=True)
            if isinstance(found, Skipped):
                result.skipped.append(found)
            else:
                result.checked.append(found)
        return result

    def check_recordable(self) -> None:
        """Find out before anything runs that what comes out could not be recorded; raises InputError or Held."""
        self._parts.publisher(self.observation, threading.Event())

    def record(self, result: Verification, stop: threading.Event) -> None:
        """Have the result in the ledger; raises HostError, RaceLost or Held where it cannot be."""
        if not result.checked or result.cancelled:
            return
        published = self._parts.publish_verification(result.checked, self.observation, stop)
        result.commit, result.record = published.commit, published.verification

    def _one(self, address: Address, stop: threading.Event) -> Checked | Skipped | None:
        """One stage, under the name that it has now; None where it was cancelled."""
        stage, step = self.observation.graph.stages[address], self._steps[address]
        why = self.why_not(address)
        if why is not None or step.entry is None or step.entry.record is None:
            return Skipped(address, why or "nothing is recorded of it")
        record = self.state.record(step.entry.record)
        if record is None or record.run is None:
            return Skipped(address, f"record {step.entry.record} is not there")
        if self._is_ruled_otherwise(record.run):
            return Skipped(address, "`.dvcignore` does not leave the same out of its outputs as when it ran")
        self._told(address, record.sequence)
        try:
            after = self._parts.repeat(self._walk, self._again(step, self._walk), self.observation, stop)
        except BytesMissing as loss:
            return Skipped(address, str(loss), by_host=True)
        except RunnerError as error:
            return Skipped(address, error.message, by_host=True)
        if after.reason == "cancelled":
            return None
        return Checked(Replay(record.sequence, replace(record.run, address=address), after), not stage.deterministic)

    def _is_ruled_otherwise(self, run: RunFacts) -> bool:
        """Whether other files would be left out of an output than of the one recorded, were they the same files."""
        reader, now = self.observation.reader, ignore_files(self.observation.tree)
        then = ignore_files(reader.tree(run.desired)) if reader.has_commit(run.desired) else now
        other = [posixpath.dirname(path) or "." for path in {*now, *then} if now.get(path) != then.get(path)]
        folders = [out for out in run.outs if out.md5.endswith(".dir")]
        return any(self._holds_ignored(out) or any(is_inside(out.path, above) for above in other) for out in folders)

    def _holds_ignored(self, out: OutFact) -> bool:
        """Whether an output holds what `.dvcignore` leaves out, as older versions of the runner recorded it."""
        ignores = self._walk.inputs.ignored_in(out.path)
        members = self._walk.recorded.listing(out.md5) if ignores is not None else None
        return ignores is not None and any(ignores(name, False) for name, _ in members or ())

    def _again(self, step: Step, walk: Walk) -> Step:
        made = walk.made_again(self.observation.graph.stages[step.address])
        if made.key != step.key:
            raise InputError("its inputs cannot be put together again: " + "; ".join(made.reasons))
        return made
