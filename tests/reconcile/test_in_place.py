"""`record.branch` names the watched branch itself: results and people's commits on one line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.reconcile.ledgers import check_ledger, records_of
from tests.reconcile.merges import pulled
from tests.reconcile.worlds import World, dvc_pull, dvc_repro, dvc_status, until
from tests.repositories import GitRepo, git

PROJECT = """\
apiVersion: runner/v1
kind: Project
spec:
  record: {branch: main}
---
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
    prepare:
      cmd: echo prepare >> @TRACE@; cat data.txt > made.txt
      deps: [data.txt]
      outs: [made.txt]
    train:
      cmd: echo train >> @TRACE@; cat made.txt > model.txt; echo "{\\"rate\\":1}" > m.json
      deps: [made.txt]
      params: [rate]
      outs: [model.txt]
      metrics: [m.json: {cache: false}]
"""
FILES = {
    "runner.yaml": PROJECT,
    "data.txt": "1\n",
    "params.yaml": "rate: 1\n",
    ".github/workflows/own.yml": "on: push\n",
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Reconciled once."""
    world = World.create(tmp_path, FILES, dvc=True)
    assert world.reconcile().ran == ["prepare", "train"]
    assert world.trace() == ["prepare", "train"]
    return world


def message(world: World, commit: str = "main") -> str:
    """The message of a commit of the remote."""
    return git(world.remote, "log", "-1", "--format=%B", commit)


def test_the_results_are_the_next_commit_of_the_branch(world: World) -> None:
    tip, start = world.tip("main"), world.repo.head

    assert git(world.remote, "log", "-1", "--format=%P", "main") == start
    assert message(world).splitlines()[-1] == f"Reconciled: {start}"
    assert set(world.refs()) == {"refs/heads/main"}
    files = world.files("main")
    assert {".github/workflows/own.yml", "m.json", ".runner/pipelines/p/dvc.lock", ".runner/state.json"} <= set(files)
    check_ledger(world.remote, "main")
    told = world.reconcile()
    assert (told.commit, set(told.actions.values())) == (None, {"keep"})
    assert world.tip("main") == tip


def test_dvc_finds_a_pulled_branch_as_it_left_it(world: World) -> None:
    pulled(world)
    clone = world.clone("fresh", "main")
    dvc_pull(clone)

    assert dvc_status(clone) == {}
    assert dvc_repro(clone) == []
    assert (clone / "model.txt").read_text() == "1\n"


def test_a_plan_means_the_newest_commit_of_people(world: World) -> None:
    start = world.repo.head
    pulled(world)

    assert set(world.plan().values()) == {"keep"}
    assert f'"desired": "{start}"' in world.runner("plan", "--json").stdout
    assert set(world.plan("HEAD~1").values()) == {"keep"}
    world.runner("validate")


def test_a_pulled_reconcile_is_not_told_to_be_left_out(world: World) -> None:
    pulled(world)

    assert "left out" not in world.runner("reconcile").stderr
    world.repo.commit({"README": "words\n"}, "Not pushed")
    assert "was left out; push it first" in world.runner("reconcile").stderr


def test_only_what_a_later_commit_changes_runs(world: World) -> None:
    pulled(world)
    world.edit({"params.yaml": "rate: 2\n"})
    assert world.plan() == {"prepare": "keep", "train": "run"}
    desired = world.repo.head

    assert world.reconcile().ran == ["train"]
    assert world.trace() == ["train"]
    assert message(world).splitlines()[-1] == f"Reconciled: {desired}"
    assert world.reconcile().commit is None
    check_ledger(world.remote, "main")


def test_a_state_behind_a_merge_is_found(world: World) -> None:
    world.repo.commit({"README": "words\n"}, "Made before the results were pulled")
    pulled(world)
    world.repo.push()
    parents = git(world.remote, "log", "-1", "--format=%P", "main").split()
    assert len(parents) == 2

    told = world.reconcile()
    assert (told.commit, set(told.actions.values())) == (None, {"keep"})
    assert world.trace() == []


def test_results_for_a_commit_that_is_not_the_newest_any_more_are_records_only(world: World) -> None:
    gate = world.folder / "gate"
    pulled(world)
    slow = PROJECT.replace("cat data.txt >", f"while [ ! -e {gate} ]; do sleep 0.05; done; cat data.txt >")
    world.edit({"runner.yaml": slow})
    running = world.start("reconcile", "--json")
    until(lambda: "prepare" in (world.folder / "trace").read_text())
    newest = world.edit({"README": "a commit meanwhile\n"})
    gate.touch()
    running.wait()
    assert running.returncode == 0
    assert world.trace() == ["prepare"]

    assert git(world.remote, "log", "-1", "--format=%P", "main") == newest
    assert records_of(world.remote, "main")[-1]["reconcile"]["late"] is True
    assert "README" in world.files("main")
    told = world.reconcile()
    assert (told.ran, set(told.actions.values())) == ([], {"keep", "reuse"})
    assert world.trace() == []
    assert message(world).splitlines()[-1] == f"Reconciled: {newest}"
    check_ledger(world.remote, "main")


