"""What a runner runs now is claimed: others leave it alone while it lives, and go on where it does not."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner import failpoints
from runner.core.claims import EXPIRY_SECONDS, Claim, Watch, parse_claim
from runner.core.nouns import Address
from runner.git.mirror import Mirror
from runner.record.claims import Claims
from runner.record.liveness import HomeLocks
from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World, until
from tests.repositories import git

STAGES = """\
stages:
  slow:
    cmd: echo slow >> @TRACE@; while [ ! -e @GATE@ ]; do sleep 0.05; done; cp in slow
    deps: [in]
    outs: [slow]
  after:
    cmd: echo after >> @TRACE@; cp slow after
    deps: [slow]
    outs: [after]
  other:
    cmd: echo other >> @TRACE@; cp in other
    deps: [in]
    outs: [other]
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A stage of it runs until there is a file `gate`."""
    return World.create(tmp_path, {"dvc.yaml": STAGES.replace("@GATE@", str(tmp_path / "gate")), "in": "1\n"}, dvc=True)


def claims(world: World) -> list[str]:
    """Refs of claims on the remote."""
    return [ref for ref in world.refs() if "/claims/" in ref]


def begin(world: World, host: str) -> subprocess.Popen[str]:
    """A reconcile on a host that has begun the slow stage."""
    process = world.start("reconcile", "--json", "--repo", str(world.remote), host=host, cwd=world.folder)
    until(lambda: "slow" in (world.folder / "trace").read_text().split())
    return process


def test_a_stage_that_another_runner_runs_is_not_run_again(world: World) -> None:
    first = begin(world, "a")
    second = world.start(
        "reconcile", "--json", "--repo", str(world.remote), host="b", cwd=world.folder, log=world.folder / "b.log"
    )
    until(lambda: "runs on" in (world.folder / "b.log").read_text())
    (world.folder / "gate").touch()
    assert (first.wait(), second.wait()) == (0, 0)

    assert world.trace() == ["after", "other", "slow"]
    assert claims(world) == []
    check_ledger(world.remote)


def test_who_is_not_to_wait_does_the_rest_and_says_what_is_left(world: World) -> None:
    first = begin(world, "a")
    world.edit({"dvc.yaml": world.repo.path.joinpath("dvc.yaml").read_text().replace("cp in other", "cat in > other")})
    told = world.reconcile("--no-wait", host="b", elsewhere=True, ok=(5,))
    assert told.ran == ["other"]
    assert told.actions["slow"] == told.actions["after"] == "wait"
    [row] = [row for row in told.value["stages"] if row["stage"] == "slow"]
    assert row["reasons"][0].startswith("runs on ")

    (world.folder / "gate").touch()
    assert first.wait() == 0
    told = world.reconcile(host="b", elsewhere=True)
    assert (told.ran, world.trace()) == ([], ["after", "other", "other", "slow"])


def test_what_another_runner_of_the_same_cache_has_made_is_its_own_to_record(world: World) -> None:
    first = world.start("reconcile", "--json")  # both in one clone, so that DVC's run-cache is one, too
    until(lambda: list(world.repo.path.glob(".dvc/cache/runs/*/*/*")) != [], 240)
    told = world.reconcile("--no-wait", ok=(5,))
    assert (told.ran, told.actions["other"]) == ([], "wait")
    [row] = [row for row in told.value["stages"] if row["stage"] == "other"]
    assert row["reasons"][0].startswith("runs on ")
    assert "in DVC's run-cache" in row["reasons"][0]

    (world.folder / "gate").touch()
    assert first.wait() == 0
    told = world.reconcile()
    assert (told.commit, told.ran) == (None, [])
    runs = {run["stage"]: (run["provenance"], run["outcome"]["reason"]) for run in world.runs()}
    assert (len(world.runs()), runs) == (3, dict.fromkeys(("slow", "after", "other"), ("runner", "ok")))


def test_a_runner_of_the_same_home_that_was_killed_is_not_waited_for(world: World) -> None:
    process = begin(world, "a")
    process.kill()
    process.wait()
    assert len(claims(world)) == 1
    (world.folder / "gate").touch()
    world.trace()

    told = world.reconcile(host="a", elsewhere=True)
    assert set(told.ran) - {"other"} == {"after", "slow"}, "the other one may have finished before"
    assert claims(world) == []


def test_a_claim_that_a_person_breaks_holds_nobody(world: World) -> None:
    process = begin(world, "a")
    process.kill()
    process.wait()
    [ref] = claims(world)
    listed = json.loads(world.runner("claims", "list", "--json").stdout)["claims"]
    assert [row["id"] for row in listed] == [ref.rpartition("/")[2]]
    assert listed[0]["gone"]
    assert json.loads(world.runner("claims", "list", "--json", host="b").stdout)["claims"][0]["gone"] is False
    assert json.loads(world.runner("status", "--json").stdout)["claims"] == []
    assert len(json.loads(world.runner("status", "--json", host="b").stdout)["claims"]) == 1
    assert "dvc.yaml:slow" in listed[0]["stages"]
    assert "slow" in world.runner("claims", "list").stdout

    assert "there is no claim 0123" in world.runner("claims", "break", "0123", ok=(1,)).stderr
    broken = world.runner("claims", "break", listed[0]["id"][:8], host="b")
    assert "is not known to be gone; if that runner lives, others now start" in broken.stderr
    assert claims(world) == []
    assert world.runner("claims", "list", host="b").stdout == "Nobody claims anything.\n"
    assert "Running now" not in world.runner("status", host="b").stdout
    (world.folder / "gate").touch()
    assert world.reconcile("--no-wait", host="b", elsewhere=True).ran == ["after", "other", "slow"]
    assert world.runner("claims", "list").stdout == "Nobody claims anything.\n"


def test_the_status_shows_who_is_at_it(world: World) -> None:
    process = begin(world, "a")
    shown = world.runner("status", host="a").stdout
    assert "slow" in shown.partition("Running now")[2]
    assert json.loads(world.runner("status", "--json", host="a").stdout)["claims"][0]["stages"]
    (world.folder / "gate").touch()
    assert process.wait() == 0


def test_where_only_branches_are_allowed_a_claim_is_a_branch(world: World) -> None:
    hook = world.remote / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase "$1" in refs/heads/*) exit 0;; *) exit 1;; esac\n')
    hook.chmod(0o755)
    process = begin(world, "a")
    [ref] = claims(world)
    assert ref.startswith("refs/heads/runner/claims/")
    told = world.reconcile("--no-wait", host="b", elsewhere=True, ok=(5,))
    assert told.actions["slow"] == "wait"
    (world.folder / "gate").touch()
    assert process.wait() == 0
    assert claims(world) == []


def test_where_no_claim_can_be_placed_it_is_said_and_work_goes_on(world: World) -> None:
    hook = world.remote / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase "$1" in *claims*) exit 1;; esac\n')
    hook.chmod(0o755)
    (world.folder / "gate").touch()
    told = world.reconcile()
    assert told.ran == ["after", "other", "slow"]
    assert "the remote takes no claims" in told.err


def test_a_stop_while_waiting_ends_the_wait(world: World) -> None:
    first = begin(world, "a")
    log = world.folder / "b.log"
    second = world.start("reconcile", "--repo", str(world.remote), host="b", cwd=world.folder, log=log)
    until(lambda: "runs on" in log.read_text())
    second.terminate()
    assert second.wait() == 143
    assert "Traceback" not in log.read_text()
    (world.folder / "gate").touch()
    assert first.wait() == 0


def test_what_is_no_claim_is_passed_over(world: World) -> None:
    for number, message in enumerate(
        ["", "words", "x\n\n{}", 'x\n\n{"schema": 1, "id": 7, "keys": [], "waiting": {}}']
    ):
        commit = git(world.remote, "commit-tree", "-m", message or " ", "main^{tree}")
        git(world.remote, "update-ref", f"refs/runner/claims/forged{number}", commit)
    (world.folder / "gate").touch()
    assert world.reconcile().ran == ["after", "other", "slow"]
    assert world.runner("claims", "list").stdout == "Nobody claims anything.\n"


def test_the_daemon_leaves_what_others_run_to_the_next_round(world: World) -> None:
    first = begin(world, "a")
    told = world.runner("daemon", "--once", "--repo", str(world.remote), host="b", cwd=world.folder, ok=(5,))
    assert "slow" in told.stderr
    assert "nothing to do; 2 stages left to another runner" in told.stderr
    (world.folder / "gate").touch()
    assert first.wait() == 0
    world.runner("daemon", "--once", "--repo", str(world.remote), host="b", cwd=world.folder)
    assert world.trace() == ["after", "other", "slow"]


def test_a_claim_counts_as_long_as_it_changes() -> None:
    watch = Watch()
    assert watch.look({"a": "1", "b": "1"}, 0.0) == {"a", "b"}
    assert watch.look({"a": "2", "b": "1"}, EXPIRY_SECONDS - 1) == {"a", "b"}
    assert watch.look({"a": "2", "b": "1"}, EXPIRY_SECONDS) == {"a"}
    assert watch.look({"a": "2", "b": "2"}, EXPIRY_SECONDS + 1) == {"a", "b"}
    assert watch.look({"b": "2"}, 3 * EXPIRY_SECONDS) == frozenset()


def test_a_claim_holds_its_keys_and_what_waits_for_the_same_commit() -> None:
    claim = Claim("i", "h", "home", "me", "command", "runner/state", "c1", {"k": "p:a"}, ("p:b",))
    assert claim.holds("k", Address("q", "z"), "c2")
    assert claim.holds("other", Address("p", "b"), "c1")
    assert not claim.holds("other", Address("p", "b"), "c2")
    assert not claim.holds(None, Address("p", "a"), "c1")
    assert parse_claim(json.dumps(claim.as_json())) == claim


def test_waiting_costs_no_clock_of_others(world: World) -> None:
    """A claim whose owner's clock is years ahead or behind is judged like any other."""
    process = begin(world, "a")
    [ref] = claims(world)
    words = git(world.remote, "log", "-1", "--format=%B", ref).splitlines()
    row = {**json.loads(words[-1]), "since": time.time() + 10**8, "id": "skewed", "home": "elsewhere"}
    forged = git(world.remote, "commit-tree", "-m", f"{words[0]}\n\n{json.dumps(row)}", "main^{tree}")
    git(world.remote, "update-ref", "refs/runner/claims/skewed", forged)
    (world.folder / "gate").touch()
    assert process.wait() == 0
    world.edit({"in": "2\n"})
    assert world.reconcile("--no-wait", host="b").ran == ["after", "other", "slow"]


