"""What is printed below a failure does what it says, whichever revision was looked at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.command import call
from tests.cli.worlds import Team, copy_of


@pytest.fixture(scope="module")
def proposed(team: Team, tmp_path_factory: pytest.TempPathFactory) -> tuple[Team, str]:
    """A proposal `p` whose report fails in another way than main's, HEAD at main; and what its reconcile printed."""
    team = copy_of(team, tmp_path_factory.mktemp("ways"))
    team.repo.git("checkout", "--quiet", "-b", "p")
    team.repo.commit({"flag": "worse\n"}, "Break it in another way")
    team.repo.push()
    team.repo.git("checkout", "--quiet", "main")
    answer = call(team.path, "reconcile", "p")
    assert answer.code == 3, answer.err
    return team, answer.out


def hint(text: str) -> list[str]:
    """The commands of the line about failures."""
    line = next(line for line in text.splitlines() if "tries again" in line)
    return re.findall("`runner ([^`]*)`", line)


def test_a_failed_proposal_names_its_own_run_and_its_own_retry(proposed: tuple[Team, str]) -> None:
    team, printed = proposed
    log, retry = hint(printed)
    assert re.fullmatch(r"log p@\d+", log)
    assert retry == "reconcile p --retry"
    assert call(team.path, *log.split()).out == "the flag says worse\n"
    assert call(team.path, "log", "report").out == "the flag says bad\n"  # main's, where HEAD is


def test_status_and_plan_of_another_revision_name_what_holds_for_it(proposed: tuple[Team, str]) -> None:
    team, printed = proposed
    assert hint(call(team.path, "status", "p").out) == hint(printed)
    assert hint(call(team.path, "plan", "p").out) == ["runs list --failed", "reconcile p --retry"]
    assert hint(call(team.path, "plan").out) == ["log report", "reconcile --retry"]


def test_where_head_is_at_the_proposal_its_stage_is_enough(proposed: tuple[Team, str], tmp_path: Path) -> None:
    team = copy_of(proposed[0], tmp_path)
    team.repo.git("fetch", "--quiet", "origin")
    team.repo.git("checkout", "--quiet", "p")
    assert hint(call(team.path, "status").out) == ["log report", "reconcile p --retry"]


@pytest.mark.parametrize(("name", "said"), [("p@999", "there is no record 999"), ("q@1", "q@1")])
def test_a_record_of_a_branch_that_is_not_there_has_no_log(name: str, said: str, proposed: tuple[Team, str]) -> None:
    answer = call(proposed[0].path, "log", name)
    assert answer.code == 1
    assert said in answer.err
