"""What a Project declares of its purpose: the objective, business figures and who answers for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from runner.core.purpose import Direction, Guard, Kpi, Objective, Owner, Purpose, Series
from runner.core.units import seconds_of
from runner.specs import yaml12
from runner.specs.left_out import Faults
from runner.specs.places import Locator


def read_purpose(spec: Mapping[str, Any], locator: Locator, faults: Faults) -> Purpose:
    """What the Project says, without business figures that are wrong, which are noted in the faults."""
    reader = _Reader(locator, faults)
    kpis = [reader.kpi(index, row) for index, row in enumerate(spec.get("kpis", ()))]
    return Purpose(
        objective=_objective(spec.get("objective")),
        kpis=tuple(kpi for kpi in kpis if kpi is not None),
        owners=tuple(Owner(row) if isinstance(row, str) else Owner(**row) for row in spec.get("owners", ())),
    )


def told_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What the Project says in the words of a card: texts, and business figures without their guards; what is there.

    Those are not in it whose target is no number: they are findings.
    """
    objective = _objective(spec.get("objective"))
    kpis = [_told_kpi(row) for row in spec.get("kpis", ()) if math.isfinite(row["target"])]
    owners = [row if isinstance(row, str) else _told_owner(**row) for row in spec.get("owners", ())]
    told: dict[str, Any] = {"owners": list(dict.fromkeys(owners)), "kpis": kpis}
    if objective is not None:
        told["objective"] = objective.statement + (f" ({objective.metric})" if objective.metric else "")
    return {name: value for name, value in told.items() if value}


def _told_kpi(row: Mapping[str, Any]) -> dict[str, Any]:
    source = row.get("source")
    told = {"source": source["file"] if isinstance(source, Mapping) else source, "unit": row.get("unit")}
    stated = {name: row[name] for name in ("name", "target", "direction")}
    return stated | {name: value for name, value in told.items() if value}


def _told_owner(name: str, role: str = "") -> str:
    return f"{name} ({role})" if role else name


def _objective(stated: Any) -> Objective | None:
    if stated is None:
        return None
    return Objective(stated) if isinstance(stated, str) else Objective(**stated)


class _Reader:
    """The business figures being read."""

    def __init__(self, locator: Locator, faults: Faults) -> None:
        self._locator = locator
        self._faults = faults
        self._names: set[str] = set()

    def kpi(self, index: int, row: Mapping[str, Any]) -> Kpi | None:
        """A business figure; None where something is wrong with it, which is noted."""
        at: yaml12.Path = ("kpis", index)
        count = len(self._faults.findings)
        name, direction = row["name"], Direction(row["direction"])
        if name in self._names:
            self._add((*at, "name"), f"a second business figure is named `{name}`", "rename one of them")
        self._names.add(name)
        guard = self._guard((*at, "guard"), row.get("guard"))
        self._check_numbers((*at, "target"), row["target"])
        if guard is not None and guard.limit is not None:
            self._check_limit((*at, "guard"), guard.limit, row["target"], direction)
        if len(self._faults.findings) > count:
            return None
        source = row.get("source")
        source = {"file": source} if isinstance(source, str) else source
        series = None if source is None else Series(**source)
        return Kpi(name, row["target"], direction, row.get("unit", ""), series, guard)

    def _guard(self, at: yaml12.Path, stated: Any) -> Guard | None:
        if stated is None or isinstance(stated, (int, float)):
            self._check_numbers(at, stated)
            return None if stated is None else Guard(limit=stated)
        for key in ("limit", "worseBy"):
            self._check_numbers((*at, key), stated.get(key))
        within = stated.get("within")
        seconds = None if within is None else seconds_of(within)
        if within is not None and not seconds:
            message = f"`within: {str(within)[:60]}` is no time after a release"
            self._add((*at, "within"), message, "write a duration above zero, such as `14d`")
        return Guard(stated.get("limit"), stated.get("worseBy"), seconds)

    def _check_numbers(self, at: yaml12.Path, value: Any) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            self._add(at, f"`{at[-1]}: {value}` is no value that a figure can have", "write a finite number")

    def _check_limit(self, at: yaml12.Path, limit: float, target: float, direction: Direction) -> None:
        """A guard bounds the way to the worse, so it cannot lie beyond the target."""
        if limit > target if direction is Direction.UP else limit < target:
            message = f"the guard {limit:g} is better than the target {target:g}, so it would always stop"
            self._add(at, message, "name the worst value that a release may leave")

    def _add(self, at: yaml12.Path, message: str, hint: str) -> None:
        self._faults.add(self._locator.finding(at, message, hint))
