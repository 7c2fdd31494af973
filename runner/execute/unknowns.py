"""What a plan could not know and an execution can find out: listings in DVC, inputs elsewhere, DVC's run-cache."""

from __future__ import annotations

import datetime
from typing import Any

from runner.core.actions import Action
from runner.core.lock import input_sizes, lock_entry, out_facts
from runner.core.nouns import Stage, Trust, is_external
from runner.core.plan import Step, Walk
from runner.core.records import RunFacts
from runner.data.external import probe
from runner.execute.context import Context, Event
from runner.execute.metrics import Kept, recorded_metrics, short_secrets, told_secret, too_large
from runner.process.redaction import redacted_text


class Resolver:
    """Turns unknowns into knowledge, with the network and the cache of this host."""

    def __init__(self, walk: Walk, context: Context) -> None:
        self._walk = walk
        self._context = context
        self._has_run_cache: bool | None = None
        """Whether there was a run-cache when this execution first asked: what it adds itself is of no use to it."""

    def resolve(self, step: Step) -> Step | None:
        """The step decided anew after looking; None where looking does not help.

        Raises HostError where this host cannot look.
        """
        stage = self._walk.graph.stages[step.address]
        if stage.not_handled or (stage.secrets and self._context.trust is not Trust.TRUSTED):
            return None
        for md5 in step.fetch:
            self._fetch(md5)
        for path in stage.deps:
            if is_external(path):
                self._walk.inputs.learn(path, probe(path, self._context.cache))
        again = self._walk.decide(stage)
        return again if again.action not in (Action.UNKNOWN, Action.PROBE) else None

    def from_run_cache(self, step: Step) -> RunFacts | None:
        """A result that DVC's run-cache has for a stage that is about to run: evidence found at run time."""
        from runner.data import runcache  # imported late: only where something runs

        stage = self._walk.graph.stages[step.address]
        if self._context.trust is not Trust.TRUSTED or step.material is None or stage.is_beyond_dvc:
            return None
        if step.own_only:
            return None
        if not self._context.run_cache or not runcache.eligible(stage):
            return None
        if self._has_run_cache is None:
            self._has_run_cache = runcache.exists(self._context.cache.root)
        if not self._has_run_cache:
            return None
        wanted = lock_entry(stage, step.material.as_json(), None, self._executables(stage))
        entry = runcache.lookup(self._context.cache.root, wanted)
        outs = out_facts(stage, entry) if entry is not None else ()
        if len(outs) < len(stage.outs) or any(self._context.cache.missing(out.md5) for out in outs):
            return None
        kept = Kept(self._context.cache, {out.path: out for out in outs})
        secrets = self._context.secrets
        wrong = too_large(stage, kept) or told_secret(stage, kept, secrets)
        if wrong:  # a run that nobody here saw: what fails a check is no evidence, and the stage runs itself
            said = f"not taken from DVC's run-cache, the stage runs: {redacted_text(wrong, secrets)}"
            self._context.on_event(Event("notice", stage.address, said))
            return None
        for said in short_secrets(stage, kept, secrets):
            self._context.on_event(Event("notice", stage.address, said))
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
            metrics=recorded_metrics(stage, kept, secrets),
            provenance="run-cache",
            host=self._context.host,
            actor=self._context.actor,
            trust=self._context.trust.value,
            inputs=input_sizes(stage, entry or {}),
            location=self._context.location,
        )

    def _executables(self, stage: Stage) -> dict[str, dict[str, Any]]:
        """The one thing beside digests that DVC's run-cache looks at: whether a file in a dep may be executed."""
        found = {}
        for path in stage.deps:
            left = self._walk.outs.get(self._walk.graph.producers.get(path, stage.address)) or {}
            if left[path].isexec if path in left else self._walk.inputs.is_executable(path):
                found[path] = {"isexec": True}
        return found

    def _fetch(self, md5: str) -> None:
        remotes = self._context.remotes
        if self._context.cache.missing(md5) and remotes.default_name() is not None:
            remotes.pull([md5])
