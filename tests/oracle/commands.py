"""The runner as its users call it, and the JSON that it prints; in this process: no interpreter has to start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.command import Answer, call
from tests.oracle.stages import Address

EXECUTES_NOTHING = frozenset({"keep", "reuse", "remove"})
"""Actions whose stages must not run."""


@dataclass(frozen=True)
class Step:
    """What a plan says of one stage."""

    action: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Reconciled:
    """What a reconcile says that it did."""

    commit: str | None
    """The state commit it made, if any."""
    executed: tuple[Address, ...]
    """Stages whose commands it ran."""
    restored: frozenset[Address]
    """Stages whose results it took from evidence that only appeared at run time, such as DVC's run-cache."""
    actions: dict[Address, str]
    """How each stage ended."""


def plan(root: Path, *, accepted: tuple[int, ...] = (0, 2)) -> dict[Address, Step]:
    """`runner plan --json` at HEAD of `root`, by stage."""
    document = runner(root, "plan", "--json", accepted=accepted).json
    return {_address(row): Step(row["action"], tuple(row["reasons"])) for row in document["stages"]}


def reconcile(root: Path, *options: str) -> Reconciled:
    """`runner reconcile --json` in `root`."""
    document = runner(root, "reconcile", "--json", *options).json
    return Reconciled(
        commit=document["commit"],
        executed=tuple(_address(row) for row in document["runs"] if row["outcome"] != "restored"),
        restored=frozenset(_address(row) for row in document["runs"] if row["outcome"] == "restored"),
        actions={_parse(address): action for address, action in document["actions"].items()},
    )


def runner(root: Path, *arguments: str, accepted: tuple[int, ...] = (0,)) -> Answer:
    """Run the command in `root`; an exit code that is not accepted fails the test with everything it said."""
    done = call(root, *arguments)
    assert done.code in accepted, f"runner {' '.join(arguments)} ended with {done.code}\n{done.err}\n{done.out}"
    return done


def _address(row: dict[str, Any]) -> Address:
    return Address(row["pipeline"], row["stage"])


def _parse(address: str) -> Address:
    pipeline, _, stage = address.partition(":")
    return Address(pipeline, stage)
