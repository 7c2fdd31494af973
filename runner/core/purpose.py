"""What a project is for and who answers for it: declared by people for people, and in no run key."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from runner.values import dataclass


class Direction(Enum):
    """Which way a business figure is better."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Objective:
    """What the project is for."""

    statement: str
    metric: str = ""
    """`FILE:KEY` of the recorded metric that comes nearest to it; empty where none is named."""


@dataclass(frozen=True, slots=True)
class Series:
    """A table of what a business figure was, and when."""

    file: str
    """Its path or address."""
    time: str = "time"
    """The column that says when."""
    value: str = "value"
    """The column of the figure."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a release may not do to a business figure."""

    limit: float | None = None
    """The worst value that it may have."""
    worse_by: float | None = None
    """By how much it may become worse, in units of the figure."""
    within_seconds: float | None = None
    """How long after a release that is looked at; None means always."""


@dataclass(frozen=True, slots=True)
class Kpi:
    """A business figure that the project is to move."""

    name: str
    target: float
    direction: Direction
    unit: str = ""
    source: Series | None = None
    guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """A person or a team that answers for the project."""

    name: str
    role: str = ""
    """What for; empty where that is not said."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a project says of all of that."""

    objective: Objective | None = None
    kpis: tuple[Kpi, ...] = ()
    owners: tuple[Owner, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As programs read it, and as caches keep it."""
        objective = self.objective
        return {
            "objective": None if objective is None else {"statement": objective.statement, "metric": objective.metric},
            "kpis": [_kpi_json(kpi) for kpi in self.kpis],
            "owners": [{"name": owner.name, "role": owner.role} for owner in self.owners],
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Purpose:
        """The inverse of `as_json`; raises KeyError, TypeError or ValueError for what it never gives."""
        objective = value["objective"]
        return Purpose(
            objective=None if objective is None else Objective(**objective),
            kpis=tuple(_kpi(row) for row in value["kpis"]),
            owners=tuple(Owner(**row) for row in value["owners"]),
        )


def _kpi_json(kpi: Kpi) -> dict[str, Any]:
    source, guard = kpi.source, kpi.guard
    return {
        "name": kpi.name,
        "target": kpi.target,
        "direction": kpi.direction.value,
        "unit": kpi.unit,
        "source": None if source is None else {"file": source.file, "time": source.time, "value": source.value},
        "guard": None
        if guard is None
        else {"limit": guard.limit, "worseBy": guard.worse_by, "withinSeconds": guard.within_seconds},
    }


def _kpi(row: Mapping[str, Any]) -> Kpi:
    source, guard = row["source"], row["guard"]
    return Kpi(
        name=row["name"],
        target=row["target"],
        direction=Direction(row["direction"]),
        unit=row["unit"],
        source=None if source is None else Series(**source),
        guard=None if guard is None else Guard(guard["limit"], guard["worseBy"], guard["withinSeconds"]),
    )
