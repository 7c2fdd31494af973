"""Order: who starts first, who has to wait for room, and cycles by name."""

from __future__ import annotations

import pytest

from runner.core.graph import CycleError, build_graph
from runner.core.naming import find_stages
from runner.core.nouns import Address, Resources, Stage
from runner.core.schedule import Queue
from runner.errors import InputError
from tests.core.facts import stage


def _queue(*stages: Stage, jobs: int = 4, cpu: float = 4, memory_bytes: int = 8, **heights: int) -> Queue:
    queue: Queue[Stage] = Queue(
        jobs=jobs, cpu=cpu, memory_bytes=memory_bytes, heights={Address("p", name): h for name, h in heights.items()}
    )
    for one in stages:
        queue.push(one)
    return queue


def _taken(queue: Queue[Stage]) -> list[str]:
    return [one.address.stage for one in queue.take()]


def test_the_stage_with_the_longest_way_behind_it_starts_first() -> None:
    assert _taken(_queue(stage("a"), stage("b"), stage("c"), jobs=2, a=1, b=3, c=2)) == ["b", "c"]


def test_no_more_than_jobs_run_at_once() -> None:
    queue = _queue(*(stage(name) for name in "abc"), jobs=2)
    assert _taken(queue) == ["a", "b"]
    assert _taken(queue) == []
    queue.done(Address("p", "a"))
    assert _taken(queue) == ["c"]


def test_stages_that_state_no_cores_are_limited_by_jobs_alone() -> None:
    assert len(_taken(_queue(*(stage(str(n)) for n in range(16)), jobs=16, cpu=2))) == 16


def test_resources_hold_a_stage_back_and_a_smaller_one_passes_it() -> None:
    big, small = stage("big", resources=Resources(3, 0)), stage("small", resources=Resources(1, 0))
    queue = _queue(stage("first", resources=Resources(2, 0)), big, small, first=9, big=5, small=1)
    assert _taken(queue) == ["first", "small"]
    queue.done(Address("p", "first"))
    assert _taken(queue) == ["big"]


def test_memory_counts_like_cores() -> None:
    queue = _queue(stage("a", resources=Resources(0, 6)), stage("b", resources=Resources(0, 6)))
    assert _taken(queue) == ["a"]


def test_a_mutex_is_held_by_one_stage_at_a_time() -> None:
    queue = _queue(stage("a", mutex=("gpu",)), stage("b", mutex=("gpu", "net")), stage("c", mutex=("net",)))
    assert _taken(queue) == ["a", "c"]
    queue.done(Address("p", "a"))
    assert _taken(queue) == []
    queue.done(Address("p", "c"))
    assert _taken(queue) == ["b"]


def test_a_cycle_is_named_by_its_path() -> None:
    with pytest.raises(CycleError) as caught:
        build_graph([stage("a", ["z"], ["x"]), stage("b", ["x"], ["y"]), stage("c", ["y"], ["z"])])
    names = [address.stage for address in caught.value.path]
    assert names[0] == names[-1]
    assert set(names) == {"a", "b", "c"}


def test_a_chain_of_ten_thousand_stages_is_ordered() -> None:
    stages = [stage(f"s{n}", [f"o{n - 1}"] if n else [], [f"o{n}"]) for n in range(10_000)]
    graph = build_graph(list(reversed(stages)))
    assert [address.stage for address in graph.order[:3]] == ["s0", "s1", "s2"]
    assert graph.heights()[Address("p", "s0")] == 10_000


def test_a_folder_of_outputs_links_a_reader_inside_it_and_one_around_it() -> None:
    graph = build_graph([stage("a", (), ["d/e"]), stage("b", ["d/e/f"], ["x"]), stage("c", ["d"], ["y"])])
    assert graph.downstream[Address("p", "a")] == (Address("p", "b"), Address("p", "c"))


KNOWN = [Address("p", "train"), Address("p", "fit@a"), Address("p", "fit@b"), Address("q", "train")]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("p:train", ["p:train"]),
        ("fit@a", ["p:fit@a"]),
        ("fit", ["p:fit@a", "p:fit@b"]),
        ("p:fit", ["p:fit@a", "p:fit@b"]),
    ],
)
def test_stages_are_found_by_what_people_call_them(name: str, found: list[str]) -> None:
    assert [str(address) for address in find_stages(name, KNOWN)] == found


def test_a_name_of_several_pipelines_must_be_said_in_full() -> None:
    with pytest.raises(InputError, match="several pipelines") as caught:
        find_stages("train", KNOWN)
    assert "p:train" in caught.value.hint


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    with pytest.raises(InputError) as caught:
        find_stages("trian", KNOWN[:1])
    assert caught.value.hint == "did you mean train?"
