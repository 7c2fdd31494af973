"""The kinds of statements that a ledger may hold: their predicate types, and the role that may sign them.

Each kind has a JSON Schema, `schemas/predicate-<name>.schema.json`. A signer signs nothing else, and the
verifier accepts nothing else. Plan and monitor are reserved: nothing writes them yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.values import dataclass

PROVENANCE_TYPE = "https://slsa.dev/provenance/v1"
_OWN = "https://gitops-runner.dev/predicates"
EXTENSION = "gitopsrunner_record"
"""The one field of SLSA provenance that is ours (its rule for such names is `<vendor>_<field>`)."""

RUNNER = "runner"
"""Role: signs everything that the runner states of the watched branch."""
PROPOSALS = "proposals"
"""Role: signs runs and reconciles of proposals, and nothing else."""
APPROVER = "approver"
"""Role: signs approvals, which the runner takes over into the ledger in records that it signs itself."""
ROLES = (RUNNER, PROPOSALS, APPROVER)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of statement."""

    name: str
    """Also the name of its own part of the predicate."""
    predicate_type: str
    role: str = RUNNER
    reserved: bool = False
    """Has a schema, but nothing writes it yet."""

    def own(self, predicate: Mapping[str, Any]) -> Mapping[str, Any]:
        """The part of a predicate that is ours: number, digest of the record before, and what is stated."""
        found: Mapping[str, Any] = predicate[EXTENSION] if self.predicate_type == PROVENANCE_TYPE else predicate
        return found

    def roles(self, predicate: Mapping[str, Any]) -> tuple[str, ...]:
        """The roles of which one has to sign this predicate."""
        own = self.own(predicate)
        stated = own.get(self.name) if self.name in ("run", "reconcile") else None
        # A record is asked this before it was found valid, too.
        of_proposal = isinstance(stated, Mapping) and stated.get("trust") == "proposed"
        is_proposal = of_proposal and "adoptedFrom" not in own  # who takes a run over answers for it
        return (RUNNER, PROPOSALS) if is_proposal else (self.role,)


KINDS = (
    Kind("run", PROVENANCE_TYPE),
    Kind("reconcile", f"{_OWN}/reconcile/v1"),
    Kind("verification", f"{_OWN}/verification/v1"),
    Kind("plan", f"{_OWN}/plan/v1", reserved=True),
    Kind("gate", f"{_OWN}/gate/v1"),
    Kind("approval", f"{_OWN}/approval/v1"),
    Kind("release", f"{_OWN}/release/v1"),
    Kind("deploy", f"{_OWN}/deploy/v1"),
    Kind("monitor", f"{_OWN}/monitor/v1", reserved=True),
)
BY_TYPE: Mapping[str, Kind] = {kind.predicate_type: kind for kind in KINDS}
RUN, RECONCILE, VERIFICATION = KINDS[:3]
GATE, APPROVAL, RELEASE, DEPLOY = (BY_TYPE[f"{_OWN}/{name}/v1"] for name in ("gate", "approval", "release", "deploy"))
ALONE = (VERIFICATION, GATE, RELEASE, DEPLOY)
"""Kinds that end a commit which appends to the ledger and leaves what stands for stages as it is."""
ENDING = (RECONCILE, *ALONE)
"""Kinds that the last record of a state commit may be of."""
