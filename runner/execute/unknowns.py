"""What a plan could not know and an execution can find out: listings in DVC, inputs elsewhere, DVC's run-cache."""

from __future__ import annotations

import datetime

from runner.core.actions import Action
from runner.core.lock import lock_entry, out_facts
from runner.core.nouns import Trust, is_external
from runner.core.plan import Step, Walk
from runner.core.records import RunFacts
from runner.errors import HostError
from runner.data.external import probe
from runner.execute.context import Context, Event


class Resolver:
    """Turns unknowns into knowledge, with the network and the cache of this host."""

    def __init__(self, walk: Walk, context: Context) -> None:
        self._walk = walk
        self._context = context

    def resolve(self, step: Step) -> Step | None:
        """The step decided anew after looking; None where looking does not help."""
        stage = self._walk.graph.stages[step.address]
        if stage.not_handled or (stage.secrets and self._context.trust is not Trust.TRUSTED):
            return None
        try:
            for md5 in step.fetch:
                self._fetch(md5)
            for path in stage.deps:
                if is_external(path):
                    self._walk.inputs.learn(path, probe(path))
        except HostError as error:
            self._context.on_event(Event("notice", step.address, str(error)))
            return None
        again = self._walk.decide(stage)
        return again if again.action not in (Action.UNKNOWN, Action.PROBE) else None

    def from_run_cache(self, step: Step) -> RunFacts | None:
        """A result that DVC's run-cache has for a stage that is about to run: evidence found at run time."""
        from runner.data import runcache  # imported late: only where something runs

        stage = self._walk.graph.stages[step.address]
        eligible = self._context.trust is Trust.TRUSTED and step.material is not None and not stage.always_changed
        if not eligible or not stage.deps or not stage.outs or stage.environment or stage.env or stage.seed is not None:
            return None
        if any(out.persist for out in stage.outs) or step.material is None:
            return None
        wanted = lock_entry(stage, step.material.as_json(), None)
        entry = runcache.lookup(self._context.cache.root, wanted)
        if entry is None:
            return None
        outs = out_facts(stage, entry)
        if any(self._context.cache.missing(out.md5) for out in outs):
            return None
        now = datetime.datetime.fromtimestamp(self._context.clock(), datetime.UTC)
        return RunFacts(
            run_id=self._context.run_ids(),
            address=stage.address,
            key=step.key or "",
            material=step.material.as_json(),
            succeeded=True,
            reason="restored",
            message="restored from DVC's run-cache",
            desired=self._context.desired.commit,
            started_at=now.isoformat(timespec="milliseconds"),
            seconds=0.0,
            outs=outs,
            provenance="run-cache",
            host=self._context.host,
            actor=self._context.actor,
            trust=self._context.trust.value,
            location=self._context.location,
        )

    def _fetch(self, md5: str) -> None:
        remotes = self._context.remotes
        name = remotes.default_name()
        if self._context.cache.missing(md5) and name is not None:
            remotes.pull_listing(md5, name, self._context.cache)
