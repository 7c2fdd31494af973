"""How long what a plan runs may take: estimates from the records of earlier runs, and the time of all with some jobs.

A stage is taken to need the median of what its last runs took, and as little or as much as the shortest and the longest
of them. Runs on hosts of the same class (system, machine, cores) count alone where there are any. A stage that never
ran has no estimate, unless others of its group ran.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from runner.core.nouns import Address, Resources
from runner.core.recorded import MOST_TIMES
from runner.core.schedule import Queue
from runner.values import dataclass

_UNKNOWN_SHOWN = 3


class Work(NamedTuple):
    """A stage that a plan may run, as far as its time depends on it."""

    address: Address
    needs: tuple[Address, ...]
    """Of the others that may run."""
    cpu: float
    memory_bytes: int
    mutex: tuple[str, ...]
    samples: tuple[tuple[float, str], ...]
    """Seconds and class of host of earlier runs, the newest first."""
    of_group: bool
    """Whether these are runs of other members of its group."""


def work_json(work: Sequence[Work]) -> list[list[Any]]:
    """Plain JSON for a cache; what a stage needs is named by its place in the list."""
    place = {row.address: number for number, row in enumerate(work)}
    return [
        [
            *row.address,
            [place[need] for need in row.needs],
            row.cpu,
            row.memory_bytes,
            row.mutex,
            row.samples,
            row.of_group,
        ]
        for row in work
    ]


def work_from(rows: Sequence[Sequence[Any]]) -> tuple[Work, ...]:
    """The inverse of `work_json`; raises ValueError or TypeError for what it never gives."""
    try:
        addresses = [Address(row[0], row[1]) for row in rows]
        return tuple(
            [
                Work(
                    address,
                    tuple([addresses[need] for need in needs]),
                    cpu,
                    memory_bytes,
                    tuple(mutex),
                    tuple([(float(seconds), str(host)) for seconds, host in samples]),
                    of_group,
                )
                for address, (_, _, needs, cpu, memory_bytes, mutex, samples, of_group) in zip(
                    addresses, rows, strict=True
                )
            ]
        )
    except IndexError as error:
        raise ValueError("not the work of a plan") from error


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a stage is taken to need."""

    seconds: float
    low: float
    high: float
    runs: int
    """How many earlier runs it is from."""
    of_group: bool
    """Whether they are of other members of its group."""
    same_class: bool
    """Whether they were on hosts of the class of this one."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; times in seconds."""
        times = {"seconds": round(self.seconds, 3), "low": round(self.low, 3), "high": round(self.high, 3)}
        return {**times, "runs": self.runs, "of": "group" if self.of_group else "stage", "sameHost": self.same_class}


@dataclass(frozen=True, slots=True)
class Capacity:
    """Where stages run: what limits how many do so at once."""

    jobs: int
    cpu: float
    memory_bytes: int
    host_class: str


