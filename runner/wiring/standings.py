"""What is known of releases where they are put to use, on one state: outcomes of commands, and what servers said."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from runner.core.environments import Environment
from runner.core.release_files import ROLLBACK, Files, memory_from
from runner.core.releases import Decision, Outcome
from runner.core.rollbacks import rejection_of, rollback_of, version_before, withdrawal_of
from runner.core.targets import (
    Asked,
    CommandTarget,
    Deployed,
    Reach,
    ServerTarget,
    Standing,
    command_standing,
    deployed_from,
    gone_standing,
    server_standing,
)
from runner.ledger.state import State
from runner.values import dataclass, replace
from runner.wiring.champions import released_of

Place = tuple[str, str]
"""Deployment and environment."""
_MADE = (Outcome.RELEASE, Outcome.SETTINGS, Outcome.ROLLED_BACK)


def has_command(row: Mapping[str, Any] | None) -> bool:
    """Whether a release, as its file or its record says it, is put to use by a command."""
    return row is not None and "command" in row["serving"].get("target", {})


@dataclass(frozen=True, slots=True)
class Standings:
    """Answers for one state."""

    state: State
    moment: str
    """RFC 3339, UTC."""
    asked: Mapping[Place, Sequence[Asked]] | None = None
    """What servers said, where something was released when they were asked; None where nobody asked."""

    def of(self, place: Place, environment: Environment | None, live: Mapping[str, Any] | None) -> Standing | None:
        """What is known of what stands; None where there is nothing to say."""
        deployed = deployed_from(self.state.deployed(*place))
        if live is not None and has_command(live):
            return command_standing(live, deployed)
        if deployed is not None and (gone := gone_standing(deployed, self._undeploys(deployed))) is not None:
            return gone
        target = environment.target if environment is not None else None
        if live is None or not isinstance(target, ServerTarget) or not target.urls:
            return None
        if self.asked is None:
            return Standing("server", Reach.UNKNOWN, live["version"], "nobody asked")
        if place not in self.asked:
            return Standing("server", Reach.PENDING, live["version"], "released just now")
        return server_standing(live, self.asked[place], target, _seconds(live["at"], self.moment))

    def after(self, place: Place, environment: Environment, files: Files, decision: Decision) -> Standing | None:
        """The same with what a decision leads to."""
        if decision.news and decision.outcome in _MADE and isinstance(environment.target, CommandTarget):
            return Standing("command", Reach.PENDING, decision.version, f"`{environment.target.run}` is to run")
        return self.of(place, environment, files.live)

    def gone(self, stated: Sequence[Place]) -> list[tuple[Place, Standing]]:
        """Places that no spec names and where nothing stands, of which there is something to say."""
        left = set(self.state.all_deployed()).difference(stated, self.state.released())
        found = ((place, self.of(place, None, None)) for place in sorted(left))
        return [(place, standing) for place, standing in found if standing is not None]

    def fallen(
        self, environment: Environment, files: Files, standing: Standing | None
    ) -> tuple[Decision, dict[str, Any]] | None:
        """What comes in place of a version that failed, and what is recorded of it; None where nothing does.

        A rollback that fails is left to a person: nothing goes back further and further by itself.
        """
        live = files.live
        if live is None or standing is None or not self._falls(environment, live, standing):
            return None
        memory = memory_from(files.memory)
        rejected = rejection_of(live, environment.spec, _reason(standing))
        deployed = deployed_from(self.state.deployed(live["deployment"], live["environment"]))
        of = version_before(live, memory, deployed, lambda number: released_of(self.state, number))
        if of is None:
            why = f"v{live['version']} failed, and there is none before it: {_reason(standing)}"
            found = Decision(Outcome.WITHDRAWN, why, None, live["version"], news=True)
            return found, withdrawal_of(live, rejected) | {"automatic": True}
        why = f"v{live['version']} failed, the model of v{of} is back: {_reason(standing)}"
        version = memory.last + 1
        older = released_of(self.state, memory.versions[of])
        found = Decision(Outcome.ROLLED_BACK, why, version, live["version"], news=True)
        return found, rollback_of(older, of, live, version, rejected) | {"automatic": True}

    def told(self, environment: Environment, live: Mapping[str, Any] | None, standing: Standing) -> Standing:
        """The standing, with what a person has to know of a failure that nothing mends by itself."""
        if live is None or standing.reach is not Reach.FAILED or standing.version != live["version"]:
            return standing
        if standing.kind == "server" and not standing.code:
            return standing
        if not environment.rolls_back:
            return replace(standing, why=f"{standing.why}; `rollback: manual` leaves it to a person")
        if self._is_rollback(live):
            return replace(standing, why=f"{standing.why}; it is a rollback itself, so a person decides")
        return standing

    def is_there(self, place: Place, environment: Environment | None, live: Mapping[str, Any]) -> bool:
        """Whether a release may go on to the next environment: nothing says that it is not in use."""
        standing = self.of(place, environment, live)
        return standing is None or standing.reach in (Reach.DEPLOYED, Reach.UNKNOWN)

    def _falls(self, environment: Environment, live: Mapping[str, Any], standing: Standing) -> bool:
        is_of_it = standing.reach is Reach.FAILED and standing.version == live["version"]
        if not (is_of_it and standing.code and environment.rolls_back):
            return False
        return not self._is_rollback(live)

    def _is_rollback(self, live: Mapping[str, Any]) -> bool:
        return bool(released_of(self.state, live["record"])["event"] == ROLLBACK)

    def _undeploys(self, deployed: Deployed) -> bool:
        release = released_of(self.state, deployed.release)
        return bool(release["serving"].get("target", {}).get("command", {}).get("undeploy"))


def _reason(standing: Standing) -> str:
    return standing.why or "it failed"


def _seconds(since: str, until: str) -> float:
    begin, end = (datetime.datetime.fromisoformat(text) for text in (since, until))
    return (end - begin).total_seconds()
