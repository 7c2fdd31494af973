"""What people signed, as refs on the remote: one for each person, role, deployment and environment.

A ref holds a commit without files whose message ends with the signed envelope, a line of JSON. Whoever signs again
replaces what he signed before. Whoever may push may remove one, and nobody can forge one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from runner.core.approvals import Question, SignOff
from runner.core.canonical import canonical_digest
from runner.core.own_refs import APPROVALS, Refusal
from runner.errors import HostError, InputError
from runner.git.commit import CommitRequest, Identity
from runner.git.push import PushStatus
from runner.record import own_refs
from runner.values import dataclass

_MOST_OTHERS = 20
"""Of refs that nobody can have put there who may sign, so many are read, to be named."""
_MOST_BYTES = 16 << 10
"""Of one sign-off."""


class Refs(own_refs.Refs, Protocol):
    """This host's copy of the remote, with what sign-offs need besides."""

    def write_commit(self, request: CommitRequest, *, pack: bool = True) -> str:
        """Make a commit; no ref names it yet."""

    def fetch_refs(self, refs: Sequence[str]) -> None:
        """Bring these refs, given by their full names, under the same names; raises HostError where that fails."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A sign-off as it is on the remote now."""

    ref: str
    data: bytes
    """The envelope; whatever somebody put there, where it is none."""


def hand_in(remote: Refs, said: SignOff, keyid: str, envelope: bytes, host: str, time_epoch: int) -> str:
    """Put a signed envelope on the remote; returns the full name of its ref. Raises HostError where it takes none."""
    asked = said.question
    what = "Approval" if said.approved else "Rejection"
    commit = remote.write_commit(
        CommitRequest(
            parents=(asked.commit,),
            base_tree=None,
            message=f"{what} of {asked.deployment}@{asked.digest} as {said.role}\n\n{envelope.decode()}",
            author=Identity("runner", f"runner@{host}"),
            time_epoch=time_epoch,
        ),
        pack=False,
    )
    ref, result = own_refs.place(remote, APPROVALS, name_of(asked.place, said.role, keyid), commit, Refusal())
    detail = f": {result.detail}" if result is not None and result.detail else ""
    if ref is None:
        raise HostError(f"the remote takes no approvals{detail}", "whoever approves has to be allowed to push")
    if result is not None and result.status is not PushStatus.ACCEPTED:
        raise HostError(
            f"whether the approval arrived is not known{detail}", "approve again; it replaces the first one"
        )
    return ref


def handed_in(remote: Refs, names: Collection[str]) -> tuple[list[Placed], int]:
    """What is on the remote now, as bytes that nobody has looked at, and how many refs were not even read.

    All refs of these names are read, wherever they are, and a few of all others: whoever may push can put any number
    of them there. Raises HostError where that fails.
    """
    listed = remote.listed(*APPROVALS.patterns())
    refs = sorted(ref for ref in listed if APPROVALS.found([ref]))
    mine = [ref for ref in refs if not APPROVALS.found([ref]).keys().isdisjoint(names)]
    others = [ref for ref in refs if ref not in set(mine)]
    found = {ref: listed[ref] for ref in [*mine, *others[:_MOST_OTHERS]]}
    unknown = [ref for ref, oid in found.items() if not remote.reader.exists(oid)]
    if unknown:
        remote.fetch_refs(unknown)
    return _read(remote, found), len(others[_MOST_OTHERS:])


def take_away(remote: Refs, question: Question, role: str, keyid: str) -> None:
    """Remove a sign-off that is in the ledger by now; raises HostError where the remote cannot be asked."""
    own_refs.remove(remote, *APPROVALS.patterns(name_of(question.place, role, keyid)))


def name_of(place: tuple[str, str, str], role: str, keyid: str) -> str:
    """The name of the ref of one person's word; `place`: Deployment, environment and watched branch."""
    return canonical_digest([*place, role, keyid])[:40]


def _read(remote: Refs, found: Mapping[str, str]) -> list[Placed]:
    rows = []
    for ref, oid in found.items():
        try:
            message = remote.reader.commit(oid).message
        except InputError:  # a ref of something else
            message = ""
        line = message.rstrip("\n").rpartition("\n")[2]
        rows.append(Placed(ref, line.encode("utf-8", "replace")[:_MOST_BYTES] + b"\n"))
    return rows