def test_a_first_reconcile_that_is_overtaken_loses_nothing(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow = PROJECT.replace("cat data.txt >", f"while [ ! -e {gate} ]; do sleep 0.05; done; cat data.txt >")
    world = World.create(tmp_path, {**FILES, "runner.yaml": slow}, dvc=True)
    running = world.start("reconcile", "--json")
    until(lambda: "prepare" in (world.folder / "trace").read_text())
    world.edit({"README": "a commit meanwhile\n"})
    gate.touch()
    assert running.wait() == 0
    assert world.trace() == ["prepare", "train"]

    told = world.reconcile()
    assert (told.ran, set(told.actions.values())) == ([], {"reuse"})
    check_ledger(world.remote, "main")


def test_a_squash_that_takes_over_the_words_of_the_runner_is_still_peoples(world: World) -> None:
    words = message(world)
    pulled(world)
    world.edit({"params.yaml": "rate: 3\n"}, words)

    assert world.plan() == {"prepare": "keep", "train": "run"}
    assert world.reconcile().ran == ["train"]


def test_what_people_do_to_the_recorded_state_has_no_effect(world: World) -> None:
    pulled(world)
    world.repo.git("rm", "-rq", ".runner")
    world.edit({"params.yaml": "rate: 4\n"})
    assert world.plan() == {"prepare": "keep", "train": "run"}

    assert world.reconcile().ran == ["train"]
    check_ledger(world.remote, "main")
    pulled(world)
    world.edit({".runner/state.json": '{"schema": 1, "sequence": 99, "desired": "x"}\n', "params.yaml": "rate: 1\n"})
    assert set(world.plan().values()) == {"keep", "reuse"}
    assert world.reconcile().ran == []
    check_ledger(world.remote, "main")


def test_a_runner_folder_of_ones_own_is_held(tmp_path: Path) -> None:
    world = World.create(tmp_path, {**FILES, ".runner/state.json": '{"sequence": 7}\n'})

    told = world.reconcile(ok=(6,))
    assert "has a folder .runner/ that no commit of the runner made" in told.err
    assert world.trace() == []
    assert "that no commit of the runner made" in world.runner("plan", ok=(6,)).stderr


def test_the_merge_of_a_pull_request_runs_nothing_again(world: World) -> None:
    pulled(world)
    world.repo.git("switch", "--quiet", "--create", "change")
    world.repo.commit({"params.yaml": "rate: 5\n"}, "Change the rate")
    world.repo.git("push", "--quiet", "origin", "change")
    assert world.plan() == {"prepare": "keep", "train": "run"}
    assert world.reconcile("change").ran == ["train"]
    assert world.tip("runner/proposed/change") is not None
    world.trace()

    world.repo.git("switch", "--quiet", "main")
    world.repo.git("merge", "--quiet", "--no-ff", "--no-edit", "change")
    world.repo.push()
    assert world.plan() == {"prepare": "keep", "train": "reuse"}
    told = world.reconcile()
    assert (told.ran, told.actions["train"]) == ([], "reuse")
    assert world.trace() == []
    assert world.reconcile().commit is None


def test_a_branch_without_its_results_is_held_until_a_person_accepts_it(world: World) -> None:
    start = world.repo.head
    lost = world.tip("main")
    git(world.remote, "update-ref", "refs/heads/main", start)

    told = world.reconcile(ok=(6,))
    assert f"{str(lost)[:12]}, which this host recorded, is not part of it any more" in told.err
    told = world.reconcile("--accept-state", "none")
    assert told.commit is not None
    check_ledger(world.remote, "main")


def test_an_uncached_output_that_no_stage_makes_any_more_goes(world: World) -> None:
    pulled(world)
    without = PROJECT.replace("      metrics: [m.json: {cache: false}]\n", "").replace(
        '; echo "{\\"rate\\":1}" > m.json', ""
    )
    world.edit({"runner.yaml": without})
    assert "m.json" in world.files("main")

    world.reconcile()
    assert "m.json" not in world.files("main")


def test_results_may_be_recorded_on_a_branch_of_any_name(tmp_path: Path) -> None:
    world = World.create(
        tmp_path, {**FILES, "runner.yaml": PROJECT.replace("branch: main", "branch: ml/results")}, dvc=True
    )
    assert world.reconcile().ran == ["prepare", "train"]

    assert set(world.refs()) == {"refs/heads/main", "refs/heads/ml/results"}
    assert set(world.plan().values()) == {"keep"}
    assert world.repo.git("rev-parse", "origin/ml/results") == world.tip("ml/results")
    assert world.reconcile(host="b").commit is None
    world.edit({"params.yaml": "rate: 2\n"})
    assert world.reconcile(host="b", elsewhere=True).ran == ["train"]
    check_ledger(world.remote, "ml/results")


def test_a_branch_of_peoples_own_is_not_written_to(tmp_path: Path) -> None:
    world = World.create(tmp_path, {**FILES, "runner.yaml": PROJECT.replace("branch: main", "branch: develop")})
    world.repo.git("push", "--quiet", "origin", "main:develop")
    before = world.tip("develop")

    told = world.reconcile(ok=(6,))
    assert f"{str(before)[:12]} is not a state of the runner" in told.err
    assert "name another one in `record.branch`" in told.err
    assert world.tip("develop") == before


def test_what_was_recorded_on_the_usual_branch_counts_after_the_move(tmp_path: Path) -> None:
    world = World.create(
        tmp_path, {**FILES, "runner.yaml": PROJECT.replace("  record: {branch: main}\n", "  strict: false\n")}
    )
    world.reconcile()
    world.trace()
    world.edit({"runner.yaml": PROJECT})

    assert set(world.plan().values()) == {"reuse"}
    told = world.reconcile()
    assert (told.ran, world.trace()) == ([], [])
    assert world.reconcile().commit is None
    check_ledger(world.remote, "main")


def test_a_daemon_is_not_woken_by_its_own_commits(world: World) -> None:
    pulled(world)
    world.edit({"params.yaml": "rate: 6\n"})
    daemon = world.start("daemon", "--interval", "0.2s", log=world.folder / "log")
    until(lambda: message(world).startswith("Reconcile"))
    tip = world.tip("main")
    other = GitRepo(world.clone("other", "main"))
    assert other.head == tip
    until(lambda: len((world.folder / "trace").read_text().split()) == 1)
    daemon.terminate()
    assert daemon.wait() in (0, 143)
    assert world.tip("main") == tip


def test_a_shallow_clone_plans_by_what_it_has(world: World) -> None:
    target = world.folder / "shallow"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=2", f"file://{world.remote}", str(target)], check=True, capture_output=True
    )

    assert '"action": "keep"' in world.runner("plan", "--json", cwd=target).stdout


