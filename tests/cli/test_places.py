"""The same answers from wherever a person stands: a subfolder, a linked worktree, a bare clone, with `-C`."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.wiring.home import home_folder
from tests.cli.command import call, spawn
from tests.cli.worlds import Team, copy_of
from tests.repositories import GitRepo, git


def stages(folder: Path, *words: str) -> list[str]:
    return [f"{row['stage']} {row['action']}" for row in call(folder, "plan", "--json", *words).json["stages"]]


EXPECTED = ["prepare keep", "train@us keep", "train@de keep", "evaluate keep", "report failed"]


def test_a_subfolder_is_the_repository_it_lies_in(team: Team) -> None:
    assert stages(team.path / "src") == stages(team.path) == EXPECTED


def test_another_folder_can_be_named_before_and_after_the_command(team: Team, tmp_path: Path) -> None:
    here = call(team.path, "plan", "--json").json["stages"]
    assert call(tmp_path, "-C", str(team.path), "plan", "--json").json["stages"] == here
    assert call(tmp_path, "plan", "--json", "-C", str(team.path)).json["stages"] == here
    assert call(team.path.parent, "-C", team.path.name, "--json", "plan").json["stages"] == here


def test_files_are_named_from_the_folder_that_is_worked_in(team: Team, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert call(tmp_path, "-C", str(team.path), "plan", "--out", str(tmp_path / "sub/plan.json")).code == 2
    assert call(tmp_path, "-C", str(team.path / "src"), "plan", "--out", "../../named-plan.json").code == 2
    assert (team.path.parent / "named-plan.json").is_file()


def test_a_linked_worktree_is_planned_by_its_own_head(team: Team, tmp_path: Path) -> None:
    team = copy_of(team, tmp_path)
    team.repo.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"), team.deeper)
    assert stages(tmp_path / "linked") == [*EXPECTED[:4], "report keep"]
    assert call(tmp_path / "linked", "reconcile").code == 3
    assert stages(tmp_path / "linked", "main") == EXPECTED


def test_a_linked_worktree_of_a_repository_without_a_remote_shares_its_results(team: Team, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--branch", "main", str(team.remote), "alone")
    repo = GitRepo(tmp_path / "alone")
    repo.git("remote", "remove", "origin")
    repo.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "linked"))
    assert call(tmp_path / "linked", "reconcile").code == 3
    assert stages(repo.path) == stages(tmp_path / "linked") == EXPECTED


def test_a_bare_clone_can_be_read(team: Team, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(team.remote), "bare.git")
    bare = tmp_path / "bare.git"
    assert stages(bare) == EXPECTED
    assert call(bare, "status").code == 3
    assert call(bare, "runs", "list", "--failed", "--json").json["runs"][0]["stage"] == "report"
    assert call(bare, "explain", "evaluate").code == call(bare, "runs", "compare").code == 0
    for words, hint in ((["init"], "clone it first"), (["pull"], "into a working tree")):
        answer = call(bare, *words)
        assert (answer.code, hint in answer.err) == (1, True)


def test_a_fresh_clone_knows_what_the_remote_knows(team: Team, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(team.remote), "fresh")
    elsewhere = {"RUNNER_HOME": str(tmp_path / "home")}
    answer = spawn(tmp_path / "fresh", "plan", "--json", env=elsewhere)
    assert [f"{row['stage']} {row['action']}" for row in answer.json["stages"]] == EXPECTED
    log = spawn(tmp_path / "fresh", "log", "report", env=elsewhere)
    assert log.out == "the flag says bad\n"
    assert "This is its end, as the record keeps it; the whole log (18 B" in log.err
    other = spawn(tmp_path / "fresh", "log", "train@us", "--json", env=elsewhere)
    assert (other.json["whole"], other.json["text"]) == (False, "")
    assert "A record keeps the end of failed runs only; the whole log (12 B" in other.err


def test_variables_of_git_that_point_elsewhere_do_not_count(team: Team, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "other")
    astray = {"GIT_DIR": str(tmp_path / "other/.git"), "GIT_WORK_TREE": str(tmp_path), "GIT_INDEX_FILE": "/dev/null"}
    answer = spawn(team.path, "plan", "--json", env=astray)
    assert answer.code == 2
    assert answer.json["desired"] == team.broken


@pytest.mark.parametrize(
    ("rev", "branch"), [("feature", "feature"), ("origin/feature", "feature"), ("refs/heads/feature", "feature")]
)
def test_a_branch_may_be_named_as_git_allows(rev: str, branch: str, team: Team) -> None:
    answer = call(team.path, "plan", rev, "--json")
    assert (answer.code, answer.json["rev"]) == (0, branch)
    assert answer.json["state"] == team.repo.git("rev-parse", "origin/runner/proposed/feature")


def test_a_copy_of_a_rewritten_state_branch_does_not_count_for_ever(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = copy_of(team, tmp_path)
    old = own.repo.git("rev-parse", "origin/runner/state")
    first = own.repo.git("rev-parse", "origin/runner/state~1")
    tree = own.repo.git("rev-parse", f"{first}^{{tree}}")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2090-01-01T00:00:00Z")
    new = own.repo.git("commit-tree", tree, "-p", first, "-p", own.deeper, "-m", "Rewritten")
    own.repo.git("branch", "runner/state", old)
    own.repo.git("update-ref", "refs/remotes/origin/runner/state", new)
    assert call(own.path, "plan", "--json").json["state"] == new


def test_a_relative_folder_of_caches_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_folder({"XDG_CACHE_HOME": "caches"}) == tmp_path / ".cache" / "gitops-runner"
    assert home_folder({"XDG_CACHE_HOME": "/caches"}) == Path("/caches/gitops-runner")
