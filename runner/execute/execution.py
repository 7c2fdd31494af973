"""The loop of an execution: start what is ready, settle what has finished, ask the walk again for what waited."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable

from runner.core.actions import Action
from runner.core.nouns import Address, Stage
from runner.core.plan import Plan, Step, Walk
from runner.core.records import RunFacts
from runner.core.schedule import Queue
from runner.errors import HostError, RunnerError, SpecError
from runner.execute.context import Context, Event
from runner.execute.materials import BytesMissing, Materials
from runner.execute.run import perform
from runner.execute.strays import stray_words
from runner.execute.unknowns import Resolver
from runner.execute.workers import Workers
from runner.values import dataclass, field, replace

Finished = tuple[Step, RunFacts | Exception]
"""A run that has ended, or what stopped it."""


@dataclass
class Outcome:
    """What an execution came to."""

    steps: dict[Address, Step] = field(default_factory=dict)
    """The last word on each stage of the plan."""
    runs: list[RunFacts] = field(default_factory=list)
    host_errors: dict[Address, RunnerError] = field(default_factory=dict)
    """Stages that this host could not run; nothing is recorded of them."""
    cancelled: bool = False
    held: dict[Address, str] = field(default_factory=dict)
    """Stages that another runner is running now, with their keys; nothing is known of what comes out."""
    moved: bool = False
    """Nothing was started, since something new was recorded after the plan was made."""


@dataclass(frozen=True, slots=True)
class Sink:
    """Where results go: `keep` at once, `tick` between two of them (it may publish)."""

    keep: Callable[[RunFacts], None]
    tick: Callable[[bool], None]
    """Called with whether stages are still running."""


class Execution:
    """One execution of one plan."""

    def __init__(
        self,
        walk: Walk,
        plan: Plan,
        context: Context,
        capacity: Queue[Stage],
        sink: Sink,
        stop: threading.Event,
        workers: Workers[Finished],
        run: Callable[..., RunFacts] = perform,
    ) -> None:
        """`run` does what `perform` does, and raises what it raises."""
        self._walk = walk
        self._context = context
        self._queue = capacity
        self._sink = sink
        self._stop = stop
        self._workers = workers
        self._perform = run
        self._materials = Materials(walk, context)
        self._resolver = Resolver(walk, context)
        self._remaking: dict[Address, list[Address]] = {}
        """Stages that run again because their bytes are lost, and who asked for them."""
        self._damaged: set[Address] = set()
        """Stages whose result is damaged on a DVC remote."""
        self._renewed = False
        """Whether a stage that ran again left something else: what was decided from its old result is asked again."""
        self._settled: collections.deque[Address] = collections.deque()
        self._passed_over: dict[Address, None] = {}
        """Stages that were not asked again when an input of theirs was settled, since others are missing."""
        self._to_remake: collections.deque[Stage] = collections.deque()
        self._alone = False
        """Whether a stage runs again: it clears and places what others may read, so nothing runs beside it."""
        self._error: Exception | None = None
        self.outcome = Outcome(steps={step.address: step for step in plan.steps})

    def go(self) -> Outcome:
        """Run until nothing is ready and nothing runs, or a stop is asked for.

        An error on the way starts nothing more; what runs is heard out, so that every result is kept, and then it is
        raised.
        """
        try:
            self._guarded(self._enter_all)
            self._guarded(self._start)
            while self._queue.running:
                self._guarded(self._take_one)
                self._guarded(self._ask_waiting)
                self._guarded(self._start)
                self._guarded(lambda: self._sink.tick(self._queue.running > 0))
            self._guarded(self._ask_passed_over)
        finally:
            self._workers.close()
        if self._error is not None:
            raise self._error
        self.outcome.cancelled = self._stop.is_set()
        if not self.outcome.cancelled and not self._queue.idle:
            raise AssertionError("stages are ready and none of them can start")
        return self.outcome

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - raised by `go` when nothing runs any more
            self._error = self._error or error

    def _enter_all(self) -> None:
        for step in list(self.outcome.steps.values()):
            self._enter(step)
        self._ask_waiting()

    def _start(self, least_height: int = 0) -> None:
        if self._stop.is_set() or self._error is not None:
            self._queue.clear()
            self._to_remake.clear()
            return
        while not self._to_remake and not self._alone:
            taken = self._queue.take(least_height)
            for stage in taken:
                if (self._renewed and not self._runs_still(stage)) or self._is_held(stage):
                    self._queue.done(stage.address)
                else:
                    self._work(self.outcome.steps[stage.address])
            self._ask_waiting()
            if not taken:
                return
        if self._to_remake and not self._queue.running:
            stage = self._to_remake.popleft()
            self._queue.begin(stage)
            self._alone = True
            self._work(self.outcome.steps[stage.address])

    def _runs_still(self, stage: Stage) -> bool:
        """Ask again for a stage that was ready before an input of it was renewed."""
        step = self._asked_again(stage)
        self.outcome.steps[stage.address] = step
        if step.entry is not None:
            self._settled.append(stage.address)
        return step.action is Action.RUN

    def _is_held(self, stage: Stage, more: str = "") -> bool:
        """Whether somebody else runs it now; if nobody does it is ours, and others are told. `more` is said of it."""
        step = self.outcome.steps[stage.address]
        who = self._context.held_elsewhere(step)
        if who is None or step.key is None:
            return False
        said = who + more
        self.outcome.steps[stage.address] = replace(step, action=Action.WAIT, reasons=(said,))
        self.outcome.held[stage.address] = step.key
        self._context.on_event(Event("notice", stage.address, said))
        return True

    def _asked_again(self, stage: Stage) -> Step:
        remade = stage.address in self._remaking
        return self._walk.made_again(stage) if remade else self._walk.decide(stage)

    def _work(self, step: Step) -> None:
        remade = step.address in self._remaking

        def work() -> Finished:
            try:
                facts = self._perform(self._walk, self._context, self._materials, step, self._stop, remade=remade)
            except Exception as error:  # noqa: BLE001 - handed over to the loop, which raises what it does not know
                return step, error
            return step, facts

        self._workers.start(work)

    def _take_one(self) -> None:
        """Wait for a result, waking up now and then so that a stop and a publication are not late."""
        while (finished := self._workers.next(timeout_seconds=0.5)) is None:
            self._sink.tick(True)
        step, result = finished
        self._queue.done(step.address)
        self._alone = False
        if isinstance(result, RunFacts):
            self._start_beside(step)
            self._ended(step, result)
        elif isinstance(result, BytesMissing):
            self._lost(step, result)
        elif isinstance(result, RunnerError):
            self.outcome.host_errors[step.address] = result
            self._disappoint(step.address)
            self._context.on_event(Event("notice", step.address, result.line))
        else:
            raise result

    def _start_beside(self, step: Step) -> None:
        """Give the place of a stage that has ended to one that is ready, before its result is written down.

        Only where none is more urgent that this result may make ready, and never where stages run again or have run
        again, since others would then be decided anew before this result is written down.
        """
        is_told_in_order = not self._queue.has_one_place  # else the next one would be told of before this one's end
        if is_told_in_order and not (self._remaking or self._to_remake or self._renewed):
            behind = self._walk.graph.downstream[step.address]
            self._guarded(lambda: self._start(max(map(self._queue.height, behind), default=0)))

    def _ended(self, step: Step, run: RunFacts) -> None:
        if run.reason == "cancelled":
            self._context.on_event(Event("finished", step.address, run=run))
            return
        remade = step.address in self._remaking
        if remade and run.succeeded:
            run = replace(run, reason="remade")
            self._doubt_what_was_there(run)
        self._sink.keep(run)
        self.outcome.runs.append(run)
        self._context.on_event(Event("finished", step.address, run=run))
        for said in stray_words(self._stage(step), run.undeclared):
            self._context.on_event(Event("notice", step.address, said))
        if not run.succeeded:
            self.outcome.steps[step.address] = replace(step, action=Action.FAILED, reasons=(run.message,))
            self._disappoint(step.address)
            return
        before = self._walk.outs.get(step.address) or {}
        self._walk.settle(step.address, run.outs)
        if remade and {path: fact.md5 for path, fact in before.items()} != {out.path: out.md5 for out in run.outs}:
            self._renew(step.address)
        for address in self._remaking.pop(step.address, []):
            step_again = self._asked_again(self._walk.graph.stages[address])
            self.outcome.steps[address] = step_again
            self._enter(step_again)
        self._settled.append(step.address)

    def _doubt_what_was_there(self, run: RunFacts) -> None:
        """Where a part of a result was damaged on its remote, nothing of it is believed to be whole there."""
        if run.address not in self._damaged:
            return
        remotes = self._context.remotes
        for out in run.outs:
            name = out.remote or remotes.default_name()
            if out.cached and out.push and name is not None:
                remotes.doubt([out.md5], name)

    def _disappoint(self, producer: Address) -> None:
        """Stages that asked for lost bytes, and do not get them."""
        for address in self._remaking.pop(producer, []):
            reason = f"waits for {producer.stage}, which was to run again"
            self.outcome.steps[address] = replace(self.outcome.steps[address], action=Action.WAIT, reasons=(reason,))
            self._disappoint(address)

    def _renew(self, producer: Address) -> None:
        """What stood on a result that came out differently, and is not under way, is decided anew."""
        self._renewed = True
        behind = {producer}
        for address in self._walk.graph.order:
            if behind.isdisjoint(self._walk.graph.upstream[address]):
                continue
            behind.add(address)
            step = self.outcome.steps.get(address)
            if step is not None and step.action in (Action.KEEP, Action.REUSE):
                self.outcome.steps[address] = step = self._walk.decide(self._walk.graph.stages[address])
                self._enter(step)

    def _ask_waiting(self) -> None:
        """Decide the stages that waited for what is settled now, and those behind them that thereby are settled."""
        while self._settled:
            for next_ in self._walk.graph.downstream[self._settled.popleft()]:
                waiting = self.outcome.steps.get(next_)
                if waiting is None or waiting.action not in (Action.WAIT, Action.UNKNOWN, Action.PROBE):
                    continue
                if waiting.action is Action.WAIT and self._lacks_inputs(next_):
                    self._passed_over[next_] = None
                    continue
                self._ask(next_)

    def _ask(self, address: Address) -> None:
        self._passed_over.pop(address, None)
        step = self._walk.decide(self._walk.graph.stages[address])
        self.outcome.steps[address] = step
        self._enter(step)
        if step.entry is not None:
            self._settled.append(address)
            self._context.on_event(Event("restored", address, step.action.value))

    def _lacks_inputs(self, address: Address) -> bool:
        """Whether a stage before this one has left nothing yet: then it can only wait, whatever else is known."""
        outs = self._walk.outs
        return any(outs.get(needed) is None for needed in self._walk.graph.upstream[address])

    def _ask_passed_over(self) -> None:
        """What still waits when nothing runs any more waits for less than the plan says."""
        for address in [] if self._stop.is_set() else list(self._passed_over):
            if self.outcome.steps[address].action is Action.WAIT and self._lacks_inputs(address):
                self._ask(address)

    def _enter(self, step: Step) -> None:
        """A step that can start now goes to the queue; one that only lacks knowledge is looked into first."""
        if step.action in (Action.UNKNOWN, Action.PROBE):
            known = self._looked_up(step)
            if known is None:
                self._note_findings(step)
                return
            self.outcome.steps[step.address] = known
            if known.entry is not None:
                self._settled.append(step.address)
            step = known
        if step.action is not Action.RUN:
            return
        if step.address in self._walk.wishes.lost:
            self._remaking.setdefault(step.address, [])
            self._enter_remade(step)
            return
        restored = self._resolver.from_run_cache(step)
        if restored is None:
            self._queue.push(self._stage(step))
        elif not self._is_held(self._stage(step), "; its result is in DVC's run-cache, and counts once it is recorded"):
            # Whoever claims it has made it, perhaps just now in this same cache: his record says more than ours would.
            self._ended(step, restored)

    def _looked_up(self, step: Step) -> Step | None:
        try:
            return self._resolver.resolve(step)
        except HostError as error:
            self.outcome.host_errors[step.address] = error
            self._context.on_event(Event("notice", step.address, error.line))
            return None

    def _note_findings(self, step: Step) -> None:
        """An input that only turned out to be missing when what should hold it was there."""
        if self._walk.findings:
            found, self._walk.findings = self._walk.findings, []
            self.outcome.host_errors[step.address] = SpecError(found)

    def _lost(self, step: Step, loss: BytesMissing) -> None:
        """The bytes of an input are gone: make them again, the one exception to running nothing twice."""
        if loss.producer is None:
            hint = "push it to the DVC remote (`dvc push`), or give this host access to it"
            if loss.is_damaged:  # DVC takes what is there for what it should be
                hint = "delete the damaged objects there, and `dvc push` from a clone that has them whole"
            self.outcome.host_errors[step.address] = HostError(f"stage {step.address.stage}: {loss}", hint)
            self._disappoint(step.address)
            self._context.on_event(Event("notice", step.address, HostError(str(loss), hint).line))
            return
        if loss.is_damaged:
            self._damaged.add(loss.producer)
        asked = self._remaking.setdefault(loss.producer, [])
        asked.append(step.address)
        if len(asked) > 1:
            return
        self._context.on_event(Event("notice", loss.producer, f"runs again: {loss}"))
        made = self._walk.made_again(self._walk.graph.stages[loss.producer])
        self.outcome.steps[loss.producer] = made
        self._enter_remade(made)

    def _enter_remade(self, step: Step) -> None:
        if step.action is Action.RUN:
            self._to_remake.append(self._stage(step))
        else:
            self.outcome.host_errors[step.address] = HostError(
                f"stage {step.address.stage} has to run again, and cannot: {'; '.join(step.reasons)}"
            )
            self._disappoint(step.address)

    def _stage(self, step: Step) -> Stage:
        return self._walk.graph.stages[step.address]
