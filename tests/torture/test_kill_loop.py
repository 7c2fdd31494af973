"""Killed between any two steps, and while it recovers from that, the runner goes on, loses nothing, repeats nothing."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from runner import failpoints
from tests.torture.stories import Story

KILLED = -9
ERRORS = list(zip(failpoints.NAMES, itertools.cycle(["ENOSPC", "EIO", "EMFILE"]), strict=False))


def test_an_ordinary_story_reaches_every_failpoint(tmp_path: Path) -> None:
    story = Story.begin(tmp_path)
    assert story.reconcile(points=f"*=trace:{tmp_path}/points@1+").status == 3
    child = story.start("pushed=kill")
    story.note(child.wait())
    story.edit()
    story.reconcile(points=f"*=trace:{tmp_path}/points@1+")
    reached = set((tmp_path / "points").read_text().split())
    assert set(failpoints.NAMES) - reached == set()
    assert story.peace() == []


@pytest.mark.parametrize("name", failpoints.NAMES)
def test_killed_at_a_failpoint_the_next_reconcile_goes_on(name: str, tmp_path: Path) -> None:
    story = Story.begin(tmp_path)
    assert story.reconcile(points=f"{name}=kill").status == KILLED
    assert story.peace() == []


@pytest.mark.parametrize("name", failpoints.NAMES)
def test_killed_again_while_it_recovers_it_still_goes_on(name: str, tmp_path: Path) -> None:
    story = Story.begin(tmp_path)
    story.reconcile()
    story.edit()
    story.reconcile(points="pushed=kill@2")
    story.reconcile(points=f"{name}=kill")
    story.edit()
    story.reconcile(points=f"{name}=kill@2")
    assert story.peace() == []


@pytest.mark.parametrize(("name", "error"), ERRORS)
def test_an_error_of_the_host_at_a_failpoint_is_told_and_mended_by_the_next(
    name: str, error: str, tmp_path: Path
) -> None:
    story = Story.begin(tmp_path)
    ended = story.reconcile(points=f"{name}=error:{error}@1")
    assert ended.status in (3, 4), ended.err
    assert story.peace() == []
