"""The real parts of a reconcile: a mirror of the remote, a DVC cache, processes, and the state branch."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.core.actions import Action
from runner.core.claims import Claim, Watch
from runner.core.nouns import Address, Project, Stage, Trust
from runner.core.plan import Plan, Step, Walk, Wishes
from runner.core.records import RunFacts
from runner.core.schedule import Queue
from runner.core.turns import Patience
from runner.core.verification import Checked
from runner.data.cache import Cache
from runner.data.damage import THIS_HOST, Damage
from runner.data.hash_index import HashIndex
from runner.data.moving import take_over
from runner.data.remotes import Remotes, Transferred
from runner.errors import HostError, RunnerError
from runner.execute.context import Context, Event
from runner.execute.execution import Execution, Outcome, Sink
from runner.execute.kept import Shelf
from runner.execute.materials import Materials
from runner.execute.run import perform
from runner.execute.workers import Threads
from runner.execute.worktree import Content, Worktrees
from runner.failpoints import reached
from runner.git.commit import Identity
from runner.git.mirror import Mirror
from runner.git.network import redacted
from runner.ledger.state import State
from runner.observe.memo import DigestMemo
from runner.observe.observation import Observation, observe
from runner.parts import PublisherPart, Releasing, Request, Result
from runner.process.allowed_environment import base_environment
from runner.process.hiding import hidden_from_stages
from runner.process.host import host_json, host_resources, this_host
from runner.process.isolation import Isolation, available_isolation, prepare_supervisors, wanted_isolation
from runner.process.signing import UNSIGNED_HERE, Signing
from runner.record.claims import Claims, read_claims, take_back
from runner.record.journal import Journal
from runner.record.journal_folder import DiskFolder
from runner.record.ledger import NoSigner
from runner.record.liveness import HomeLocks
from runner.record.outbox import left_over, send
from runner.record.publish import Published, Publisher
from runner.record.standing import Standing, WithRuns, standing_after
from runner.record.turns import Turns
from runner.specs.parse_cache import ParseCache
from runner.values import dataclass, field, replace
from runner.wiring.clone import cached_bytes, host_limits
from runner.wiring.data import check_is_there, check_remotes, remotes_at
from runner.wiring.home import Place, RepositoryHome, caches, home_name, prune_environments, prune_logs
from runner.wiring.lost import lost_stages
from runner.wiring.outlines import Outside, Question
from runner.wiring.settings import Settings as Settings
from runner.wiring.settings import watch_of as watch_of
from runner.wiring.sources import git_bytes, git_folder, recorded_run, sources_of
from runner.wiring.stage_secrets import secrets_of
from runner.wiring.states import opened
from runner.wiring.target import SOON, Target, Targets
from runner.wiring.waiting import said_if_slow

if TYPE_CHECKING:
    from runner.core.releases import Verdict
    from runner.wiring.trust import Trusting

_MOST_MOVES = 10
"""After so many starts in a row that came too late this one goes on: compare-and-swap judges in the end."""


@dataclass
class RealParts:
    """Implements `runner.reconcile.Parts` for one repository on this host."""

    mirror: Mirror
    home: RepositoryHome
    home_root: Path
    cache_root: Path
    clone_dvc: Path | None
    """`.dvc` folder of the user's clone, whose local configuration counts."""
    settings: Settings
    environ: Mapping[str, str]
    on_event: Callable[[Event], None]
    on_plan: Callable[[Plan, Observation], None]
    signing: Signing | None = None
    """Signs what is recorded; None where no key is configured."""
    clock: Callable[[], float] = time.time
    reconcile_id: str = field(default_factory=lambda: os.urandom(16).hex())
    _chosen: dict[str, Target] = field(default_factory=dict)
    _wishes: Wishes | None = None
    _question: Question | None = None
    _publishing: Publisher | None = None
    _outside: Outside = field(default_factory=Outside)
    _journals: dict[str, Journal] = field(default_factory=dict)
    _published_at: float = field(default_factory=time.monotonic)
    _claims: Claims | None = None
    _moves: int = 0
    """How often something new was recorded just before a claim."""
    _sent: dict[str, Transferred] = field(default_factory=dict)
    _patience: Patience = field(default_factory=Patience)
    """With others' turns to publish."""

    def __post_init__(self) -> None:
        self.parsed = ParseCache(self.home_root / "parsed")
        self.memo = DigestMemo(self.home_root / "digests.sqlite")
        self.damage = Damage(self.home.damage, lambda text: self.on_event(Event("notice", None, text)))
        self.cache = Cache(self.cache_root, HashIndex(self.home_root / "hashes.sqlite"), on_damaged=self.damage.here)
        if self.cache_root != self.home.cache:
            take_over(self.cache, self.home.cache)
        self._locks = HomeLocks(self.home.claims)
        self.home.root.mkdir(parents=True, exist_ok=True)
        self._place = Place(self.home_root, self.home.root)
        self.trusting: Trusting | None = None
        if self.settings.trust is not None:
            from runner.wiring.trust import Trusting  # imported late: start-up

            self.trusting = Trusting(self.settings.trust, self.home, self.parsed)
        self._targets = Targets(self.mirror, self.home, self.parsed, self.settings.branch, self.trusting)

    # Observe

    def observe(self, request: Request) -> Observation:
        """Fetch, choose the desired commit and its state, and read both."""
        self._publishing = None
        wanted_isolation()  # a level that does not exist is said before anything begins
        waiting = f"waiting for {redacted(self.mirror.url)}"
        with said_if_slow(lambda text: self.on_event(Event("notice", None, text)), waiting):
            seen = self.mirror.catch_up(soon=SOON)
        reader = self.mirror.reader
        target = self._targets.choose(request.rev, seen)
        states = target.states
        policy = target.project if target.trust is not Trust.TRUSTED else None
        self._question, self._outside = self._asked(target, policy), Outside()
        self._chosen[target.commit] = target
        if (known := self.settings.looked.again(self._question)) is not None:
            self._outside = self.settings.looked.outside
            return known
        own = None if target.base is None else self._targets.opened(target, states.tips[target.base], target.base)
        return observe(
            reader,
            target.commit,
            state=own,
            others=self._others(target, own),
            trust=target.trust,
            policy=policy,
            cache=self.parsed,
            memo=self.memo,
            object_bytes=self._outside.noting(cached_bytes(self.cache_root)),
            limits=self._outside.noting(host_limits),
        )

    def _asked(self, target: Target, policy: Project | None) -> Question | None:
        """All that the observation depends on; None where a trust file says what counts."""
        if self.trusting is not None:
            return None
        tips, names = target.states.tips, self._other_names(target)
        state = None if target.base is None else tips[target.base]
        others = tuple((name, tips[name]) for name in names if name in tips)
        return Question(target.commit, target.trust, policy, state, others)

    def wishes(self, request: Request, observation: Observation) -> Wishes:
        """The request in the planner's words."""
        stages = list(observation.graph.stages)
        retry = None if request.retry is None else frozenset(_found(request.retry, stages))
        targets = None if request.targets is None else frozenset(_found(request.targets, stages))
        occasion = f"{observation.commit}+{self.reconcile_id}" if request.force else observation.commit
        self._wishes = Wishes(occasion=occasion, retry=retry, targets=targets)
        if not retry:
            return self._wishes
        return replace(self._wishes, lost=lost_stages(observation, retry, self.cache, self.remotes(observation)))

    # Execute

    def execute(self, walk: Walk, plan: Plan, observation: Observation, sink: Sink, stop: threading.Event) -> Outcome:
        """Run the plan's stages in a private worktree; raises Held where they exchanged the runner's folder."""
        # What was read and decided stays until the end: looking through it again and again finds no garbage.
        gc.freeze()
        try:
            with self._place.kept():
                return self._execute(walk, plan, observation, sink, stop)
        finally:
            gc.unfreeze()

    def _execute(self, walk: Walk, plan: Plan, observation: Observation, sink: Sink, stop: threading.Event) -> Outcome:
        cpu, memory_bytes = host_resources()
        jobs = self.settings.jobs or max(1, int(cpu))
        content = Content(
            observation.reader,
            observation.tree,
            observation.overlay,
            lambda left_out: self.on_event(Event("notice", None, left_out)),
        )
        shelf = Shelf(self.home.kept, self.home.kept_note)
        worktrees = Worktrees.take(self.home.root, content, overlay=self.settings.isolate, shelf=shelf)
        first = min(jobs, max(1, int(cpu)), sum(step.action is Action.RUN for step in plan.steps))
        making_ready = threading.Thread(target=self._make_ready, args=(worktrees, first), name="worktree", daemon=True)
        making_ready.start()  # while the remote is asked about claims
        try:
            try:
                is_ours = self._claim(observation, plan)
            finally:
                making_ready.join()
            if not is_ours:
                return Outcome(steps={step.address: step for step in plan.steps}, moved=True)
            context = self._context(observation, worktrees, plan)
            tells = self.settings.trigger != "replay"  # which leaves no results anywhere
            for text in check_remotes(context.remotes, observation, tell_of_none=tells):
                self.on_event(Event("notice", None, text))
            heights = observation.graph.heights()
            queue: Queue[Stage] = Queue(jobs=jobs, cpu=cpu, memory_bytes=memory_bytes, heights=heights)
            return Execution(walk, plan, context, queue, sink, stop, Threads(jobs)).go()
        finally:
            worktrees.close()
            if self._claims is not None:
                self._claims.ended()

    def _make_ready(self, worktrees: Worktrees, stages: int) -> None:
        """Have supervisors and files for the first stages; what fails is said when one begins."""
        with contextlib.suppress(OSError, RunnerError):
            prepare_supervisors(self.home.root, stages, overlay=self.settings.isolate)
        worktrees.make_ready()

    def repeat(self, walk: Walk, step: Step, observation: Observation, stop: threading.Event) -> RunFacts:
        """Run one step by itself, and keep nothing of it but its log.

        Raises BytesMissing where an input's bytes are nowhere, InputError where a secret is missing, HostError where
        this host cannot run it.
        """
        content = Content(observation.reader, observation.tree, observation.overlay, lambda left_out: None)
        shelf = Shelf(self.home.kept, self.home.kept_note)
        worktrees = Worktrees.take(self.home.root, content, overlay=self.settings.isolate, shelf=shelf)
        try:
            index = HashIndex(worktrees.aside / "hashes.sqlite")
            worktrees.aside.mkdir()
            alone = Plan(observation.commit, None, (step,), "")
            context = self._context(observation, worktrees, alone)
            context = replace(context, run_cache=False, outputs=Cache(worktrees.aside / "cache", index))
            try:
                run = perform(walk, context, Materials(walk, context), step, stop, remade=False)
                if not run.log_bytes:  # of a repetition no record says so
                    (self.home.logs / f"{run.run_id}.log").touch()
                self.on_event(Event("finished", step.address, run=run))
                return run
            finally:
                index.close()
        finally:
            worktrees.close()

    # Claims

    def _claim(self, observation: Observation, plan: Plan) -> bool:
        """Tell others what is going to run; False where something was recorded since the plan was made."""
        claims = self.new_claims(observation)
        if claims is None:
            return True
        keys = {step.key: step.address for step in plan.steps if step.action is Action.RUN and step.key}
        undecided = (Action.WAIT, Action.PROBE, Action.UNKNOWN)
        waiting = [step.address for step in plan.steps if step.action in undecided]
        if claims.take(keys, waiting, self._chosen[observation.commit].tip):
            return True
        self._moves += 1
        return self._moves > _MOST_MOVES

    def new_claims(self, observation: Observation) -> Claims | None:
        """The claims of what is going to run now, in place of those before; None where a person wants none."""
        if not self.settings.claims:
            return None
        host, home, branch = this_host().hostname, home_name(self.home_root), self.target(observation).branch
        facts = (self.reconcile_id, host, home, self.actor(), self.settings.trigger, branch, observation.commit)
        self._claims = Claims(
            mirror=self.mirror,
            locks=self._locks,
            own=Claim(*facts),
            watch=self.settings.watch,
            notice=lambda text: self.on_event(Event("notice", None, text)),
            clock=self.clock,
            monotonic=time.monotonic,
        )
        return self._claims

    def _held_elsewhere(self, step: Step) -> str | None:
        claim = self._claims.held_elsewhere(step.key, step.address) if self._claims is not None else None
        return None if claim is None else f"runs on {claim.host} ({claim.trigger} of {claim.actor})"

    def wait(self, result: Result, stop: threading.Event) -> bool:
        """Wait for other runners, if this one is to."""
        if result.moved:
            return True
        if self._claims is None or not self.settings.wait:
            return False
        return self._claims.wait(result.held, stop)

    def others_work(self, watch: Watch) -> bool:
        """Whether any runner claims now that it runs something; raises HostError where the remote cannot be asked."""
        placed = read_claims(self.mirror)[0]
        return bool(watch.look({name: row.oid for name, row in placed.items()}, time.monotonic()))

    def target(self, observation: Observation) -> Target:
        """What an observation is of, and where its results go."""
        return self._chosen[observation.commit]

    def has_moved(self, observation: Observation) -> bool:
        """Whether the watched branch is elsewhere by now; raises HostError where the remote cannot be asked."""
        target = self._chosen[observation.commit]
        ref = f"refs/heads/{target.watched}"
        return self.mirror.listed(ref).get(ref) != target.watched_tip

    def released(self) -> None:
        """Take the claim back."""
        if self._claims is not None:
            self._claims.release()

    # Record

    def left_over(self, observation: Observation) -> list[RunFacts]:
        """Finished runs that were never published, without those whose bytes are lost: they are forgotten.

        What dead reconciles of this home claimed is free again.
        """
        if self.settings.claims:
            take_back(self.mirror, self.home.claims)
        runs, lost = left_over(self._journal(observation), self.cache)
        for run in lost:
            self.on_event(Event("notice", run.address, "finished before, but its bytes are lost: it counts as not run"))
        if runs:
            names = ", ".join(str(run.address) for run in runs[:5]) + (" ..." if len(runs) > 5 else "")
            self.on_event(
                Event("notice", None, f"finished here before and not published yet; trying that now: {names}")
            )
        return runs

    def keep(self, run: RunFacts, observation: Observation) -> None:
        """Have a finished run in the journal; raises Held where stages put another folder in place of the runner's."""
        self._place.check()
        if self.signing is not None and run.isolation == Isolation.GROUP:
            self.signing.stages_are_apart(False)  # a better level may have been refused after all
        self._journal(observation).add(run)

    def published(self, runs: Sequence[RunFacts], observation: Observation) -> None:
        """Forget what is on the remote, and remember where its branch is: from here on it only goes forward."""
        self._published_at = time.monotonic()
        self._tell_doubts()
        self._journal(observation).remove(runs)
        self._targets.published(self._chosen[observation.commit])

    def publish_verification(
        self, checked: Sequence[Checked], observation: Observation, stop: threading.Event
    ) -> Published:
        """Have what repetitions came to on the observation's state branch."""
        published = self._publisher(observation, stop).publish_verification(checked)
        self._targets.published(self._chosen[observation.commit])
        return published

    def publish_releases(
        self, decide: Callable[[State], Sequence[Verdict]], observation: Observation, stop: threading.Event
    ) -> Published:
        """Have what is decided of releases on the observation's state branch."""
        published = self.publishing(observation, stop).publish_releases(decide)
        self._targets.published(self._chosen[observation.commit])
        return published

    def publisher(self, observation: Observation, stop: threading.Event) -> PublisherPart:
        """Publishes to the observation's state branch."""
        self._publishing = self._publisher(observation, stop)
        return self._publishing

    def publishing(self, observation: Observation, stop: threading.Event) -> Publisher:
        """The publisher since the last look, which knows what it has recorded."""
        if self._publishing is None:
            self._publishing = self._publisher(observation, stop)
        return self._publishing

    def release(self, observation: Observation, state: State | None, stop: threading.Event) -> Releasing:
        """Decide on the newest commit of the watched branch alone, where it has Deployments, or had them."""
        target = self._chosen[observation.commit]
        if state is None or target.source is None or observation.trust is not Trust.TRUSTED:
            return Releasing()
        if not observation.desired.deployments and not state.has_releases():
            return Releasing()
        from runner.wiring.release_parts import released  # imported late: few release anything

        again = self._wishes is not None and self._wishes.retry is None
        made = released(self, observation, state, stop, again=again)
        if made.commits:
            self._targets.published(target)
        return made

    def _publisher(self, observation: Observation, stop: threading.Event) -> Publisher:
        target = self._chosen[observation.commit]
        remotes = self.remotes(observation)

        def standing(base: State | None, runs: Sequence[RunFacts]) -> Standing:
            return standing_after(observation.walk(WithRuns(observation.recorded(base), runs), self._wishes))

        self._check_signer(target, observation.state)
        if self.signing is not None:
            self.home.root.mkdir(parents=True, exist_ok=True)
            self.signing.stages_are_apart(available_isolation(self.home.root) is not Isolation.GROUP)
        return Publisher(
            mirror=self.mirror,
            turns=Turns(
                self.mirror,
                target.branch,
                self.reconcile_id,
                hold=lambda: self._locks.hold(self.reconcile_id),
                pause=stop.wait,
                patience=self._patience,
                refusal=self.settings.refusal,
            ),
            branch=target.branch,
            desired=observation.desired,
            push_bytes=lambda wanted: self._push_bytes(remotes, wanted, observation.state),
            sources=sources_of(observation, self.cache),
            open_state=lambda commit: self._targets.opened(target, commit, target.branch),
            standing=standing,
            accepted_run=lambda hit: recorded_run(observation.reader, target.states, hit),
            author=Identity("runner", f"runner@{this_host().hostname}"),
            clock=self.clock,
            facts={
                "id": self.reconcile_id,
                "trigger": self.settings.trigger,
                "actor": self.actor(),
                "host": host_json(),
                "watched": target.watched,
                "trust": target.trust.value,
                **({"acceptedState": self.settings.accepted_state} if self.settings.accepted_state else {}),
            },
            location=_location(remotes),
            insists=self.insists(observation),
            source=target.source,
            base=observation.state,
            fork=observation.state is not None and target.branch not in target.states.tips,
            may_go=target.trust is Trust.PROPOSED,
            in_place=target.in_place,
            tip=target.tip,
            counts=self._targets.counts(target.branch),
            signer=self.signing or NoSigner(),
            damage=lambda: self.damage.report(self.cache.has),
            damage_recorded=self.damage.recorded,
            drop=lambda: self._claims.to_drop() if self._claims is not None else [],
            dropped=lambda: self._claims.dropped() if self._claims is not None else None,
        )

    def aim(self, observation: Observation) -> Target:
        """What was chosen to be observed, and where its results go."""
        return self._chosen[observation.commit]

    def planned(self, plan: Plan, observation: Observation) -> None:
        """Tell who watches; raises Held where it would take longer than it may."""
        self._tell_doubts()
        if self._wishes is not None:
            self.settings.looked.found(self._question, observation, self._wishes, plan, self._outside)
        self.on_plan(plan, observation)
        budget = self.settings.budget_seconds or observation.desired.project.budget_seconds
        if budget is not None and not self.settings.over_budget:
            from runner.wiring.estimates import check_budget  # imported late: rare

            check_budget(plan, observation, budget, self.settings.jobs)

    def insists(self, observation: Observation) -> bool:
        """Whether a person accepted a rewritten state, or results have a new place that lacks the old ones."""
        if self.settings.accepted_state is not None:
            return True
        before = observation.state.summary.location if observation.state else ""
        return before == THIS_HOST and _location(self.remotes(observation)) != THIS_HOST

    def due(self, observation: Observation) -> bool:
        """Whether the last publication is `record.every` ago."""
        return time.monotonic() - self._published_at >= observation.desired.project.record_every_seconds

    def sent(self) -> Mapping[str, Transferred]:
        """By DVC remote what really went there."""
        return self._sent

    def trouble(self, error: RunnerError) -> None:
        """Say that a batch could not be published."""
        self._published_at = time.monotonic()
        self.on_event(Event("notice", None, f"{error.message}; the results are kept here and tried again"))

    def actor(self) -> str:
        """Who asked: the person of a CI job, else the user of this host."""
        return self.environ.get("GITHUB_ACTOR") or this_host().user

    def remotes(self, observation: Observation) -> Remotes:
        """DVC remotes by the configuration of the watched branch, the user's own and the host's."""
        commit, root = self._chosen[observation.commit].watched_tip, observation.desired.dvc_root
        return remotes_at(self.mirror.reader, commit, root, self.clone_dvc, self.environ, self.cache, self.damage)

    def close(self) -> None:
        """Let go of what is held: journals, digests and hashes, the processes that read git."""
        reached("closing")
        for journal in self._journals.values():
            journal.close()
        self._locks.let_go()
        self.cache.index.close()
        self.memo.close()
        with contextlib.suppress(HostError):  # tidying up can wait for the next time
            self.mirror.tidy()
            prune_logs(self.home.logs)
            prune_environments(self.home_root / "environments")
        self.mirror.close()
        self.settings.looked.close()

    # Parts of the above

    def _others(self, target: Target, own: State | None) -> list[State]:
        reader = self.mirror.reader
        others = opened(reader, target.states, self._other_names(target), self.parsed)
        if self.trusting is None:
            return others
        return self.trusting.others(reader, others, own, [target.watched_tip, target.commit])

    def _other_names(self, target: Target) -> list[str]:
        states = target.states
        return states.others(target.base or states.first, proposals=target.project.reuse_proposed)

    def _check_signer(self, target: Target, state: State | None) -> None:
        """Find out before anything runs that what is recorded would not be trusted here, or elsewhere."""
        if self.trusting is not None:
            key = self.signing.public_key if self.signing is not None else None
            number = state.summary.head.sequence + 1 if state is not None else 1
            self.trusting.check_signer(key, number, proposal=target.trust is Trust.PROPOSED)
        elif self.signing is None and target.trust is Trust.TRUSTED and state is not None and state.is_signed:
            self.on_event(Event("notice", None, UNSIGNED_HERE))

    def _tell_doubts(self) -> None:
        for text in self.trusting.notices() if self.trusting is not None else ():
            self.on_event(Event("notice", None, text))

    def _journal(self, observation: Observation) -> Journal:
        branch = self._chosen[observation.commit].branch
        if branch not in self._journals:
            self._journals[branch] = Journal(DiskFolder(self.home.journal(branch)), self.reconcile_id)
        return self._journals[branch]

    def _context(self, observation: Observation, worktrees: Worktrees, plan: Plan) -> Context:
        trusted = observation.trust is Trust.TRUSTED
        remotes = self.remotes(observation)
        self.home.logs.mkdir(parents=True, exist_ok=True)
        return Context(
            reader=observation.reader,
            desired=observation.desired,
            cache=self.cache,
            remotes=remotes,
            worktrees=worktrees,
            logs=self.home.logs,
            environments=self.home_root / "environments",
            shell=observation.desired.project.shell or "bash",
            environ=base_environment(self.environ),
            secrets=secrets_of(observation, plan, self.environ) if trusted else {},
            trust=observation.trust,
            actor=self.actor(),
            host=host_json(),
            location=_location(remotes),
            run_cache=self.settings.run_cache,
            git_bytes=lambda oid: git_bytes(observation.reader, oid),
            git_folder=lambda oid: git_folder(observation.reader, oid),
            held_elsewhere=self._held_elsewhere,
            on_event=self.on_event,
            clock=self.clock,
            run_ids=_run_id,
            hidden=hidden_from_stages(self.signing.path if self.signing is not None else None, self.notes()),
        )

    def notes(self) -> list[Path]:
        """What the runner believes later: a stage that could write there would decide about others' results."""
        trust = [self.settings.trust] if self.settings.trust is not None else []
        return [*self.home.notes(), *caches(self.home_root), *trust]

    def _push_bytes(self, remotes: Remotes, wanted: Sequence[tuple[str, str | None]], state: State | None) -> None:
        for name in {named or remotes.default_name() or "" for _, named in wanted}:
            check_is_there(remotes, name, state)
        for remote, sent in send(wanted, self.cache, remotes).items():
            self._sent[remote] = self._sent.get(remote, Transferred()) + sent


def _run_id() -> str:
    return os.urandom(16).hex()


def _location(remotes: Remotes) -> str:
    return remotes.default_name() or THIS_HOST


def _found(names: Sequence[str], stages: Sequence[Address]) -> list[Address]:
    if not names:
        return []
    from runner.core.naming import find_stages  # imported late: only where stages are named

    return [address for name in names for address in find_stages(name, stages)]
