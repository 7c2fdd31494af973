"""How far it goes: a repository of a million stages in ten thousand pipelines, and a hundred runners that meet.

    python benchmarks/scale.py                            # 1,000 to 100,000 stages, and a hundred runners
    python benchmarks/scale.py --stages 1000000           # a million stages: 17 GiB
    python benchmarks/scale.py --writers 100 --every 60   # only the runners

The plan's walk, the scheduler, the publisher, its queue and the ledger are the ones of production; git, the DVC remote
and the stages are those of the simulator (`tests/simulator/`), in memory. So what is measured is what the runner
itself does: how it grows with the number of stages that stand, and with the number of writers of one branch.
"""

from __future__ import annotations

import functools
import multiprocessing
import resource
import signal
import statistics
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from script import above_0, at_least_1, parser_of, run_script

from runner.core.actions import Action
from runner.core.digests import md5_hex
from runner.core.graph import build_graph
from runner.core.nouns import Address, Desired, Out, Pipeline, Project, Stage
from runner.core.plan import Walk
from runner.core.recorded import OutFact
from runner.core.records import RunFacts
from runner.core.schedule import Queue
from runner.data.lockfile import dumps
from runner.errors import RunnerError
from runner.git.commit import CommitRequest, FileContent
from runner.parts import Request
from tests.simulator.processes import Process
from tests.simulator.repository import Store
from tests.simulator.runners import WATCHED, SimulatedParts
from tests.simulator.specs import Ask, SimulatedInputs, Version
from tests.simulator.test_fairness import facts
from tests.simulator.world import PEOPLE, Host, Plot, World, seldom_collected

STAGES_OF_A_PIPELINE = 100
WIDTH = 10
"""Stages of a pipeline that may run side by side."""


@dataclass(frozen=True)
class Row:
    """What one thing came to at one size."""

    what: str
    value: float
    unit: str


