"""The very steps of the action, run as a job runs them, against a real repository with a real remote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.workflows import Job, StepResult, library, load
from tests.repositories import GitRepo, git

SPEC = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: words}
spec:
  stages:
    count:
      cmd: wc -w < text.txt > count.txt
      deps: [text.txt]
      outs: [count.txt]
"""
RUN = "Run it"


@pytest.fixture(scope="module")
def action() -> Any:
    return load("action.yml")


@pytest.fixture(scope="module")
def machine(action: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine on which the install step ran; pip finds the dependencies there already, so it is quick."""
    folder = tmp_path_factory.mktemp("machine")
    done = Job(folder, folder, {"PYTHONPATH": library()}).step(action, "Install the runner", {})
    assert done.code == 0, done.log
    assert done.log.strip().startswith("runner 0.")
    return folder


@pytest.fixture
def repo(git_repo: Callable[..., GitRepo], bare_remote: Callable[..., Path]) -> GitRepo:
    made = git_repo({"runner.yaml": SPEC, "text.txt": "one two three\n"})
    bare_remote(made)
    return made


@pytest.fixture
def run(action: Any, machine: Path, repo: GitRepo) -> Callable[..., StepResult]:
    def call(command: str, **inputs: str) -> StepResult:
        job = Job(machine, repo.path, {"PYTHONPATH": library()})
        return job.step(action, RUN, {"command": command, **inputs})

    return call


def test_a_plan_with_changes_succeeds_and_stands_in_the_summary(run: Callable[..., StepResult]) -> None:
    done = run("plan")
    assert done.code == 0, done.log
    assert done.outputs["exit-code"] == "2"
    assert done.outputs["changes"] == "true"
    assert "<code>words:count</code>" in done.summary
    assert json.loads(Path(done.outputs["result"]).read_text())["summary"] == {"run": 1}
    assert done.commands == []


def test_a_reconcile_records_on_the_state_branch_and_the_next_one_does_nothing(
    run: Callable[..., StepResult], repo: GitRepo
) -> None:
    remote = repo.path.parent / "remote.git"
    first = run("reconcile")
    assert first.code == 0, first.log
    assert first.outputs["changes"] == "true"
    assert "✅ done" in first.summary
    state = git(remote, "rev-parse", "runner/state")

    second = run("reconcile")
    assert (second.code, second.outputs["changes"]) == (0, "false"), second.log
    assert "Nothing to do" in second.summary
    assert git(remote, "rev-parse", "runner/state") == state

    plan = run("plan")
    assert (plan.code, plan.outputs["exit-code"], plan.outputs["changes"]) == (0, "0", "false"), plan.log


@pytest.mark.parametrize("command", ["plan", "reconcile"])
def test_a_bad_spec_fails_the_job_and_is_annotated_on_its_line(
    run: Callable[..., StepResult], repo: GitRepo, command: str
) -> None:
    repo.commit({"runner.yaml": SPEC.replace("deps:", "depz:")})
    repo.push()
    done = run(command)
    assert done.code == 1, done.log
    assert done.outputs["exit-code"] == "1"
    assert any(line.startswith("::error file=runner.yaml,line=8,col=") for line in done.commands), done.log
    assert "depz" in done.summary


def test_a_stage_that_fails_fails_the_job_and_its_output_is_no_command(
    run: Callable[..., StepResult], repo: GitRepo
) -> None:
    spoken = "echo '::set-output name=x::y'; echo '##[error]no'; exit 7"
    repo.commit({"runner.yaml": SPEC.replace("wc -w < text.txt > count.txt", json.dumps(spoken))})
    repo.push()
    done = run("reconcile")
    assert done.code == 3, done.log
    assert done.commands == []
    assert "❌ failed" in done.summary


def test_arguments_are_passed_one_to_a_line(run: Callable[..., StepResult]) -> None:
    done = run("plan", args="--all\n\n--color=never\n")
    assert done.code == 0, done.log


@pytest.mark.parametrize("rev", ["$(touch owned)", "`touch owned`", "--out=owned", "; touch owned"])
def test_a_rev_is_a_name_and_nothing_else(run: Callable[..., StepResult], repo: GitRepo, rev: str) -> None:
    done = run("plan", rev=rev)
    assert done.code == 1
    assert not (repo.path / "owned").exists()
    assert "Traceback" not in done.log


def test_a_command_that_is_not_known_is_refused(run: Callable[..., StepResult]) -> None:
    done = run("destroy")
    assert done.code == 1
    assert "'plan' or 'reconcile'" in done.summary
