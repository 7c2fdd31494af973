"""Tags of releases on a real remote: made once, left where people put them, and never a reason to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reconcile.test_releases import files, release
from tests.reconcile.worlds import World
from tests.repositories import git
from tests.saved import Saved

STAGES = "  environments: [{name: staging}, {name: production, from: staging}]\n"


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Saved[World]:
    world = World.create(tmp_path_factory.mktemp("tagged") / "world", files(0.8, "one", STAGES), dvc=True)
    world.reconcile()
    return Saved.of(world, world.folder)


def tags(world: World) -> dict[str, str]:
    """Each tag and the commit that it is at."""
    names = git(world.remote, "tag", "--list").splitlines()
    return {name: git(world.remote, "rev-parse", f"{name}^{{commit}}") for name in names}


def test_versions_and_where_they_are_served_are_tags_that_gto_reads(tagged: Saved[World]) -> None:
    """gto 1.10.1 shows these as staging v2.0.0 and production v1.0.0 (`gto show` in a clone)."""
    world = tagged.again()
    first = tags(world)
    assert sorted(first) == ["churn-api#production#1", "churn-api#staging#1", "churn-api@v1.0.0"]
    [commit] = set(first.values())
    assert git(world.remote, "log", "-1", "--format=%s", commit) == "Release churn-api v1 in staging"
    assert git(world.remote, "cat-file", "-t", "churn-api@v1.0.0") == "tag"
    world.edit(files(0.9, "two", STAGES))
    world.reconcile()
    world.runner("rollback", "churn-api", "--environment", "production", "--reason", "wrong prices")
    now = tags(world)
    assert now["churn-api@v2.0.0"] == now["churn-api#staging#2"] == now["churn-api#production#2"] != commit
    assert now["churn-api#production#3"] == commit
    assert "churn-api@v3.0.0" not in now
    assert "wrong prices" in git(world.remote, "tag", "--list", "--format=%(contents)", "churn-api#production#3")
    refs = world.refs()
    for host in ("a", "fresh"):  # a fresh host asks what is there, and writes nothing
        assert world.reconcile(host=host, ok=(6,)).commit is None
        assert world.refs() == refs


def test_a_tag_of_somebody_else_is_never_moved(tagged: Saved[World]) -> None:
    world = tagged.again()
    git(world.remote, "tag", "churn-api@v2.0.0", "main")
    theirs = tags(world)["churn-api@v2.0.0"]
    world.edit(files(0.9, "two", STAGES))
    told = world.reconcile()
    assert "churn-api@v2.0.0: this tag is elsewhere already, and stays there" in told.err
    assert tags(world)["churn-api@v2.0.0"] == theirs
    assert release(world)["version"] == 2
    assert "somebody" not in world.reconcile().err


def test_a_remote_without_tags_is_told_and_asked_again(tagged: Saved[World]) -> None:
    world = tagged.again()
    hook = world.remote / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/tags/*) echo no tags here >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    world.edit(files(0.9, "two", STAGES))
    told = world.reconcile()
    assert "the remote does not take the tag churn-api@v2.0.0" in told.err
    assert release(world)["version"] == 2
    assert "the next reconcile tries again" in world.reconcile().err
    hook.unlink()
    assert world.reconcile().commit is None
    assert "churn-api@v2.0.0" in tags(world)


def test_a_project_may_do_without_tags(tmp_path: Path) -> None:
    project = "---\napiVersion: runner/v1\nkind: Project\nspec: {release: {tags: false}}\n"
    world = World.create(tmp_path / "world", files(0.8, "one", project), dvc=True)
    world.reconcile()
    assert release(world)["version"] == 1
    assert tags(world) == {}