@dataclass
class Big:
    """One repository of many pipelines, and one host that reconciles it."""

    stages: int
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = World(Plot(0, ()))
        self.world.remote.watchers.clear()  # the rules are looked after elsewhere; that would be what is measured
        self.world.has_dvc_remote, self.world.with_claims = True, False
        self.host = self.world._host(0)
        pipelines = max(1, self.stages // STAGES_OF_A_PIPELINE)
        self.contents = {f"p{number:05d}/in": b"0\n" for number in range(pipelines)}
        self.pipelines = tuple(pipeline_of(number) for number in range(pipelines))
        all_stages = [stage for pipeline in self.pipelines for stage in pipeline.stages]
        self.graph = self.timed("graph of all stages", lambda: build_graph(all_stages))
        self.people_commit(range(pipelines))

    def people_commit(self, changed: range) -> None:
        """Somebody edits the one source file of these pipelines."""
        for number in changed:
            self.contents[f"p{number:05d}/in"] += b"1\n"
        tip = self.world.remote.repository.refs[WATCHED]
        files = {f"p{number:05d}/in": FileContent(data=self.contents[f"p{number:05d}/in"]) for number in changed}
        files |= {self.pipelines[number].dvc_file: FileContent(data=b"stages\n") for number in changed}
        base = self.world.remote.repository.commit(tip).tree
        commit = self.world.store.make(CommitRequest((tip,), base, "edit", PEOPLE, 0, files=files))
        desired = Desired(commit, Project(), self.pipelines, {}, {}, has_dvc=True)
        inputs = SimulatedInputs({path: md5_hex(data) for path, data in self.contents.items()})
        self.world.asks[commit] = Ask(Version(self.contents, ()), desired, self.graph, inputs)
        self.world.remote.move(WATCHED, commit)

    def measure(self) -> list[Row]:
        """From the first plan to a commit of one changed pipeline."""
        self.reconciled("all")
        self.people_commit(range(1))
        self.reconciled("one pipeline")
        if len(self.pipelines) > 100:
            self.people_commit(range(100))
            self.reconciled("a hundred pipelines")
        self.reconciled("nothing")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return [*self.rows, Row("peak, the whole simulated world", peak, "MiB"), *self.tip(), self.scheduled()]

    def reconciled(self, what: str) -> None:
        """Plan, do as if all ran, and publish in one commit; as a new process would, that remembers nothing."""
        process = Process(self.host.machine)
        parts = SimulatedParts(self.world, self.host, process)
        observation = self.timed(f"{what} changed: read what is recorded", lambda: read(parts))
        plan, walk = self.timed(f"{what} changed: plan", observation.plan)
        runs = list(self.as_if_run(walk))
        if runs or plan.changes_state:
            publisher = parts._publisher(observation)
            publisher.sources = replace(publisher.sources, dumps_lock=dumps)
            before = set(self.world.store.blobs) | set(self.world.store.parts)
            published = self.timed(f"{what} changed: a commit of {len(runs):,} runs", lambda: publisher.publish(runs))
            assert published.commit is not None
            written, packed = sizes(self.world.store, published.commit, before)
            self.rows.append(Row(f"{what} changed: objects of the commit", written, "objects"))
            self.rows.append(Row(f"{what} changed: what the commit adds, compressed", packed / 1024, "KiB"))
        parts.close()

    def as_if_run(self, walk: Walk) -> Iterator[RunFacts]:
        """Every stage that would run has made bytes that tell its key."""
        disk = self.host.disk
        for address in walk.graph.order:
            stage = walk.graph.stages[address]
            step = walk.decide(stage)
            if step.action is not Action.RUN or step.key is None or step.material is None:
                continue
            data = step.key.encode()
            md5 = md5_hex(data)
            disk.objects[md5] = data
            disk.synced_objects.add(md5)
            outs = tuple(OutFact(out.path, md5, len(data), cached=out.cache) for out in stage.outs)
            walk.settle(address, outs)
            yield replace(
                facts(0, 0, walk.desired.commit),
                run_id=step.key[:32],
                address=address,
                key=step.key,
                material=step.material.as_json(),
                outs=outs,
            )

    def tip(self) -> list[Row]:
        """How many files there are at the tip of the state branch."""
        store, remote = self.world.store, self.world.remote.repository
        tree = remote.commit(remote.refs["runner/state"]).tree
        return [
            Row(f"files in .runner/{folder}", sum(1 for _ in store.files_below(tree, f".runner/{folder}")), "files")
            for folder in ("recorded", "ledger", "keys", "keys-sealed")
        ]

    def scheduled(self) -> Row:
        """The order of all stages on 200 cores, each taking a second: what the queue itself costs."""
        before = time.process_time()
        queue = Queue(jobs=200, cpu=200.0, memory_bytes=0, heights=self.graph.heights())
        waits = {address: len(self.graph.upstream[address]) for address in self.graph.order}
        for address, missing in waits.items():
            if not missing:
                queue.push(self.graph.stages[address])
        while not queue.idle:
            for stage in queue.take():
                queue.done(stage.address)
                for below in self.graph.downstream[stage.address]:
                    waits[below] -= 1
                    if not waits[below]:
                        queue.push(self.graph.stages[below])
        return Row("scheduling of all stages", time.process_time() - before, "CPU s")

    def timed(self, what: str, act: Callable[[], Any]) -> Any:
        """Do it, and note the CPU seconds it took."""
        began = time.process_time()
        result = act()
        self.rows.append(Row(what, time.process_time() - began, "CPU s"))
        print(f"{self.rows[-1].value:10.1f} CPU s  {what}", file=sys.stderr, flush=True)
        return result


def pipeline_of(number: int) -> Pipeline:
    """A hundred stages in layers: each reads the pipeline's one source file or two stages of the layer before."""
    folder = f"p{number:05d}"
    stages = []
    for position in range(STAGES_OF_A_PIPELINE):
        layer, column = divmod(position, WIDTH)
        above = (column, (column + 1) % WIDTH)
        deps = tuple(f"{folder}/o{(layer - 1) * WIDTH + near}" for near in above) if layer else (f"{folder}/in",)
        address = Address(f"{folder}/dvc.yaml", f"s{position}")
        stages.append(Stage(address, (f"make {position}",), deps=deps, outs=(Out(f"{folder}/o{position}"),)))
    return Pipeline(f"{folder}/dvc.yaml", f"{folder}/dvc.yaml", f"{folder}/dvc.yaml", None, tuple(stages))


def read(parts: SimulatedParts) -> Any:
    """An observation whose state was read."""
    observation = parts.observe(Request())
    if observation.state is not None:
        observation.state.entries()
    return observation


def sizes(store: Store, commit: str, before: set[str]) -> tuple[int, int]:
    """Objects that a commit brings which were not there before, and their bytes as git would compress each."""
    packed, new = 0, set(store.packs[commit]) - before
    for oid in new:
        data = store.blobs.get(oid)
        if data is None and oid in store.parts:
            part = store.parts[oid]
            names = [*part.files, *part.folders]
            data = b"".join(name.encode() + bytes(28) for name in names)
            packed += 20 * len(names)  # the digests in a tree do not compress
        packed += len(zlib.compress(data, 1)) if data else 0
    return len(new), packed


class PacedProcess(Process):
    """A process whose steps take what a try was measured to take on a real remote, whatever the simulator draws."""

    seconds_of_a_step = 0.0

    def step(self, what: str) -> None:
        """Five of these are a try: fetch, compose, write, push, answer."""
        scheduler = self.machine.scheduler
        scheduler.sleep(self.seconds_of_a_step * (0.5 + scheduler.rng.random()))
        if self.machine.faults:
            super().step(what)


@dataclass
class Crowd:
    """Runners that publish to one branch every so many seconds, each for an hour of virtual time."""

    writers: int
    every_seconds: float
    try_seconds: float
    """What one try takes: fetch, compose, write, push, answer."""
    hours: float = 0.25
    waits: list[float] = field(default_factory=list)
    failed: int = 0

    def run(self) -> list[Row]:
        """Let them; what each publication took, in virtual seconds."""
        world = self.world = World(Plot(1, ()))
        world.remote.watchers.clear()
        world.has_dvc_remote, world.remote.takes_claims, world.with_claims = True, True, False
        for number in range(self.writers):
            delay = world.scheduler.rng.random() * self.every_seconds
            world.scheduler.start(functools.partial(self._publish, world, number), delay)
        began = time.process_time()
        world.scheduler.run()
        ranked = sorted(self.waits)
        commits = len(ranked)
        hour = f"{self.writers} runners, every {self.every_seconds:g} s, a try takes {self.try_seconds:g} s"
        return [
            Row(f"{hour}: publications", commits, ""),
            Row(f"{hour}: given up", self.failed, ""),
            Row(f"{hour}: median", statistics.median(ranked), "virtual s"),
            Row(f"{hour}: 99th percentile", ranked[int(0.99 * (commits - 1))], "virtual s"),
            Row(f"{hour}: longest", ranked[-1], "virtual s"),
            Row(f"{hour}: the runners' own work for each", 1000 * (time.process_time() - began) / commits, "CPU ms"),
        ]

    def _publish(self, world: World, number: int) -> None:
        host: Host = world._host(number)
        process = PacedProcess(host.machine)
        process.seconds_of_a_step = self.try_seconds / 5
        parts = SimulatedParts(world, host, process)
        observation = parts.observe(Request())
        publisher = parts.publisher(observation, threading.Event())
        record = 0
        while world.scheduler.now < self.hours * 3600:
            began = world.scheduler.now
            try:
                publisher.publish([facts(number, record, observation.commit)])
                self.waits.append(world.scheduler.now - began)
            except RunnerError as error:
                print(f"runner {number}: {error}", file=sys.stderr)
                self.failed += 1
            record += 1
            world.scheduler.sleep(max(0.0, self.every_seconds * (0.5 + world.scheduler.rng.random())))
        parts.close()


def grown(stages: int) -> list[Row]:
    """One size, in a process of its own, so that its memory is its own."""
    with seldom_collected():  # as the runner itself does
        return Big(stages).measure()


def main() -> None:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--stages", type=at_least_1, nargs="+", metavar="N", help="sizes of repositories")
    parser.add_argument("--writers", type=at_least_1, nargs="+", metavar="N", help="how many runners meet")
    parser.add_argument(
        "--every", type=above_0, default=60.0, metavar="SECONDS", help="how often each of them publishes"
    )
    parser.add_argument("--try-seconds", type=above_0, default=0.15, metavar="SECONDS", help="what one try takes them")
    arguments = parser.parse_args()
    is_asked = arguments.stages is not None or arguments.writers is not None
    stages = arguments.stages or ([] if is_asked else [1_000, 10_000, 100_000])
    writers = arguments.writers or ([] if is_asked else [1, 10, 100])
    for count in stages:
        heard = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process takes this over; it is ended by us
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            signal.signal(signal.SIGINT, heard)
            told(
                f"{count:,} stages in {max(1, count // STAGES_OF_A_PIPELINE):,} pipelines", pool.apply(grown, (count,))
            )
    for count in writers:
        told(f"{count} runners", Crowd(count, arguments.every, arguments.try_seconds).run())


def told(title: str, rows: list[Row]) -> None:
    """Print what was found."""
    print(f"\n{title}")
    for row in rows:
        print(f"  {row.value:14,.3f} {row.unit:9}  {row.what}", flush=True)


if __name__ == "__main__":
    run_script(main)
