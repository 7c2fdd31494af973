"""Releases of a commit of the watched branch: what is decided on a state, for each deployment and environment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runner.core.environments import Environment
from runner.core.gates import BASE, CHAMPION, Deployment, Effect, Judgement, Other, gate_statement, judged
from runner.core.moments import of_epoch
from runner.core.recorded import RUNNER, OutFact
from runner.core.release_files import REMOVED, ROLLBACK, SETTINGS, Files, Live, live_from, memory_from
from runner.core.releases import Candidate, Decision, Outcome, Situation, Verdict, decide, removals
from runner.core.rollbacks import gone_of
from runner.core.targets import Asked, ServerTarget, Standing
from runner.errors import HostError
from runner.ledger.state import State
from runner.observe.observation import Observation
from runner.release.contents import RUNS_CODE, Models, format_by_name
from runner.values import dataclass, field, replace
from runner.wiring.champions import champion_of, released_of
from runner.wiring.clone import Clone, has_releases
from runner.wiring.gates import Side, before, blockers_of, side, spent
from runner.wiring.holding import Held, Holding, Outward, Wish
from runner.wiring.holdouts import holdout_uses
from runner.wiring.standings import Place, Standings


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that may be released, and what is known of it."""

    md5: str
    stated: Mapping[str, Any]
    """What a release says of where it comes from."""
    metrics: Mapping[str, Any]
    blockers: Sequence[str]
    out: OutFact | None = None
    """Its output; None where it was released before, so that all is known of its bytes."""
    pinned: bool = False
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What is decided of a deployment in an environment, as far as git and the gates tell."""

    now: Situation
    decision: Decision
    offer: Offer | None
    judgement: Judgement | None
    """None where the gates are not asked."""
    format: str
    """Of the model; empty where it was not looked at."""
    live: Mapping[str, Any] | None
    """The release that stands."""

    def wish(self, deployment: Deployment, environment: Environment, *, later: bool = False) -> Wish | None:
        """The release that only signatures and the like may hold; None where nothing is released anyway.

        `later`: also one that a time of `freeze` holds now.
        """
        offer = self.offer
        decision = decide(replace(self.now, freezes=())) if later else self.decision
        if offer is None or decision.outcome not in (Outcome.RELEASE, Outcome.SETTINGS):
            return None
        return Wish(deployment.name, environment, offer.md5, offer.stated, self.judgement, decision, offer.pinned)


@dataclass
class Releases:
    """Decides the releases of one commit on one state; the same again on another state after a lost race."""

    observation: Observation
    state: State
    moment: str
    """RFC 3339, UTC, milliseconds."""
    before: Callable[[], Other]
    """The commit before, which `vs: base` compares with."""
    models: Models | None = None
    """Where the bytes of models are; None where nothing is to be recorded, and formats are told by names alone."""
    asked: Mapping[Place, Sequence[Asked]] | None = None
    """What servers say."""
    watched: str = ""
    """The watched branch, which signatures name."""
    outward: Outward | None = None
    """None where nothing is asked of the world."""
    _side: Side | None = field(default=None)
    _base: Other | None = field(default=None)

    @property
    def _standings(self) -> Standings:
        return Standings(self.state, self.moment, self.asked)

    def verdicts(self) -> list[Verdict]:
        """What becomes of every deployment of the commit, then of those that are gone."""
        desired = self.observation.desired
        found = [
            self._verdict(deployment, environment)
            for deployment in desired.deployments
            for environment in deployment.environments
        ]
        return [*found, *self._removals(), *self._gone()]

    # ----- one deployment in one environment

    def _verdict(self, deployment: Deployment, environment: Environment) -> Verdict:
        """What becomes of one of them; where this host cannot find that out, it says so of this one alone."""
        place = deployment.name, environment.name
        files = self.state.release_files(*place)
        standing = self._standings.of(place, environment, files.live)
        try:
            return self._verdict_by(deployment, environment, files, standing)
        except HostError as error:
            stands = None if files.live is None else files.live["version"]
            hint = f" ({error.hint})" if error.hint else ""
            decision = Decision(Outcome.HELD, f"{error.message}{hint}", stands)
            return Verdict(*place, decision, standing=standing, code=error.exit_code)

    def _verdict_by(
        self, deployment: Deployment, environment: Environment, files: Files, standing: Standing | None
    ) -> Verdict:
        place = deployment.name, environment.name
        if (fallen := self._standings.fallen(environment, files, standing)) is not None:
            return self._back(place, environment, files, *fallen)
        verdict = self._decided(deployment, environment, files)
        standing = self._standings.after(place, environment, files, verdict.decision)
        told = None if standing is None else self._standings.told(environment, files.live, standing)
        return replace(verdict, standing=told)

    def _back(
        self, place: Place, environment: Environment, files: Files, decision: Decision, stated: Mapping[str, Any]
    ) -> Verdict:
        """A version that failed makes way, whose bytes are there."""
        if self.models is not None and decision.outcome is Outcome.ROLLED_BACK:
            self.models.check(stated)
        standing = self._standings.after(place, environment, files, decision)
        return Verdict(*place, decision, None, stated, standing=standing)

    def look(self, deployment: Deployment, environment: Environment, files: Files) -> Look:
        """What is to be decided of a deployment in an environment, and what comes of it before signatures are asked."""
        live, memory = live_from(files.live), memory_from(files.memory)
        offer, why_none = self._offer(deployment, environment, memory.versions, live)
        now = Situation(
            candidate=None if offer is None else Candidate(offer.md5, offer.pinned),
            why_none=why_none,
            is_asked_for=environment.version is not None,
            live=live,
            memory=memory,
            spec=environment.spec,
            settings=environment.settings,
            effect=Effect.PASS,
            missing=_missing(environment),
            freezes=environment.freezes,
            moment=self.moment,
            lifted_by=environment.lifted_by,
        )
        same = live is not None and offer is not None and live.md5 == offer.md5
        judgement = None
        if offer is not None and not same and not offer.pinned:
            judgement = self._judged(deployment, environment, offer, files.live)
            now = replace(now, effect=judgement.effect, gates=_said(judgement))
        decision = decide(now)
        format = ""
        if decision.news and offer is not None:
            format = offer.stated["format"] or self._format(offer.out)
            if faults := (*offer.faults, *_format_faults(format, environment, offer)):
                now = replace(now, faults=faults)
                decision = decide(now)
        return Look(now, decision, offer, judgement, format, files.live)

    def _format(self, out: OutFact | None) -> str:
        """The format of a model that was never released; empty where only its bytes tell, and are not looked at."""
        if out is None:
            return ""
        return format_by_name(out) if self.models is None else self.models.format(out)

    def holding(self) -> Holding:
        """What holds releases that the gates let through."""
        return Holding(self.observation, self.state, self.moment, self.watched, self.outward)

    def _decided(self, deployment: Deployment, environment: Environment, files: Files) -> Verdict:
        look, held = self.look(deployment, environment, files), Held()
        decision = look.decision
        wish = look.wish(deployment, environment)
        if wish is not None:
            held = self.holding().of(wish)
            decision = decide(replace(look.now, missing=(*look.now.missing, *held.missing)))
            decision = replace(decision, why=f"{decision.why}; {held.note}") if held.note else decision
        if not decision.news or look.offer is None or self.models is None:
            return Verdict(deployment.name, environment.name, decision, asked=held.rows)
        return self._recorded(deployment, environment, replace(look, decision=decision), held)

    def _recorded(
        self,
        deployment: Deployment,
        environment: Environment,
        look: Look,
        held: Held,
    ) -> Verdict:
        """The verdict with what is recorded of it."""
        decision, offer, judgement, live = look.decision, look.offer, look.judgement, look.live
        assert self.models is not None
        assert offer is not None
        model = dict(self.models.contents(offer.out)) if offer.out is not None else dict(offer.stated["model"])
        if unlike := held.unlike(model["sha256"]):
            stands = live["version"] if live is not None else None
            return Verdict(deployment.name, environment.name, Decision(Outcome.HELD, unlike, stands), asked=held.rows)
        place = {"deployment": deployment.name, "environment": environment.name, "spec": environment.spec}
        gate = None
        if decision.outcome is not Outcome.SETTINGS:
            judgement = judgement or judged(_under(deployment, environment), {}, {}, self.moment[:10], ["not asked"])
            gate = {
                **gate_statement(judgement, model["sha256"]),
                **place,
                "md5": offer.md5,
                "version": decision.version if decision.outcome is Outcome.RELEASE else None,
                "outcome": decision.outcome.value,
                "why": decision.why,
                "champion": live["version"] if live is not None else None,
            }
        gate = None if offer.pinned and decision.outcome is Outcome.RELEASE else gate
        if decision.outcome is Outcome.REFUSED:
            return Verdict(deployment.name, environment.name, decision, gate)
        release = {
            **offer.stated,
            **place,
            "event": decision.outcome.value,
            "version": decision.version,
            "replaces": decision.replaces,
            "reason": decision.why,
            "model": model,
            "format": look.format,
            "serving": dict(environment.serving),
            "settings": environment.settings,
            "gate": None,
            "approvals": [],
            "metrics": dict(offer.metrics),
            "quarantined": None,
        }
        if environment.approvals:
            release["required"] = [row.as_json() for row in environment.approvals]
        return Verdict(
            deployment.name, environment.name, decision, gate, release, approvals=held.records(), asked=held.rows
        )

    # ----- what may be released

    def _offer(
        self, deployment: Deployment, environment: Environment, versions: Mapping[int, int], live: Live | None
    ) -> tuple[Offer | None, str]:
        """The model for an environment, else why there is none."""
        if environment.version is not None:
            number = versions.get(environment.version)
            if number is None:
                return None, f"version {environment.version} was never released here"
            return self._released(number, pinned=True), ""
        if environment.source:
            files = self.state.release_files(deployment.name, environment.source)
            if files.live is None:
                return None, f"{environment.source} has released nothing yet"
            first = next((one for one in deployment.environments if one.name == environment.source), None)
            if not self._standings.is_there((deployment.name, environment.source), first, files.live):
                return None, f"v{files.live['version']} is not deployed in {environment.source} yet"
            offer = self._released(files.live["record"])
            is_other = live is not None and live.md5 != offer.md5
            if is_other and self._came_back(files) and self._was_released(offer.md5, versions):
                return None, (
                    f"{environment.source} went back to this model, which was replaced here: `runner rollback "
                    f"{deployment.name} --environment {environment.name}` goes back here, too"
                )
            return offer, ""
        return self._made(deployment, environment)

    def _came_back(self, files: Files) -> bool:
        """Whether a rollback brought what stands, whatever servers were told of it since."""
        versions = memory_from(files.memory).versions
        stated = released_of(self.state, versions[max(versions)])
        while stated["event"] == SETTINGS:
            stated = released_of(self.state, versions[stated["replaces"]])
        return bool(stated["event"] == ROLLBACK)

    def _was_released(self, md5: str, versions: Mapping[int, int]) -> bool:
        return any(released_of(self.state, number)["model"]["md5"] == md5 for number in versions.values())

    def _released(self, number: int, *, pinned: bool = False) -> Offer:
        """A model that was released before, here or in another environment."""
        stated = released_of(self.state, number)
        names = ("model", "format", "stage", "run", "key", "commit", "evidence")
        blockers = ["it builds on results of others, and gates need runs of the runner"] if stated["evidence"] else []
        told = {name: stated[name] for name in names}
        return Offer(stated["model"]["md5"], told, stated["metrics"], blockers, pinned=pinned)

    def _made(self, deployment: Deployment, environment: Environment) -> tuple[Offer | None, str]:
        """The model that is recorded for this commit."""
        here = self._here()
        graph = here.observation.graph
        maker = graph.producers.get(deployment.out)
        step = here.steps.get(maker) if maker is not None else None
        if maker is None or step is None:
            return None, f"no stage makes {deployment.out}"
        entry = step.entry
        out = next((out for out in entry.outs if out.path == deployment.out), None) if entry is not None else None
        if entry is None or out is None:
            return None, f"{maker} has no result for this commit ({step.action.value})"
        needed = graph.ancestors([maker])
        entries = [found.entry for address in needed if (found := here.steps.get(address)) and found.entry]
        evidence = any(one.provenance != RUNNER for one in entries)
        stated = {
            "format": "",
            "stage": str(maker),
            "run": entry.record,
            "key": entry.key,
            "commit": self.observation.commit,
            "evidence": evidence,
        }
        under = _under(deployment, environment)
        uses = holdout_uses(here.observation, here.observation.desired.holdouts)
        blockers = [*blockers_of(under, here), *spent(deployment, uses)]
        files = {gate.metric.file for gate in environment.gates}
        after = {maker}
        for address in graph.order:
            after |= {address} if not after.isdisjoint(graph.upstream[address]) else set()
        files |= {out.path for address in after for out in graph.stages[address].outs}
        metrics = {file: values for file, values in here.metrics.items() if file in files}
        return Offer(out.md5, stated, metrics, blockers, out, faults=tuple(_place_faults(out))), ""

    def _here(self) -> Side:
        if self._side is None:
            self._side = side("this commit", replace(self.observation, state=self.state, settled={}))
        return self._side

    def _judged(
        self, deployment: Deployment, environment: Environment, offer: Offer, live: Mapping[str, Any] | None
    ) -> Judgement:
        asked = {gate.versus for gate in environment.gates}
        others = {CHAMPION: champion_of(self.state, live)} if CHAMPION in asked else {}
        if BASE in asked:
            self._base = self._base or self.before()
            others[BASE] = self._base
        blockers = [] if environment.accept_evidence else offer.blockers
        blockers = offer.blockers if offer.out is not None else blockers
        return judged(_under(deployment, environment), offer.metrics, others, self.moment[:10], blockers)

    # ----- what is gone

    def _removals(self) -> list[Verdict]:
        """Every release of a deployment, or of an environment, that the specs do not name any more."""
        desired = self.observation.desired
        stated = {(row.name, environment.name) for row in desired.deployments for environment in row.environments}
        released = self.state.released()
        _, stopped = removals([row.name for row in desired.deployments], [name for name, _ in released], self._allowed)
        found = []
        for place in released:
            if place in stated:
                continue
            live = self.state.release_files(*place).live
            version = live["version"] if live is not None else None
            if stopped and place[0] not in {row.name for row in desired.deployments}:
                found.append(Verdict(*place, Decision(Outcome.HELD, stopped, version)))
                continue
            decision = Decision(Outcome.REMOVE, "the specs do not name it any more", version, version, news=True)
            assert live is not None  # it is one of those that stand
            gone = gone_of(live, REMOVED, "the specs do not name it any more")
            found.append(Verdict(*place, decision, None, gone, standing=self._standings.of(place, None, live)))
        return found

    def _gone(self) -> list[Verdict]:
        """What is still to be taken away of what the specs do not name."""
        rows = [(row.name, one.name) for row in self.observation.desired.deployments for one in row.environments]
        decision = Decision(Outcome.KEEP, "nothing is released")
        return [Verdict(*place, decision, standing=standing) for place, standing in self._standings.gone(rows)]

    @property
    def _allowed(self) -> bool:
        return self.observation.desired.project.allow_removal


def planned_releases(clone: Clone, observation: Observation, *, live: bool = False) -> list[Verdict]:
    """What a reconcile would decide now, by what this clone knows: nothing is fetched, and no bytes are looked at.

    `live`: servers are asked what they serve.
    """
    state = observation.state
    if state is None or not has_releases(observation):
        return []

    def before_this() -> Other:
        return before(clone.reader, observation.commit, clone.observation)

    asked = asked_servers(observation, state) if live else None
    return Releases(observation, state, of_epoch(time.time()), before_this, asked=asked).verdicts()


def asked_servers(observation: Observation, state: State) -> Mapping[Place, Sequence[Asked]]:
    """What the servers that specs name say of themselves, where something is released for them."""
    urls: dict[Place, Sequence[str]] = {}
    for deployment in observation.desired.deployments:
        for environment in deployment.environments:
            target, place = environment.target, (deployment.name, environment.name)
            if isinstance(target, ServerTarget) and target.urls and state.release_files(*place).live is not None:
                urls[place] = target.urls
    if not urls:
        return {}
    from runner.release.servers import ask  # imported late: few name servers

    answers = ask([url for named in urls.values() for url in named])
    return {place: [answers[url] for url in named] for place, named in urls.items()}


def _under(deployment: Deployment, environment: Environment) -> Deployment:
    """The deployment as it is in an environment."""
    return replace(deployment, gates=environment.gates, accept_evidence=environment.accept_evidence)


def _said(judgement: Judgement) -> tuple[str, ...]:
    """What does not pass, in words."""
    stopping = [row for row in judgement.conditions if row.effect is not Effect.PASS]
    return (*(f"{row.gate.name}: {row.message}" for row in stopping), *judgement.blockers)


def _missing(environment: Environment) -> tuple[str, ...]:
    if not environment.strategy:
        return ()
    return (f"the strategy {environment.strategy} is not handled yet, and a release at once would be another",)


def _place_faults(out: OutFact) -> Sequence[str]:
    """Why servers could never fetch the bytes of a model."""
    if not out.cached:
        return [f"the bytes of {out.path} are in git; without `cache: false` they are where servers fetch them"]
    return [] if out.push else [f"the bytes of {out.path} never leave this host; take `push: false` away"]


def _format_faults(format: str, environment: Environment, offer: Offer) -> Sequence[str]:
    if not format:
        return []
    allowed = environment.formats
    if allowed and format not in allowed:
        return [f"the model is {format}, and the Deployment allows {', '.join(allowed)}"]
    if format in RUNS_CODE and not allowed:
        return [f"a {format} file runs code of whoever wrote it: `formats: [{format}]` would allow it"]
    if format in RUNS_CODE and offer.stated["evidence"]:
        return [f"a {format} file runs code of whoever wrote it, and it builds on what the runner did not make itself"]
    return []