@contextmanager
def claimer(world: World, name: str) -> Iterator[Claims]:
    """A runner's claims; by its clock every look at it is hours after the one before."""
    mirror = Mirror.open(world.folder / f"{name}.git", str(world.remote))
    mirror.fetch()
    clock = itertools.count(0, 10_000)
    own = Claim(name, "host", f"home of {name}", "me", "test", "runner/state", world.repo.head)
    found = Claims(mirror, HomeLocks(world.folder / name), own, Watch(), str, time.time, lambda: float(next(clock)))
    try:
        yield found
    finally:
        found.release()
        mirror.close()


def test_a_claim_is_renewed_until_the_results_are_published(world: World) -> None:
    with claimer(world, "a") as mine:
        assert mine.take({"k": Address("p", "s")}, [], None)
        assert mine.to_drop() == []
        mine.dropped()  # of a batch that was published while stages run
        mine.ended()
        before = world.refs()["refs/runner/claims/a"]
        until(lambda: world.refs()["refs/runner/claims/a"] != before)

        assert mine.to_drop() == ["refs/runner/claims/a"]
        last = world.refs()["refs/runner/claims/a"]
        git(world.remote, "update-ref", "-d", "refs/runner/claims/a", last)
        mine.dropped()
    assert claims(world) == []