@dataclass(frozen=True, slots=True)
class Price:
    """What a plan costs in time, if all that may run does."""

    estimates: Mapping[Address, Estimate]
    """By stage; without those that nothing is known of."""
    seconds: float
    """From the begin to the end, with so many jobs; stages that nothing is known of count as nothing."""
    low: float
    high: float
    work: float
    """The sum over all stages."""
    longest_way: float
    """Of stages that wait for each other: no number of jobs makes it shorter."""
    jobs: int
    unknown: tuple[Address, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; times in seconds."""
        is_known = bool(self.estimates)
        times = {
            "seconds": self.seconds,
            "low": self.low,
            "high": self.high,
            "work": self.work,
            "longestWay": self.longest_way,
        }
        said = {name: round(value, 3) if is_known else None for name, value in times.items()}
        return {**said, "jobs": self.jobs, "unknown": [str(address) for address in self.unknown]}

    def names_unknown(self) -> str:
        """The stages that nothing is known of, in a few words."""
        names = [address.stage for address in self.unknown[:_UNKNOWN_SHOWN]]
        more = len(self.unknown) - len(names)
        return ", ".join(names) + (f" and {more} more" if more else "")


def estimate_of(samples: Sequence[tuple[float, str]], here: str, *, of_group: bool = False) -> Estimate | None:
    """The estimate from earlier runs, the newest first; None without any."""
    if len(samples) == 1:
        ((seconds, kind),) = samples
        return Estimate(seconds, seconds, seconds, 1, of_group, kind == here)
    alike = [seconds for seconds, kind in samples if kind == here]
    chosen = (alike or [seconds for seconds, _ in samples])[:MOST_TIMES]
    if not chosen:
        return None
    return Estimate(_median(chosen), min(chosen), max(chosen), len(chosen), of_group, bool(alike))


def last_error(samples: Sequence[tuple[float, str]], here: str) -> float | None:
    """By how much the estimate of the newest run, from those before it, was wrong: a part of what the run took."""
    before = estimate_of(samples[1:], here)
    if before is None or samples[0][0] <= 0:
        return None
    return (before.seconds - samples[0][0]) / samples[0][0]


def price_of(work: Sequence[Work], room: Capacity) -> Price:
    """What all of it costs in time."""
    known: dict[Address, Estimate] = {}
    unknown: list[Address] = []
    for row in work:
        estimate = estimate_of(row.samples, room.host_class, of_group=row.of_group)
        if estimate is None:
            unknown.append(row.address)
        else:
            known[row.address] = estimate
    if not known:
        return Price({}, 0.0, 0.0, 0.0, 0.0, 0.0, room.jobs, tuple(unknown))

    def lasting(which: Callable[[Estimate], float]) -> dict[Address, float]:
        return {address: which(estimate) for address, estimate in known.items()} | dict.fromkeys(unknown, 0.0)

    usual = lasting(lambda estimate: estimate.seconds)
    after = _after(work)
    heights = _heights(work, after)
    seconds = _span(work, usual, room, after, heights)

    are_alike = all(estimate.low == estimate.high for estimate in known.values())

    def end(which: Callable[[Estimate], float]) -> float:
        return seconds if are_alike else _span(work, lasting(which), room, after, heights)

    return Price(
        estimates=known,
        seconds=seconds,
        low=end(lambda estimate: estimate.low),
        high=end(lambda estimate: estimate.high),
        work=sum([usual[row.address] for row in work]),
        longest_way=_longest_way(work, usual),
        jobs=room.jobs,
        unknown=tuple(unknown),
    )


class _Task(NamedTuple):
    """A stage as a queue sees it."""

    address: Address
    resources: Resources
    mutex: tuple[str, ...]


def _span(
    work: Sequence[Work],
    seconds: Mapping[Address, float],
    room: Capacity,
    after: Mapping[Address, Sequence[Address]],
    heights: Mapping[Address, int],
) -> float:
    """The time from the begin to the end, in the order in which a reconcile would start these stages."""
    waiting: dict[Address, int] = {}
    tasks: dict[Address, _Task] = {}
    resources = Resources()
    queue: Queue[_Task] = Queue(jobs=room.jobs, cpu=room.cpu, memory_bytes=room.memory_bytes, heights=heights)
    for row in work:
        address = row.address
        if row.cpu != resources.cpu or row.memory_bytes != resources.memory_bytes:
            resources = Resources(row.cpu, row.memory_bytes)
        tasks[address] = _Task(address, resources, row.mutex)
        waiting[address] = len(row.needs)
        if not row.needs:
            queue.push(tasks[address])
    now = 0.0
    running: list[tuple[float, int, Address]] = []
    started = 0
    while not queue.idle:
        for task in queue.take():
            started += 1
            heapq.heappush(running, (now + seconds[task.address], started, task.address))
        if not running:
            break  # what is left asks for more than this host has: it cannot run here
        now, _, done = heapq.heappop(running)
        queue.done(done)
        for address in after[done]:
            waiting[address] -= 1
            if not waiting[address]:
                queue.push(tasks[address])
    return now


def _longest_way(work: Sequence[Work], seconds: Mapping[Address, float]) -> float:
    ends: dict[Address, float] = {}
    for row in work:  # each after all that it needs
        ready = 0.0
        for need in row.needs:
            if ends[need] > ready:
                ready = ends[need]
        ends[row.address] = seconds[row.address] + ready
    return max(ends.values(), default=0.0)


def _heights(work: Sequence[Work], after: Mapping[Address, Sequence[Address]]) -> dict[Address, int]:
    found: dict[Address, int] = {}
    for row in reversed(work):
        highest = 0
        for address in after[row.address]:
            if found[address] > highest:
                highest = found[address]
        found[row.address] = 1 + highest
    return found


def _after(work: Sequence[Work]) -> dict[Address, list[Address]]:
    after: dict[Address, list[Address]] = {row.address: [] for row in work}
    for row in work:
        for need in row.needs:
            after[need].append(row.address)
    return after


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
