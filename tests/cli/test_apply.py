"""A plan that was looked at is what `apply` does, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import call
from tests.cli.worlds import FILES, Team, copy_of
from tests.repositories import git

PARAMS = FILES["params.yaml"]


@pytest.fixture
def own(team: Team, tmp_path: Path) -> Team:
    return copy_of(team, tmp_path)


def test_what_was_planned_is_done(own: Team) -> None:
    own.repo.commit({"params.yaml": PARAMS.replace("81", "60"), "flag": "good\n"})
    own.repo.push()
    plan = call(own.path, "plan", "--out", "../plan.json", "--json")
    assert json.loads((own.path.parent / "plan.json").read_text()) == plan.json
    done = call(own.path, "apply", "../plan.json", "--json")
    assert done.code == 0, done.err
    assert [run["stage"] for run in done.json["runs"]] == ["evaluate", "report"]
    again = call(own.path, "apply", "../plan.json")
    assert again.code == 5
    assert "what is recorded has changed since the plan was made" in again.err


def test_a_plan_of_a_proposal_stays_one(own: Team) -> None:
    own.repo.git("checkout", "--quiet", "-b", "second")
    own.repo.commit({"flag": "good\n", "params.yaml": PARAMS.replace("81", "61")})
    call(own.path, "plan", "--out", "../plan.json")
    refused = call(own.path, "apply", "../plan.json")
    assert refused.code == 1
    assert "push it first" in refused.err
    own.repo.push()
    done = call(own.path, "apply", "../plan.json")
    assert done.code == 0, done.err
    assert git(own.remote, "rev-parse", "runner/proposed/second")
    assert own.repo.git("rev-parse", "origin/runner/state") == git(own.remote, "rev-parse", "runner/state")
    assert call(own.path, "plan").code == 0


def test_a_plan_of_a_commit_that_is_desired_no_more_is_refused(own: Team) -> None:
    own.repo.commit({"flag": "good \n"})
    own.repo.push()
    call(own.path, "plan", "--out", "../plan.json")
    own.repo.commit({"flag": "better\n"})
    own.repo.push()
    before = git(own.remote, "for-each-ref")
    answer = call(own.path, "apply", "../plan.json", "--json")
    assert (answer.code, answer.json["error"]["exitCode"]) == (5, 5)
    assert "make a new plan" in answer.json["error"]["hint"]
    assert git(own.remote, "for-each-ref") == before


def test_a_plan_of_an_older_commit_is_for_that_commit(own: Team) -> None:
    plan = call(own.path, "plan", "HEAD~2", "--out", "../plan.json", "--json")
    assert plan.json["rev"] == own.first
    done = call(own.path, "apply", "../plan.json", "--json")
    assert done.json["desired"] == own.first


def test_a_relative_revision_is_meant_as_it_is_here(own: Team) -> None:
    own.repo.git("checkout", "--quiet", "feature")
    answer = call(own.path, "reconcile", "HEAD~1", "--json")
    assert answer.json["desired"] == own.broken
    assert call(own.path, "reconcile", "HEAD", "--json").json["desired"] == own.repo.head


def test_stages_with_secrets_are_planned_by_the_trust_their_branch_has(own: Team) -> None:
    spec = FILES["runner.yaml"].replace("desc: Sort the raw data.", "secrets: [TOKEN]")
    own.repo.git("checkout", "--quiet", "-b", "secretive")
    own.repo.commit({"runner.yaml": spec, "data/raw.csv": "c,3\n"})
    own.repo.push()
    first = call(own.path, "plan", "--json").json["stages"][0]
    assert (first["action"], first["reasons"]) == ("unknown", ["needs secrets, given to trusted runs only: TOKEN"])
    own.repo.git("checkout", "--quiet", "main")
    own.repo.git("merge", "--quiet", "secretive")
    assert call(own.path, "plan", "--json").json["stages"][0]["action"] == "run"
