"""One audit: everything that can be said of the ledger at a commit."""

from __future__ import annotations

import functools
import hashlib

from runner.audit.approvals import Asks, approval_breaks
from runner.audit.chain import Base, Chain, Examiner, check_chain, check_checkpoint
from runner.audit.findings import Breach, Breakage, exit_code
from runner.audit.foundation import end_is_signed, proposal_breaks
from runner.audit.history import Ids, check_history
from runner.audit.lineage import lineage_breaks
from runner.audit.made import Adds
from runner.audit.outside import outside_breaks
from runner.audit.reading import Ledger, read_ledger, read_since
from runner.audit.tip import Before, check_tip, desired_of, records_in, standing_addresses
from runner.core.checkpoint import Checkpoint, origin_of
from runner.core.merkle import Frontier, leaf_hash
from runner.core.predicates import RECONCILE
from runner.git.read import Reader
from runner.values import dataclass, replace

_MOST_ACCEPTED = 3


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit came to."""

    ledger: Ledger
    chain: Chain
    found: tuple[Breakage, ...]
    checkpoint: Checkpoint
    """Of what was verified: computed, not read; unsigned."""
    trusted: bool
    """Whether signatures were held against a trust file."""
    pinned: int | None
    """Records of the pinned checkpoint."""
    deep: str | None = None
    """What the deep part came to, in words; None where it was not asked for."""

    @property
    def hashed(self) -> int:
        """How many records were held against the root of the pinned checkpoint, and not examined."""
        return self.chain.base.size

    @property
    def exit_code(self) -> int:
        """0, or the number of the first kind of what was found."""
        return exit_code(self.found)

    @property
    def keyids(self) -> list[str]:
        """Names of the keys that records carry signatures of."""
        return sorted({keyid for _, record in self.chain.records() for keyid in record.keyids})


def verify(
    reader: Reader,
    tip: str,
    examiner: Examiner,
    *,
    pinned: Checkpoint | None = None,
    proposal: bool = False,
    everything: bool = False,
    adds: Adds | None = None,
    asks: Asks | None = None,
) -> Report:
    """Audit the ledger at a commit; `proposal`: it is one of a proposal. Raises InputError where there is none.

    `asks` says what the specs of a commit ask for; without it, what the records say of that counts.

    What a pinned checkpoint holds was verified when it was kept. It is held against its root and not examined again,
    unless `everything` is asked for, or it is not the beginning of this ledger.
    """
    counts = None if examiner.trust is None else functools.partial(end_is_signed, reader, examiner)
    later = read_since(reader, tip, pinned, counts) if pinned is not None and not everything else None
    report = (
        judge_since(later, examiner, pinned, proposal=proposal) if later is not None and pinned is not None else None
    )
    report = report or judge(read_ledger(reader, tip, counts), examiner, pinned=pinned, proposal=proposal)
    found = [*report.found, *approval_breaks(report.chain, examiner, asks)]
    return _with_outside(reader, replace(report, found=tuple(sorted(set(found)))), adds)


def _with_outside(reader: Reader, report: Report, adds: Adds | None) -> Report:
    """The same with what is wrong outside `.runner/`: on a branch of the runner's own, where state.json can be read."""
    ledger = report.ledger
    desired = desired_of(ledger.files)
    if ledger.in_place or desired is None:
        return report
    found = outside_breaks(reader, ledger.commit, desired, standing_addresses(ledger.files), adds)
    return replace(report, found=tuple(sorted({*report.found, *found})))


