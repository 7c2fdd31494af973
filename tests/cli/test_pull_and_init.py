"""Commands that write into a person's working tree: only what they say, and never over somebody's work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.wiring.home import home_folder, repository_home
from tests.cli.command import call
from tests.cli.worlds import FILES, Team, copy_of, home_of
from tests.repositories import GitRepo, git

ADOPTED = "apiVersion: runner/v1\nkind: Project\nspec:\n  specs:\n"
FOLDER = "stages: {x: {cmd: mkdir d; cp in d/x, deps: [in], outs: [d]}}\n"
PARAMS = FILES["params.yaml"]
STAGES = "stages: {x: {cmd: echo}}\n"


@pytest.fixture
def own(team: Team, tmp_path: Path) -> Team:
    return copy_of(team, tmp_path)


def test_outputs_are_brought_once(own: Team) -> None:
    names = ["data/clean.csv", "metrics.json", "models/de.bin", "models/us.bin", "report.txt"]
    first = call(own.path, "pull", "--json")
    assert first.code == 0, first.err
    assert own.repo.git("status", "--porcelain") == "", "what was pulled would be committed"
    assert first.json["outputs"] == dict.fromkeys(names, "pulled")
    assert (own.path / "data/clean.csv").read_text() == "a,1\nb,2\n"
    assert '"auc": 0.85' in (own.path / "metrics.json").read_text()
    assert call(own.path, "pull", "--json").json["outputs"] == dict.fromkeys(names, "there")


def test_only_the_stages_asked_for_are_pulled(own: Team) -> None:
    assert set(call(own.path, "pull", "train", "--json").json["outputs"]) == {"models/us.bin", "models/de.bin"}
    assert not (own.path / "metrics.json").exists()


def test_what_differs_is_left_alone_unless_forced(own: Team) -> None:
    (own.path / "metrics.json").write_text("mine")
    (own.path / "report.txt").mkdir()
    answer = call(own.path, "pull")
    assert answer.code == 1
    assert "differs  metrics.json" in answer.out
    assert "differs  report.txt" in answer.out
    assert "--force replaces them" in answer.err
    assert (own.path / "metrics.json").read_text() == "mine"
    assert call(own.path, "pull", "--force").code == 0
    assert "auc" in (own.path / "metrics.json").read_text()
    assert (own.path / "report.txt").is_file()


def reconciled(own: Team, threshold: int) -> None:
    own.repo.commit({"params.yaml": PARAMS.replace("81", str(threshold)), "flag": "good\n"})
    own.repo.push()
    assert call(own.path, "reconcile").code == 0


def test_what_pull_brought_is_renewed_and_an_edit_is_not(own: Team) -> None:
    own.repo.write({".git/info/exclude": "/metrics.json\n"})
    call(own.path, "pull")
    reconciled(own, 60)
    assert call(own.path, "pull", "--json").json["outputs"] == {
        "data/clean.csv": "there",
        "metrics.json": "pulled",
        "models/de.bin": "there",
        "models/us.bin": "there",
        "report.txt": "pulled",
    }
    assert '"auc": 0.60' in (own.path / "metrics.json").read_text()
    brought = (own.path / "metrics.json").read_text()
    (own.path / "metrics.json").write_text(brought + " ")
    reconciled(own, 61)
    edited = call(own.path, "pull")
    assert (edited.code, "differs  metrics.json" in edited.out) == (1, True)
    assert "pulled   report.txt" in edited.out
    (own.path / "metrics.json").write_text(brought)
    assert call(own.path, "pull").code == 0
    assert '"auc": 0.61' in (own.path / "metrics.json").read_text()


def test_what_a_recorded_run_left_is_renewed_whoever_brought_it(own: Team) -> None:
    earlier = own.repo.git("show", "origin/runner/state~2:metrics.json")
    assert '"auc": 0.81' in earlier
    (own.path / "metrics.json").write_text(earlier + "\n")  # nobody pulled it here
    assert call(own.path, "pull", "evaluate", "--json").json["outputs"] == {"metrics.json": "pulled"}
    assert '"auc": 0.85' in (own.path / "metrics.json").read_text()


def test_what_was_pulled_on_another_branch_is_renewed(own: Team) -> None:
    own.repo.git("checkout", "--quiet", "feature")
    call(own.path, "pull", "evaluate")
    assert '"auc": 0.90' in (own.path / "metrics.json").read_text()
    own.repo.git("checkout", "--quiet", "main")
    assert call(own.path, "pull", "evaluate", "--json").json["outputs"] == {"metrics.json": "pulled"}
    assert '"auc": 0.85' in (own.path / "metrics.json").read_text()


def test_a_folder_that_pull_brought_is_renewed_until_somebody_adds_to_it(
    git_repo: Callable[..., GitRepo], bare_remote: Callable[..., Path]
) -> None:
    repo = git_repo({"dvc.yaml": FOLDER, "runner.yaml": f"{ADOPTED}  - dvc.yaml\n", "in": "1", ".dvc/config": ""})
    bare_remote(repo)
    for number in "12":
        repo.commit({"in": number})
        repo.push()
        assert call(repo.path, "reconcile").code == 0
        assert call(repo.path, "pull", "--json").json["outputs"] == {"d": "pulled"}
        assert (repo.path / "d/x").read_text() == number
    repo.write({"d/mine": "1"})
    repo.commit({"in": "3"})
    repo.push()
    assert call(repo.path, "reconcile").code == 0
    assert call(repo.path, "pull", "--json").json["outputs"] == {"d": "differs"}
    assert (repo.path / "d/mine").read_text() == "1"


def test_nothing_is_written_through_a_link(own: Team, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("theirs")
    (own.path / "metrics.json").symlink_to(tmp_path / "victim")
    assert call(own.path, "pull", "evaluate").code == 1
    assert call(own.path, "pull", "evaluate", "--force").code == 0
    assert (tmp_path / "victim").read_text() == "theirs"
    (tmp_path / "elsewhere").mkdir()
    (own.path / "models").symlink_to(tmp_path / "elsewhere")
    answer = call(own.path, "pull", "--force")
    assert (answer.code, "goes through a link that leaves the repository" in answer.err) == (1, True)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_bytes_that_are_nowhere_are_named_with_a_command_that_makes_them_again(own: Team) -> None:
    own.repo.commit({"data/raw.csv": "c,3\n"})
    own.repo.push()
    assert call(own.path, "reconcile").code == 3  # the report fails
    shutil.rmtree(home_of(own.remote).cache)
    answer = call(own.path, "pull", "prepare")
    assert answer.code == 4
    assert "the bytes of data/clean.csv are in no cache that is known here, and there is no DVC remote" in answer.err
    assert "another host" not in answer.err
    assert "dvc remote add" in answer.err
    hint = answer.err.partition("`runner ")[2].partition("`")[0]
    assert hint == "reconcile --retry churn:prepare"
    assert call(own.path, *hint.split()).code == 3
    assert call(own.path, "pull", "prepare").code == 0


def test_lost_bytes_of_a_proposal_are_made_again_by_a_command_that_names_its_branch(own: Team) -> None:
    own.repo.git("switch", "--quiet", "--create", "some/idea", "feature")
    own.repo.commit({"data/raw.csv": "c,3\n"})
    own.repo.push()
    assert call(own.path, "reconcile", "some/idea").code == 0
    shutil.rmtree(home_of(own.remote).cache)
    (row,) = call(own.path, "pull", "prepare", "--json").json["missing"]
    hint = row["hint"].partition("`runner ")[2].partition("`")[0]
    assert hint == "reconcile some/idea --retry churn:prepare"
    assert call(own.path, *hint.split()).code == 0
    assert call(own.path, "pull", "prepare", "--json").json["outputs"] == {"data/clean.csv": "pulled"}


def test_what_was_made_before_there_was_a_dvc_repository_is_found_and_left_to_others(own: Team) -> None:
    own.repo.commit({".dvc/config": ""})
    before = sorted(home_of(own.remote).cache.rglob("*"))
    answer = call(own.path, "pull", "prepare", "train")
    assert (answer.code, "notice" in answer.err) == (0, False), answer.err
    assert (own.path / "data/clean.csv").read_text() == "a,1\nb,2\n"
    assert sorted(home_of(own.remote).cache.rglob("*")) == before


@pytest.mark.parametrize("dvc", [{}, {".dvc/config": ""}], ids=["plain", "dvc"])
def test_what_a_daemon_of_this_host_made_by_another_url_is_found(
    dvc: dict[str, str], git_repo: Callable[..., GitRepo], bare_remote: Callable[..., Path]
) -> None:
    repo = git_repo({"dvc.yaml": FOLDER, "runner.yaml": f"{ADOPTED}  - dvc.yaml\n", "in": "1", **dvc})
    remote = bare_remote(repo)
    assert call(repo.path, "reconcile", "--repo", f"../{remote.name}").code == 0
    repo.git("fetch", "--quiet")
    assert not home_of(remote).cache.exists()
    answer = call(repo.path, "pull", "--json")
    assert answer.json["outputs"] == {"d": "pulled"}, answer.err
    assert (repo.path / "d/x").read_text() == "1"


def test_the_cache_of_a_strange_repository_is_not_looked_into(
    git_repo: Callable[..., GitRepo], bare_remote: Callable[..., Path]
) -> None:
    repo = git_repo({"dvc.yaml": FOLDER, "runner.yaml": f"{ADOPTED}  - dvc.yaml\n", "in": "1"})
    remote = bare_remote(repo)
    assert call(repo.path, "reconcile").code == 0
    stranger = repository_home(home_folder(os.environ), "stranger")
    shutil.copytree(home_of(remote).root, stranger.root)
    shutil.rmtree(home_of(remote).cache)
    git(stranger.mirror, "update-ref", "-d", "refs/heads/runner/state")
    git(stranger.mirror, "-c", "gc.reflogExpire=now", "gc", "--quiet", "--prune=now")
    assert call(repo.path, "pull").code == 4


def test_a_pull_says_where_the_results_are_not_those_of_head(own: Team) -> None:
    recorded = own.repo.head
    head = own.repo.commit({"params.yaml": PARAMS.replace("81", "77")})
    answer = call(own.path, "pull", "evaluate")
    assert answer.code == 0
    said = f"notice: these are results of {recorded[:12]}, and HEAD is {head[:12]}: `runner plan` says what a"
    assert said in answer.err
    value = call(own.path, "pull", "evaluate", "prepare", "--json").json
    assert (value["desired"], value["head"], value["notOfHead"]) == (recorded, head, ["churn:evaluate"])
    assert "notice" not in call(own.path, "pull", "prepare").err  # of which HEAD says the same
    own.repo.commit({"runner.yaml": "{"})
    assert said[:40] in call(own.path, "pull", "prepare").err


def test_the_first_lines_adopt_every_dvc_yaml_that_is_tracked_or_might_be(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"dvc.yaml": STAGES, "a b/dvc.yaml": STAGES, ".gitignore": "venv/\n", ".dvc/config": ""})
    repo.write({"venv/dvc.yaml": "{", "new/dvc.yaml": STAGES})
    answer = call(repo.path, "init", "--json")
    assert answer.code == 0
    text = (repo.path / "runner.yaml").read_text()
    assert answer.json["text"] == text == f"{ADOPTED}  - 'a b/dvc.yaml'\n  - dvc.yaml\n  - new/dvc.yaml\n"
    assert (
        call(repo.path, "validate").out
        == "Valid: a b/dvc.yaml (1 stage), dvc.yaml (1 stage), new/dvc.yaml (1 stage).\n"
    )


def test_an_empty_repository_gets_an_example_that_is_valid(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo()
    answer = call(repo.path, "init")
    assert "Put in your own commands. Then:" in answer.out
    assert call(repo.path, "validate").code == 0
    repo.commit()
    answer = call(repo.path, "plan")
    assert (answer.code, "There are no stages yet: runner.yaml names none" in answer.out) == (0, True)


def test_a_runner_yaml_that_is_there_is_not_replaced_unasked(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    repo = git_repo({"runner.yaml": "mine\n"})
    answer = call(repo.path, "init")
    assert (answer.code, "runner.yaml exists" in answer.err, "--force" in answer.err) == (1, True, True)
    assert (repo.path / "runner.yaml").read_text() == "mine\n"
    assert call(repo.path, "init", "--force").code == 0
    (repo.path / "runner.yaml").unlink()
    (tmp_path / "elsewhere").write_text("theirs")
    (repo.path / "runner.yaml").symlink_to(tmp_path / "elsewhere")
    assert call(repo.path, "init").code == 1
    assert call(repo.path, "init", "--force").code == 0
    assert (tmp_path / "elsewhere").read_text() == "theirs"
    assert [path.name for path in repo.path.iterdir() if path.name.startswith(".runner")] == []


@pytest.mark.parametrize("kind", ["Project", "pipeline", "DEPLOYMENT", "Monitor", "dvc"])
def test_a_schema_is_printed_whatever_the_case_of_its_kind(kind: str, tmp_path: Path) -> None:
    value = call(tmp_path, "schema", kind).json
    assert value["$schema"].endswith("2020-12/schema")
    assert call(tmp_path, "schema", kind, "--json").json == value
