"""Who publishes to one branch at the same time queues up, on a real remote; the queue is advice and holds nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.core.own_refs import TURNS, Refusal
from runner.core.turns import FIRST_PATIENCE_SECONDS, Patience, Turn, in_front, pause_seconds
from runner.git.commit import CommitRequest, FileContent, Identity
from runner.git.mirror import Mirror
from runner.git.push import PushStatus
from runner.ledger import layout
from runner.record.claims import take_back
from runner.record.turns import Turns
from tests.repositories import git

BRANCH = "runner/state"
REFS, BRANCHES = TURNS.places


@dataclass
class Remote:
    """A bare repository whose state branch has one commit, and runners with copies of it."""

    folder: Path
    first: str = ""
    """That commit."""
    now: float = 0.0
    paused: list[float] = field(default_factory=list)
    """Seconds in the queue."""
    rested: list[float] = field(default_factory=list)
    """Seconds by chance."""

    def copy(self, name: str) -> Mirror:
        return Mirror.open(self.folder / f"{name}.git", str(self.folder / "remote.git"))

    def turns(self, name: str, meanwhile: Callable[[], object] = lambda: None) -> Turns:
        """A runner's turns; time goes by where it pauses, and something else happens: True is a stop."""

        def pause(seconds: float) -> bool:
            self.now += seconds
            self.paused.append(seconds)
            return meanwhile() is True

        def rest(seconds: float) -> None:
            self.now += seconds
            self.rested.append(seconds)

        mirror = self.copy(name)
        mirror.fetch()
        return Turns(mirror, BRANCH, name, pause=pause, rest=rest, monotonic=lambda: self.now)

    def forge(self, name: str, oid: str) -> None:
        """Somebody who may push writes below the refs of turns."""
        git(self.folder / "remote.git", "update-ref", f"{REFS}{BRANCH}/{name}", oid)

    def hook(self, refused: str) -> None:
        """The remote refuses an update where this condition of a shell holds: of $1 the ref, of $3 its new object."""
        path = self.folder / "remote.git" / "hooks" / "update"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\ncase "$1 $3" in {refused}) echo no >&2; exit 1;; esac\n')
        path.chmod(0o755)

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
        words = git(self.folder / "remote.git", "for-each-ref", "--format=%(refname)", REFS, BRANCHES)
        return [name.removeprefix(f"{REFS}{BRANCH}/") for name in words.split()]


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    remote = Remote(tmp_path)
    remote.first = remote.publish(remote.copy("people"))
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


def test_where_a_remote_takes_branches_alone_turns_are_branches(remote: Remote) -> None:
    remote.hook("refs/runner/*")
    tip = remote.first
    dead, mine, new = f"{BRANCHES}{BRANCH}/dead", f"{BRANCHES}{BRANCH}/mine", f"{BRANCHES}{BRANCH}/new"
    git(remote.folder / "remote.git", "update-ref", dead, tip)
    turns = remote.turns("mine")
    assert turns.wait(3, tip, tip)
    assert (remote.placed(), turns.to_drop(), remote.rested) == ([mine], [mine], [])
    assert sum(remote.paused) >= FIRST_PATIENCE_SECONDS, "it waited for the dead one, and took it away"

    newer = remote.publish(remote.copy("people"))
    other = remote.turns("new")
    assert other.wait(2, newer, newer)
    assert (sorted(remote.placed()), other.to_drop()) == ([new], [new]), "who does not go on is passed by"
    other.leave()
    assert remote.placed() == []


def test_where_a_remote_takes_no_such_refs_chance_decides(remote: Remote) -> None:
    remote.hook("*runner/turns/*")
    turns = remote.turns("a")
    tip = turns.mirror.tip(BRANCH)
    for attempt in (1, 2, 3, 11):
        assert turns.wait(attempt, tip, tip)
        assert turns.to_drop() == []
    assert (remote.paused, len(remote.rested)) == ([], 3)
    assert all(0 <= pause <= 2 for pause in remote.rested)


def test_a_remote_that_cannot_be_reached_is_no_error_of_the_queue(remote: Remote) -> None:
    turns = remote.turns("a")
    tip = turns.mirror.tip(BRANCH)
    (remote.folder / "remote.git").rename(remote.folder / "gone.git")
    assert turns.wait(2, tip, tip)
    assert (remote.paused, len(remote.rested)) == ([], 1)


@pytest.mark.parametrize("name", [layout.STATE, ""], ids=["blob", "tree"])
def test_what_is_no_commit_is_removed_and_the_queue_works(remote: Remote, name: str) -> None:
    """Anybody who may push may write there."""
    tip = remote.first
    remote.forge("evil", git(remote.folder / "remote.git", "rev-parse", f"{tip}:{name}").strip())
    assert_the_queue_works(remote)
    assert "evil" not in remote.placed()


def test_a_tag_holds_nobody(remote: Remote) -> None:
    """`git ls-remote` names it twice, the second time with the commit that it is of: that is no ref."""
    bare = remote.folder / "remote.git"
    git(bare, "-c", "user.name=a", "-c", "user.email=b", "tag", "-a", "-m", "x", "old", remote.first)
    remote.publish(remote.copy("people"))
    remote.forge("evil", git(bare, "rev-parse", "old").strip())
    assert_the_queue_works(remote)


