"""How much work a plan and a reconcile with nothing to do make, in exact counts of small scenes.

Start-up and git are what they cost, so a process, an object or a parse more is seen here and not in a measurement.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from runner.core.digests import md5_hex
from runner.core.recorded import Entry, Took
from runner.core.runkey import run_key
from runner.ledger.state import State
from runner.specs.pipelines import read_stage
from runner.specs.yaml12 import load_all
from runner.wiring.clone import open_clone
from tests.cli.command import call, reconciled
from tests.counted import Work, calls, counted
from tests.repositories import GitRepo

STAGES = 12
OVERLAY = {"md5_hex": 1}
"""The `.gitignore` as it is once every output has its line, put together for each commit."""
FILES = {
    "runner.yaml": "apiVersion: runner/v1\nkind: Project\nmetadata: {name: p}\nspec: {specs: [dvc.yaml]}\n",
    "params.yaml": "".join(f"p{number}: 1\n" for number in range(STAGES)),
    "dvc.yaml": "stages:\n"
    + "".join(
        f"  s{number}: {{cmd: echo {number} > o{number}, deps: [in{number}], params: [p{number}], outs: [o{number}]}}\n"
        for number in range(STAGES)
    ),
    **{f"in{number}": f"{number}\n" for number in range(STAGES)},
}
PLAN = ["rev-parse", "config", "for-each-ref", "cat-file", "for-each-ref", "diff-index", "ls-files"]
"""Where it is, its remote; refs, objects, refs of the mirror; the index against HEAD and against the files."""


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitRepo:
    """Twelve stages, reconciled and planned once, with a home of its own."""
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "home"))
    made = reconciled(tmp_path / "p", FILES)
    assert call(made.path, "plan").code == 0
    return made


def _plan(repo: GitRepo, code: int = 0) -> tuple[Work, Counter[str]]:
    with counted() as work, calls(load_all, read_stage, run_key, md5_hex) as called:
        assert call(repo.path, "plan").code == code
    return work, called


def test_a_plan_that_was_made_before_reads_no_spec_and_no_stage(repo: GitRepo, tmp_path: Path) -> None:
    work, called = _plan(repo)
    assert work.git() == PLAN
    assert called == {}
    # The project of the watched branch, and the outline of the plan.
    assert len(work.below(tmp_path / "home" / "parsed")) == 2
    clone = open_clone(repo.path, os.environ)
    clone.outline()
    assert clone.reader.counts == {"processes": 2, "objects": 3}  # the watched commit, its tree, and what HEAD names


def test_a_plan_of_a_commit_that_changes_one_parameter_parses_that_file_alone(repo: GitRepo) -> None:
    repo.commit({"params.yaml": FILES["params.yaml"].replace("p3: 1", "p3: 2")})
    work, called = _plan(repo, code=2)
    assert work.git() == PLAN
    assert called == {"load_all": 1, "run_key": STAGES, **OVERLAY}
    assert _plan(repo, code=2)[1] == {}


def test_a_plan_of_a_commit_that_changes_no_input_digests_nothing_anew(repo: GitRepo) -> None:
    repo.commit({"README": "words\n"})
    _, called = _plan(repo)
    assert called == {"run_key": STAGES, **OVERLAY}


def test_a_plan_in_which_stages_wait_takes_apart_what_stands_for_those_that_are_asked_for_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "home"))
    stages = "".join(
        f"  s{number}: {{cmd: echo {number} > o{number}, deps: [o{number - 1}], outs: [o{number}]}}\n"
        for number in range(2, STAGES)
    )
    both = "  s0: {cmd: echo 0 > o0, params: [p0], outs: [o0]}\n  s1: {cmd: echo 1 > o1, deps: [o0], outs: [o1]}\n"
    repo = reconciled(tmp_path / "p", FILES | {"dvc.yaml": f"stages:\n{both}{stages}"})
    assert call(repo.path, "plan").code == 0
    repo.commit({"params.yaml": FILES["params.yaml"].replace("p0: 1", "p0: 2")})
    with calls(Entry.from_json, Took.from_json) as called:
        assert call(repo.path, "plan").code == 2
    assert called == {"from_json": 2}  # of the first one: what stands, and what its run took


def test_a_plan_without_anything_remembered_parses_each_file_once(
    repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_HOME", str(repo.path.parent / "another home"))
    work, called = _plan(repo)
    # Without a mirror its refs are not asked for.
    assert sorted(work.git()) == sorted(set(PLAN) | {"for-each-ref"})
    assert called == {"load_all": 3, "read_stage": STAGES, "run_key": STAGES, "md5_hex": STAGES + 1}


def test_a_reconcile_with_nothing_to_do_talks_once_to_the_remote_and_starts_few_processes(repo: GitRepo) -> None:
    with counted() as work, calls(load_all, read_stage, md5_hex) as called:
        assert call(repo.path, "reconcile").code == 0
    assert called == OVERLAY
    assert Counter(work.git()) == {
        "rev-parse": 1,
        "config": 1,
        "ls-remote": 1,
        "diff-index": 1,
        "ls-files": 1,
        "for-each-ref": 4,
        "cat-file": 2,
    }


def test_a_plan_against_a_new_state_reads_only_what_is_new_of_it(repo: GitRepo) -> None:
    repo.commit({"in3": "another\n"})
    repo.push()
    assert call(repo.path, "reconcile").code == 0
    clone = open_clone(repo.path, os.environ)
    state = clone.state()
    assert state is not None
    before = clone.reader.counts["objects"]
    assert len(state.entries()) == STAGES
    # The state's commit and the one before, a tree and three folders of each, and one file.
    assert clone.reader.counts["objects"] - before <= 11
    whole = State(clone.reader, state.commit)
    assert whole.entries() == state.entries()
    assert clone.reader.counts["objects"] - before > STAGES
    clone.reader.close()