def judge_since(ledger: Ledger, examiner: Examiner, pinned: Checkpoint, *, proposal: bool = False) -> Report | None:
    """Audit what was read of a ledger since a checkpoint; None where the checkpoint is not of its beginning."""
    records, misplaced = records_in(ledger.files)
    known, frontier = Frontier(), Frontier()
    for data in records[: pinned.size]:
        known, frontier = frontier, frontier.appended(leaf_hash(data))
    if not 0 < pinned.size == frontier.size or (frontier.root(), origin_of(records[0])) != (pinned.root, pinned.origin):
        return None
    before = Before(records, ledger.before or {})
    last = before.record(known.size)
    # From its last record on: that one tells what the checkpoint's signature has to be.
    digest = hashlib.sha256(records[known.size - 1]).hexdigest() if last is not None else None
    base = Base(known, digest, last.recorded_at if last is not None else "", pinned.origin)
    chain = check_chain(records[known.size :], examiner, base=base)
    found = [*ledger.found, *misplaced, *chain.found]
    try:
        # The checkpoint is of the records alone: what lies beside them is held against all of them, whatever it says.
        found += check_tip(ledger.files, _with_known(records[: known.size], chain, examiner), examiner)
        if ledger.pinned is not None and ledger.pinned.parents is not None:
            found += lineage_breaks(
                ledger.pinned.commit, ledger.pinned.parents, pinned.size, before.record(pinned.size)
            )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # nobody verified what this checkpoint is of: everything is looked at, and says what is wrong
    ids = Ids(chain, len(ledger.commit), records)
    found += check_history(ledger.steps, chain, examiner, ids, before, pinned.size)
    found += check_checkpoint(pinned, chain, examiner, "the pinned checkpoint")
    return _report(ledger, chain, found, examiner, pinned, proposal=proposal)


def _with_known(records: list[bytes], later: Chain, examiner: Examiner) -> Chain:
    """All records as a chain, those before `later` as what they were verified to be: read, and not examined again."""
    first = check_chain(records, Examiner(lambda _statement: None, examiner.verifies))
    frontiers = [*first.frontiers, *later.frontiers[1:]]
    return Chain([*first.data, *later.data], [*first.examined, *later.examined], frontiers, [], 0)


def judge(ledger: Ledger, examiner: Examiner, *, pinned: Checkpoint | None = None, proposal: bool = False) -> Report:
    """Audit a ledger that was read."""
    records, misplaced = records_in(ledger.files)
    chain = check_chain(records, examiner)
    found = [*ledger.found, *misplaced, *chain.found]
    found += check_tip(ledger.files, chain, examiner)
    if ledger.complete:
        found += check_history(ledger.steps, chain, examiner, Ids(chain, len(ledger.commit)))
    if pinned is not None:
        found += _pinned_breaks(pinned, chain, examiner)
    return _report(ledger, chain, found, examiner, pinned, proposal=proposal)


def _pinned_breaks(pinned: Checkpoint, chain: Chain, examiner: Examiner) -> list[Breakage]:
    """What is wrong with a pinned checkpoint; where it is cut off, with what the ledger says of that."""
    found = check_checkpoint(pinned, chain, examiner, "the pinned checkpoint")
    if pinned.origin != chain.origin:
        return found
    why = _accepted(chain)
    return [replace(one, message=f"{one.message}; {why}") if one.breach is Breach.ROLLBACK else one for one in found]


def _accepted(chain: Chain) -> str:
    """The newest records that say that a person went on from a rewritten state, in words; and what to do."""
    told = []
    for number, record in chain.records():
        stated = record.own["reconcile"] if record.kind is RECONCILE else {}
        if "acceptedState" in stated:
            where, head = stated["host"]["name"], stated["acceptedState"][:12]
            head = f"the rewritten state {head}" if head != "none" else "that the state was gone"
            told.append(
                f"record {number} of {record.recorded_at} says that {stated['actor']} on {where} accepted {head}"
            )
    if not told:
        return "no record says that a person accepted that: restore the branch"
    return (
        f"{', and '.join(told[-_MOST_ACCEPTED:])}: ask why, look at what is there now, and then pin its checkpoint anew"
    )


def _report(
    ledger: Ledger,
    chain: Chain,
    found: list[Breakage],
    examiner: Examiner,
    pinned: Checkpoint | None,
    *,
    proposal: bool,
) -> Report:
    if examiner.trust is not None and not proposal:
        found = [*found, *proposal_breaks(chain)]
    checkpoint = Checkpoint(chain.origin, chain.size, chain.frontiers[-1].root())
    unique = tuple(sorted(dict.fromkeys(found)))
    return Report(ledger, chain, unique, checkpoint, examiner.trust is not None, pinned.size if pinned else None)
