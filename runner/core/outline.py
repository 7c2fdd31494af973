"""The outline of a plan: what people and programs are told of it, without the inputs that it was made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.core.actions import Action
from runner.core.nouns import Address, Notice
from runner.errors import Place
from runner.values import dataclass

if TYPE_CHECKING:
    from runner.core.estimates import Work
    from runner.core.nouns import Desired
    from runner.core.plan import Plan
    from runner.core.purpose import Purpose


class Line(NamedTuple):
    """What is told of one stage."""

    address: Address
    action: Action
    reasons: tuple[str, ...]
    key: str | None
    """Run key; None while an input is not known."""
    provenance: str | None
    """Whose result stands for the stage afterwards; None where none does."""
    reformed: bool = False
    """Whether it is kept though bytes of its inputs changed, since these say the same."""


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
    purpose: Purpose | None = None
    """What the project is for, where it says so."""
    work: tuple[Work, ...] = ()
    """Stages that may run, with what their time depends on."""
    budget_seconds: float | None = None
    """How long a reconcile may take; None where nothing says so."""
    releases: bool = False
    """Whether there is anything to say of releases: they depend on the day, too, and are decided anew."""

    def counts(self) -> Counter[Action]:
        """How many stages each action has."""
        return Counter([line.action for line in self.lines])

    @property
    def is_empty(self) -> bool:
        """Whether every stage is kept as it is recorded."""
        return all(line.action is Action.KEEP for line in self.lines)

    def as_json(self) -> list[Any]:
        """The outline as plain JSON for a cache."""
        rows = [
            [
                *row.address,
                row.action.value,
                list(row.reasons),
                row.key,
                row.provenance,
                *([True] if row.reformed else []),
            ]
            for row in self.lines
        ]
        notices, not_handled = ([_notice_row(notice) for notice in kind] for kind in (self.notices, self.not_handled))
        purpose = None if self.purpose is None else self.purpose.as_json()
        work = _work_rows(self.work)
        facts = [self.desired, self.state, self.recorded_digest, rows, notices, not_handled, self.has_specs]
        return [*facts, purpose, work, self.budget_seconds, self.releases]

    @staticmethod
    def from_json(row: Sequence[Any]) -> Outline:
        """The inverse of `as_json`; raises ValueError, TypeError or KeyError for what it never gives."""
        desired, state, digest, rows, notices, not_handled, has_specs, purpose, work, budget, releases = row
        lines = tuple(
            [
                Line(Address(pipeline, stage), _ACTIONS[action], tuple(reasons), key, provenance, bool(more))
                for pipeline, stage, action, reasons, key, provenance, *more in rows
            ]
        )
        told, unhandled = (tuple(map(_notice, kind)) for kind in (notices, not_handled))
        facts = desired, state, digest, lines, told, unhandled, has_specs
        return Outline(*facts, _purpose(purpose), _work(work), budget, releases)


_ACTIONS = {action.value: action for action in Action}


def outline_of(
    plan: Plan, desired: Desired, work: tuple[Work, ...], *, has_specs: bool, releases: bool = False
) -> Outline:
    """The outline of a plan for what is desired; `work` is what its stages that may run depend on in time."""
    lines = [
        Line(
            step.address,
            step.action,
            step.reasons,
            step.key,
            step.entry.provenance if step.entry else None,
            step.reformed,
        )
        for step in plan.steps
    ]
    project = desired.project
    facts = plan.desired, plan.state, plan.recorded_digest, tuple(lines), desired.notices, desired.not_handled
    return Outline(*facts, has_specs, project.purpose, work, project.budget_seconds, releases)


def _purpose(row: Mapping[str, Any] | None) -> Purpose | None:
    if row is None:
        return None
    from runner.core.purpose import Purpose  # imported late: start-up, and few declare one

    return Purpose.from_json(row)


def _work(rows: Sequence[Any]) -> tuple[Work, ...]:
    if not rows:
        return ()
    from runner.core.estimates import work_from  # imported late: only where something may run

    return work_from(rows)


def _work_rows(work: tuple[Work, ...]) -> list[list[Any]]:
    if not work:
        return []
    from runner.core.estimates import work_json

    return work_json(work)


def _notice_row(notice: Notice) -> list[Any]:
    return [notice.message, notice.place.file, notice.place.line, notice.place.column]


def _notice(row: Sequence[Any]) -> Notice:
    message, *place = row
    return Notice(message, Place(*place))
