"""What a reconcile asks of the world before it releases: who signed, by the remote and this host's trust file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.core.approvals import Signed, read_sign_off, signed_by
from runner.core.budgets import Answer, Budget
from runner.core.canonical import plain_bytes
from runner.errors import HostError
from runner.git.mirror import Mirror
from runner.process.signing_keys import verifies
from runner.record.approvals import Placed, handed_in, name_of, take_away
from runner.values import dataclass, field
from runner.wiring.trust import Trusting

if TYPE_CHECKING:
    from runner.audit.trust import Trust


@dataclass
class Asked:
    """Asks once for each reconcile, and only where something waits for it."""

    mirror: Mirror
    trusting: Trusting | None
    notice: Callable[[str], None]
    asking: Sequence[tuple[tuple[str, str, str], Sequence[str]]] = ()
    """Deployments, environments and the watched branch, each with the roles that have to sign there."""
    _placed: list[Placed] | None = field(default=None)
    _told: set[str] = field(default_factory=set)
    _answers: dict[tuple[str, str], Answer] = field(default_factory=dict)

    @property
    def has_trust(self) -> bool:
        """Whether a trust file says whose signatures count."""
        return self.trusting is not None

    def signed(self, first: int, last: int) -> Sequence[Signed]:
        """What people signed whose keys are valid for these records; what does not count is told, and passed over.

        Raises HostError where the remote cannot be asked, SpecError where the trust file is wrong.
        """
        if self.trusting is None:
            return ()
        if self._placed is None:
            self._placed, others = handed_in(self.mirror, self._names(self.trusting.trust))
            if others:
                self.notice(f"{others} more refs for approvals are of nobody who may sign, and were not read")
        approvers, found = self.trusting.trust.approvers(first, last), []
        for row in self._placed:
            try:
                found.append(signed_by(row.data, approvers, verifies))
            except ValueError as error:
                if row.ref not in self._told:
                    self._told.add(row.ref)
                    self.notice(f"{row.ref} does not count as an approval: {error}")
        return found

    def _names(self, trust: Trust) -> set[str]:
        """The names of all refs that somebody whose word counts may have put there."""
        said = [(place, role) for place, roles in self.asking for role in roles]
        return {name_of(place, role, key.keyid) for place, role in said for key in trust.keys if role in key.approves}

    def failed(self, budget: Budget) -> Answer:
        """How much of what a budget is of failed; why that is not known is told, and raised nowhere."""
        from runner.release.prometheus import ask  # imported late: few have a budget

        place = budget.prometheus, budget.query
        if place not in self._answers:
            self._answers[place] = ask(*place)
        return self._answers[place]

    def taken_over(self, approvals: Sequence[Mapping[str, Any]]) -> None:
        """These are in the ledger: their refs go. Where the remote does not let them, they count for nothing else."""
        for row in approvals:
            said, _ = read_sign_off(plain_bytes(row["envelope"]) + b"\n")
            try:
                take_away(self.mirror, said.question, said.role, row["keyid"])
            except HostError as error:
                self.notice(f"an approval that was taken over is still on the remote: {error.line}")
                return
