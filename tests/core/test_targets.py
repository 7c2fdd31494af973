"""What is known of releases where they are put to use: by outcomes of commands, and by what servers say."""

from __future__ import annotations

from typing import Any

import pytest

from runner.core.release_files import Memory, Rejected
from runner.core.rollbacks import version_before
from runner.core.targets import (
    Answer,
    Asked,
    Deployed,
    Reach,
    ServerTarget,
    after_deploy,
    command_standing,
    deployed_from,
    deploys_nothing,
    gone_standing,
    server_standing,
)
from runner.errors import ExitCode

LIVE: dict[str, Any] = {
    "record": 9,
    "version": 3,
    "deployment": "d",
    "environment": "e",
    "settings": "s",
    "model": {"md5": "m3", "sha256": "aa", "manifest": "bb"},
}


def deployed(**more: Any) -> Deployed:
    row = {"event": "deploy", "release": 9, "version": 3, "succeeded": True, "why": "", "run": "r", "good": 3}
    return Deployed(**{**row, **more})


@pytest.mark.parametrize(
    ("what", "found", "reach"),
    [
        ("nothing ever ended", None, Reach.PENDING),
        ("it ended well", deployed(), Reach.DEPLOYED),
        ("it failed", deployed(succeeded=False, why="exit code 1"), Reach.FAILED),
        ("another release did", deployed(release=8), Reach.PENDING),
        ("it was taken away again", deployed(event="undeploy"), Reach.PENDING),
    ],
)
def test_a_release_is_deployed_once_its_own_command_ended_well(what: str, found: Deployed | None, reach: Reach) -> None:
    assert command_standing(LIVE, found).reach is reach


def test_what_is_gone_is_taken_away_where_the_release_says_how() -> None:
    pending = gone_standing(deployed(), undeploys=True)
    assert pending is not None
    assert pending.reach is Reach.PENDING
    assert gone_standing(deployed(), undeploys=False) is None
    assert gone_standing(deployed(event="undeploy"), undeploys=True) is None
    failed = gone_standing(deployed(event="undeploy", succeeded=False), undeploys=True)
    assert failed is not None
    assert (failed.reach, failed.code) == (Reach.FAILED, ExitCode.DONE)


def test_what_was_deployed_well_last_is_remembered_until_it_is_taken_away() -> None:
    file = None
    seen = []
    for number, (event, version, succeeded) in enumerate(
        [("deploy", 1, True), ("deploy", 2, False), ("deploy", 3, True), ("undeploy", 3, False), ("undeploy", 3, True)]
    ):
        outcome = {"succeeded": succeeded, "message": ""}
        facts = {"deployment": "d", "environment": "e", "event": event, "version": version}
        file = after_deploy(file, number, {**facts, "release": 7, "runId": "r", "outcome": outcome})
        found = deployed_from(file)
        assert found is not None
        seen.append(found.good)
    assert seen == [1, 1, 3, 3, None]


def test_an_outcome_is_of_a_release_of_its_environment() -> None:
    memory = {"versions": [[1, 5], [2, 9]]}
    assert deploys_nothing(memory, {"version": 2, "release": 9}) == ""
    assert "which is no release of it" in deploys_nothing(memory, {"version": 2, "release": 5})
    assert deploys_nothing(None, {"version": 1, "release": 5})


def says(**status: Any) -> Asked:
    return Asked("http://a", {"deployment": "d", "environment": "e", "state": "serving", "version": 3} | status)


SILENT = Asked("http://b", None, "refused")
FAILED = says(version=2, failed={"version": 3, "why": "no such column"})


@pytest.mark.parametrize(
    ("asked", "answer", "why"),
    [
        (says(), Answer.SERVES, ""),
        (says(version="3", digest="aa"), Answer.SERVES, ""),
        (says(digest="bb"), Answer.SERVES, ""),
        (says(digest="cc"), Answer.BEHIND, "another model as v3"),
        (says(version=2), Answer.BEHIND, "serves v2"),
        (says(version=None, state="loading"), Answer.BEHIND, "nothing yet (loading)"),
        (says(state="drained"), Answer.BEHIND, "is drained"),
        (says(deployment="x"), Answer.BEHIND, "a server of x in e"),
        (says(version=True), Answer.BEHIND, "nothing yet"),
        (FAILED, Answer.FAILED, "cannot serve v3: no such column"),
        (says(version=2, failed={"version": 3, "why": "no route", "lasting": False}), Answer.BEHIND, "no route"),
        (says(version=2, failed={"version": 2, "why": "old"}), Answer.BEHIND, "serves v2"),
        (says(version=2, failed="x"), Answer.BEHIND, "serves v2"),
        (SILENT, Answer.UNREACHABLE, "refused"),
    ],
)
def test_a_server_says_how_far_it_is(asked: Asked, answer: Answer, why: str) -> None:
    [row] = server_standing(LIVE, [asked], ServerTarget(("http://a",)), 0.0).servers
    assert row.answer is answer
    assert why in row.why


@pytest.mark.parametrize(
    ("asked", "age", "reach", "code"),
    [
        ([says(), says()], 900.0, Reach.DEPLOYED, ExitCode.DONE),
        ([says(), says(version=2)], 10.0, Reach.PENDING, ExitCode.DONE),
        ([says(), says(version=2)], 301.0, Reach.PENDING, ExitCode.FAILED),
        ([says(), FAILED], 10.0, Reach.PENDING, ExitCode.DONE),
        ([says(), FAILED], 301.0, Reach.PENDING, ExitCode.FAILED),
        ([says(version=2), FAILED], 10.0, Reach.FAILED, ExitCode.DONE),
        ([SILENT, FAILED], 301.0, Reach.FAILED, ExitCode.FAILED),
        ([SILENT, says()], 9000.0, Reach.UNREACHABLE, ExitCode.DONE),
    ],
)
def test_servers_have_their_time_and_the_silent_are_no_failure(
    asked: list[Asked], age: float, reach: Reach, code: ExitCode
) -> None:
    found = server_standing(LIVE, asked, ServerTarget(), age)
    assert (found.reach, found.code) == (reach, code)


def release(md5: str, settings: str = "s", *, command: bool = False) -> dict[str, Any]:
    serving = {"target": {"command": {}}} if command else {}
    return {"model": {"md5": md5}, "settings": settings, "spec": "p", "serving": serving}


@pytest.mark.parametrize(
    ("what", "releases", "rejected", "good", "version"),
    [
        ("the one before", [release("m1"), release("m2")], (), None, 2),
        ("none", [], (), None, None),
        ("not the same again", [release("m1"), release("m3")], (), None, 1),
        ("the same, served otherwise", [release("m1"), release("m3", "t")], (), None, 2),
        ("not what was rolled back", [release("m1"), release("m2")], (Rejected("m2", "p", 2, ""),), None, 1),
        ("nor its model", [release("m1"), release("m1")], (Rejected("m1", "p", 2, ""),), None, None),
        ("what was deployed", [release("m1", command=True), release("m2", command=True)], (), 1, 1),
        ("nothing that never was", [release("m1", command=True)], (), None, None),
    ],
)
def test_the_newest_version_that_worked_comes_back(
    what: str, releases: list[dict[str, Any]], rejected: tuple[Rejected, ...], good: int | None, version: int | None
) -> None:
    records = dict(enumerate([*releases, release("m3")], 1))
    memory = Memory(len(records), {number: number for number in records}, rejected)
    live = {**LIVE, "version": len(records)}
    assert version_before(live, memory, deployed(good=good), records.__getitem__) == version