def test_a_state_behind_many_squashes_with_the_words_of_the_runner_is_found(world: World) -> None:
    words = message(world)
    pulled(world)
    for number in range(25):
        world.repo.commit({"README": f"{number}\n"}, f"Squash {number}\n\n* {words}")
    world.repo.push()

    assert set(world.plan().values()) == {"keep"}
    assert world.reconcile().commit is None


def test_a_watched_branch_that_was_deleted_meanwhile_stays_so(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow = PROJECT.replace("cat data.txt >", f"while [ ! -e {gate} ]; do sleep 0.05; done; cat data.txt >")
    world = World.create(tmp_path, {**FILES, "runner.yaml": slow}, dvc=True)
    running = world.start("reconcile", "--json", log=tmp_path / "log")
    until(lambda: "prepare" in (world.folder / "trace").read_text())
    start = world.repo.head
    git(world.remote, "update-ref", "-d", "refs/heads/main")
    gate.touch()
    assert running.wait() == 4
    assert "main is gone from the remote" in (tmp_path / "log").read_text()
    assert world.refs() == {}

    git(world.remote, "update-ref", "refs/heads/main", start)
    told = world.reconcile()
    assert (told.ran, set(told.actions.values())) == ([], {"keep"})
    assert world.trace() == ["prepare", "train"]


def test_a_commit_of_the_runner_that_a_person_reverts_loses_nothing(world: World) -> None:
    pulled(world)
    world.repo.git("revert", "--no-edit", "HEAD")
    world.repo.push()
    assert (world.reconcile().ran, ".runner/state.json" in world.files("main")) == ([], False)

    world.edit({"params.yaml": "rate: 9\n"})
    assert world.reconcile().ran == ["train"]
    check_ledger(world.remote, "main")


def test_a_merge_of_several_branches_runs_only_what_they_change(world: World) -> None:
    pulled(world)
    for name, files in {"one": {"README": "one\n"}, "two": {"params.yaml": "rate: 9\n"}}.items():
        world.repo.git("switch", "-qc", name, "main")
        world.repo.commit(files, name)
    world.repo.git("switch", "-q", "main")
    world.repo.git("merge", "--quiet", "--no-edit", "one", "two")
    world.repo.push()
    assert world.reconcile().ran == ["train"]
    check_ledger(world.remote, "main")


def test_with_a_project_of_dvc_below_the_root_no_pipeline_is_left_behind(tmp_path: Path) -> None:
    files = {name if "/" in name or name == "runner.yaml" else f"sub/{name}": text for name, text in FILES.items()}
    world = World.create(tmp_path, files, dvc=True, dvc_root="sub")
    assert world.reconcile().ran == ["prepare", "train"]
    pulled(world)
    assert "sub/.runner/pipelines/p/dvc.lock" in world.files("main")

    world.edit({"runner.yaml": PROJECT.replace("name: p}", "name: q}")})
    assert world.reconcile().ran == []
    assert [path for path in world.files("main") if "/pipelines/p/" in path] == []
    assert "sub/.runner/pipelines/q/dvc.lock" in world.files("main")
    check_ledger(world.remote, "main")
