"""The outline of a plan: what people and programs are told of it, without the inputs that it was made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.core.actions import Action
from runner.core.nouns import Address, Notice
from runner.errors import Place
from runner.values import dataclass

if TYPE_CHECKING:
    from runner.core.nouns import Desired
    from runner.core.plan import Plan


class Line(NamedTuple):
    """What is told of one stage."""

    address: Address
    action: Action
    reasons: tuple[str, ...]
    key: str | None
    """Run key; None while an input is not known."""
    provenance: str | None
    """Whose result stands for the stage afterwards; None where none does."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What is told of a plan."""

    desired: str
    state: str | None
    recorded_digest: str
    """As the plan has it."""
    lines: tuple[Line, ...]
    notices: tuple[Notice, ...]
    not_handled: tuple[Notice, ...]
    has_specs: bool
    """Whether the commit has a `runner.yaml`, or any pipeline."""

    def counts(self) -> Counter[Action]:
        """How many stages each action has."""
        return Counter([line.action for line in self.lines])

    @property
    def is_empty(self) -> bool:
        """Whether every stage is kept as it is recorded."""
        return all(line.action is Action.KEEP for line in self.lines)

    def as_json(self) -> list[Any]:
        """The outline as plain JSON for a cache."""
        rows = [[*row.address, row.action.value, list(row.reasons), row.key, row.provenance] for row in self.lines]
        notices, not_handled = ([_notice_row(notice) for notice in kind] for kind in (self.notices, self.not_handled))
        return [self.desired, self.state, self.recorded_digest, rows, notices, not_handled, self.has_specs]

    @staticmethod
    def from_json(row: Sequence[Any]) -> Outline:
        """The inverse of `as_json`; raises ValueError or TypeError for what it never gives."""
        desired, state, digest, rows, notices, not_handled, has_specs = row
        lines = tuple(
            [
                Line(Address(pipeline, stage), _ACTIONS[action], tuple(reasons), key, provenance)
                for pipeline, stage, action, reasons, key, provenance in rows
            ]
        )
        told, unhandled = (tuple(map(_notice, kind)) for kind in (notices, not_handled))
        return Outline(desired, state, digest, lines, told, unhandled, has_specs)


_ACTIONS = {action.value: action for action in Action}


def outline_of(plan: Plan, desired: Desired, *, has_specs: bool) -> Outline:
    """The outline of a plan for what is desired."""
    lines = [
        Line(step.address, step.action, step.reasons, step.key, step.entry.provenance if step.entry else None)
        for step in plan.steps
    ]
    kinds = desired.notices, desired.not_handled
    return Outline(plan.desired, plan.state, plan.recorded_digest, tuple(lines), *kinds, has_specs)


def _notice_row(notice: Notice) -> list[Any]:
    return [notice.message, notice.place.file, notice.place.line, notice.place.column]


def _notice(row: Sequence[Any]) -> Notice:
    message, *place = row
    return Notice(message, Place(*place))
