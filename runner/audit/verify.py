"""One audit: everything that can be said of the ledger at a commit."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from runner.audit.chain import Chain, Examiner, check_chain, check_checkpoint
from runner.audit.findings import Breakage, exit_code
from runner.audit.foundation import end_is_signed, proposal_breaks
from runner.audit.history import Ids, check_history
from runner.audit.reading import Ledger, read_ledger
from runner.audit.tip import check_tip, records_in
from runner.core.checkpoint import Checkpoint
from runner.git.read import Reader


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
    def exit_code(self) -> int:
        """0, or the number of the first kind of what was found."""
        return exit_code(self.found)

    @property
    def keyids(self) -> list[str]:
        """Names of the keys that records carry signatures of."""
        return sorted({keyid for _, record in self.chain.records() for keyid in record.keyids})


def verify(
    reader: Reader, tip: str, examiner: Examiner, *, pinned: Checkpoint | None = None, proposal: bool = False
) -> Report:
    """Audit the ledger at a commit; `proposal`: it is one of a proposal. Raises InputError where there is none."""
    counts = None if examiner.trust is None else functools.partial(end_is_signed, reader, examiner)
    return judge(read_ledger(reader, tip, counts), examiner, pinned=pinned, proposal=proposal)


def judge(ledger: Ledger, examiner: Examiner, *, pinned: Checkpoint | None = None, proposal: bool = False) -> Report:
    """Audit a ledger that was read."""
    records, misplaced = records_in(ledger.files)
    chain = check_chain(records, examiner)
    found = [*ledger.found, *misplaced, *chain.found]
    found += check_tip(ledger.files, chain, examiner)
    if ledger.complete:
        found += check_history(ledger.steps, chain, examiner, Ids(chain, len(ledger.commit)))
    if pinned is not None:
        found += check_checkpoint(pinned, chain, examiner, "the pinned checkpoint")
    if examiner.trust is not None and not proposal:
        found += proposal_breaks(chain)
    checkpoint = Checkpoint(chain.origin, len(chain.data), chain.frontiers[-1].root())
    unique = tuple(sorted(dict.fromkeys(found)))
    return Report(ledger, chain, unique, checkpoint, examiner.trust is not None, pinned.size if pinned else None)
