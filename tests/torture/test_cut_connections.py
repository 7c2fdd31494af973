"""The connection to a git daemon is cut, after any byte and in both ways: nothing is lost, nothing comes twice.

A sample; `make torture-cuts` cuts after every byte.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture.lines import Line, line_of, push_of_results
from tests.torture.stories import Story


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with line_of(Story.begin(tmp_path / "story"), tmp_path / "line") as line:
        yield line


def undisturbed(line: Line) -> tuple[int, dict[str, int]]:
    """Number and sizes of the connection that pushes results: measured on a reconcile that nobody disturbs."""
    line.story.edit()
    line.fault()
    assert line.reconcile().status == 3
    return push_of_results(line)


def test_wherever_the_answer_to_a_push_is_cut_each_result_is_recorded_once(line: Line) -> None:
    number, sizes = undisturbed(line)
    chance = random.Random(1)
    for place in chance.sample(range(sizes["down"]), 3):
        line.story.edit()
        line.fault(connection=number, way="down", bytes=place, how="cut")
        line.reconcile()
        assert line.peace() == [], f"cut after byte {place} of {sizes['down']}"


def test_wherever_a_push_is_cut_each_result_is_recorded_once(line: Line) -> None:
    number, sizes = undisturbed(line)
    chance = random.Random(2)
    for place in chance.sample(range(sizes["up"]), 2):
        line.story.edit()
        line.fault(connection=number, way="up", bytes=place, how="cut")
        line.reconcile()
        assert line.peace() == [], f"cut after byte {place} of {sizes['up']}"


def test_whichever_connection_is_cut_the_next_reconcile_goes_on(line: Line) -> None:
    undisturbed(line)
    count = len(line.connections())
    assert count >= 4
    for number in range(count):
        line.story.edit()
        line.fault(connection=number, way="down", bytes=random.Random(number).randrange(200), how="cut")
        ended = line.reconcile()
        assert ended.status in (3, 4), ended.err
    assert line.peace() == []


def test_a_remote_that_stops_answering_is_given_up(line: Line) -> None:
    number, sizes = undisturbed(line)
    line.story.edit()
    line.fault(connection=number, way="down", bytes=sizes["down"] // 2, how="hang")
    ended = line.reconcile(git_timeout="2")
    assert ended.status in (3, 4)
    line.story.edit()
    line.fault(connection=0, way="down", bytes=10, how="hang")
    ended = line.reconcile(git_timeout="2")
    assert ended.status == 4
    assert "did not answer within 2 s" in ended.err
    assert line.peace() == []
