"""Error budgets: what is spent holds, and so does what cannot be told."""

from __future__ import annotations

import math

import pytest

from runner.core.budgets import Answer, Budget, default_query, spent, values_of

BUDGET = Budget(0.99, "30d", "http://prometheus:9090", "q")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer((0.0,)), ""),
        (Answer((0.0099,)), ""),
        (Answer((math.nan,)), ""),
        (Answer((0.02,)), "2 % of the requests of 30d failed, 2 times what may (1 %)"),
        (Answer((math.inf,)), "failed"),
        (Answer(), "gives no value for `q`"),
        (Answer((0.0, 0.0)), "gives 2 values"),
        (Answer(trouble="nobody there"), "cannot be told: nobody there"),
    ],
    ids=str,
)
def test_a_budget_holds_where_it_is_spent_or_not_known(answer: Answer, said: str) -> None:
    found = spent(BUDGET, answer)
    assert bool(found) is bool(said)
    assert said in found


def test_the_query_counts_none_failed_where_there_is_no_such_series() -> None:
    assert default_query('job="a"', 2_592_000) == (
        '(sum(increase(http_requests_total{job="a",method="POST",status=~"5.."}[2592000s])) or vector(0)) '
        '/ sum(increase(http_requests_total{job="a",method="POST"}[2592000s]))'
    )


def test_an_answer_is_numbers_or_a_value_error() -> None:
    assert values_of({"resultType": "vector", "result": [{"metric": {}, "value": [1, "0.5"]}]}) == [0.5]
    assert values_of({"resultType": "scalar", "result": [1, "0.5"]}) == [0.5]
    for wrong in (None, [], {}, {"resultType": "matrix", "result": []}, {"resultType": "vector", "result": [1]}):
        with pytest.raises(ValueError, match=r"is none|one number"):
            values_of(wrong)
