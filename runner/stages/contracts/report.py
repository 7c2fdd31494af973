"""What a validation came to: what each broken check does, the good rows, figures for programs, a page for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.stages.contracts.checks import Outcome
from runner.stages.contracts.contract import OF_ROWS, Contract
from runner.values import dataclass

if TYPE_CHECKING:
    import numpy

    Mask = numpy.ndarray[Any, Any]

_MOST_TOLD = 200
"""Broken checks in the figures: they are to fit into a record."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An outcome, and what it does: `passed`, `skipped`, or for a broken one `fail`, `quarantine` or `warn`."""

    outcome: Outcome
    does: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a table came to."""

    rows: int
    columns: int
    judged: tuple[Judged, ...]
    good: Mask
    """The rows that stay."""
    too_many: str = ""
    """Why putting rows aside is not enough; empty where it is."""

    @property
    def failed(self) -> list[Judged]:
        """The broken checks that end the stage."""
        return [one for one in self.judged if one.does == "fail"]

    @property
    def valid(self) -> bool:
        """Whether the stage may go on."""
        return not self.failed and not self.too_many


def does(contract: Contract, outcome: Outcome, on_fail: str) -> str:
    """What an outcome does, by the severity in the contract and `on_fail` of the stage."""
    if outcome.result != "broken":
        return outcome.result
    column = next((one for one in contract.columns if one.name == outcome.column), None)
    severity = contract.severity(outcome.check, column)
    if severity == "warn" or on_fail == "warn":
        return "warn"
    by_row = outcome.check in OF_ROWS
    return "quarantine" if by_row and "quarantine" in (severity, on_fail) else "fail"


def judged(
    contract: Contract, found: Sequence[Outcome], size: tuple[int, int], on_fail: str, most_aside: float
) -> Verdict:
    """The verdict on a table with so many rows and columns."""
    import numpy

    told = tuple(Judged(outcome, does(contract, outcome, on_fail)) for outcome in found)
    good = numpy.ones(size[0], dtype=bool)
    for one in told:
        if one.does == "quarantine" and one.outcome.bad is not None:
            good &= ~one.outcome.bad
    aside = int((~good).sum())
    too_many = ""
    if size[0] and aside / size[0] > most_aside:
        too_many = f"{aside} of {size[0]} rows would be put aside, more than `max_quarantined` ({most_aside:g}) allows"
    return Verdict(size[0], size[1], told, good, too_many)


def reasons(verdict: Verdict) -> list[str]:
    """Why each bad row is bad, in their order."""
    import numpy

    told = numpy.full(verdict.rows, "", dtype=object)
    for one in verdict.judged:
        if one.does == "quarantine" and one.outcome.bad is not None:
            told[one.outcome.bad] += f"; {one.outcome.name}"
    return [text.removeprefix("; ") for text in told[~verdict.good]]


def figures(verdict: Verdict) -> dict[str, Any]:
    """The verdict for programs: finite numbers, texts and lists."""
    counts = Counter(one.does for one in verdict.judged)
    import numpy

    bad = numpy.zeros(verdict.rows, dtype=bool)
    for one in verdict.judged:
        if one.outcome.bad is not None:
            bad |= one.outcome.bad
    broken = [one for one in verdict.judged if one.outcome.result == "broken"]
    return {
        "valid": verdict.valid,
        "rows": verdict.rows,
        "columns": verdict.columns,
        "failed_rows": int(bad.sum()),
        "quarantined_rows": int((~verdict.good).sum()),
        "checks": {word: counts[word] for word in ("passed", "fail", "quarantine", "warn", "skipped")},
        # Without messages: they quote values, and metrics are recorded for good.
        "broken": {one.outcome.name: {"does": one.does, "rows": one.outcome.rows} for one in broken[:_MOST_TOLD]},
        "distributions": {
            one.outcome.column: one.outcome.value
            for one in verdict.judged[:_MOST_TOLD]
            if one.outcome.check == "distribution" and one.outcome.value is not None
        },
    }


def document(verdict: Verdict, data: str, contract: str) -> Mapping[str, Any]:
    """The verdict for a template."""
    order = ("fail", "quarantine", "warn", "skipped", "passed")
    rows = [
        {"name": one.outcome.name, "does": one.does, "rows": one.outcome.rows, "message": one.outcome.message}
        for one in verdict.judged
    ]
    rows.sort(key=lambda row: order.index(str(row["does"])))
    return {"data": data, "contract": contract, "too_many": verdict.too_many, "results": rows, **figures(verdict)}


def lines(verdict: Verdict) -> list[str]:
    """A sentence for each broken check, the worst first."""
    order = ("fail", "quarantine", "warn")
    broken = sorted((one for one in verdict.judged if one.does in order), key=lambda one: order.index(one.does))
    told = [f"{one.does}: {_counted(one.outcome)}{one.outcome.message}" for one in broken]
    return [*told, *([f"fail: {verdict.too_many}"] if verdict.too_many else [])]


def _counted(outcome: Outcome) -> str:
    rows = f"{outcome.rows} row{'s' if outcome.rows != 1 else ''}, " if outcome.rows else ""
    return f"{outcome.name}: {rows}"
