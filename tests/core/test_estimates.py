"""What a plan is taken to cost in time, from what earlier runs took."""

from __future__ import annotations

import json

import pytest

from runner.core.estimates import Capacity, Work, estimate_of, last_error, price_of, work_from, work_json
from runner.core.nouns import Address
from runner.core.recorded import FRESH, Took, times_with
from runner.core.records import host_class

HERE, ELSEWHERE = "Linux x86_64 8", "Linux aarch64 2"


def _stage(name: str) -> Address:
    return Address("p", name)


def _work(name: str, *seconds: float, needs: str = "", cpu: float = 0.0, mutex: tuple[str, ...] = ()) -> Work:
    samples = tuple((value, HERE) for value in seconds)
    return Work(_stage(name), tuple(map(_stage, needs.split())), cpu, 0, mutex, samples, of_group=False)


def _with(jobs: int, cpu: float = 8.0) -> Capacity:
    return Capacity(jobs, cpu, 1 << 40, HERE)


def test_an_estimate_is_the_median_of_the_newest_runs_on_such_hosts() -> None:
    samples = [(10.0, HERE), (500.0, ELSEWHERE), (14.0, HERE), (12.0, HERE)]
    estimate = estimate_of(samples, HERE)
    assert estimate is not None
    assert (estimate.seconds, estimate.low, estimate.high, estimate.runs) == (12.0, 10.0, 14.0, 3)
    assert estimate.same_class
    other = estimate_of(samples, "Darwin arm64 10")
    assert other is not None
    assert (other.seconds, other.runs, other.same_class) == (13.0, 4, False)
    assert estimate_of([], HERE) is None
    newest = estimate_of([(1.0, HERE)] * 5 + [(100.0, HERE)], HERE)
    assert newest is not None
    assert newest.high == 1.0


def test_a_class_of_hosts_is_system_machine_and_cores() -> None:
    assert host_class({"platform": "Linux 6.1.0-18 x86_64", "cores": 8.0, "name": "a"}) == HERE
    assert host_class({}) == "?"


def test_the_times_of_the_newest_runs_are_kept() -> None:
    times: tuple[Took, ...] = ()
    for number in (3, 1, 7, 8, 5, 9):
        times = times_with(Took(number, 1.0, HERE), times)
    assert [took.record for took in times] == [9, 8, 7, 5, 3]
    assert times_with(Took(8, 2.0, HERE), times)[1] == Took(8, 2.0, HERE)
    assert [took.record for took in times_with(Took(FRESH, 1.0, HERE), times)] == [FRESH, 9, 8, 7, 5]
    assert times_with(None, times) == times


def test_the_time_of_all_depends_on_jobs_and_on_who_waits_for_whom() -> None:
    work = [_work("a", 10), _work("b", 20), _work("c", 30), _work("d", 5, needs="a b")]
    assert [price_of(work, _with(jobs)).seconds for jobs in (1, 2, 4)] == [65.0, 40.0, 30.0]
    price = price_of(work, _with(4))
    assert (price.work, price.longest_way) == (65.0, 30.0)


def test_resources_and_mutexes_keep_stages_apart() -> None:
    assert price_of([_work("a", 10, cpu=3), _work("b", 10, cpu=3)], _with(4, cpu=4)).seconds == 20
    assert price_of([_work("a", 10, mutex=("gpu",)), _work("b", 10, mutex=("gpu",))], _with(4)).seconds == 20
    assert price_of([_work("a", 10, cpu=64)], _with(4)).seconds == 0  # it cannot run here


def test_what_is_not_known_is_named_and_counts_as_nothing() -> None:
    price = price_of([_work("a", 10, 20), _work("b", needs="a")], _with(2))
    assert (price.seconds, price.low, price.high) == (15.0, 10.0, 20.0)
    assert price.unknown == (_stage("b"),)
    nothing = price_of([_work(name) for name in "abcde"], _with(2))
    assert nothing.estimates == {}
    assert nothing.as_json()["seconds"] is None
    assert nothing.names_unknown() == "a, b, c and 2 more"


def test_the_last_estimate_is_held_against_what_came_of_it() -> None:
    assert last_error([(20.0, HERE), (10.0, HERE)], HERE) == pytest.approx(-0.5)
    assert last_error([(20.0, HERE)], HERE) is None


def test_work_comes_back_from_a_cache_as_it_was() -> None:
    work = (_work("b"), _work("c", 1.0), _work("a", 1.5, 2.0, needs="b c", cpu=2.0, mutex=("gpu",)))
    rows = json.loads(json.dumps(work_json(work)))
    assert work_from(rows) == work
    *others, row = rows
    for damaged in (row[:-1], [*row[:6], [[1]], False], [*row[:2], [3], *row[3:]], [*row[:2], [["p", "b"]], *row[3:]]):
        with pytest.raises((ValueError, TypeError)):
            work_from([*others, damaged])
