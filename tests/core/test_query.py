"""Filter expressions: what they say of values, and how a wrong one is told."""

from __future__ import annotations

import random
from typing import Any

import pytest

from runner.core.query import BadQuery, parse_query

RUN: dict[str, Any] = {
    "stage": "train@us",
    "status": "ok",
    "branch": "main",
    "duration": 90.5,
    "started": "2026-11-03T10:15:00Z",
    "commit": "3f8a11c0ffee",
    "subject": "Deeper trees",
    "metrics.auc": 0.85,
    "params.depth": 4,
    "params.fast": True,
    "odd name": "a b",
    "params.version": "1.10",
    "key": "3e84715000",
    "host": "007",
    "params.mode": "true",
}


def _matches(text: str) -> bool:
    return parse_query(text).matches(RUN.get)


@pytest.mark.parametrize(
    "text",
    [
        "metrics.auc > 0.8",
        "metrics.auc>=0.85 and params.depth=4",
        "params.depth == 4.0",
        "params.fast == true",
        "stage == train and stage == train@us and stage ~ US",
        "stage in (evaluate, train)",
        "stage not in [evaluate, report]",
        "not (branch != main or duration < 90)",
        "duration > 1.5m and duration < 2m and duration < 1h",
        "started >= 2026-11-01 and started < '2026-11-04'",
        "commit == 3f8a and commit in (dead, 3f8a11)",
        "subject ~ deeper and subject ~ 'DEEP*s' and subject !~ shallow",
        "nothing == null and metrics.auc != null",
        "not nothing > 0 and not nothing != 3",
        "branch == 'main' or nothing > 1 and nothing > 2",
        "'odd name' == \"a b\"",
        "not not branch = main",
        "BRANCH == null AND status == ok",
        "params.version == 1.10 and params.version ~ .10 and params.version in (1.9, 1.10)",
        "key == 3e84715 and host = 007 and params.mode == true",
        "started > 2026 and started < 2027",
    ],
)
def test_what_is_so_matches(text: str) -> None:
    assert _matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "metrics.auc > 0.85",
        "metrics.auc > high",  # a number is neither before nor after a text
        "params.fast == 1",
        "stage == evaluate",
        "commit == 3f8",  # too short to stand for a commit
        "nothing != 3",
        "nothing in (1, 2) or nothing not in (1, 2)",
        "branch == main and status == failed",
        "(branch == x or branch == main) and status == failed",
        "params.depth == '5'",
        "params.version == 1.1 or host == 7",
    ],
)
def test_what_is_not_so_does_not_match(text: str) -> None:
    assert not _matches(text)


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 1, "it ends where the name of a column"),
        ("metrics.auc", 12, "it ends where a comparison"),
        ("metrics.auc >", 14, "it ends where a value"),
        ("metrics.auc >< 3", 14, "`<` where a value should be"),
        ("auc > 3 stage == x", 9, "`stage` where `and`, `or` or the end"),
        ("(auc > 3", 9, "it ends where `)`"),
        ("stage in a", 10, "`a` where `(` and a list"),
        ("stage in (a b)", 13, "`b` where `)`"),
        ("stage == 'a", 10, "a quote that is not closed"),
        ("and x == 1", 1, "`and` where the name"),
        ("a == 1 and", 11, "it ends where the name"),
        ("a b", 3, "`b` where a comparison"),
        ("(" * 60 + "a == 1" + ")" * 60, 52, "too many levels"),
        ("not " * 60 + "a == 1", 205, "too many levels"),
        ("a == 1 or " * 500 + "a == 1", 4097, "longer than"),
    ],
)
def test_a_wrong_expression_is_told_with_its_place(text: str, position: int, message: str) -> None:
    with pytest.raises(BadQuery) as error:
        parse_query(text)
    assert error.value.message.startswith(message)
    assert error.value.position == position


def test_whatever_is_typed_is_an_expression_or_is_refused() -> None:
    words = ["a", "==", "(", ")", "and", "not", "in", "[", "]", ",", "1", '"', "~", "or", "5m", "*", "<", "'x'"]
    chooser = random.Random(5)
    found = 0
    for _ in range(3_000):
        text = " ".join(chooser.choices(words, k=chooser.randrange(1, 8)))
        try:
            found += parse_query(text).matches(RUN.get) in (True, False)
        except BadQuery as error:
            place = error.position
            assert 1 <= place <= len(text) + 1, text
    assert found > 5