def test_a_tag_that_is_here_is_removed(remote: Remote) -> None:
    bare = remote.folder / "remote.git"
    git(bare, "-c", "user.name=a", "-c", "user.email=b", "tag", "-a", "-m", "x", "old", remote.first)
    remote.forge("evil", git(bare, "rev-parse", "old").strip())
    turns = remote.turns("a")
    turns.mirror.fetch_refs(["refs/tags/old"])  # type: ignore[attr-defined]
    assert turns.wait(2, remote.first, remote.first)
    assert (remote.placed(), remote.paused, remote.rested) == (["a"], [], [])


def test_a_commit_that_is_not_here_holds_nobody(remote: Remote) -> None:
    remote.forge(
        "evil", git(remote.folder / "remote.git", "commit-tree", "-m", "x", f"{remote.first}^{{tree}}").strip()
    )
    assert_the_queue_works(remote)


def test_a_commit_without_records_is_waited_for_once_and_removed(remote: Remote) -> None:
    bare = remote.folder / "remote.git"
    empty = git(bare, "hash-object", "-t", "tree", "-w", "/dev/null").strip()
    remote.forge("evil", git(bare, "commit-tree", "-m", "x", empty).strip())
    git(bare, "update-ref", "refs/heads/other", f"{REFS}{BRANCH}/evil")
    turns = remote.turns("a")
    tip = turns.mirror.tip(BRANCH)
    assert turns.wait(1, tip, tip)
    assert FIRST_PATIENCE_SECONDS <= sum(remote.paused) <= 2 * FIRST_PATIENCE_SECONDS
    assert (remote.placed(), remote.rested) == (["a"], [])


def assert_the_queue_works(remote: Remote) -> None:
    """Nothing that is there now is waited for, and whoever comes later waits for the one that has a turn."""
    first = remote.turns("first")
    old = first.mirror.tip(BRANCH)
    assert first.wait(2, old, old)
    assert (remote.paused, remote.rested) == ([], [])
    assert "first" in remote.placed()
    new = remote.publish(remote.copy("people"))
    second = remote.turns("second", first.leave)
    assert second.wait(2, new, new)
    assert (len(remote.paused), remote.rested) == (1, [])
    assert "second" in remote.placed()


NO_REMOVAL = f"refs/runner/turns/*{40 * '0'}"


def test_where_a_remote_lets_no_turn_be_removed_chance_decides(remote: Remote) -> None:
    """Else everybody would wait for the same dead again, at each try."""
    for number in range(8):
        remote.forge(f"dead{number}", remote.first)
    tip = remote.publish(remote.copy("people"))
    remote.hook(NO_REMOVAL)
    refusal = Refusal()
    for name in ("a", "b"):  # of one process
        turns = remote.turns(name)
        turns.refusal = refusal
        for attempt in (1, 2, 3):
            assert turns.wait(attempt, tip, tip)
    assert FIRST_PATIENCE_SECONDS <= sum(remote.paused) <= 2 * FIRST_PATIENCE_SECONDS
    assert len(remote.rested) == 6
    assert "b" not in remote.placed()


def test_what_cannot_be_removed_is_found_out_before_a_turn_is_placed(remote: Remote) -> None:
    remote.hook(NO_REMOVAL)
    remote.forge("evil", git(remote.folder / "remote.git", "rev-parse", f"{remote.first}^{{tree}}").strip())
    turns = remote.turns("a")
    assert turns.wait(2, remote.first, remote.first)
    assert (remote.placed(), turns.to_drop(), len(remote.rested)) == (["evil"], [], 1)


def test_any_number_of_forged_turns_costs_a_reconcile_a_minute_in_all(remote: Remote) -> None:
    for number in range(60):
        remote.forge(f"forged{number:02}", remote.first)
    tip = remote.publish(remote.copy("people"))
    patience = Patience()
    for name in ("a", "b", "c"):  # publishers of one reconcile
        turns = remote.turns(name)
        turns.patience, turns._try_seconds = patience, 1.0
        for attempt in (1, 2, 3):
            assert turns.wait(attempt, tip, tip)
        turns.leave()
    assert 60 <= sum(remote.paused) <= 70
    assert patience.is_used_up()
    assert len(remote.rested) == 8, "then chance decides"


def test_who_waits_while_others_are_served_does_not_wait_in_vain(remote: Remote) -> None:
    people = remote.copy("people")
    remote.forge("first", remote.first)
    tip = remote.publish(people)
    turns = remote.turns("a", lambda: remote.publish(people))
    turns.patience.spend(59)
    turns._try_seconds = 2.0
    assert turns.wait(2, tip, tip)
    assert sum(remote.paused) >= FIRST_PATIENCE_SECONDS
    assert not turns.patience.is_used_up()


def test_a_stop_ends_the_wait_in_the_queue(remote: Remote) -> None:
    for number in range(8):
        remote.forge(f"forged{number}", remote.first)
    tip = remote.publish(remote.copy("people"))
    turns = remote.turns("a", lambda: True)
    assert turns.wait(1, tip, tip)
    assert (len(remote.paused), remote.rested) == (1, []), "a try is made at once"
    assert turns.wait(2, tip, tip)
    assert (len(remote.paused), len(remote.rested)) == (1, 1)
    turns.leave()
    assert "a" not in remote.placed()


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
