"""Who publishes to one branch at the same time queues up, on a real remote; the queue is advice and holds nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.core.turns import FIRST_PATIENCE_SECONDS, REFS, Patience, Turn, in_front, pause_seconds
from runner.git.commit import CommitRequest, FileContent, Identity
from runner.git.mirror import Mirror
from runner.git.push import PushStatus
from runner.ledger import layout
from runner.record.claims import take_back
from runner.record.turns import Turns
from tests.repositories import git

BRANCH = "runner/state"


@dataclass
class Remote:
    """A bare repository whose state branch has one commit, and runners with copies of it."""

    folder: Path
    now: float = 0.0
    paused: list[float] = field(default_factory=list)

    def copy(self, name: str) -> Mirror:
        return Mirror.open(self.folder / f"{name}.git", str(self.folder / "remote.git"))

    def turns(self, name: str, meanwhile: Callable[[], None] = lambda: None) -> Turns:
        """A runner's turns; time goes by where it pauses, and something else happens."""

        def pause(seconds: float) -> None:
            self.now += seconds
            self.paused.append(seconds)
            meanwhile()

        mirror = self.copy(name)
        mirror.fetch()
        return Turns(mirror, BRANCH, name, pause=pause, monotonic=lambda: self.now)

    def publish(self, mirror: Mirror) -> str:
        """One more state with one more record."""
        mirror.fetch()
        tip = mirror.tip(BRANCH)
        number = json.loads(mirror.reader.file(tip, layout.STATE) or b"{}")["sequence"] + 1 if tip else 1
        files = {layout.STATE: FileContent(data=json.dumps({"sequence": number}).encode())}
        request = CommitRequest((tip,) if tip else (), None, "x", Identity("a", "b"), 0, files=files)
        sha = mirror.write_commit(request)
        assert mirror.push(sha, BRANCH, tip).status is PushStatus.ACCEPTED
        return sha

    def placed(self) -> list[str]:
        words = git(self.folder / "remote.git", "for-each-ref", "--format=%(refname)", REFS)
        return [name.removeprefix(f"{REFS}{BRANCH}/") for name in words.split()]


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    remote = Remote(tmp_path)
    remote.first = remote.publish(remote.copy("people"))  # type: ignore[attr-defined]
    return remote


def test_who_was_served_before_waits_for_who_was_not(remote: Remote) -> None:
    people = remote.copy("people")
    old = people.tip(BRANCH)
    new = remote.publish(people)
    first, order = remote.turns("first"), []

    def first_publishes() -> None:
        if "first" in remote.placed():
            order.append("first")
            sha = people.write_commit(
                CommitRequest((new,), people.reader.commit(new).tree, "more", Identity("a", "b"), 1)
            )
            assert first.mirror.drop(first.to_drop()[0], str(old)).status is PushStatus.ACCEPTED
            assert people.push(sha, BRANCH, new).status is PushStatus.ACCEPTED

    second = remote.turns("second", first_publishes)
    assert first.wait(2, old, new)
    assert remote.placed() == ["first"]
    assert second.wait(2, new, new)
    assert (order, remote.placed()) == (["first"], ["second"])


def test_a_first_try_and_a_second_one_place_nothing(remote: Remote) -> None:
    turns = remote.turns("a")
    tip = turns.mirror.reader.ref(f"refs/heads/{BRANCH}")
    assert not turns.wait(0, tip, tip)
    assert turns.wait(1, tip, tip)
    assert (remote.placed(), remote.paused, turns.to_drop()) == ([], [], [])


def test_who_has_just_published_looks_first(remote: Remote) -> None:
    turns = remote.turns("a")
    tip = turns.mirror.reader.ref(f"refs/heads/{BRANCH}")
    turns.answered(PushStatus.ACCEPTED)
    assert not turns.wait(0, tip, tip), "nobody else is there, and nothing has moved"
    remote.publish(remote.copy("people"))
    assert turns.wait(0, tip, tip), "it moved: a try on the old one would be lost"
    assert remote.placed() == []


def test_the_turn_of_a_dead_runner_is_taken_away_and_waited_for_once(remote: Remote) -> None:
    people = remote.copy("people")
    dead = remote.turns("dead")
    old = people.tip(BRANCH)
    assert dead.wait(2, old, old)
    new = remote.publish(people)
    turns = remote.turns("a")
    assert turns.wait(2, new, new)
    assert FIRST_PATIENCE_SECONDS <= sum(remote.paused) <= 2 * FIRST_PATIENCE_SECONDS
    assert remote.placed() == ["a"]


