"""A simulated world: people, hosts, a remote, faults, and one life of it from a seed."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from runner.core.digests import md5_hex
from runner.errors import RunnerError
from runner.git.commit import CommitRequest, FileContent, Identity
from runner.ledger import layout
from runner.parts import Request, Result
from runner.reconcile import reconcile
from runner.record.journal import Journal
from runner.record.publish import Publisher
from tests.invariants import Evidence, Ledger, Told, nameless_bytes, violations
from tests.simulator.disk import Disk, SimulatedCache, SimulatedFolder
from tests.simulator.processes import Crash, Fault, Machine, Process, Scheduler, Stop
from tests.simulator.remote import Remote, SimulatedCopy
from tests.simulator.repository import Repository, Store
from tests.simulator.runners import BRANCH, WATCHED, SimulatedParts
from tests.simulator.specs import Ask, Version, ask_of, first_version, next_version

PEOPLE = Identity("Ada", "ada@example.com")
KINDS = (
    *("kill", "kill", "kill", "power loss", "power loss", "power loss", "stall", "long stall"),
    *(
        "empty cache",
        "empty cache",
        "git cut",
        "lost answer",
        "lost answer",
        "refuse",
        "dvc cut",
        "damage",
        "damage",
        "fail",
        "disk full",
    ),
)
ROUNDS_IN_PEACE = 4


@dataclass(frozen=True)
class Size:
    """How much there is in a world; each number is drawn from its list."""

    hosts: Sequence[int]
    stages: Sequence[int]
    edits: Sequence[int]
    rounds: Sequence[int]
    """Reconciles of each runner before peace."""
    runners: Sequence[int]
    """Runners on each host."""
    faults: Sequence[int]


SMALL = Size((1, 2, 2), (1, 1, 2, 2, 3), (0, 0, 0, 1), (1, 1, 1, 1, 2), (1, 1, 1, 1, 1, 2), (0, 1, 1, 2, 2, 3))
LARGE = Size((2, 2, 3), (2, 3, 4, 6), (0, 1, 2), (1, 2), (1, 1, 2), (1, 2, 3, 4, 6))


def size_of(seed: int) -> Size:
    """One world in twenty is a large one: most of what goes wrong shows in small ones, which are quick."""
    return LARGE if seed % 20 == 19 else SMALL


@dataclass(frozen=True)
class Rules:
    """What a runner is made of; the mutation tests put something weaker in a place."""

    copy: Callable[..., Any] = SimulatedCopy
    cache: Callable[..., Any] = SimulatedCache
    folder: Callable[..., Any] = SimulatedFolder
    journal: Callable[..., Any] = Journal
    publisher: Callable[..., Any] = Publisher


@dataclass
class Host:
    """A machine with its disk and its copy of the remote."""

    machine: Machine
    disk: Disk
    repository: Repository


@dataclass(frozen=True)
class Plot:
    """All that is decided before a life begins; a smaller one may show the same failure."""

    seed: int
    faults: tuple[Fault, ...]


def plot_of(seed: int, kinds: Sequence[str] = KINDS) -> Plot:
    """The plot of a seed: which hosts suffer what, and when."""
    rng = random.Random(f"plot {seed}")
    hosts = _hosts(seed)
    count = rng.choice(size_of(seed).faults)
    faults = (Fault(rng.randrange(hosts), rng.randrange(1, 40), rng.choice(kinds)) for _ in range(count))
    return Plot(seed, tuple(sorted(faults, key=lambda fault: (fault.host, fault.step))))


def _hosts(seed: int) -> int:
    return random.Random(seed).choice(size_of(seed).hosts)


@dataclass
class World:
    """One life. `run` lives it and says what was broken."""

    plot: Plot
    rules: Rules = field(default_factory=Rules)
    told: list[Told] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)
    excused: set[str] = field(default_factory=set)
    read_wrong: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    asks: dict[str, Ask] = field(default_factory=dict)
    """By commit what people asked for."""
    dvc_objects: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = random.Random(self.plot.seed)
        count, self.size = _hosts(self.plot.seed), size_of(self.plot.seed)
        self.scheduler = Scheduler(rng)
        self.store = Store()
        self.remote = Remote(Repository(self.store))
        self.has_dvc_remote = rng.random() < 0.7
        self.with_claims = rng.random() < 0.4
        self.remote.takes_claims = rng.random() < 0.9
        self.is_reproducible = rng.random() < 0.3
        self.flakiness = rng.choice((0.0, 0.0, 0.2))
        """How often a stage fails."""
        self._numbers = 0
        self._history: list[Ledger] = []
        self._wrong: list[str] = []
        self.evidence = Evidence()
        self._commit(first_version(rng, rng.choice(self.size.stages)))
        self.remote.watchers.append(self._moved)
        self.hosts = [self._host(number) for number in range(count)]

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def run(self) -> list[str]:
        """Live it; returns what was broken, empty where all is well."""
        rng = self.scheduler.rng
        for host in self.hosts:
            for _ in range(rng.choice(self.size.runners)):
                self.scheduler.start(self._runner(host), rng.random() * 2)
        for _ in range(rng.choice(self.size.edits)):
            self.scheduler.start(self._edit, rng.random() * 8)
        self.scheduler.run()
        for host in self.hosts:
            host.machine.faults.clear()
        self.scheduler.start(self._live_in_peace)
        self.scheduler.run()
        return [*self._wrong, *violations(self.evidence)]

    # People

    def _edit(self) -> None:
        tip = self.remote.repository.refs[WATCHED]
        self._commit(next_version(self.scheduler.rng, self.asks[tip].version))

    def _commit(self, version: Version) -> None:
        tip = self.remote.repository.refs.get(WATCHED)
        files = {path: FileContent(data=data) for path, data in version.files.items()}
        files["stages"] = FileContent(data=repr(version.stages).encode())
        message = f"version {len(self.asks)}"
        request = CommitRequest((tip,) if tip else (), None, message, PEOPLE, int(self.scheduler.now), files=files)
        commit = self.store.make(request)
        self.asks[commit] = ask_of(version, commit)
        self.remote.move(WATCHED, commit)
        self.scheduler.say("people", f"{message} is {commit[:8]}")

    # Hosts

    def _host(self, number: int) -> Host:
        rng = self.scheduler.rng
        faults = [fault for fault in self.plot.faults if fault.host == number]
        skew_seconds = rng.uniform(-3600, 3600) if rng.random() < 0.3 else 0.0
        machine = Machine(number, self.scheduler, faults, skew_seconds)
        disk = Disk()
        machine.on_power_loss.append(lambda: disk.lose_power(rng))
        machine.on_empty_cache.append(disk.lose_cache if self.has_dvc_remote else lambda: None)
        return Host(machine, disk, Repository(self.store))

    def _runner(self, host: Host) -> Callable[[], None]:
        rng = self.scheduler.rng

        def live() -> None:
            for _ in range(rng.choice(self.size.rounds)):
                with contextlib.suppress(Crash):
                    self.reconcile(host)
                self.scheduler.sleep(rng.random() * 5)

        return live

    def reconcile(self, host: Host) -> Result | None:
        """One process that reconciles once; None where it could not."""
        process = Process(host.machine)
        parts = SimulatedParts(self, host, process)
        try:
            result = reconcile(parts, Request(), cast(threading.Event, Stop(self.scheduler)))
        except (RunnerError, OSError) as error:
            process.say(f"failed: {error}")
            result = None
        parts.close()
        if result is not None and not parts.had_trouble:
            self.untold += [sha for sha in parts.made if sha not in result.commits]
        process.is_dead = True
        host.machine.processes.remove(process)
        return result

    # What is seen of it

    def _moved(self, branch: str, sha: str) -> None:
        if branch == BRANCH:
            self._history.append(self._ledger(sha))
            self._wrong += nameless_bytes(self._history[-1], self._has_bytes())

    def _ledger(self, sha: str) -> Ledger:
        records = self.remote.repository.files_below(sha, layout.RECORDS)
        standing = self.remote.repository.files_below(sha, layout.RECORDED)
        return Ledger(records, [_parsed(data) for data in standing])

    def _has_bytes(self) -> Callable[[str], bool]:
        objects = self.dvc_objects
        if self.has_dvc_remote:
            return lambda md5: md5_hex(objects.get(md5, b"")) == md5
        disks = [host.disk for host in self.hosts]
        return lambda md5: any(md5 in disk.synced_objects and disk.believed(md5) is not None for disk in disks)

    def _live_in_peace(self) -> None:
        self.evidence = self._in_peace()

    def _in_peace(self) -> Evidence:
        """Every host reconciles without trouble until nothing is left to do; then once more."""
        self.scheduler.say("world", "peace")
        for _ in range(ROUNDS_IN_PEACE):
            before = len(self._history)
            results = [self.reconcile(host) for host in self.hosts]
            if len(self._history) == before and all(results):
                break
        commits = [commit for result in results if result for commit in result.commits]
        actions = [
            {str(address): step.action.value for address, step in result.steps.items()} if result else {"?": "error"}
            for result in results
        ]
        return Evidence(
            history=self._history,
            told=self.told,
            dropped=frozenset(self.dropped),
            excused=frozenset(self.excused),
            has_bytes=self._has_bytes(),
            last_actions=actions,
            last_commits=commits,
            read_wrong=self.read_wrong,
            untold=self.untold,
        )


@functools.lru_cache(maxsize=512)
def _parsed(data: bytes) -> Any:
    return json.loads(data)


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """Around many lives: worlds, which are cycles, are collected in heaps, and what was loaded before never."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 5, 5)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def broken(plot: Plot, rules: Rules | None = None) -> list[str]:
    """What a life of this plot breaks."""
    return World(plot, rules or Rules()).run()


def shrunk(plot: Plot, rules: Rules | None = None) -> Plot:
    """The same plot with as few faults as still break something."""
    for fault in plot.faults:
        fewer = replace(plot, faults=tuple(other for other in plot.faults if other is not fault))
        if broken(fewer, rules):
            return shrunk(fewer, rules)
    return plot


def story(plot: Plot, rules: Rules | None = None) -> str:
    """A life for people to read: what was broken, and everything that happened."""
    world = World(plot, rules or Rules())
    wrong = world.run()
    lines = [f"seed {plot.seed} with {len(plot.faults)} faults:", *(f"  {line}" for line in wrong)]
    lines += [f"{time:8.2f}  {who:8} {what}" for time, who, what in world.scheduler.trace]
    return "\n".join(lines)


def first_broken(seeds: Sequence[int], rules: Rules | None = None) -> Plot | None:
    """The first plot that breaks something, with as few faults as do; None where all is well."""
    with seldom_collected():
        for seed in seeds:
            plot = plot_of(seed)
            if broken(plot, rules):
                return shrunk(plot, rules)
    return None
