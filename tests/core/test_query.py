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
        "started > '2026-11-03 10:14' and started < '2026-11-03 10:16' and started >= '2026-11-03 10:15'",
        "started > 2026-11-03T10:14:59.9Z and started <= 2026-11-03T12:15+02:00 and started <= '2026-11-03 10:15 UTC'",
        "started == '2026-11-03 10:15' and started in (2025, 2026-11-03) and started == 2026-11-03T12:15+02:00",
        "started ~ '2026-11-03 10' and started ~ '2026-*15*' and started != 2026-11-04 and started != null",
        "duration > '1.5m' and duration == 90.5 and duration in (null, 90.5s)",
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
        "started >= '2026-11-03 17:00' or started > 2026-11-03T12:15+02:00 or started < 2026-11-03",
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
        ("started > yesterday", 11, "`yesterday` is no time"),
        ("status == ok and started>= '2026-13-45'", 28, "`2026-13-45` is no time"),
        ("started == 2026-11T17:00", 12, "`2026-11T17:00` is no time"),
        ("started in (2026-11-03, now)", 25, "`now` is no time"),
        ("started < 0001-01-01T00:00+14:00", 11, "`0001-01-01T00:00+14:00` is no time"),
        ("duration > abc", 12, "`abc` is no length of time"),
        ("duration == '5 m'", 13, "`5 m` is no length of time"),
        ("auc > null", 7, "`null` is neither before nor after anything"),
        ("auc > true", 7, "`true` is neither before nor after anything"),
    ],
)
def test_a_wrong_expression_is_told_with_its_place(text: str, position: int, message: str) -> None:
    with pytest.raises(BadQuery) as error:
        parse_query(text)
    assert error.value.message.startswith(message)
    assert error.value.position == position


@pytest.mark.parametrize(
    ("text", "cells", "message"),
    [
        ("auc > abc", [0, 1, None], "`abc` is no number, as `auc` is"),
        ("auc > '0.8'", [0.5, 1], "`0.8` is no number"),
        ("auc > abc", [0.5, "missing"], None),  # a text in some runs
        ("auc > 0.5", [0.5, "missing"], None),
        ("auc > 0.5", ["missing"], "`0.5` is a number, and `auc` holds texts"),
        ("auc > 0.5", [None], None),
        ("auc == abc", [0.5], None),
        ("started > 2026-11-03", ["2026-11-03T10:15:00Z"], None),
    ],
)
def test_an_order_of_texts_and_numbers_is_refused_where_a_column_has_only_the_others(
    text: str, cells: list[Any], message: str | None
) -> None:
    comparison = next(parse_query(text).comparisons())
    if message is None:
        comparison.check(cells)
        return
    with pytest.raises(BadQuery, match=message) as error:
        comparison.check(cells)
    assert error.value.position == 7


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
