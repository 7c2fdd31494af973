"""The order in which ready stages start: as many as jobs, resources and mutexes allow, the most urgent first."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from runner.core.nouns import Address, Resources


class Task(Protocol):
    """What a queue asks of a stage."""

    @property
    def address(self) -> Address:
        """Its name."""

    @property
    def resources(self) -> Resources:
        """What it needs while it runs."""

    @property
    def mutex(self) -> tuple[str, ...]:
        """What no other stage may hold while it runs."""


T = TypeVar("T", bound=Task)


class Queue(Generic[T]):
    """Ready and running stages under limits; a data structure, it starts nothing.

    A stage that does not fit now does not stop a smaller one behind it; since every running stage ends, and a stage
    that asks for more than there is was refused at plan, it gets its turn.
    """

    def __init__(self, *, jobs: int, cpu: float, memory_bytes: int, heights: Mapping[Address, int]) -> None:
        self._jobs = jobs
        self._cpu = _thousandths(cpu)
        self._memory_bytes = memory_bytes
        self._heights = heights
        self._ready: list[tuple[int, int, T]] = []
        self._pushed = 0
        self._running: dict[Address, T] = {}
        self._held: set[str] = set()

    @property
    def has_one_place(self) -> bool:
        """Whether no stage ever runs beside another."""
        return self._jobs == 1

    def push(self, stage: T) -> None:
        """A stage whose inputs are all there."""
        self._pushed += 1
        heapq.heappush(self._ready, (-self.height(stage.address), self._pushed, stage))

    def height(self, address: Address) -> int:
        """How urgent a stage is: the length of the way behind it."""
        return self._heights.get(address, 0)

    def take(self, least_height: int = 0) -> list[T]:
        """The stages to start now, of those that are at least so urgent; they count as running from here on."""
        taken: list[T] = []
        passed: list[tuple[int, int, T]] = []
        while self._ready and len(self._running) < self._jobs and -self._ready[0][0] >= least_height:
            item = heapq.heappop(self._ready)
            if self._fits(item[2]):
                self._start(item[2])
                taken.append(item[2])
            else:
                passed.append(item)
        for item in passed:
            heapq.heappush(self._ready, item)
        return taken

    def done(self, address: Address) -> None:
        """A running stage has ended, whatever the outcome."""
        stage = self._running.pop(address)
        needs = stage.resources
        self._cpu += _thousandths(needs.cpu)
        self._memory_bytes += needs.memory_bytes
        self._held.difference_update(stage.mutex)

    @property
    def running(self) -> int:
        """Number of running stages."""
        return len(self._running)

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing is ready."""
        return not self._running and not self._ready

    def begin(self, stage: T) -> None:
        """A stage that starts without having been ready: it counts as running from here on."""
        self._start(stage)

    def clear(self) -> list[T]:
        """Forget what has not started, for a stop; returns it."""
        dropped = [stage for _, _, stage in self._ready]
        self._ready.clear()
        return dropped

    def _fits(self, stage: T) -> bool:
        needs = stage.resources
        return (
            _thousandths(needs.cpu) <= self._cpu
            and needs.memory_bytes <= self._memory_bytes
            and self._held.isdisjoint(stage.mutex)
        )

    def _start(self, stage: T) -> None:
        self._running[stage.address] = stage
        needs = stage.resources
        self._cpu -= _thousandths(needs.cpu)
        self._memory_bytes -= needs.memory_bytes
        self._held.update(stage.mutex)


def _thousandths(cores: float) -> int:
    """Cores as whole thousandths: sums of fractions come out even."""
    return round(cores * 1000) if cores else 0
