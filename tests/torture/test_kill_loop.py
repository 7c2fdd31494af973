"""Killed between any two steps, and while it recovers from that, the runner goes on, loses nothing, repeats nothing."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from runner import failpoints
from tests.saved import Saved
from tests.torture.stories import Story

KILLED = -9
ELSEWHERE = {"deploy-begun", "deploy-ended", "released"}
"""Nothing is released in this story: tests/reconcile/test_release_troubles.py."""
NAMES = [name for name in failpoints.NAMES if name not in ELSEWHERE]
ERRORS = list(zip(NAMES, itertools.cycle(["ENOSPC", "EIO", "EMFILE"]), strict=False))


@pytest.fixture(scope="module")
def begun(own_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Saved[Story]:
    """Nothing is reconciled yet."""
    story = Story.begin(tmp_path_factory.mktemp("begun") / "story")
    return Saved.of(story, story.world.folder)


@pytest.fixture(scope="module")
def killed(own_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Saved[Story]:
    """The second reconcile pushed results and was killed before it took note of that."""
    story = Story.begin(tmp_path_factory.mktemp("killed") / "story")
    assert story.reconcile().status == 3
    story.edit()
    assert story.reconcile(points="pushed=kill").status == KILLED
    return Saved.of(story, story.world.folder)


def test_an_ordinary_story_reaches_every_failpoint(tmp_path: Path) -> None:
    story = Story.begin(tmp_path)
    assert story.reconcile(points=f"*=trace:{tmp_path}/points@1+").status == 3
    child = story.start("pushed=kill")
    story.note(child.wait())
    story.edit()
    story.reconcile(points=f"*=trace:{tmp_path}/points@1+")
    reached = set((tmp_path / "points").read_text().split())
    assert set(NAMES) - reached == set()
    assert story.peace() == []


@pytest.mark.parametrize("name", NAMES)
def test_killed_at_a_failpoint_the_next_reconcile_goes_on(name: str, begun: Saved[Story]) -> None:
    story = begun.again()
    assert story.reconcile(points=f"{name}=kill").status == KILLED
    assert story.peace() == []


@pytest.mark.parametrize("name", NAMES)
def test_killed_again_while_it_recovers_it_still_goes_on(name: str, killed: Saved[Story]) -> None:
    story = killed.again()
    story.reconcile(points=f"{name}=kill")
    story.edit()
    story.reconcile(points=f"{name}=kill@2")
    assert story.peace() == []


@pytest.mark.parametrize(("name", "error"), ERRORS)
def test_an_error_of_the_host_at_a_failpoint_is_told_and_mended_by_the_next(
    name: str, error: str, begun: Saved[Story]
) -> None:
    story = begun.again()
    ended = story.reconcile(points=f"{name}=error:{error}@1")
    assert ended.status in (3, 4), ended.err
    assert story.peace() == []
