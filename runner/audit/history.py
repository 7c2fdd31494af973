"""Every state commit, from the first to the newest: each extends the one before it, and changes nothing recorded.

Held against the records at the tip: where every commit has exactly their beginning, every commit extends every earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from runner.audit.chain import Chain, Examiner, check_checkpoint
from runner.audit.findings import Breach, Breakage
from runner.audit.lineage import lineage_breaks
from runner.audit.tip import SEGMENT, Before, summary_after
from runner.core.checkpoint import BadCheckpoint, parse_checkpoint
from runner.core.git_ids import blob_id
from runner.ledger import layout
from runner.values import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One state commit."""

    commit: str
    changes: Mapping[str, str | None]
    """Paths below `ledger/` that differ from the state commit before: id of the blob now, None where it is gone."""
    checkpoint: bytes | None
    state_id: str | None
    """Id of the blob of `state.json`."""
    parents: tuple[str, ...] | None = None
    """As git has them; None where they are people's, on a watched branch."""


class Ids:
    """The ids that git gives to what a ledger holds, each computed once."""

    def __init__(self, chain: Chain, hex_digits: int, records: Sequence[bytes] | None = None) -> None:
        """`records` are all of the ledger, where the chain does not begin with the first."""
        self._data = chain.data if records is None else records
        self._digits = hex_digits
        self._records: dict[int, str] = {}

    def of(self, data: bytes) -> str:
        """The id of a blob."""
        return blob_id(data, self._digits)

    def record(self, number: int) -> str:
        """The id of the file of a record."""
        if number not in self._records:
            self._records[number] = self.of(self._data[number - 1])
        return self._records[number]

    def segment(self, first: int, last: int) -> str:
        """The id of the file of sealed records."""
        return self.of(b"".join(self._data[first - 1 : last]))


def check_history(
    steps: Sequence[Step], chain: Chain, examiner: Examiner, ids: Ids, before: Before | None = None, size: int = 0
) -> list[Breakage]:
    """Hold state commits, the oldest first, against the records; `size` of them were there `before`."""
    found: list[Breakage] = []
    sealed = before.sealed if before is not None else 0
    for step in steps:
        place = f"commit {step.commit[:12]}"
        now = _size(step)
        if now is None:
            found.append(Breakage(Breach.ROLLBACK, place, "has no checkpoint that can be read"))
            now = size + sum(1 for path, oid in step.changes.items() if path.startswith(layout.RECORDS) and oid)
        elif now <= size:
            found.append(Breakage(Breach.ROLLBACK, place, f"goes back to {now} records, from {size}"))
        if now > chain.size:
            message = f"had {now} records, and {chain.size} are left: the end was cut off"
            found.append(Breakage(Breach.ROLLBACK, place, message))
            now = chain.size
        wrong = list(_change_breaks(step, size, now, sealed, ids))
        found += [Breakage(Breach.ROLLBACK, place, text) for text in wrong]
        if now > size:
            found += parent_breaks(step, now, chain)
        found += _end_breaks(step, now, chain, examiner, ids, before)
        size = max(size, now)
        sealed = max([sealed, *(layout.segment_range(path)[1] for path in _segments(step.changes))])
    return found


def parent_breaks(step: Step, size: int, chain: Chain) -> Iterator[Breakage]:
    """What is wrong with the parents of a commit that has so many records."""
    ending = chain.at(size)
    if step.parents is not None and ending is not None:
        yield from lineage_breaks(step.commit, step.parents, size, ending.valid)


def _size(step: Step) -> int | None:
    try:
        return parse_checkpoint(step.checkpoint or b"").size
    except BadCheckpoint:
        return None


def _segments(changes: Iterable[str]) -> list[str]:
    return [path for path in changes if SEGMENT.fullmatch(path)]


def _change_breaks(step: Step, before: int, now: int, sealed: int, ids: Ids) -> Iterator[str]:
    """What a commit changed below `ledger/` beside appending, and sealing byte for byte."""
    left = dict(step.changes)
    for path in (layout.CHECKPOINT, layout.FRONTIER):
        left.pop(path, None)
    for number in range(before + 1, now + 1):
        if left.pop(layout.record_path(number), None) != ids.record(number):
            yield f"does not append record {number} as it is now"
    for path in sorted(_segments(left)):
        first, last = layout.segment_range(path)
        if left.pop(path) != (ids.segment(first, last) if sealed < first <= last <= before else None):
            yield f"{path} is not what records {first} to {last} are"
        for number in range(first, last + 1):
            if left.get(layout.record_path(number), "") is None:
                del left[layout.record_path(number)]
            else:
                yield f"seals record {number} and leaves its file"
    for path, oid in sorted(left.items()):
        yield f"removes {path}" if oid is None else f"changes {path}"


def _end_breaks(
    step: Step, size: int, chain: Chain, examiner: Examiner, ids: Ids, before: Before | None
) -> Iterator[Breakage]:
    place = f"commit {step.commit[:12]}"
    summary = summary_after(chain, size, before)
    if summary is None or step.state_id != ids.of(summary.as_bytes()):
        yield Breakage(Breach.ROLLBACK, place, f"{layout.STATE} does not say what follows from {size} records")
    frontier = chain.frontier(size)
    if frontier is None or step.changes.get(layout.FRONTIER) != ids.of(frontier.as_text().encode()):
        yield Breakage(Breach.ROLLBACK, place, f"{layout.FRONTIER} is not that of {size} records")
    try:
        checkpoint = parse_checkpoint(step.checkpoint or b"")
    except BadCheckpoint:
        return  # said already
    yield from check_checkpoint(checkpoint, chain, examiner, place)
