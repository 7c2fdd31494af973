"""Commands of targets: which are to run on a state, whose turn it is, what they run in, and what is recorded of them.

The release is recorded before its command runs, and the outcome after it. Who is killed between the two leaves a
release without an outcome, and the next reconcile runs the command again.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.core.claims import Claim
from runner.core.environments import Environment
from runner.core.release_files import ROLLBACK, live_file, memory_from
from runner.core.releases import Decision, Outcome, Verdict, digest_of
from runner.core.targets import DEPLOY, UNDEPLOY, CommandTarget, Reach, Standing, deployed_from
from runner.errors import ExitCode, Held, HostError, RaceLost, RunnerError
from runner.execute.context import Event
from runner.execute.deploy import Order, Surroundings, carry_out
from runner.execute.kept import Shelf
from runner.execute.worktree import Content, Worktrees
from runner.ledger.state import State
from runner.observe.observation import Observation
from runner.process import secrets
from runner.process.allowed_environment import base_environment
from runner.process.hiding import hidden_from_stages
from runner.record.claims import Claims
from runner.record.publish import Published
from runner.release.contents import Models
from runner.values import dataclass, field
from runner.wiring.champions import released_of
from runner.wiring.home import Place as Folders
from runner.wiring.standings import Place, Standings, has_command

if TYPE_CHECKING:
    from typing import Protocol

    from runner.wiring.parts import RealParts

    class Publishing(Protocol):
        """Publishes outcomes, and knows the newest state: `runner.record.publish.Publisher`."""

        def publish_releases(self, decide: Callable[[State], Sequence[Verdict]], *, late: bool = False) -> Published:
            """Raises HostError, RaceLost and Held."""

        def refreshed(self) -> State | None:
            """Raises HostError and Held."""


@dataclass(frozen=True, slots=True)
class Work:
    """A command that is to run on a state."""

    event: str
    place: Place
    release: Mapping[str, Any]
    """The file of the release, or what it was."""
    stated: Mapping[str, Any]
    """What the record of the release says."""

    @property
    def id(self) -> tuple[str, Place, int]:
        """One call of a command."""
        return self.event, self.place, self.release["record"]


@dataclass
class Deployer:
    """Runs the commands of one reconcile, each of them once."""

    parts: RealParts
    observation: Observation
    publisher: Callable[[], Publishing]
    observed: Callable[[str], Observation]
    """An earlier commit of the watched branch."""
    stop: threading.Event
    again: bool = False
    """Whether what failed is to be tried again."""
    troubles: dict[Place, Standing] = field(default_factory=dict)
    """Where a command could not even be run, or could not take away what is gone."""
    _tried: set[tuple[str, Place, int]] = field(default_factory=set)

    def next(self, places: Sequence[Place], state: State) -> tuple[State, str | None] | None:
        """Run the first command that is to run at one of the places, and have its outcome recorded: the state then, and
        the commit made.

        None where nothing is left to do.
        """
        for place in places:
            work = self._open(place, state)
            if work is None or work.id in self._tried or self.stop.is_set():
                continue
            self._tried.add(work.id)
            try:
                return self._done(work, state)
            except RunnerError as error:
                version = work.release["version"]
                trouble = Standing("command", Reach.PENDING, version, error.line, code=error.exit_code)
                self.troubles[work.place] = trouble
        return None

    # ----- what is to run

    def _open(self, place: Place, state: State) -> Work | None:
        """The command that is to run at a place; None where there is none."""
        standing = Standings(state, "").of(place, None, state.release_files(*place).live)
        if standing is None or standing.kind != "command":
            return None
        if standing.reach is not Reach.PENDING and not (self.again and standing.reach is Reach.FAILED):
            return None
        return self._work_at(place, state)

    def _work_at(self, place: Place, state: State) -> Work | None:
        live = state.release_files(*place).live
        if live is not None and has_command(live):
            is_stated = self._environment(self.observation, place) is not None
            return Work(DEPLOY, place, live, released_of(state, live["record"])) if is_stated else None
        deployed = deployed_from(state.deployed(*place))
        if deployed is None:
            return None
        stated = released_of(state, deployed.release)
        return Work(UNDEPLOY, place, live_file(deployed.release, stated), stated)

    # ----- one command

    def _done(self, work: Work, state: State) -> tuple[State, str | None]:
        order, specs = self._order(work, state)
        given = self._secrets(order)
        claims, newest = self._claimed(order, work, state)
        try:
            if newest is not None:
                return newest, None  # somebody else did it meanwhile
            stated = self._run(order, specs, given)
            if claims is not None:
                claims.ended()
            return self._recorded(work, stated, state)
        finally:
            self.parts.released()

    def _run(self, order: Order, specs: Observation, given: Mapping[str, str]) -> Mapping[str, Any] | None:
        parts, version = self.parts, order.release["version"]
        what = f"{order.event} {order.deployment} v{version} in {order.environment}: {order.command}"
        parts.on_event(Event("notice", None, what))
        parts.home.logs.mkdir(parents=True, exist_ok=True)
        content = Content(specs.reader, specs.tree, specs.overlay, lambda left_out: None)
        shelf = Shelf(parts.home.kept, parts.home.kept_note)
        with Folders(parts.home_root, parts.home.root).kept():
            worktrees = Worktrees.take(parts.home.root, content, overlay=parts.settings.isolate, shelf=shelf)
            try:
                return carry_out(order, self._surroundings(order, specs, worktrees, given), self.stop)
            finally:
                worktrees.close()

    def _surroundings(
        self, order: Order, specs: Observation, worktrees: Worktrees, given: Mapping[str, str]
    ) -> Surroundings:
        parts = self.parts
        models = Models(parts.cache, parts.remotes(self.observation))
        key = parts.signing.path if parts.signing is not None else None
        return Surroundings(
            worktrees=worktrees,
            wdir=specs.desired.dvc_root,
            shell=specs.desired.project.shell or "bash",
            environ=base_environment(parts.environ),
            secrets=given,
            logs=parts.home.logs,
            hidden=hidden_from_stages(key, parts.notes()),
            lay_out=lambda folder: models.lay_out(order.release["model"], folder),
            attempts=lambda: counted(self._attempts(order)),
            on_event=parts.on_event,
            clock=parts.clock,
            run_id=uuid.uuid4().hex,
        )

    def _recorded(self, work: Work, stated: Mapping[str, Any] | None, state: State) -> tuple[State, str | None]:
        if stated is None:
            raise HostError("stopped before its command ended", "the next reconcile runs it again")

        def decide(newest: State) -> Sequence[Verdict]:
            known = newest.deployed(*work.place)
            if known is not None and known["run"] == stated["runId"]:
                return []  # it arrived, and nobody told us
            return [Verdict(*work.place, Decision(Outcome.KEEP, "", work.release["version"]), deploy=stated)]

        published = self.publisher().publish_releases(decide, late=True)
        self._attempts_file(work.id).unlink(missing_ok=True)
        word = "done" if stated["outcome"]["succeeded"] else stated["outcome"]["message"]
        self.parts.on_event(Event("notice", None, f"{work.event} {work.place[0]} v{stated['version']}: {word}"))
        if work.event == UNDEPLOY and not stated["outcome"]["succeeded"]:  # later reconciles tell it, and do not fail
            why = f"not taken away: {word}"
            self.troubles[work.place] = Standing("command", Reach.FAILED, stated["version"], why, code=ExitCode.FAILED)
        return published.state or state, published.commit

    def _secrets(self, order: Order) -> Mapping[str, str]:
        names = order.target.secrets
        needed = {name: [f"the command of {order.deployment}"] for name in names}
        return secrets.resolve(names, self.parts.environ, needed_by=needed)

    # ----- whose command it is: that of the watched branch, and never what a state branch says

    def _order(self, work: Work, state: State) -> tuple[Order, Observation]:
        """The command with the commit that it is of.

        Where the specs of today do not say it, since a rollback or a removal asks for an older one, it is the commit
        that the release was made by, as long as that is part of the watched branch. Raises Held.
        """
        settings = work.release["settings"]
        environment = self._environment(self.observation, work.place)
        specs = self.observation
        if environment is None or environment.settings != settings:
            commit = self._specs_of(work.stated, work.place, state)
            tip = self.parts.target(self.observation).watched_tip
            if not specs.reader.exists(commit) or not specs.reader.is_ancestor(commit, tip):
                raise Held(
                    f"the command of v{work.release['version']} is of {commit[:12]}, which is not part of the watched "
                    "branch any more",
                    "release another version, or bring that commit back",
                )
            specs = self.observed(commit)
            environment = self._environment(specs, work.place)
        target = environment.target if environment is not None else None
        if environment is None or environment.settings != settings or not isinstance(target, CommandTarget):
            raise Held(
                f"the specs of {specs.commit[:12]} do not say the command that v{work.release['version']} names",
                "`runner audit verify` says whether somebody changed what is recorded",
            )
        return Order(work.event, *work.place, work.release, target, specs.commit), specs

    def _specs_of(self, stated: Mapping[str, Any], place: Place, state: State) -> str:
        """The commit whose specs made a release; of a rollback that of the version that came back."""
        versions = memory_from(state.release_files(*place).memory).versions
        while stated["event"] == ROLLBACK and versions.get(stated.get("of", 0), 0):
            stated = released_of(state, versions[stated["of"]])
        return str(stated["desired"])

    @staticmethod
    def _environment(observation: Observation, place: Place) -> Environment | None:
        rows = (row for row in observation.desired.deployments if row.name == place[0])
        return next((one for row in rows for one in row.environments if one.name == place[1]), None)

    # ----- one at a time

    def _claimed(self, order: Order, work: Work, state: State) -> tuple[Claims | None, State | None]:
        """Wait until nobody else deploys there: the claim, and the newest state where there is nothing to do any more.

        Raises RaceLost where nobody is to wait.
        """
        claims = self.parts.new_claims(self.observation)
        if claims is None:
            return None, None
        key = digest_of(["deploy", *work.place])
        while not self.stop.is_set():
            tip = self.parts.mirror.tip(self.parts.target(self.observation).branch)
            is_current = claims.take({key: order.address}, (), tip)
            if is_current and key in claims.own.keys:
                return claims, None
            if is_current:
                self._wait(claims, key, order)
            newest = self.publisher().refreshed()
            now = self._open(work.place, newest) if newest is not None else None
            if now is None or now.id != work.id:
                return claims, newest or state
        raise HostError("stopped before its command began", "the next reconcile runs it")

    def _wait(self, claims: Claims, key: str, order: Order) -> None:
        found: Claim | None = claims.held_elsewhere(key, order.address)
        if found is not None and not self.parts.settings.wait:
            raise RaceLost(f"{found.host} deploys it now ({found.trigger} of {found.actor})", "look again later")
        claims.wait({order.address: key}, self.stop)

    # ----- tries

    def _attempts(self, order: Order) -> Path:
        return self._attempts_file((order.event, (order.deployment, order.environment), order.release["record"]))

    def _attempts_file(self, id: tuple[str, Place, int]) -> Path:
        return self.parts.home.root / "deploys" / digest_of([id[0], *id[1], id[2]])[:32]


def counted(file: Path) -> int:
    """One more try of a command on this host than the file says: it is written before the command begins."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        before = int(file.read_text())
    except (FileNotFoundError, ValueError):
        before = 0
    file.write_text(str(before + 1))
    return before + 1