@contextmanager
def failing(point: str) -> Iterator[None]:
    """An error of this host at a failpoint of this process, while the block lasts."""
    failpoints.arm(f"{point}=error:ENOSPC")
    try:
        yield
    finally:
        failpoints.arm("")


def test_an_error_of_this_host_does_not_end_the_renewal_of_a_claim(world: World) -> None:
    """It is said once, and the claim is renewed when the trouble is over: else others would take it for dead."""
    said: list[str] = []
    with claimer(world, "a") as mine:
        mine.notice = said.append
        assert mine.take({"k": Address("p", "s")}, [], None)
        with failing("commit-built"):
            until(lambda: bool(said), seconds=120)
        before = world.refs()["refs/runner/claims/a"]
        until(lambda: world.refs()["refs/runner/claims/a"] != before, seconds=120)
    assert said == [
        "claims cannot be kept now, so another runner may run the same: failpoint commit-built: No space left on device"
    ]
    assert claims(world) == []


@pytest.mark.parametrize("point", ["commit-built", "claim-placed"])
def test_an_error_of_this_host_while_a_claim_is_placed_ends_no_work(world: World, point: str) -> None:
    with claimer(world, "a") as mine, failing(point):
        assert mine.take({"k": Address("p", "s")}, [], None)


def test_what_was_another_s_is_not_run_when_his_claim_is_gone(world: World) -> None:
    """He has recorded it meanwhile, and this round does not know that yet."""
    theirs, own = Address("p", "theirs"), Address("p", "own")
    with claimer(world, "b") as mine:
        with claimer(world, "a") as his:
            assert his.take({"k": theirs}, [], None)
            assert mine.take({"k": theirs, "l": own}, [], None)
        assert mine.read() == ()

        assert mine.held_elsewhere("l", own) is None
        found = mine.held_elsewhere("k", theirs)
        assert found is not None
        assert found.id == "a"


def test_what_waits_here_is_not_left_to_one_who_claims_later_that_it_waits_there(world: World) -> None:
    after = Address("p", "after")
    with claimer(world, "a") as mine, claimer(world, "b") as his:
        assert mine.take({"k": Address("p", "first")}, [after], None)
        his.own = Claim("b", "host", "home of b", "me", "test", "runner/state", world.repo.head, {}, ("p:after",))
        his._place()
        assert [claim.id for claim in mine.read()] == ["b"]
        assert mine.held_elsewhere("known now", after) is None


def test_claims_and_turns_that_are_branches_are_no_states_and_do_not_come_into_clones(world: World) -> None:
    commit = git(world.remote, "commit-tree", "-m", "a claim", "main^{tree}")
    git(world.remote, "update-ref", "refs/heads/runner/claims/0123", commit)
    git(world.remote, "update-ref", "refs/heads/runner/turns/runner/state/0123", commit)
    (world.folder / "gate").touch()
    world.reconcile()

    assert not {"claims", "turns"} & set(world.repo.git("for-each-ref").replace("/", " ").split())
    assert "there are: runner/state\n" in world.runner("runs", "list", "--ref", "nope", ok=(1,)).stderr
