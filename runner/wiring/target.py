"""What one reconcile is for: which commit, how far it is trusted, and which state branch its results go to.

Read from the mirror, after a fetch. What this host has seen of a branch is remembered, so that a state branch that was
rewritten is noticed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from runner.core.nouns import Project, Trust
from runner.errors import Held, InputError, SpecError
from runner.git.mirror import Mirror
from runner.git.seen_refs import SeenRefs
from runner.ledger.in_place import desired_at, newest_state
from runner.ledger.state import State
from runner.observe import refs
from runner.specs.parse_cache import ParseCache
from runner.specs.project_cache import project_at
from runner.values import dataclass
from runner.wiring.home import RepositoryHome
from runner.wiring.states import StateRefs, is_rewritten, mirror_states, read_seen
from runner.wiring.watched import note_watched, watched_alone

if TYPE_CHECKING:
    from runner.wiring.trust import Trusting

SOON = (f"refs/heads/{refs.OWN_PREFIX}",)
"""Refs that are asked for in any case, once a branch is chosen."""


@dataclass(frozen=True, slots=True)
class Target:
    """What one reconcile is for."""

    commit: str
    watched: str
    watched_tip: str
    """Policy and the configuration of DVC come from this commit."""
    project: Project
    """The project as the watched branch has it."""
    states: StateRefs
    """The recorded states there were."""
    branch: str
    """The branch that results go to."""
    tip: str | None
    """Where that branch was; None where there is none yet."""
    trust: Trust
    source: str | None
    """The branch whose newest commit this is; None for a commit that was asked for by name."""

    @property
    def base(self) -> str | None:
        """The branch whose recorded state is built on; None where nothing is recorded yet."""
        name = self.branch if self.branch in self.states.tips else self.states.first
        return name if name in self.states.tips else None

    @property
    def in_place(self) -> bool:
        """Whether results are recorded on the watched branch itself."""
        return self.branch == self.watched


@dataclass(frozen=True, slots=True)
class Targets:
    """Chooses targets in one repository."""

    mirror: Mirror
    home: RepositoryHome
    parsed: ParseCache
    branch: str | None
    """Watched branch as a person said it; None for the project's, else the remote's default."""
    trusting: Trusting | None = None
    """What a person says of keys; None where nobody did."""

    def choose(self, rev: str | None, seen: SeenRefs) -> Target:
        """The target of a revision, None for the newest commit of the watched branch; `seen` is what was fetched.

        Raises InputError for what the remote does not have, Held where a branch was rewritten, or where what is
        recorded is not signed by who is trusted.
        """
        watched_tip, watched, project = self._watched(seen)
        target = self._target(rev, watched_tip, watched, project, seen)
        state = self._check_not_rewritten(target)
        if target.base is not None:
            self._check_trusted(target, target.base)
        if state is not None:
            _write_seen(self.home.seen_state(target.branch), state)
        self._check_not_rewound(watched, watched_tip, project)
        if self.mirror.is_worked_in and self.branch is None and project.branch is None:
            note_watched(self.home, watched)
        return target

    def opened(self, target: Target, commit: str, branch: str) -> State:
        """The recorded state at a commit of a branch; raises Held where a trust file does not let it count."""
        reader, memo = self.mirror.reader, self.parsed
        if self.trusting is None:
            return State(reader, commit, memo=memo)
        return self.trusting.opened(reader, commit, branch, memo, [target.watched_tip, target.commit])

    def counts(self, branch: str) -> Callable[[str], bool] | None:
        """Whether a commit of the runner on a watched branch may count; None where all of them do."""
        return None if self.trusting is None else self.trusting.ends(self.mirror.reader, branch)

    def published(self, target: Target) -> None:
        """Remember the state after a push of ours: from here on it only goes forward."""
        state = self._state_at(target, self.mirror.tip(target.branch))
        if state is not None:
            _write_seen(self.home.seen_state(target.branch), state)

    def _watched(self, seen: SeenRefs) -> tuple[str, str, Project]:
        """Tip and name of the watched branch, and the project as it is there: policy comes from nowhere else."""
        default = self.branch or self._default(seen) or _only_branch(seen)
        tip = seen.ref(f"refs/heads/{default}") if default else None
        if self.branch is not None and tip is None:
            raise InputError(f"{self.mirror.url} has no branch {self.branch}", "push it first, or say another --branch")
        if default is None or tip is None:
            raise InputError(
                f"{self.mirror.url} has no branch {default or ''}".rstrip() + " yet",
                "commit something and push it, or say which branch to watch with --branch",
            )
        project = self._project(tip)
        if self.branch is None and project.branch and project.branch != default:
            named = seen.ref(f"refs/heads/{project.branch}")
            if named is None:
                raise InputError(f"runner.yaml watches {project.branch}, and {self.mirror.url} has no such branch")
            return named, project.branch, self._project(named)
        return tip, default, project

    def _default(self, seen: SeenRefs) -> str | None:
        """The branch that is watched where neither a person nor the project names one."""
        head = self.mirror.default_branch()
        if not self.mirror.is_worked_in:
            return head
        return watched_alone(self.mirror.reader, seen.refs("refs/heads/"), head, self.home)

    def _project(self, tip: str) -> Project:
        return project_at(self.mirror.reader, desired_at(self.mirror.reader, tip), self.parsed)

    def _target(self, rev: str | None, watched_tip: str, watched: str, project: Project, seen: SeenRefs) -> Target:
        reader = self.mirror.reader
        first = project.branch or self._default(seen) or watched
        own = refs.state_branch(watched, first, project.record_branch)
        home = refs.state_branch(first, first, project.record_branch)
        states = mirror_states(reader, seen, watched, home, self.counts(home))

        def target(commit: str, branch: str, trust: Trust, source: str | None) -> Target:
            desired, tip = desired_at(reader, commit), seen.ref(f"refs/heads/{branch}")
            return Target(desired, watched, watched_tip, project, states, branch, tip, trust, source)

        if rev is None:
            return target(watched_tip, own, Trust.TRUSTED, watched)
        tip = seen.ref(f"refs/heads/{rev}")
        commit = tip or self._commit_on_remote(rev)
        if reader.is_ancestor(commit, watched_tip):
            return target(commit, own, Trust.TRUSTED, None)
        name = rev if tip else self._branch_at(commit) or commit[:12]
        return target(commit, refs.proposed_branch(name), Trust.PROPOSED, rev if tip else None)

    def _commit_on_remote(self, rev: str) -> str:
        try:
            return self.mirror.reader.resolve(rev)
        except InputError as error:
            raise InputError(
                f"{rev}: {self.mirror.url} has no such commit or branch",
                "push it first: a reconcile only works on what the remote has",
            ) from error

    def _branch_at(self, commit: str) -> str | None:
        for name, tip in self.mirror.reader.refs("refs/heads/").items():
            branch = name.removeprefix("refs/heads/")
            if tip == commit and not branch.startswith(refs.OWN_PREFIX):
                return branch
        return None

    def _check_trusted(self, target: Target, branch: str) -> None:
        try:
            self.opened(target, target.states.tips[branch], branch)
        except Held:
            seen_file = self.home.seen_state(branch)
            if read_seen(seen_file) is None:
                _write_seen(seen_file, "")  # a branch that a person may accept has to be known
            raise

    def _check_not_rewritten(self, target: Target) -> str | None:
        """Hold where the state branch no longer holds what this host has seen of it; gives what is new there."""
        branch = target.branch
        seen = read_seen(self.home.seen_state(branch))
        reader = self.mirror.reader
        tip = self._state_at(target, target.tip)
        if seen and seen != tip:
            # Read after what was seen: another process of this host moves the branch first and writes what it saw then.
            tip = self._state_at(target, self.mirror.tip(branch))
        if seen and is_rewritten(reader, branch, seen, tip):
            if tip is not None:
                self._check_is_state(branch, tip, seen)
            raise Held(
                f"{branch} was rewritten: {seen[:12]}, which this host recorded, is not part of it any more",
                f"look at both; to restore it, run `git --git-dir {self.mirror.path} push --force {self.mirror.url} "
                f"{seen}:refs/heads/{branch}`; to go on from the remote's, run "
                f"`runner reconcile --accept-state {tip or 'none'}`",
            )
        return tip if tip != seen else None

    def _check_is_state(self, branch: str, tip: str, seen: str) -> None:
        """Hold where nobody could go on from what is there: it is no state of the runner."""
        try:
            State(self.mirror.reader, tip).end()
        except Held as held:
            raise Held(
                f"{branch} was rewritten: {tip[:12]}, which is there now, is no state of the runner: {held.message}",
                f"restore it: push {seen[:12]}, which this host recorded, there again",
            ) from held

    def _state_at(self, target: Target, tip: str | None) -> str | None:
        """The newest commit of the runner on the branch that results go to, where that is at `tip`."""
        if not target.in_place or tip is None:
            return tip
        return newest_state(self.mirror.reader, [tip], self.counts(target.branch))

    def _check_not_rewound(self, watched: str, tip: str, project: Project) -> None:
        """Hold where a protected watched branch no longer holds what this host has seen of it."""
        seen_file = self.home.seen(watched)
        seen = read_seen(seen_file) or ""
        reader = self.mirror.reader
        rewound = seen not in ("", tip) and reader.exists(seen) and not reader.is_ancestor(seen, tip)
        if rewound and (project.protect or self._protects(seen)):
            raise Held(
                f"{watched} was rewound: {seen[:12]} is not part of it any more, and the project says `protect`",
                f"push {seen[:12]} again, or remove {seen_file} to accept {tip[:12]}",
            )
        if tip != seen:
            _write_seen(seen_file, tip)

    def _protects(self, seen: str) -> bool:
        """Whether the project said `protect` at what was seen: who rewinds the branch cannot switch it off."""
        try:
            return self._project(seen).protect
        except SpecError:
            return False  # no reconcile ever went by that


def _write_seen(file: Path, commit: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_text(commit + "\n")
    os.replace(part, file)


def _only_branch(seen: SeenRefs) -> str | None:
    """Where the remote's HEAD names no branch (a detached one): `main`, `master`, or the only branch there is."""
    names = {name.removeprefix("refs/heads/") for name in seen.refs("refs/heads/")}
    desired = sorted(name for name in names if not name.startswith(refs.OWN_PREFIX))
    usual = [name for name in ("main", "master") if name in names]
    return usual[0] if usual else desired[0] if len(desired) == 1 else None
