"""What lasts: a forced run, a person's word, a remote that comes later, and nothing of what is gone."""

from __future__ import annotations

from pathlib import Path

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World
from tests.repositories import git

ALWAYS = (
    "stages:\n  tick:\n    cmd: date +%N > tick; echo tick >> @TRACE@\n    always_changed: true\n    outs: [tick]\n"
)
ONE = "stages:\n  one:\n    cmd: cp in one\n    deps: [in]\n    outs: [one]\n"
PIPELINE = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: NAME}
spec:
  stages:
    NAME:
      cmd: cp in NAME.out
      deps: [in]
      outs: [NAME.out]
"""


def test_a_forced_run_stands_until_the_next_commit(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": ALWAYS})
    world.reconcile()
    forced = world.reconcile("--force")
    assert forced.ran == ["tick"]
    again = world.reconcile()
    assert (again.commit, again.actions) == (None, {"tick": "keep"})
    world.edit({"notes": "x"})
    assert world.reconcile().ran == ["tick"]
    check_ledger(world.remote)


def test_a_pipeline_that_is_taken_away_leaves_nothing_for_dvc(tmp_path: Path) -> None:
    files = {f"pipelines/{name}.yaml": PIPELINE.replace("NAME", name) for name in ("stays", "goes")}
    world = World.create(tmp_path, {**files, "in": "1"})
    world.reconcile()
    world.edit(delete=("pipelines/goes.yaml",))
    world.reconcile()
    rendered = git(world.remote, "ls-tree", "-r", "--name-only", "runner/state", ".runner/pipelines").splitlines()
    assert rendered == [".runner/pipelines/stays/dvc.lock", ".runner/pipelines/stays/dvc.yaml"]


def test_an_accepted_rewrite_is_recorded(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": ONE, "in": "1"})
    world.reconcile()
    first = git(world.remote, "rev-parse", "runner/state")
    world.edit({"in": "2"})
    world.reconcile()
    lost, pinned = git(world.remote, "rev-parse", "runner/state"), world.folder / "pinned"
    pinned.write_text(git(world.remote, "show", "runner/state:.runner/ledger/checkpoint") + "\n")
    git(world.remote, "update-ref", "refs/heads/runner/state", first)
    world.runner("reconcile", ok=(6,))
    verify = ("audit", "verify", "runner/state", "--pinned", str(pinned))
    said = world.runner(*verify, cwd=world.remote, ok=(12,)).stdout
    assert "the end was cut off; no record says that a person accepted that: restore the branch" in said

    told = world.reconcile("--accept-state", first)
    assert f"runner/state does not go on from {lost[:12]}: whoever pinned a checkpoint" in told.err
    assert "records that are new to this host" not in told.err
    number, record = len(world.records()), world.records()[-1]
    assert record["reconcile"]["acceptedState"] == first
    said = world.runner(*verify, cwd=world.remote, ok=(12,)).stdout
    actor, host = record["reconcile"]["actor"], record["reconcile"]["host"]["name"]
    assert f"record {number} of {record['recordedAt']} says that {actor} on {host} accepted" in said
    assert f"accepted the rewritten state {first[:12]}: ask why, look at what is there now" in said
    pinned.write_text(git(world.remote, "show", "runner/state:.runner/ledger/checkpoint") + "\n")
    assert world.runner(*verify, cwd=world.remote).returncode == 0


def test_a_remote_that_is_added_later_gets_what_stands(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": ONE, "in": "1"})
    world.reconcile()
    world.edit({".dvc/config": f"[core]\n    remote = store\n['remote \"store\"']\n    url = {world.store}\n"})
    moved = world.reconcile()
    assert moved.ran == []
    assert moved.commit is not None
    assert [file.read_text() for file in world.store.rglob("*") if file.is_file()] == ["1"]
    assert world.reconcile().commit is None
    check_ledger(world.remote)


def test_a_stage_that_is_not_handled_yet_makes_no_work(tmp_path: Path) -> None:
    text = ONE + "    meta: {runner: {image: python}}\n"
    world = World.create(tmp_path, {"dvc.yaml": text, "in": "1"})
    told = world.reconcile()
    assert (told.commit, told.actions) == (None, {"one": "unknown"})
    assert "DVC remote" not in told.err


def test_git_overlooks_outputs_that_were_pulled(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": ONE, "in": "1"})
    world.reconcile()
    world.runner("pull")
    assert (world.repo.path / "one").read_text() == "1"
    assert world.repo.git("status", "--porcelain") == ""
