"""Tags of releases: which there are, where they are, and that nobody's tag is moved."""

from __future__ import annotations

from typing import Any

from runner.core.release_tags import Stated, missing, tags_of

A, B = "a" * 32, "b" * 32


def stated(environment: str, version: int, record: int, md5: str = A, event: str = "release", **more: Any) -> Stated:
    own = more.get("own", True)
    return Stated("churn-api", environment, version, record, event, md5, own, "2026-11-22T12:00:00.000Z", "why")


def test_a_version_is_registered_once_and_served_where_its_model_is() -> None:
    rows = [
        stated("staging", 1, 5),
        stated("production", 1, 7),
        stated("staging", 2, 11, B),
        stated("production", 2, 13, B),
        stated("production", 3, 14, A, "rollback"),
        stated("staging", 3, 15, B, "settings"),
        stated("staging", 4, 16, A, own=False),  # named by its version: the state has the files of another model
    ]
    assert [(tag.name, tag.record) for tag in tags_of("staging", rows)] == [
        ("churn-api@v1.0.0", 5),
        ("churn-api#staging#1", 5),
        ("churn-api#production#1", 5),
        ("churn-api@v2.0.0", 11),
        ("churn-api#staging#2", 11),
        ("churn-api#production#2", 11),
        ("churn-api#production#3", 5),
        ("churn-api#staging#3", 11),
        ("churn-api#staging#4", 5),
    ]


def test_what_is_there_is_left_where_it_is() -> None:
    listed = {
        "refs/tags/n@v1.0.0": "t1",
        "refs/tags/n@v1.0.0^{}": "c1",
        "refs/tags/n@v2.0.0": "t2",
        "refs/tags/n@v2.0.0^{}": "elsewhere",
        "refs/tags/n@v3.0.0": "c3",
    }
    wanted = {"n@v1.0.0": "c1", "n@v2.0.0": "c2", "n@v3.0.0": "c3", "n@v4.0.0": "c4"}
    assert missing(wanted, listed) == ({"n@v4.0.0": "c4"}, ["n@v2.0.0"])
