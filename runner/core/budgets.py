"""Error budgets: how much of what an objective allows to fail did fail, and whether that holds a release."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from runner.values import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """What may fail, and what tells how much did."""

    objective: float
    """The share of requests that has to succeed, such as 0.999."""
    window: str
    """The time that is looked at, as the spec says it."""
    prometheus: str
    """URL of the Prometheus that is asked."""
    query: str
    """What it is asked for: the share of requests that failed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Prometheus said."""

    values: tuple[float, ...] = ()
    trouble: str = ""
    """Why it could not be asked, or what it did not understand; empty where it answered."""


def default_query(selector: str, window_seconds: float) -> str:
    """The share of predictions that the runner's own server answered with 5xx.

    Where none failed there is no such series, which counts as none and not as nothing known.
    """
    window = f"{max(1, round(window_seconds))}s"
    asked = f'{selector},method="POST"'
    failed = f'sum(increase(http_requests_total{{{asked},status=~"5.."}}[{window}])) or vector(0)'
    return f"({failed}) / sum(increase(http_requests_total{{{asked}}}[{window}]))"


def spent(budget: Budget, answer: Answer) -> str:
    """Why a budget holds a release; empty where there is some left. What is not known holds, too."""
    if answer.trouble:
        return f"the error budget cannot be told: {answer.trouble}; the next reconcile asks again"
    if len(answer.values) != 1:
        count = "no value" if not answer.values else f"{len(answer.values)} values"
        return (
            f"the error budget cannot be told: {budget.prometheus} gives {count} for `{budget.query}`, and one is "
            "needed; say with `selector` or `query` which requests are meant"
        )
    [share] = answer.values
    if math.isnan(share):
        return ""  # none was asked for, so none failed
    allowed = 1 - budget.objective
    if share < allowed:
        return ""
    return (
        f"the error budget is spent: {_percent(share)} of the requests of {budget.window} failed, "
        f"{share / allowed:.3g} times what may ({_percent(allowed)}); `runner rollback` is not held"
    )


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def values_of(data: Any) -> Sequence[float]:
    """The numbers in `data` of an answer of Prometheus' HTTP API; raises ValueError for what is none."""
    try:
        kind, result = data["resultType"], data["result"]
        if kind == "scalar":
            return [float(result[1])]
        if kind == "vector":
            return [float(row["value"][1]) for row in result]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(f"an answer that is none: {error}") from error
    raise ValueError(f"a {kind}, and one number is needed")
