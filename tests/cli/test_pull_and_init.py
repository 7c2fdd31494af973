"""Commands that write into a person's working tree: only what they say, and never over somebody's work."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import call
from tests.cli.worlds import Team, copy_of, home_of
from tests.repositories import GitRepo

ADOPTED = "apiVersion: runner/v1\nkind: Project\nspec:\n  specs:\n"
STAGES = "stages: {x: {cmd: echo}}\n"


@pytest.fixture
def own(team: Team, tmp_path: Path) -> Team:
    return copy_of(team, tmp_path)


def test_outputs_are_brought_once(own: Team) -> None:
    names = ["data/clean.csv", "metrics.json", "models/de.bin", "models/us.bin", "report.txt"]
    first = call(own.path, "pull", "--json")
    assert first.code == 0, first.err
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


def test_bytes_that_are_nowhere_are_named(own: Team) -> None:
    shutil.rmtree(home_of(own.remote).cache)
    answer = call(own.path, "pull", "prepare")
    assert answer.code == 4
    assert "the bytes of data/clean.csv are on another host, and there is no DVC remote" in answer.err
    assert "dvc remote add" in answer.err


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
    assert "Wrote" in call(repo.path, "init").out
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