def test_a_turn_is_removed_by_the_push_that_publishes(remote: Remote) -> None:
    turns = remote.turns("a")
    tip = turns.mirror.tip(BRANCH)
    assert turns.wait(2, tip, tip)
    assert remote.placed() == ["a"]
    request = CommitRequest((str(tip),), turns.mirror.reader.commit(str(tip)).tree, "x", Identity("a", "b"), 2)
    result = turns.mirror.push(turns.mirror.write_commit(request), BRANCH, tip, drop=turns.to_drop())  # type: ignore[attr-defined]
    turns.answered(result.status)
    assert (result.status, remote.placed(), turns.to_drop()) == (PushStatus.ACCEPTED, [], [])


def test_a_turn_is_taken_back_where_nothing_was_published(remote: Remote) -> None:
    turns = remote.turns("a")
    tip = turns.mirror.tip(BRANCH)
    turns.wait(2, tip, tip)
    turns.answered(PushStatus.LOST_RACE)
    turns.leave()
    assert (remote.placed(), turns.to_drop()) == ([], [])


def test_the_next_reconcile_of_a_home_removes_the_turns_of_its_dead(remote: Remote) -> None:
    for name in ("dead", "alive"):
        turns = remote.turns(name)
        tip = turns.mirror.tip(BRANCH)
        turns.wait(2, tip, tip)
    home = remote.folder / "home"
    home.mkdir()
    (home / "dead.lock").touch()
    take_back(remote.copy("people"), home)
    assert (remote.placed(), list(home.iterdir())) == (["alive"], [])


def test_where_a_remote_takes_no_such_refs_chance_decides(remote: Remote) -> None:
    hook = remote.folder / "remote.git" / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase "$1" in refs/heads/*) exit 0;; *) exit 1;; esac\n')
    hook.chmod(0o755)
    turns = remote.turns("a")
    tip = turns.mirror.tip(BRANCH)
    for attempt in (1, 2, 3, 11):
        assert turns.wait(attempt, tip, tip)
        assert turns.to_drop() == []
    assert len(remote.paused) == 3
    assert all(0 <= pause <= 2 for pause in remote.paused)


def test_a_remote_that_cannot_be_reached_is_no_error_of_the_queue(remote: Remote) -> None:
    turns = remote.turns("a")
    tip = turns.mirror.tip(BRANCH)
    (remote.folder / "remote.git").rename(remote.folder / "gone.git")
    assert turns.wait(2, tip, tip)
    assert len(remote.paused) == 1


def test_what_is_no_turn_holds_nobody(remote: Remote) -> None:
    """Anybody who may push may write there: a blob, a tree, a commit without records, one that nobody here knows."""
    people = remote.copy("people")
    tip = str(people.tip(BRANCH))
    bare = remote.folder / "remote.git"
    empty = git(bare, "commit-tree", "-m", "no state", f"{tip}^{{tree}}:.runner").strip()
    for name, oid in {
        "blob": git(bare, "rev-parse", f"{tip}:{layout.STATE}").strip(),
        "tree": git(bare, "rev-parse", f"{tip}^{{tree}}").strip(),
        "unknown": empty,
    }.items():
        git(bare, "update-ref", f"{REFS}{BRANCH}/{name}", oid)
    turns = remote.turns("a")
    assert turns.wait(1, tip, tip)
    assert turns.wait(2, tip, tip)
    assert sum(remote.paused) <= 4 * FIRST_PATIENCE_SECONDS


def test_in_front_is_who_was_served_longest_ago() -> None:
    own = Turn(5, "m")
    turns = [Turn(7, "a"), Turn(5, "z"), Turn(5, "b"), Turn(3, "x"), own, Turn(2, "m")]
    assert in_front(turns, own) == [Turn(3, "x"), Turn(5, "b")]


def test_patience_grows_for_the_same_runner_and_ends_for_good() -> None:
    patience, now, waits = Patience(), 0.0, []
    slow = Turn(1, "slow")
    while patience.counts(slow):
        began = now
        while not patience.is_over(slow, now):
            now += 0.5
        waits.append(now - began)
        patience.pass_by(slow)
    assert waits == [2, 4, 8, 16]
    assert patience.counts(Turn(1, "other"))


def test_who_moves_up_is_waited_for_anew() -> None:
    patience = Patience()
    assert not patience.is_over(Turn(1, "a"), 0.0)
    assert not patience.is_over(Turn(2, "b"), FIRST_PATIENCE_SECONDS)
    assert patience.is_over(Turn(2, "b"), 2 * FIRST_PATIENCE_SECONDS)


def test_who_is_far_behind_looks_seldom() -> None:
    assert pause_seconds(1, 0.01, 0.2) < pause_seconds(2, 0.01, 0.2) < pause_seconds(8, 0.01, 0.2)
    assert pause_seconds(1, 1.0, 0.2) >= 1.0, "not faster than the remote answers"
