"""Several writers at once: every result is recorded once, and nobody loses."""

from __future__ import annotations

import collections
import json
from pathlib import Path

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World

STAGES = """\
stages:
  one:
    cmd: echo one >> @TRACE@; sleep 0.2; cp in one
    deps: [in]
    outs: [one]
  two:
    cmd: echo two >> @TRACE@; date +%N > two; cat one >> two
    deps: [one]
    outs: [two]
  wrong:
    cmd: echo wrong >> @TRACE@; exit 1
    deps: [in]
    outs: [wrong]
"""


def test_two_reconciles_of_one_commit_record_every_result_once(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "1\n"}, dvc=True)
    both = [world.start("reconcile", "--json", "--repo", str(world.remote), host=host, cwd=tmp_path) for host in "ab"]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [3, 3], said
    predicates = check_ledger(world.remote)
    accepted = collections.Counter(
        p["run"]["stage"] for p in predicates if "run" in p and p["run"]["outcome"]["succeeded"]
    )
    assert accepted == {"one": 1, "two": 1}
    assert world.trace() == ["one", "two", "wrong"]
    assert [ref for ref in world.refs() if "claims" in ref] == []
    assert world.plan("--fetch") == {"one": "keep", "two": "keep", "wrong": "failed"}
    for host in "ab":
        told = world.reconcile(host=host, elsewhere=True, ok=(3,))
        assert (told.commit, told.ran) == (None, [])
    two = json.loads(world.file(".runner/recorded/dvc.yaml/two.json"))["outs"][0]["md5"]
    assert (world.store / "files/md5" / two[:2] / two[2:]).exists()


def test_two_reconciles_on_one_host_share_everything_but_the_work(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "1\n"})
    both = [world.start("reconcile", "--json") for _ in range(2)]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [3, 3], said
    check_ledger(world.remote)
    assert world.trace() == ["one", "two", "wrong"]
    assert world.plan() == {"one": "keep", "two": "keep", "wrong": "failed"}
    assert list(world.home("a").glob("r/*/journal/**/*.jsonl")) == []


def test_writers_of_different_commits_meet_on_one_state_branch(tmp_path: Path) -> None:
    stages = """\
stages:
  work:
    foreach: [1, 2, 3]
    do:
      cmd: echo w${item}-$(cat in) >> @TRACE@; cp in out${item}
      deps: [in]
      outs: ["out${item}"]
"""
    world = World.create(tmp_path, {"dvc.yaml": stages, "in": "0\n"})
    commits = [world.edit({"in": f"{number}\n"}, f"Number {number}") for number in range(1, 5)]
    runners = [
        world.start("reconcile", commit, "--json", "--repo", str(world.remote), host=commit[:4], cwd=tmp_path)
        for commit in commits
    ]
    said = [process.communicate() for process in runners]
    assert [process.returncode for process in runners] == [0] * 4, said
    predicates = check_ledger(world.remote)
    runs = [p["run"] for p in predicates if "run" in p]
    assert len({run["key"] for run in runs}) == len(runs) == 12
    assert world.trace() == sorted(f"w{item}-{number}" for item in (1, 2, 3) for number in range(1, 5))
    told = world.reconcile(host="last", elsewhere=True)
    assert told.ran == []
    assert json.loads(world.file(".runner/state.json"))["desired"] == commits[-1]
    assert set(world.plan("--fetch").values()) == {"keep"}


def test_proposals_and_the_watched_branch_at_once(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES.replace("exit 1", "cp in wrong"), "in": "0\n"}, dvc=True)
    world.reconcile()
    for name in ("left", "right"):
        world.repo.git("switch", "--quiet", "--create", name, "main")
        world.edit({"in": f"{name}\n"}, name)
    world.repo.git("switch", "--quiet", "main")
    world.trace()
    runners = [
        world.start("reconcile", name, "--json", "--repo", str(world.remote), host=name, cwd=tmp_path)
        for name in ("left", "right", "main")
    ]
    said = [process.communicate() for process in runners]
    assert [process.returncode for process in runners] == [0] * 3, said
    assert world.trace() == ["one", "one", "two", "two", "wrong", "wrong"]
    for name in ("left", "right"):
        check_ledger(world.remote, f"runner/proposed/{name}")
        world.repo.git("merge", "--quiet", "--no-edit", "-X", "theirs", name)
        world.repo.push()
        told = world.reconcile(host=f"after-{name}", elsewhere=True)
        assert told.ran == []
    check_ledger(world.remote)
