"""`runner validate` finds what a plan would refuse, as far as a clone can tell; it asks no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import call
from tests.repositories import GitRepo, git

HEAD = "apiVersion: runner/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  stages:\n"
RUNNING = f"{HEAD}    a: {{cmd: echo 1 > o, outs: [o]}}\n"
FROZEN = f"{HEAD}    a: {{cmd: echo 1 > o, outs: [o], frozen: true}}\n"
NEVER_RAN = "runner.yaml:6:5: stage a: is frozen and has never run"
LAYERS = f"""\
{HEAD}    a: {{cmd: c, outs: [o], frozen: true}}
    b: {{cmd: c, resources: {{cpu: 5000}}, outs: [o]}}
    d: {{cmd: '${{q}}'}}
    e: {{cmd: 3}}
    x: {{cmd: c, deps: [y], outs: [x]}}
    y: {{cmd: c, deps: [x], outs: [y]}}
    z: {{cmd: c, deps: [gone]}}
"""
LINES = {6: "is frozen and has never run", 7: "also made by", 8: "unknown variable", 9: "must be text", 10: "wait"}


def test_a_plan_and_validate_say_every_layer_at_once(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"runner.yaml": LAYERS})
    for words in (["validate"], ["validate", "HEAD"], ["plan"], ["reconcile"]):
        answer = call(repo.path, "--json", *words)
        assert answer.code == 1
        found = {row["line"]: row["message"] for row in answer.json["findings"] if "cores" not in row["message"]}
        assert found.keys() == {*LINES, 12}, answer.err
        assert all(text in found[line] for line, text in LINES.items())
        assert ("asks for 5000 cores" in answer.err) == (words[0] != "validate")


def test_a_frozen_stage_that_ran_is_valid(git_repo: Callable[..., GitRepo], bare_remote: Callable[..., Path]) -> None:
    repo = git_repo({"runner.yaml": RUNNING})
    bare_remote(repo)
    assert call(repo.path, "reconcile").code == 0
    repo.write({"runner.yaml": FROZEN})
    assert call(repo.path, "validate").code == 0
    repo.write({"runner.yaml": FROZEN.replace("[o]", "[o, p]")})
    answer = call(repo.path, "validate")
    assert (answer.code, NEVER_RAN in answer.err) == (1, True)


def test_a_clone_that_knows_no_state_only_gives_notice_of_frozen_stages(
    git_repo: Callable[..., GitRepo], tmp_path: Path
) -> None:
    repo = git_repo({"runner.yaml": FROZEN})
    assert call(repo.path, "validate").code == 1  # without a remote, what is not recorded here is nowhere
    repo.git("remote", "add", "origin", "http://127.0.0.1:9/repository.git")
    answer = call(repo.path, "validate", "--json")
    assert answer.code == 0, answer.err
    (notice,) = answer.json["notices"]
    assert notice["message"].startswith("stage a: is frozen and has never run, as far as this clone knows")
    assert (notice["file"], notice["line"]) == ("runner.yaml", 6)


def test_a_frozen_stage_without_a_commit_is_judged_too(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo()
    repo.write({"runner.yaml": FROZEN})
    answer = call(repo.path, "validate")
    assert (answer.code, NEVER_RAN in answer.err) == (1, True)


EVIDENCE = "schema: '2.0'\nstages:\n  a: {cmd: c, outs: [{path: o, md5: 6f5902ac237024bdd0c176cb93063dc4}]}\n"


@pytest.mark.parametrize("lock", [EVIDENCE, "schema: '2.0'\nstages: [\n"], ids=["read", "broken"])
def test_a_frozen_stage_with_evidence_or_with_evidence_that_cannot_be_read_is_no_finding(
    lock: str, git_repo: Callable[..., GitRepo]
) -> None:
    repo = git_repo({"dvc.yaml": "stages:\n  a: {cmd: c, outs: [o], frozen: true}\n", "dvc.lock": lock})
    answer = call(repo.path, "validate")
    assert answer.code == (0 if lock == EVIDENCE else 1)
    assert "frozen" not in answer.err


def test_a_shell_that_is_not_here_is_a_notice(git_repo: Callable[..., GitRepo]) -> None:
    project = "apiVersion: runner/v1\nkind: Project\nspec: {shell: fishy}\n"
    answer = call(git_repo({"runner.yaml": project}).path, "validate")
    assert answer.code == 0
    assert "notice: runner.yaml: the shell 'fishy' is not on this host" in answer.err


def test_findings_as_json_and_as_annotations_are_the_same(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"runner.yaml": LAYERS})
    rows = call(repo.path, "validate", "--json").json["findings"]
    assert len(rows) == 6
    assert all(row.keys() == {"file", "line", "column", "message", "hint"} for row in rows)
    assert all(row["line"] and row["column"] and row["message"] for row in rows)
    annotations = call(repo.path, "validate", "--format", "github").out.splitlines()
    assert annotations == [
        f"::error file={row['file']},line={row['line']},col={row['column']}::{row['message']}"
        + (f" ({row['hint']})" if row["hint"] else "")
        for row in rows
    ]
    assert json.loads(json.dumps(rows)) == rows
    assert git(repo.path, "status", "--porcelain") == ""


def test_an_ignore_file_that_is_a_submodule_says_nothing(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"runner.yaml": f"{HEAD}    a: {{cmd: c, deps: [folder]}}\n", "folder/file": "1"})
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{'100' * 13}1,.dvcignore")
    repo.git("commit", "--quiet", "--message", "Ignore")
    assert call(repo.path, "validate", "HEAD").code == 0
    assert call(repo.path, "plan").code == 2


def test_a_finding_is_one_line_so_that_no_name_can_speak_to_the_ci_system(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"runner.yaml": f'{HEAD}    a: {{cmd: c, deps: ["x\\n::error::y"]}}\n'})
    answer = call(repo.path, "validate")
    assert answer.code == 1
    assert [
        line for line in answer.err.splitlines() if not line.startswith(("error: runner.yaml:6:", "1 finding"))
    ] == []


def test_nobody_who_looks_at_the_state_branch_is_told_to_remove_it(
    git_repo: Callable[..., GitRepo], bare_remote: Callable[..., Path]
) -> None:
    repo = git_repo({"runner.yaml": RUNNING})
    bare_remote(repo)
    assert call(repo.path, "reconcile").code == 0
    repo.git("checkout", "--quiet", "origin/runner/state")
    answer = call(repo.path, "plan")
    assert (answer.code, "is this the state branch? Name the branch you work on" in answer.err) == (1, True)
    assert "remove it" not in answer.err
