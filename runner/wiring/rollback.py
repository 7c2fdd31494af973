"""A rollback: an older model is released again, and the one that stood is not tried again until something changes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from runner.core.release_files import Memory, memory_from
from runner.core.releases import Decision, Outcome, Verdict
from runner.core.rollbacks import rejection_of, rollback_of
from runner.core.targets import Standing
from runner.errors import InputError, RaceLost
from runner.ledger.state import State
from runner.observe.observation import Observation
from runner.parts import Request
from runner.release.contents import Models
from runner.specs.guesses import nearest
from runner.values import dataclass
from runner.wiring.champions import released_of
from runner.wiring.parts import RealParts
from runner.wiring.release_parts import releaser
from runner.wiring.standings import has_command
from runner.wiring.tagging import tag_releases


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants back."""

    deployment: str
    environment: str | None
    version: int | None
    """None: the newest one before, of another model, that was not rolled back itself."""
    reason: str


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What came of it."""

    deployment: str
    environment: str
    version: int
    of: int
    """The version whose model it is."""
    replaces: int
    reason: str
    commit: str
    standing: Standing | None = None
    """What came of it where it is put to use."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, for `--json`."""
        names = {"schema": 1, "deployment": self.deployment, "environment": self.environment}
        return names | {
            "version": self.version,
            "of": self.of,
            "replaces": self.replaces,
            "reason": self.reason,
            "commit": self.commit,
            "target": None if self.standing is None else self.standing.as_json(),
        }


def roll_back(parts: RealParts, asked: Asked, stop: threading.Event) -> RolledBack:
    """Release an older model again. Raises InputError, HostError where its bytes are lost, RaceLost and Held."""
    observation = parts.observe(Request())
    state = observation.state
    if state is None or not state.has_releases():
        raise InputError("nothing is released yet", "`runner reconcile` releases what passes the gates")
    environment = _environment(state, asked)
    files = state.release_files(asked.deployment, environment)
    live = files.live
    assert live is not None  # it is one of those that stand
    memory = memory_from(files.memory)
    version = _version(state, asked, live, memory)
    older = released_of(state, memory.versions[version])
    Models(parts.cache, parts.remotes(observation)).check(older)
    made = memory.last + 1
    decision = Decision(Outcome.RELEASE, asked.reason, made, live["version"], news=True)
    stated = rollback_of(older, version, live, made, _rejected(observation, asked, environment, live))

    def is_ours(newest: State) -> bool:
        row = newest.release_files(asked.deployment, environment).live
        return row is not None and released_of(newest, row["record"])["id"] == parts.reconcile_id

    def decide(newest: State) -> Sequence[Verdict]:
        if is_ours(newest):
            return []  # it arrived, and nobody told us
        if newest.release_files(asked.deployment, environment) != files:
            raise RaceLost(f"something else was released of {asked.deployment} meanwhile", "look at it, and ask again")
        return [Verdict(asked.deployment, environment, decision, None, stated)]

    published = parts.publish_releases(decide, observation, stop)
    if published.state is None or not is_ours(published.state):
        raise RaceLost(f"a newer commit was recorded meanwhile, and v{live['version']} still stands", "ask again")
    tag_releases(parts, observation, published.state)
    standing = None
    if has_command(stated) or has_command(live):
        place = asked.deployment, environment
        standing = releaser(parts, observation, stop).put_to_use(published.state, place)
    commit = published.commit or published.state.commit
    facts = (asked.deployment, environment, made, version, live["version"], asked.reason, commit)
    return RolledBack(*facts, standing)


def _environment(state: State, asked: Asked) -> str:
    released = state.released()
    names = sorted({name for name, _ in released})
    if asked.deployment not in names:
        close = nearest(asked.deployment, names)
        hint = f"did you mean `{close}`?" if close else f"there are: {', '.join(names) or 'none'}"
        raise InputError(f"nothing is released of a Deployment `{asked.deployment}`", hint)
    places = [environment for name, environment in released if name == asked.deployment]
    if asked.environment is None and len(places) == 1:
        return places[0]
    if asked.environment is None:
        raise InputError(f"{asked.deployment} has several environments", f"say --environment: {', '.join(places)}")
    if asked.environment not in places:
        message = f"nothing is released of {asked.deployment} in `{asked.environment}`"
        raise InputError(message, f"there is: {', '.join(places)}")
    return asked.environment


def _version(state: State, asked: Asked, live: Mapping[str, Any], memory: Memory) -> int:
    """The version whose model is released again."""
    if asked.version is not None:
        if asked.version not in memory.versions:
            known = ", ".join(map(str, list(memory.versions)[-10:]))
            raise InputError(f"there is no version {asked.version} of {asked.deployment}", f"there are: {known}")
        if released_of(state, memory.versions[asked.version])["model"]["md5"] == live["model"]["md5"]:
            message = f"the model of version {asked.version} is the one that stands, as v{live['version']}"
            raise InputError(message, "name another version with --to")
        return asked.version
    rejected = {row.md5 for row in memory.rejected}
    for version in sorted(memory.versions, reverse=True):
        md5 = released_of(state, memory.versions[version])["model"]["md5"]
        if version < live["version"] and md5 != live["model"]["md5"] and md5 not in rejected:
            return version
    raise InputError(
        f"there is no version of {asked.deployment} before v{live['version']} to go back to", "name one with --to"
    )


def _rejected(observation: Observation, asked: Asked, environment: str, live: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is not tried again under the spec of today."""
    specs = {
        (deployment.name, place.name): place.spec
        for deployment in observation.desired.deployments
        for place in deployment.environments
    }
    return rejection_of(live, specs.get((asked.deployment, environment), live["spec"]), asked.reason)
