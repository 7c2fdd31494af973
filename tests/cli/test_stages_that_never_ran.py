"""A stage that the specs have and no record has is told apart from one that is nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import call
from tests.cli.worlds import FILES, Team, copy_of

NEW = "    later:\n      cmd: cp report.txt later.txt\n      deps: [report.txt]\n      outs: [later.txt]\n"


@pytest.fixture(scope="module")
def own(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A commit with one stage more than was ever reconciled; read only."""
    team = copy_of(team, tmp_path_factory.mktemp("later"))
    team.repo.commit({"runner.yaml": FILES["runner.yaml"] + NEW}, "One stage more")
    return team


@pytest.mark.parametrize("words", [["log", "later"], ["pull", "later"], ["log", "churn:later"]], ids=" ".join)
def test_a_stage_that_never_ran_is_said_to_have_not_run_yet(words: list[str], own: Team) -> None:
    answer = call(own.path, *words, "--json")
    assert answer.code == 1
    error = answer.json["error"]
    assert error["message"] == f"{words[1]} has not run yet"
    assert error["hint"] == (
        f"push its commit, then `runner reconcile` runs it; `runner explain {words[1]}` says what it needs"
    )


def test_what_the_hint_names_works(own: Team) -> None:
    answer = call(own.path, "explain", "later")
    assert answer.code == 0
    assert "waits" in answer.out


def test_runs_of_a_stage_that_never_ran_are_none(own: Team) -> None:
    answer = call(own.path, "runs", "list", "--stage", "later")
    assert (answer.code, answer.out) == (0, "There are no such recorded runs.\n")


def test_a_stage_that_only_failed_has_no_result_to_pull(own: Team, tmp_path: Path) -> None:
    own = copy_of(own, tmp_path)
    renamed = FILES["runner.yaml"].replace("    report:", "    summary:")
    own.repo.commit({"runner.yaml": renamed, "flag": "worse\n"}, "Rename what fails")
    own.repo.push()
    assert call(own.path, "reconcile").code == 3
    answer = call(own.path, "pull", "summary", "--json")
    assert answer.code == 1
    assert answer.json["error"]["message"] == "summary has no recorded result yet"
    assert "`runner log summary`" in answer.json["error"]["hint"]
    assert call(own.path, "log", "summary").code == 0


def test_a_stage_whose_work_failed_under_another_name_has_no_run_of_its_own(own: Team, tmp_path: Path) -> None:
    own = copy_of(own, tmp_path)
    own.repo.commit({"runner.yaml": FILES["runner.yaml"].replace("    report:", "    summary:")}, "Rename what fails")
    answer = call(own.path, "log", "summary", "--json")
    assert answer.json["error"]["message"] == "summary has no run of its own"
    assert answer.json["error"]["hint"].startswith("failed before: exit code 1 (record 12)")


def test_a_stage_that_left_the_specs_is_said_to_be_recorded(own: Team, tmp_path: Path) -> None:
    own = copy_of(own, tmp_path)
    spec = FILES["runner.yaml"].partition("    report:")[0]
    own.repo.commit({"runner.yaml": spec}, "One stage less")
    answer = call(own.path, "explain", "report", "--json")
    assert answer.code == 1
    assert answer.json["error"]["message"].startswith("report is recorded, but the specs of ")
    assert "`runner runs list --stage report`" in answer.json["error"]["hint"]
    assert call(own.path, "explain", "report", "HEAD~1").code == 0


def test_a_stage_that_is_not_committed_yet_is_looked_for_in_commits(own: Team, tmp_path: Path) -> None:
    own = copy_of(own, tmp_path)
    own.repo.write({"runner.yaml": FILES["runner.yaml"] + NEW.replace("later", "newest")})
    answer = call(own.path, "explain", "newest")
    assert answer.code == 1
    assert "changes of the working tree count once they are committed" in answer.err
    assert "committed" not in call(own.path, "explain", "newest", "HEAD").err


def test_a_name_that_is_nowhere_is_still_that(own: Team) -> None:
    for words in (["log", "latr"], ["pull", "latr"]):
        answer = call(own.path, *words)
        assert (answer.code, "there is no stage latr" in answer.err) == (1, True)
        assert "did you mean later?" in answer.err
