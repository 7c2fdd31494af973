"""The plan: for each stage what a reconcile would do, and why; a pure function of desired and recorded.

`Walk` goes through the stages in order and decides each of them from the outputs of the ones before. A reconcile
uses the same walk: it settles what has run and asks again for those that waited, so a plan and its execution cannot
disagree. Actions decide; reasons are for people and nothing branches on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from runner.core.actions import Action
from runner.core.canonical import plain_digest
from runner.core.graph import Graph
from runner.core.inputs import Gathered, Gatherer
from runner.core.nouns import Address, Desired, LockEntry, Stage, Trust
from runner.core.recorded import Entry, Hit, Inputs, OutFact, Recorded, times_with
from runner.core.runkey import Material, differences, material_of, run_key
from runner.errors import Finding
from runner.values import dataclass, field, replace

EVIDENCE = "dvc.lock@"
"""Provenance of what a committed lock file vouches for, with the commit."""


_LOST = "the bytes of its result are lost"


@dataclass(frozen=True, slots=True)
class Step:
    """What the plan says of one stage."""

    address: Address
    action: Action
    reasons: tuple[str, ...] = ()
    key: str | None = None
    """None while an input is not known."""
    material: Material | None = None
    entry: Entry | None = None
    """For keep and reuse: the result that stands for the stage afterwards."""
    hit: Hit | None = None
    """For reuse and failed: the run that was found."""
    changed: bool = False
    """For keep: true where the entry is not yet what the state says (evidence that is new)."""
    fetch: tuple[str, ...] = ()
    """For unknown: digests of folders and files that would have to be looked into."""
    own_only: bool = False
    """For run: what others made of the same key does not count; it is run, and not restored."""
    reformed: bool = False
    """For keep and reuse: inputs say what they said when the result was made, and have other bytes than recorded."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions for one desired commit against one recorded state."""

    desired: str
    state: str | None
    steps: tuple[Step, ...]
    """In an order in which they could be done; removals last."""
    recorded_digest: str
    """Digest of the recorded facts that were read: equal facts, equal plan."""

    def counts(self) -> Counter[Action]:
        """How many steps each action has."""
        return Counter(step.action for step in self.steps)

    @property
    def is_empty(self) -> bool:
        """Whether every stage is kept as it is recorded."""
        return all(step.action is Action.KEEP for step in self.steps)

    @property
    def changes_state(self) -> bool:
        """Whether the state branch would say something new even if nothing runs."""
        return any(step.changed or step.action in (Action.REUSE, Action.REMOVE) for step in self.steps)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person or a schedule asked for beside the specs."""

    occasion: str
    """What always-changed stages run once for: the desired commit, unless a tick or a person says otherwise."""
    retry: frozenset[Address] | None = frozenset()
    """Failed stages to try again; None means all of them."""
    targets: frozenset[Address] | None = None
    """Only these stages and what they need; None means all."""
    lost: frozenset[Address] = frozenset()
    """Stages that stand and are to run again all the same: the bytes of their result are nowhere any more."""

    def retries(self, address: Address) -> bool:
        """Whether another try of this stage is asked for."""
        return self.retry is None or address in self.retry


@dataclass
class Walk:
    """Decides stage after stage; remembers what each of them leaves for the next."""

    desired: Desired
    graph: Graph
    inputs: Inputs
    recorded: Recorded
    wishes: Wishes
    trust: Trust = Trust.TRUSTED
    default_shell: str = "bash"
    outs: dict[Address, dict[str, OutFact] | None] = field(default_factory=dict)
    """By stage what it leaves, None while it is not known."""
    findings: list[Finding] = field(default_factory=list)
    basis: dict[Address, list[Any]] = field(default_factory=dict)
    """The recorded facts each decision read."""

    def __post_init__(self) -> None:
        graph = self.graph
        self._gatherer = Gatherer(
            self.inputs, self.recorded, graph.producers, graph.outputs, self.desired.tracked, self.outs
        )

    def decide(self, stage: Stage) -> Step:
        """The step of one stage, given what is settled so far; remembers what it leaves."""
        step = self._decide(stage)
        if step.entry is not None:
            self.settle(stage.address, step.entry.outs)
        else:
            self.outs[stage.address] = None
        return step

    def settle(self, address: Address, outs: Sequence[OutFact]) -> None:
        """A stage has left these outputs."""
        self.outs[address] = {out.path: out for out in outs}

    def made_again(self, stage: Stage) -> Step:
        """The step of a stage whose result is known but whose bytes are lost: it runs once more, if it can."""
        if stage.frozen:
            return Step(stage.address, Action.UNKNOWN, ("it is frozen",))
        gathered = self._gatherer.gather(stage)
        if gathered.action is not None or gathered.missing:
            return Step(stage.address, Action.UNKNOWN, tuple(gathered.reasons + gathered.missing))
        material = self._material(stage, gathered)
        return Step(stage.address, Action.RUN, (_LOST,), run_key(material), material)

    def shell(self) -> str:
        """The shell of every command."""
        return self.desired.project.shell or self.default_shell

    def _decide(self, stage: Stage) -> Step:
        address = stage.address
        if stage.not_handled:
            fields = ", ".join(stage.not_handled)
            return Step(address, Action.UNKNOWN, (f"not handled yet: {fields}",))
        if stage.frozen:
            return self._frozen(stage)
        if stage.secrets and self.trust is not Trust.TRUSTED:
            return Step(
                address, Action.UNKNOWN, (f"needs secrets, given to trusted runs only: {', '.join(stage.secrets)}",)
            )
        gathered = self._gatherer.gather(stage)
        if gathered.missing:
            self._missing(stage, gathered.missing)
            return Step(address, Action.UNKNOWN, tuple(gathered.missing))
        if gathered.action is not None:
            return Step(address, gathered.action, tuple(gathered.reasons), fetch=tuple(gathered.fetch))
        return _in_form(self._by_key(stage, self._material(stage, gathered)), gathered.forms)

    def _missing(self, stage: Stage, what: Sequence[str]) -> None:
        for message in what:
            place = stage.place
            self.findings.append(
                Finding(place.file, place.line, place.column, f"stage {stage.address.stage}: {message}")
            )

    def _material(self, stage: Stage, gathered: Gathered) -> Material:
        return material_of(
            stage,
            shell=self.shell(),
            deps=gathered.deps,
            params=gathered.params,
            environment=gathered.environment,
            occasion=self.wishes.occasion if stage.always_changed else None,
        )

    def _frozen(self, stage: Stage) -> Step:
        entry = self.recorded.current(stage.address)
        self._read(stage.address, entry, None)
        result = frozen_result(stage, entry, self.desired.locks.get(stage.address))
        if isinstance(result, Entry):
            return Step(stage.address, Action.KEEP, ("frozen",), result.key, entry=result)
        if result is not None:
            evidence = self._evidence_entry(stage, result, lock_material(stage, result, self.shell()))
            return Step(stage.address, Action.KEEP, ("frozen",), evidence.key, entry=evidence, changed=entry is None)
        self.findings.append(frozen_finding(stage))
        return Step(stage.address, Action.UNKNOWN, ("frozen, and has never run",))

    def _by_key(self, stage: Stage, material: Material) -> Step:
        address, key = stage.address, run_key(material)
        current = self.recorded.current(address)
        if current is not None and (current.key == key or self._ran_for_this_commit(stage, current, material)):
            self._read(address, current, None)
            if address in self.wishes.lost:
                return Step(address, Action.RUN, (_LOST,), key, material)
            return Step(address, Action.KEEP, (), key, material, current)
        own_only = self._own_only(stage, key, current)
        hit, elsewhere = self._found(stage, key, own_only=own_only)
        self._read(address, current, hit)
        if hit is not None and hit.succeeded:
            return self._reuse(stage, key, material, hit, current)
        evidence = None if own_only else self._evidence(stage, material)
        if evidence is not None:
            vouched = (f"{evidence.provenance[:17]} has it",)
            return Step(address, Action.KEEP, vouched, key, material, evidence, changed=True)
        reasons = tuple(self._why(stage, material, current))
        if own_only and elsewhere is not None:
            reasons += (f"its result on {elsewhere.ref} is not taken over: it is not deterministic",)
        if hit is not None:
            made_executable = self._modes_changed(stage, hit)
            if made_executable:
                why = f"{made_executable} got another mode since it failed"
                return Step(address, Action.RUN, (why,), key, material, own_only=own_only)
            if not self.wishes.retries(address):
                since = reasons if current is not None or address in self.desired.locks else ()
                return Step(address, Action.FAILED, (hit.why or "failed before", *since), key, material, hit=hit)
            asked = ("another try was asked for", *reasons)
            return Step(address, Action.RUN, asked, key, material, hit=hit, own_only=own_only)
        return Step(address, Action.RUN, reasons, key, material, own_only=own_only)

    def _found(self, stage: Stage, key: str, *, own_only: bool) -> tuple[Hit | None, Hit | None]:
        """The run that counts for a key, and one elsewhere that is not taken over."""
        hit = self.recorded.find(key)
        if hit is not None and hit.ref and (own_only or self._bound_to_branch(stage)):
            return self.recorded.find_here(key), hit  # which is no success, or it would have been found first
        return hit, None

    def _own_only(self, stage: Stage, key: str, current: Entry | None) -> bool:
        """Whether only runs of this branch count, since the key does not determine the result (policy).

        What was found of the key that stands counts for the next one: a stage seldom gets sober with a parameter.
        """
        if self.desired.project.accept_nondeterministic:
            return False
        keys = [key] if current is None else [key, current.key]
        found = map(self.recorded.verified, keys)
        return not stage.deterministic or any(one is not None and one.is_marked for one in found)

    def _modes_changed(self, stage: Stage, hit: Hit) -> str:
        """A dep in git that may be executed now and could not when the run failed, or the other way round.

        Modes are not in the key, as they are not in DVC's comparison; but a mended one is reason for another try.
        """
        for path in stage.deps:
            is_in_git = path not in self.graph.producers and path not in self.desired.tracked
            could = bool(hit.inputs.get(path, {}).get("isexec"))
            if is_in_git and path in hit.inputs and could != self.inputs.is_executable(path):
                return path
        return ""

    def _ran_for_this_commit(self, stage: Stage, current: Entry, material: Material) -> bool:
        """Whether an always-changed stage stands by a run that a person forced for this same commit: it lasts."""
        occasion = str(current.material.get("occasion", ""))
        if not stage.always_changed or occasion.partition("+")[0] != self.wishes.occasion:
            return False
        return {**current.material, "occasion": self.wishes.occasion} == material.as_json()

    def _reuse(self, stage: Stage, key: str, material: Material, hit: Hit, current: Entry | None) -> Step:
        entry = Entry(
            address=stage.address,
            key=key,
            provenance=hit.provenance,
            material=material.as_json(),
            outs=hit.outs,
            record=None if hit.ref else hit.record,
            adopted_from=f"{hit.ref}@{hit.record}" if hit.ref else None,
            inputs=hit.inputs,
            times=times_with(hit.took, current.times if current is not None else ()),
        )
        where = f" on {hit.ref}" if hit.ref else ""
        name = f" as {hit.address}" if hit.address != stage.address else ""
        return Step(
            stage.address, Action.REUSE, (f"ran before{name}{where}: record {hit.record}",), key, material, entry, hit
        )

    def _bound_to_branch(self, stage: Stage) -> bool:
        # A persist output depends on the version it started from, which the key does not hold (DESIGN §4).
        return any(out.persist for out in stage.outs)

    def _why(self, stage: Stage, material: Material, current: Entry | None) -> list[str]:
        new = material.as_json()
        if current is not None:
            return differences(current.material, new) or ["the recorded result is of another key"]
        lock = self.desired.locks.get(stage.address)
        if lock is not None:
            old = lock_material(stage, lock, self.shell()).as_json()
            if lock.before_two:
                return ["dvc.lock has the layout of a DVC before 2.0, which DVC 3 refuses"]
            if any(digest.startswith("md5-dos2unix:") for digest in lock.deps.values()):
                return ["dvc.lock is of a DVC before 3.0, whose digests are of another kind"]
            return [f"{why} (since dvc.lock)" for why in differences(old, new)] or ["dvc.lock cannot vouch for it"]
        return ["never ran"]

    def _evidence(self, stage: Stage, material: Material) -> Entry | None:
        lock = self.desired.locks.get(stage.address)
        if lock is None or not self.desired.project.accept_dvc_lock or not _may_be_evidence(stage):
            return None
        if lock_material(stage, lock, material.shell).as_json() != material.as_json():
            return None
        return self._evidence_entry(stage, lock, material)

    def _evidence_entry(self, stage: Stage, lock: LockEntry, material: Material) -> Entry:
        return evidence_entry(stage, lock, material, self.desired.commit)

    def _read(self, address: Address, current: Entry | None, hit: Hit | None) -> None:
        self.basis[address] = [
            [current.key, current.record] if current else None,
            [hit.ref, hit.record, hit.succeeded] if hit else None,
        ]


def _in_form(step: Step, now: Mapping[str, Mapping[str, Any]]) -> Step:
    """The step with the bytes that inputs have now, of those that count by what they say.

    The result stands for them all the same, and whoever compares bytes, as DVC does, has to be told which these are.
    """
    entry = step.entry
    if entry is None or not now:
        return step
    forms = {path: {**entry.inputs.get(path, {}), **form} for path, form in now.items()}
    forms = {path: form for path, form in forms.items() if form != entry.inputs.get(path)}
    if forms == entry.forms:
        return step
    anew = sorted(path for path in {*forms, *entry.forms} if forms.get(path) != entry.forms.get(path))
    reasons = tuple(f"{path} changed in form only" for path in anew)
    entry = replace(entry, forms=forms)
    return replace(step, entry=entry, reasons=step.reasons + reasons, changed=True, reformed=True)


def make_plan(walk: Walk, state: str | None) -> Plan:
    """Walk through everything that is asked for and list what is not asked for any more.

    The walk's `findings` say what makes the plan invalid (an input that is nowhere, a frozen stage without a result).
    """
    wanted = walk.graph.ancestors(walk.wishes.targets) if walk.wishes.targets is not None else None
    steps = [
        walk.decide(walk.graph.stages[address]) for address in walk.graph.order if wanted is None or address in wanted
    ]
    if wanted is None:
        gone = sorted(address for address in walk.recorded.addresses() if address not in walk.graph.stages)
        steps.extend(Step(address, Action.REMOVE, ("no longer in the specs",)) for address in gone)
    facts = [[str(step.address), step.action.value, walk.basis.get(step.address)] for step in steps]
    return Plan(walk.desired.commit, state, tuple(steps), plain_digest(facts))


def frozen_result(stage: Stage, entry: Entry | None, lock: LockEntry | None) -> Entry | LockEntry | None:
    """What a frozen stage is kept as: what is recorded, else what is committed, with its outputs; None without one."""
    wanted = set(stage.out_paths)
    if entry is not None and {out.path for out in entry.outs} == wanted:
        return entry
    return lock if lock is not None and {out.path for out in lock.outs} == wanted else None


def frozen_finding(stage: Stage) -> Finding:
    """What is wrong with a frozen stage that has no result."""
    place, message = stage.place, f"stage {stage.address.stage}: is frozen and has never run"
    return Finding(place.file, place.line, place.column, message, "take `frozen` away until it has a result")


def evidence_entry(stage: Stage, lock: LockEntry, material: Material, commit: str) -> Entry:
    """What a committed lock file vouches for, as it stands for a stage."""
    cached = {out.path: out.cache for out in stage.outs}
    outs = tuple(
        OutFact(o.path, o.md5, o.size, o.nfiles, o.isexec, cached.get(o.path, True), None, o.legacy) for o in lock.outs
    )
    return Entry(stage.address, run_key(material), f"{EVIDENCE}{commit}", material.as_json(), outs)


def _may_be_evidence(stage: Stage) -> bool:
    """Where DVC's own lock cannot vouch: always-changed, a declared environment, parameters DVC's key forgets.

    The last one is a defect of DVC (its issue 10296): parameters named `size` or `nfiles` do not enter its keys.
    """
    if stage.always_changed or stage.is_beyond_dvc:
        return False
    return not any((param.key or "").rsplit(".", 1)[-1] in ("size", "nfiles") for param in stage.params)


def lock_material(stage: Stage, lock: LockEntry, shell: str) -> Material:
    """The material a lock entry vouches for; what a lock does not state is taken from the stage."""
    whole = {param.file for param in stage.params if param.key is None}
    params: list[tuple[str, str, Any]] = []
    for file, values in lock.params.items():
        if file in whole:
            params.append((file, "", dict(values)))
        else:
            params.extend((file, key, value) for key, value in values.items())
    options = {out.path: (out.cache, out.persist) for out in stage.outs}
    return Material(
        cmd=lock.cmd if lock.cmd_is_list else lock.cmd[0],
        wdir=stage.wdir,
        shell=shell,
        deps=tuple(sorted((path, digest.removeprefix("md5:")) for path, digest in lock.deps.items())),
        params=tuple(sorted(params, key=lambda row: (row[0], row[1]))),
        outs=tuple(sorted((out.path, *options.get(out.path, (True, False))) for out in lock.outs)),
        env=stage.env,
        seed=stage.seed,
    )
