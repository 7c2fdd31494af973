"""What people read, word for word."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import call
from tests.cli.golden_text import matches_golden
from tests.cli.worlds import FILES, Team, copy_of
from tests.repositories import GitRepo

CASES = {
    "plan": (2, ["plan"]),
    "plan-all": (2, ["plan", "--all"]),
    "plan-of-a-proposal": (0, ["plan", "feature"]),
    "plan-of-an-older-commit": (2, ["plan", "HEAD~2"]),
    "plan-markdown": (2, ["plan", "--format", "markdown"]),
    "status": (3, ["status"]),
    "explain-kept": (0, ["explain", "train@us"]),
    "explain-failed": (0, ["explain", "report"]),
    "explain-evaluate": (0, ["explain", "churn:evaluate"]),
    "runs-list": (0, ["runs", "list"]),
    "runs-list-failed": (0, ["runs", "list", "--failed"]),
    "runs-show": (0, ["runs", "show", "5"]),
    "runs-show-reconcile": (0, ["runs", "show", "6"]),
    "runs-compare-commits": (0, ["runs", "compare", "HEAD~2", "HEAD~1"]),
    "runs-compare-last": (0, ["runs", "compare"]),
    "runs-compare-records": (0, ["runs", "compare", "4", "9"]),
    "runs-compare-stage": (0, ["runs", "compare", "--stage", "evaluate"]),
    "log": (0, ["log", "report"]),
    "validate": (0, ["validate"]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_command_says_what_its_golden_file_says(name: str, team: Team) -> None:
    code, words = CASES[name]
    answer = call(team.path, *words)
    assert answer.code == code, answer.err
    matches_golden(name, answer.out + answer.err, _names(team))


def test_a_reconcile_says_what_its_golden_files_say(team: Team, tmp_path: Path) -> None:
    team = copy_of(team, tmp_path)
    names = _names(team)
    kept = call(team.path, "reconcile")
    matches_golden("reconcile-nothing-new", kept.out + kept.err, names)
    threshold = {"params.yaml": FILES["params.yaml"].replace("81", "70")}
    changed = team.repo.commit(threshold, "Be lenient")
    team.repo.push()
    before = call(team.path, "plan")
    matches_golden("plan-with-changes", before.out + before.err, names | {changed: "<changed>"})
    run = call(team.path, "reconcile", "--jobs", "1")
    assert run.code == 3
    matches_golden("reconcile", run.out + run.err, names | {changed: "<changed>"})


def test_nothing_recorded_is_said_in_words(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo(FILES, name="churn")
    names = {repo.head: "<first>"}
    for name, words in {
        "plan-first": ["plan"],
        "status-first": ["status"],
        "runs-list-first": ["runs", "list"],
    }.items():
        answer = call(repo.path, *words)
        matches_golden(name, answer.out + answer.err, names)


def _names(team: Team) -> dict[str, str]:
    proposed = team.repo.git("rev-parse", "feature").strip()
    return {team.first: "<first>", team.deeper: "<deeper>", team.broken: "<broken>", proposed: "<proposed>"}


def test_golden_files_are_not_written_by_accident() -> None:
    assert "UPDATE_GOLDEN" not in os.environ or os.environ["UPDATE_GOLDEN"] == "1"
