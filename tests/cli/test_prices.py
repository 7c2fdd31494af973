"""What a plan costs in time, and budgets."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runner.core.records import parse_record, run_told
from runner.ledger.state import pretty_bytes
from tests.cli.command import call, reconciled
from tests.counted import calls
from tests.repositories import GitRepo

STAGES = """\
stages:
  a: {cmd: cp in a, deps: [in], outs: [a]}
  b: {cmd: sleep 1.05; cat a in p > b, deps: [a, in, p], outs: [b]}
  each:
    foreach: [x, y]
    do: {cmd: "cat b > ${item}", deps: [b], outs: ["${item}"]}
"""
PROJECT = "apiVersion: runner/v1\nkind: Project\nmetadata: {name: p}\nspec: {specs: [dvc.yaml]}\n"


FILES = {"runner.yaml": PROJECT, "dvc.yaml": STAGES, "in": "1\n", "p": "1\n"}


@pytest.fixture(scope="module")
def made(own_world: object, tmp_path_factory: pytest.TempPathFactory) -> GitRepo:
    """Reconciled once; nothing else is recorded."""
    return reconciled(tmp_path_factory.mktemp("priced") / "p", FILES)


@pytest.fixture
def repo(made: GitRepo) -> GitRepo:
    """The same as it was reconciled, for a test that commits to it."""
    made.git("reset", "--quiet", "--hard", "origin/main")
    return made


def _plan(repo: GitRepo, *words: str) -> dict[str, Any]:
    plan: dict[str, Any] = call(repo.path, "plan", "--json", *words).json
    return plan


def test_a_plan_says_how_long_its_stages_took_before(repo: GitRepo) -> None:
    assert _plan(repo)["estimate"] is None
    repo.commit({"p": "2\n", "dvc.yaml": STAGES.replace("[x, y]", "[x, y, z]")})
    plan = _plan(repo, "--jobs", "2")
    rows = {row["stage"]: row["estimate"] for row in plan["stages"]}
    assert rows["a"] is None
    assert rows["b"]["seconds"] >= 1.05
    assert (rows["b"]["runs"], rows["b"]["of"], rows["b"]["sameHost"]) == (1, "stage", True)
    assert rows["each@z"]["of"] == "group"
    whole = plan["estimate"]
    assert (whole["jobs"], whole["unknown"]) == (2, [])
    assert whole["longestWay"] <= whole["seconds"] < whole["work"]
    assert plan == _plan(repo, "--jobs", "2") | {"stateAge": plan["stateAge"]}  # as it is kept
    text = call(repo.path, "plan").out
    assert re.search(r"▶ run +b +~\d", text)
    assert "Takes about" in text
    assert "nothing is known" not in text


def test_what_never_ran_is_named(repo: GitRepo) -> None:
    repo.commit({"dvc.yaml": STAGES + "  new: {cmd: cp in n, deps: [in], outs: [n]}\n", "p": "2\n"})
    assert _plan(repo)["estimate"]["unknown"] == ["dvc.yaml:new"]
    assert "nothing is known of new." in call(repo.path, "plan").out


def test_a_plan_reads_records_only_where_what_stands_does_not_say_what_it_took(repo: GitRepo) -> None:
    repo.commit({"p": "2\n"})
    with calls(run_told, parse_record) as called:
        plan = _plan(repo)
    assert called == {}
    _forget_times(repo)
    with calls(run_told, parse_record) as called:
        older = _plan(repo)
    assert called == {"run_told": 3}  # b, and the two that wait for it
    assert [row["estimate"] for row in older["stages"]] == [row["estimate"] for row in plan["stages"]]
    assert older["estimate"] == plan["estimate"]


def _forget_times(repo: GitRepo) -> None:
    """Have in the clone a state as older runners left it."""
    state = "refs/remotes/origin/runner/state"
    folder = repo.path.parent / "state"
    repo.git("worktree", "add", "--quiet", "--detach", str(folder), state)
    for path in folder.glob(".runner/recorded/*/*.json"):
        entry = json.loads(path.read_text())
        assert entry.pop("times")
        path.write_bytes(pretty_bytes(entry))
    git = ["git", "-C", str(folder)]
    subprocess.run([*git, "commit", "--quiet", "--all", "--message", "Forget"], check=True)
    repo.git("update-ref", state, subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip())
    repo.git("worktree", "remove", str(folder))


def test_a_plan_over_its_budget_is_held_before_anything_runs(tmp_path: Path) -> None:
    repo = reconciled(tmp_path / "p", FILES)
    repo.commit({"p": "2\n"})
    repo.push()
    assert _plan(repo, "--budget", "0.5s")["budget"] == {"seconds": 0.5, "over": True}
    assert "Over its budget of 0.5 s: `runner reconcile` holds it" in call(repo.path, "plan", "--budget", "0.5s").out
    held = call(repo.path, "reconcile", "--budget", "0.5s")
    assert held.code == 6
    assert "the plan is over its budget: about " in held.err
    assert {row["action"] for row in _plan(repo)["stages"]} == {"keep", "run", "wait"}
    repo.commit({"runner.yaml": PROJECT.replace("[dvc.yaml]", "[dvc.yaml], budget: {time: 500ms}")})
    repo.push()
    assert _plan(repo)["budget"] == {"seconds": 0.5, "over": True}
    assert call(repo.path, "reconcile").code == 6
    assert call(repo.path, "reconcile", "--over-budget").code == 0
    assert call(repo.path, "reconcile").code == 0  # nothing is to run, so nothing is over
    explained = call(repo.path, "explain", "b", "--json").json["time"]
    assert explained["runs"] == 2
    assert explained["lastError"] is not None


def test_what_nothing_is_known_of_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "home"))
    project = PROJECT.replace("[dvc.yaml]", "[dvc.yaml], budget: {time: 1ms}")
    stages = "stages: {a: {cmd: cp in a, deps: [in], outs: [a]}}\n"
    made = reconciled(tmp_path / "p", {"runner.yaml": project, "dvc.yaml": stages, "in": "1\n"})
    assert _plan(made)["budget"] == {"seconds": 0.001, "over": False}
