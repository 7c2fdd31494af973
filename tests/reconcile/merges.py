"""What people do with a watched branch that holds its own results: pull it, fork it, merge a fork."""

from __future__ import annotations

from pathlib import Path

from tests.reconcile.worlds import World
from tests.repositories import git


def pulled(world: World) -> None:
    """They pull it, with a merge where they have commits of their own."""
    world.repo.git("pull", "--quiet", "--no-rebase", "--no-edit", "origin", "main")


def forked(world: World, folder: Path, seeds: list[str]) -> World:
    """Somebody's fork, as the branch is now, whose runner records a result for each seed."""
    folder.mkdir()
    git(folder, "clone", "--quiet", "--bare", str(world.remote), "remote.git")
    git(folder, "clone", "--quiet", "remote.git", "repo")
    fork = World(folder, type(world.repo)(folder / "repo"), folder / "remote.git")
    (folder / "trace").touch()
    for seed in seeds:
        fork.edit({"seed": seed})
        fork.reconcile(host="fork")
        pulled(fork)
    return fork


def merged(world: World, fork: World, keep: str = "ours") -> None:
    """The maintainers merge it into the watched branch, and keep what one runner wrote: `ours` or `theirs`."""
    pulled(world)
    world.repo.git("fetch", "--quiet", str(fork.remote), "main")
    world.repo.git("merge", "--quiet", "--no-ff", "--no-edit", "-X", keep, "FETCH_HEAD")
    world.repo.push()
    world.trace()
