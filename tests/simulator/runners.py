"""A runner in the simulation: the production story and its rooms, on simulated ports.

`reconcile`, `Observation`, `Walk`, `State`, `Publisher`, `Journal`, `Execution`, `Materials` and `Remotes` are the very
ones of production. What is written here is what `RealParts` does with files, processes and clones, and the run of a
stage: it writes down what it read.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from runner.core.actions import Action
from runner.core.claims import Claim, Watch
from runner.core.nouns import Stage, Trust
from runner.core.own_refs import Refusal
from runner.core.plan import Plan, Step, Walk, Wishes
from runner.core.recorded import OutFact
from runner.core.records import RunFacts
from runner.core.schedule import Queue
from runner.core.turns import Patience
from runner.data.config import DvcConfig
from runner.data.faults import MissingObjects
from runner.data.remotes import Remotes, Transferred
from runner.errors import RunnerError
from runner.execute.execution import Execution, Outcome, Sink
from runner.execute.materials import Materials
from runner.git.commit import Identity
from runner.ledger.state import State
from runner.observe.observation import Observation
from runner.parts import Releasing, Request, Result
from runner.record.claims import Claims
from runner.record.journal import Journal
from runner.record.outbox import left_over, send
from runner.record.publish import Published, Publisher
from runner.record.standing import Standing, WithRuns, standing_after
from runner.record.tree import Sources
from runner.record.turns import Turns
from tests.invariants import Told
from tests.simulator.disk import SimulatedCache, SimulatedPlace
from tests.simulator.processes import Crash, Process, SimulatedBeat, SimulatedLocks

if TYPE_CHECKING:
    from tests.simulator.world import Host, World

BRANCH = "runner/state"
WATCHED = "main"
MOST_MOVES = 10
CONFIG = {
    True: DvcConfig(default_remote="store", remotes={"store": {"url": "/store"}}),
    False: DvcConfig(),
}


class SimulatedParts:
    """Implements `runner.reconcile.Parts` for one process on a simulated host."""

    def __init__(self, world: World, host: Host, process: Process) -> None:
        self._world = world
        self._process = process
        self._rng = world.scheduler.rng
        self.id = f"{host.machine.number}.{world.next_number()}"
        self._disk = host.disk
        self._copy = world.rules.copy(world.remote, host.repository, process)
        self._cache: SimulatedCache = world.rules.cache(host.disk, process)
        self._journal: Journal = world.rules.journal(world.rules.folder(host.disk, process), self.id)
        self._remotes = Remotes(
            CONFIG[world.has_dvc_remote],
            self._cache,  # type: ignore[arg-type]
            open_place=lambda *_, **__: SimulatedPlace(world.dvc_objects, process),
        )
        self._wishes = Wishes(occasion="")
        self.had_trouble = False
        self._claims: Claims | None = None
        self._watch = Watch()
        self._patience, self._refusal = Patience(), Refusal()
        self._moves = 0

    @property
    def made(self) -> list[str]:
        """State commits of this process that the remote accepted."""
        made: list[str] = self._copy.made
        return made

    # Observe

    def observe(self, request: Request) -> Observation:
        self._copy.fetch()
        commit = self._copy.tip(WATCHED)
        assert commit is not None
        ask = self._world.asks[commit]
        tip = self._copy.tip(BRANCH)
        return Observation(
            self._copy.reader,  # type: ignore[arg-type]
            commit,
            self._copy.reader.tree(commit),
            ask.desired,
            ask.graph,
            ask.inputs,  # type: ignore[arg-type]
            {},
            self._open_state(tip) if tip else None,
            (),
            Trust.TRUSTED,
            self._cache.believed,
        )

    def wishes(self, request: Request, observation: Observation) -> Wishes:
        self._wishes = Wishes(occasion=observation.commit, retry=frozenset() if request.retry is not None else None)
        return self._wishes

    def planned(self, plan: Plan, observation: Observation) -> None:
        self._process.say(f"plan for {observation.commit[:8]}: {' '.join(step.action.value for step in plan.steps)}")

    # Execute

    def execute(self, walk: Walk, plan: Plan, observation: Observation, sink: Sink, stop: threading.Event) -> Outcome:
        context: Any = SimpleNamespace(
            cache=self._cache,
            remotes=self._remotes,
            git_bytes=self._git_bytes,
            on_event=lambda event: None,
            run_cache=False,
            held_elsewhere=self._held_elsewhere,
            trust=Trust.TRUSTED,
        )
        if not self._claim(plan, observation):
            return Outcome(steps={step.address: step for step in plan.steps}, moved=True)
        queue: Queue[Stage] = Queue(jobs=2, cpu=2.0, memory_bytes=0, heights=observation.graph.heights())
        workers = OneAfterTheOther(self._rng.random)
        try:
            return Execution(walk, plan, context, queue, sink, stop, workers, self._perform).go()
        finally:
            if self._claims is not None:
                self._claims.ended()

    def _claim(self, plan: Plan, observation: Observation) -> bool:
        if not self._world.with_claims:
            return True
        name = self._process.machine.name
        claims = self._claims = Claims(
            mirror=self._copy,
            locks=SimulatedLocks(self._process),
            own=Claim(self.id, name, name, "ada", "command", BRANCH, plan.desired),
            watch=self._watch,
            notice=lambda text: self._process.say(text),
            clock=self._process.machine.clock,
            monotonic=lambda: self._world.scheduler.now,
            beat=SimulatedBeat(self._process),
            between=self._rng.uniform,
        )
        keys = {step.key: step.address for step in plan.steps if step.action is Action.RUN and step.key}
        undecided = (Action.WAIT, Action.PROBE, Action.UNKNOWN)
        waiting = [step.address for step in plan.steps if step.action in undecided]
        if claims.take(keys, waiting, observation.state.commit if observation.state else None):
            return True
        self._moves += 1
        return self._moves > MOST_MOVES

    def _held_elsewhere(self, step: Step) -> str | None:
        claim = self._claims.held_elsewhere(step.key, step.address) if self._claims is not None else None
        return None if claim is None else f"runs on {claim.host}"

    def _perform(
        self, walk: Walk, context: Any, materials: Materials, step: Step, stop: threading.Event, *, remade: bool
    ) -> RunFacts:
        stage = walk.graph.stages[step.address]
        read = {dep: self._own_file(walk, dep) for dep in stage.deps if dep not in walk.graph.producers}
        for material in materials.of(stage):
            try:
                read[material.path] = self._cache.read_bytes(material.md5)
            except MissingObjects:
                materials.fetch(material)
                read[material.path] = self._cache.read_bytes(material.md5)
            if not SimulatedCache.is_sound(self._cache, read[material.path], material.md5):
                self._world.read_wrong.append(f"{step.address.stage} read {material.md5} of {material.path}")
        self._process.step(f"run {stage.address.stage}")
        is_failed = self._process.take("fail") is not None or self._rng.random() < self._world.flakiness
        return self._facts(walk, step, stage, read, failed=is_failed, remade=remade)

    def _facts(
        self, walk: Walk, step: Step, stage: Stage, read: Mapping[str, bytes], *, failed: bool, remade: bool
    ) -> RunFacts:
        assert step.key is not None
        assert step.material is not None
        run_id = f"run{self._world.next_number()}"
        outs = ()
        if not failed:
            data = self._result(stage, read, run_id)
            outs = tuple(
                OutFact(out.path, self._cache.put_bytes(data), len(data), cached=out.cache) for out in stage.outs
            )
        return RunFacts(
            run_id=run_id,
            address=stage.address,
            key=step.key,
            material=step.material.as_json(),
            succeeded=not failed,
            reason="failed" if failed else "remade" if remade else "ok",
            message="exit code 1" if failed else "",
            desired=walk.desired.commit,
            started_at=datetime.datetime.fromtimestamp(self._process.machine.clock(), datetime.UTC).isoformat(),
            seconds=0.1,
            outs=outs,
        )

    def _result(self, stage: Stage, read: Mapping[str, bytes], run_id: str) -> bytes:
        """What a stage makes of what it read; training twice hardly ever gives the same bytes."""
        if stage.cmd[0] == "always the same":
            return b"the same for all\n"
        salt = "" if self._world.is_reproducible else run_id
        return f"{stage.address.stage} {stage.cmd[0]} {salt} {sorted(read.items())!r:.200}\n".encode()

    def _own_file(self, walk: Walk, path: str) -> bytes:
        return self._world.asks[walk.desired.commit].version.files[path]

    def _git_bytes(self, oid: str) -> bytes | None:
        return self._copy.reader.blob(oid) if self._copy.reader.exists(oid) else None

    # Record

    def left_over(self, observation: Observation) -> list[RunFacts]:
        try:
            runs, lost = left_over(self._journal, self._cache)
        except Crash:  # it may have forgotten some that are lost, and is dead before it could say so
            self._excuse(self._disk.told)
            raise
        self._excuse(lost)
        if runs or lost:
            self._process.say(f"left over: {[run.run_id for run in runs]}, lost: {[run.run_id for run in lost]}")
        return runs

    def _excuse(self, runs: Sequence[RunFacts]) -> None:
        lost = self._disk.lost
        self._world.excused |= {run.run_id for run in runs if any(out.md5 in lost for out in run.outs)}

    def keep(self, run: RunFacts, observation: Observation) -> None:
        self._journal.add(run)
        self._disk.told.append(run)
        self._process.say(f"told of {run.run_id}: {run.address.stage} {run.reason}")
        self._world.told.append(Told(run.run_id, run.key, run.succeeded))

    def published(self, runs: Sequence[RunFacts], observation: Observation) -> None:
        self._journal.remove(runs)

    def publisher(self, observation: Observation, stop: threading.Event) -> _Publishing:
        return _Publishing(self._publisher(observation), self._world)

    def _publisher(self, observation: Observation) -> Publisher:
        def standing(base: State | None, runs: Sequence[RunFacts]) -> Standing:
            return standing_after(observation.walk(WithRuns(observation.recorded(base), runs), self._wishes))

        reader, commit, state = self._copy.reader, observation.commit, observation.state

        def object_bytes(md5: str) -> bytes | None:
            return self._cache.believed(md5) or (state.small(md5) if state else None)

        def desired_id(path: str, is_folder: bool) -> str | None:
            entry = observation.tree.get(path)
            return observation.tree.folder(path) if is_folder else entry.oid if entry else None

        return self._world.rules.publisher(
            mirror=self._copy,
            turns=Turns(
                self._copy,
                BRANCH,
                self.id,
                pause=self._pause_in_the_queue,
                rest=self._pause,
                monotonic=lambda: self._world.scheduler.now,
                between=self._rng.uniform,
                patience=self._patience,
                refusal=self._refusal,
            ),
            branch=BRANCH,
            desired=observation.desired,
            push_bytes=lambda wanted: send(wanted, self._cache, self._remotes),
            sources=Sources(
                object_bytes=object_bytes,
                has_object=lambda md5: not self._cache.missing(md5),
                desired_file=lambda path: reader.file(commit, path),
                overlay={},
                dumps_lock=repr,
                in_git=reader.exists,
                desired_id=desired_id,
            ),
            open_state=self._open_state,
            standing=standing,
            accepted_run=_no_other_branch,
            author=Identity("runner", f"runner@{self._process.machine.name}"),
            clock=self._process.machine.clock,
            facts={"id": self.id},
            source=WATCHED,
            base=state,
            tip=state.commit if state else None,
            location="store" if self._world.has_dvc_remote else "this host",
            drop=lambda: self._claims.to_drop() if self._claims is not None else [],
            dropped=lambda: self._claims.dropped() if self._claims is not None else None,
        )

    def _pause(self, seconds: float) -> None:
        self._world.scheduler.sleep(seconds)
        self._process.step("wait for the next try")

    def _pause_in_the_queue(self, seconds: float) -> bool:
        self._pause(seconds)
        return False

    def _open_state(self, commit: str) -> State:
        return State(self._copy.reader, commit)

    def wait(self, result: Result, stop: threading.Event) -> bool:
        if result.moved:
            return True
        self._process.say("waits for others")
        return self._claims is not None and self._claims.wait(result.held, stop)

    def released(self) -> None:
        if self._claims is not None:
            self._claims.release()

    def due(self, observation: Observation) -> bool:
        return self._rng.random() < 0.15

    def insists(self, observation: Observation) -> bool:
        return False

    def release(self, observation: Observation, state: State | None, stop: threading.Event) -> Releasing:
        return Releasing()

    def sent(self) -> Mapping[str, Transferred]:
        return {}

    def trouble(self, error: RunnerError) -> None:
        self.had_trouble = True
        self._process.say(f"a batch waits: {error.message}")

    def close(self) -> None:
        self._journal.close()


class _Publishing:
    """A publisher, and a note of what it dropped."""

    def __init__(self, publisher: Publisher, world: World) -> None:
        self._publisher = publisher
        self._world = world

    def publish(self, runs: Sequence[RunFacts]) -> Published:
        published = self._publisher.publish(runs)
        self._world.dropped |= {row["runId"] for row in published.dropped}
        return published


class OneAfterTheOther:
    """Runs what was started one after the other, in any order; implements `runner.execute.workers.Workers`."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._started: list[Callable[[], Any]] = []

    def start(self, work: Callable[[], Any]) -> None:
        self._started.append(work)

    def next(self, timeout_seconds: float) -> Any:
        if self._chance() < 0.1:
            return None
        return self._started.pop(int(self._chance() * len(self._started)))()

    def close(self) -> None:
        self._started.clear()


def _no_other_branch(hit: Any) -> RunFacts:
    raise AssertionError("there is one state branch")
