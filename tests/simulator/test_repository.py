"""The simulator's git is git: the same requests make the same commits in a real repository, name by name."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from runner.git.commit import CommitRequest, FileContent, Identity
from runner.git.mirror import Mirror
from tests.repositories import git
from tests.simulator.repository import Repository, Store
from tests.simulator.world import World, plot_of

NAMES = ("a", "a.b", "a-b", "b", "b/c", "b/c/d", "b.c", ".runner/keys/00", ".runner/state.json", "é", "run me")
ADA = Identity("Ada", "ada@example.com")


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "--quiet", "--bare", str(remote))
    return Mirror.open(tmp_path / "mirror.git", str(remote))


def content(rng: random.Random) -> FileContent:
    mode = rng.choice(("100644", "100644", "100755"))
    return FileContent(mode, f"{rng.randrange(9)}\n".encode())


def test_requests_make_the_same_commits_as_real_git(mirror: Mirror) -> None:
    rng, store, made = random.Random(1), Store(), list[str]()
    for number in range(60):
        parents = tuple(rng.sample(made, min(len(made), rng.choice((0, 1, 1, 2)))))
        base = store.commits[rng.choice(made)].tree if made and rng.random() < 0.8 else None
        folders = [oid for sha in made[-3:] for oid in store.tree(store.commits[sha].tree).folders.values()]
        blobs = [entry.oid for sha in made[-3:] for entry in store.tree(store.commits[sha].tree).files.values()]
        files = {name: content(rng) for name in rng.sample(NAMES, 3)}
        if blobs:
            files["known"] = FileContent("100644", None, rng.choice(blobs))
        request = CommitRequest(
            parents=parents,
            base_tree=base,
            message=f"commit {number}\n\nwith words",
            author=ADA,
            time_epoch=1_700_000_000 + number,
            deletes=tuple(rng.sample((*NAMES, "not there/at all"), 3)),
            trees={rng.choice(("t", "b", ".runner")): rng.choice(folders)} if folders else {},
            files=files,
        )
        made.append(store.make(request))
        assert mirror.write_commit(request) == made[-1]
        assert mirror.reader.tree(made[-1]).files == store.tree(store.commits[made[-1]].tree).files
    mirror.close()


def test_the_commits_of_a_whole_life_are_what_real_git_makes_of_them(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[tuple[CommitRequest, str]] = []
    real = Store.make

    def make(store: Store, request: CommitRequest) -> str:
        requests.append((request, real(store, request)))
        return requests[-1][1]

    monkeypatch.setattr(Store, "make", make)
    assert World(plot_of(9)).run() == []
    assert len(requests) > 3
    assert [mirror.write_commit(request) for request, _ in requests] == [sha for _, sha in requests]
    mirror.close()


def test_a_push_brings_all_that_a_commit_stands_on() -> None:
    world = World(plot_of(9))
    world.run()
    fresh = Repository(world.store)
    tip = world.remote.repository.refs["runner/state"]
    fresh.receive(tip)
    assert {entry.oid for entry in fresh.tree(tip).files.values()} <= fresh.has
    assert set(fresh.tree(tip).folders.values()) <= fresh.has
