"""Time and processes: every process is a coroutine, every call of a port a place where it may wait, fail or die."""

from __future__ import annotations

import contextlib
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import greenlet


class Crash(BaseException):
    """This process is dead; whatever it still tries has no effect."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to a host, at the first occasion from its step number `step` on."""

    host: int
    step: int
    kind: str


class Scheduler:
    """A virtual clock and the coroutines that wait for it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now = 0.0
        self.trace: list[tuple[float, str, str]] = []
        self._queue: list[tuple[float, int, greenlet.greenlet]] = []
        self._pushed = 0
        self._hub = greenlet.getcurrent()

    def start(self, act: Callable[[], None], delay: float = 0.0) -> None:
        """Have a coroutine begin after some seconds."""
        self._push(delay, greenlet.greenlet(act))

    def sleep(self, seconds: float) -> None:
        """Let others go on for so long."""
        if not self._queue or self._queue[0][0] > self.now + seconds:  # nobody else comes in between
            self.now += seconds
            return
        self._push(seconds, greenlet.getcurrent())
        self._hub.switch()

    def run(self) -> None:
        """Go on until nobody waits any more."""
        while self._queue:
            self.now, _, task = heapq.heappop(self._queue)
            task.switch()

    def say(self, who: str, what: str) -> None:
        """A line of the trace."""
        self.trace.append((self.now, who, what))

    def _push(self, delay: float, task: greenlet.greenlet) -> None:
        self._pushed += 1
        heapq.heappush(self._queue, (self.now + delay, self._pushed, task))


class Stop:
    """Nobody asks for a stop, and whoever waits for one lets time go by; stands for `threading.Event`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def is_set(self) -> bool:
        return False

    def wait(self, seconds: float) -> bool:
        self._scheduler.sleep(seconds)
        return False


@dataclass
class Machine:
    """A host: what outlives its processes is its disk; its clock may be wrong."""

    number: int
    scheduler: Scheduler
    faults: list[Fault]
    skew_seconds: float = 0.0
    steps: int = 0
    on_power_loss: list[Callable[[], None]] = field(default_factory=list)
    on_empty_cache: list[Callable[[], None]] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    locks: dict[str, Process] = field(default_factory=dict)
    """By name the process that holds a lock, or held it when it died."""

    @property
    def name(self) -> str:
        return f"host {self.number}"

    def clock(self) -> float:
        """What this host takes for the time."""
        return 1_700_000_000.0 + self.scheduler.now + self.skew_seconds


class Process:
    """One life of a runner on a host."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.is_dead = False
        machine.processes.append(self)

    def step(self, what: str) -> None:
        """A call of a port is about to have its effect: time goes by, or this process ends here. Raises Crash."""
        machine = self.machine
        if self.is_dead:
            raise Crash
        machine.steps += 1
        rng = machine.scheduler.rng
        machine.scheduler.sleep(rng.random() * 0.2)
        if self.is_dead:  # the power went while this one waited
            raise Crash
        if machine.faults:
            self._suffer(what)

    def take(self, *kinds: str) -> str | None:
        """The kind of a fault that is due here, which is used up by that; None where everything goes well."""
        machine = self.machine
        for fault in machine.faults:
            if fault.step <= machine.steps and fault.kind in kinds:
                machine.faults.remove(fault)
                machine.scheduler.say(machine.name, f"! {fault.kind}")
                return fault.kind
        return None

    def say(self, what: str) -> None:
        self.machine.scheduler.say(self.machine.name, what)

    def _suffer(self, what: str) -> None:
        kind = self.take("kill", "power loss", "stall", "long stall", "empty cache")
        if kind is None:
            return
        machine = self.machine
        machine.scheduler.say(machine.name, f"! before: {what}")
        if kind.endswith("stall"):
            machine.scheduler.sleep(machine.scheduler.rng.random() * (300 if kind == "long stall" else 5))
            if self.is_dead:
                raise Crash
            return
        if kind == "empty cache":
            for lose in machine.on_empty_cache:
                lose()
            return
        self.is_dead = True
        if kind == "power loss":
            for process in machine.processes:
                process.is_dead = True
            for lose in machine.on_power_loss:
                lose()
        raise Crash


class SimulatedLocks:
    """Locks of the processes of one machine; implements `runner.record.liveness.Locks`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._locks = process.machine.locks

    def hold(self, name: str) -> None:
        self._process.step("lock")
        self._locks[name] = self._process

    def let_go(self) -> None:
        for name in [name for name, process in self._locks.items() if process is self._process]:
            del self._locks[name]

    def is_free(self, name: str) -> bool:
        return name not in self._locks or self._locks[name].is_dead


class SimulatedBeat:
    """A coroutine of a process beside its main one; implements `runner.record.liveness.Beat`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._is_on = False

    def start(self, act: Callable[[], None], every_seconds: float) -> None:
        scheduler = self._process.machine.scheduler
        self._is_on = True

        def go() -> None:
            with contextlib.suppress(Crash):
                while self._is_on and not self._process.is_dead:
                    act()
                    scheduler.sleep(every_seconds)

        scheduler.start(go, every_seconds)

    def stop(self) -> None:
        self._is_on = False
