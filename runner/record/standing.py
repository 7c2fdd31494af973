"""What stands after some runs: the same walk as the plan's, asked again with the new runs among the recorded ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.core.actions import Action
from runner.core.digests import Member
from runner.core.nouns import Address
from runner.core.plan import Step, Walk
from runner.core.recorded import FRESH, Entry, Hit, Recorded, Took, Verified, times_with
from runner.core.records import RunFacts
from runner.values import dataclass, replace


class WithRuns:
    """A recorded state to which finished runs are added that it does not have yet."""

    def __init__(self, base: Recorded, runs: Sequence[RunFacts]) -> None:
        self._base = base
        self._runs: dict[str, RunFacts] = {}
        for run in runs:  # the one that the ledger will accept: the first of a key, unless its bytes were lost
            if run.succeeded and (run.key not in self._runs or run.reason == "remade"):
                self._runs[run.key] = run
        self._remade = {run.key for run in runs if run.succeeded and run.reason == "remade"}

    def current(self, address: Address) -> Entry | None:
        """What stands in the base, except where its bytes were lost and it was made again."""
        before = self._base.current(address)
        if before is None or before.key not in self._remade:
            return before
        # Of the key that stands: the runs of a slow reconcile may have made an older version's again.
        return replace(entry_of(self._runs[before.key], before.times), address=address)

    def addresses(self) -> Iterable[Address]:
        """Stages of the base."""
        return self._base.addresses()

    def find(self, key: str) -> Hit | None:
        """A success of the base before ours: what is accepted is only replaced where its bytes were lost."""
        return self._with_own(key, self._base.find(key))

    def find_here(self, key: str) -> Hit | None:
        """The same without what ran elsewhere."""
        return self._with_own(key, self._base.find_here(key))

    def verified(self, key: str) -> Verified | None:
        """What the base knows: a run verifies nothing."""
        return self._base.verified(key)

    def _with_own(self, key: str, hit: Hit | None) -> Hit | None:
        if key not in self._runs or (hit is not None and hit.succeeded and key not in self._remade):
            return hit
        run = self._runs[key]
        facts = run.address, run.outs, run.provenance, run.material, run.inputs
        return Hit(key, True, "", FRESH, *facts, took=run.took(FRESH))

    def listing(self, md5: str) -> tuple[Member, ...] | None:
        """Members of a folder as the base knows them."""
        return self._base.listing(md5)

    def small(self, md5: str) -> bytes | None:
        """Small bytes as the base knows them."""
        return self._base.small(md5)


@dataclass(frozen=True, slots=True)
class Standing:
    """The entries a state commit will hold, and where some of them come from."""

    entries: dict[Address, Entry]
    adopted: dict[str, Hit]
    """By key the runs of other refs that stand here from now on."""
    removed: tuple[Address, ...]
    steps: tuple[Step, ...]


def entry_of(run: RunFacts, before: Iterable[Took] = ()) -> Entry:
    """What a fresh run leaves standing for its stage; `before` is what earlier ones took."""
    times = times_with(run.took(FRESH), before)
    return Entry(run.address, run.key, run.provenance, run.material, run.outs, FRESH, inputs=run.inputs, times=times)


def standing_after(walk: Walk) -> Standing:
    """Walk again and keep, for what is not settled, the entry that stood before."""
    entries: dict[Address, Entry] = {}
    adopted: dict[str, Hit] = {}
    steps: list[Step] = []
    for address in walk.graph.order:
        step = walk.decide(walk.graph.stages[address])
        steps.append(step)
        before = walk.recorded.current(address)
        if step.entry is not None:
            entries[address] = step.entry
            if step.action is Action.REUSE and step.hit is not None and step.hit.ref:
                adopted[step.entry.key] = step.hit
        elif before is not None:
            entries[address] = before
    removed = tuple(sorted(address for address in walk.recorded.addresses() if address not in walk.graph.stages))
    return Standing(entries, adopted, removed, tuple(steps))
