"""Whose child a state commit is: its last record names the state commit that it goes on from, and the desired commit.

git names each commit by all that comes before it. So where the newest state commit has the parents that a signed record
names, no older one was taken away or exchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.audit.findings import Breach, Breakage
from runner.core.predicates import ALONE, ENDING
from runner.core.records import Record


def named_parents(record: Record | None) -> tuple[str, ...] | None:
    """The parents of the state commit that a record ends; None where it does not tell.

    Among people's commits on a watched branch what comes before is theirs, and no record names it.
    """
    if record is None or record.kind not in ENDING:
        return None
    said = record.own[record.kind.name]
    if said["branch"] == said["watched"]:
        return None
    if said["state"] is None:
        return (str(said["desired"]),)
    is_ledger_alone = record.kind in ALONE or said["late"]
    return (str(said["state"]),) if is_ledger_alone else (str(said["state"]), str(said["desired"]))


def lineage_breaks(commit: str, parents: Sequence[str], number: int, record: Record | None) -> Iterator[Breakage]:
    """What is wrong with the parents of a state commit, which ends with this record of this number."""
    named = named_parents(record)
    if named is None or tuple(parents) == named:
        return
    place = f"commit {commit[:12]}"
    if tuple(parents[:1]) != named[:1]:
        message = (
            f"does not follow {named[0][:12]}, which record {number} names as the commit before it: "
            "earlier commits were taken away or exchanged"
        )
    elif len(parents) < len(named):
        message = f"is not a child of the desired commit {named[1][:12]} that record {number} names"
    else:
        message = f"has other parents than those that record {number} names"
    yield Breakage(Breach.ROLLBACK, place, message)
