"""A clone of a person: what `plan`, `status` and other reading commands stand on; never uses the network."""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.core.claims import Claim
from runner.core.digests import md5_hex
from runner.core.nouns import Notice, Project, Trust
from runner.core.outline import Outline, outline_of
from runner.core.own_refs import CLAIMS
from runner.errors import NOWHERE, InputError, SpecError
from runner.git.read import Reader, small_file
from runner.git.seen_refs import SeenRefs
from runner.ledger.in_place import desired_at
from runner.observe import refs
from runner.observe.memo import DigestMemo
from runner.patterns import regex
from runner.report.style import duration
from runner.specs.parse_cache import ParseCache
from runner.specs.project_cache import project_at
from runner.values import dataclass, replace
from runner.wiring.home import RepositoryHome, claim_is_gone, home_folder, repository_home
from runner.wiring.outlines import Outside, Question
from runner.wiring.revision import Aim, aimed, watched_name, watched_tip
from runner.wiring.states import PLACES, StateRefs, clone_states, opened
from runner.wiring.trust_file import trust_file
from runner.wiring.watched import is_worked_in, watched_alone

if TYPE_CHECKING:
    from runner.core.estimates import Work
    from runner.core.records import RunFacts
    from runner.ledger.state import State
    from runner.observe.checks import HostLimits
    from runner.observe.observation import Observation
    from runner.wiring.trust import Trusting

_MD5 = regex(r"[0-9a-f]{32}(?:\.dir)?", re.ASCII)
_LISTING_LIMIT_BYTES = 64 << 20
_APART_BYTES = 128 << 20
_APART_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class Policy:
    """What the watched branch says of all others."""

    watched: str | None
    """Its name; None where nothing tells."""
    project: Project
    """The project as that branch has it; the defaults where it has no commit here, or none that can be read."""


@dataclass(frozen=True)
class Clone:
    """A repository on this host as somebody works in it, with what the runner's mirror of it knows."""

    reader: Reader
    url: str
    """URL of its remote, or its own path where it has none."""
    has_remote: bool
    home: RepositoryHome
    mirror: Reader | None
    cache: ParseCache
    apart: ParseCache
    """For commits that nobody trusts: what is computed from them is never what a trusted plan reads."""
    memo: DigestMemo
    memo_apart: DigestMemo
    trust: Path | None = None
    """The trust file; None where nobody says whom to trust."""

    @functools.cached_property
    def seen(self) -> SeenRefs:
        """The refs of the clone."""
        return SeenRefs(self.reader, soon=tuple(f"{place}{refs.OWN_PREFIX}" for place in PLACES))

    @functools.cached_property
    def mirrored(self) -> SeenRefs | None:
        """The refs of the mirror; None without one."""
        return None if self.mirror is None else SeenRefs(self.mirror)

    @property
    def is_alone(self) -> bool:
        """Whether people work in the only repository there is: it has no remote, and a working tree."""
        return not self.has_remote and is_worked_in(self.url)

    def _watched_alone(self) -> str | None:
        main = self.reader if self.reader.common_dir == self.reader.git_dir else Reader(self.reader.common_dir)
        known = self.seen.refs(*PLACES)  # of both: what comes next asks for the other one
        return watched_alone(self.reader, known, main.current_branch(), self.home)

    @functools.cached_property
    def policy(self) -> Policy:
        """The watched branch and its project."""
        name = self._watched_alone() if self.is_alone else watched_name(self.reader)
        project = self._project_of(name)
        if project.branch is not None and project.branch != name:
            # runner.yaml watches another branch than the remote's default one: what was assumed does not hold.
            name, project = project.branch, self._project_of(project.branch)
        return Policy(name, project)

    @functools.cached_property
    def states(self) -> StateRefs:
        """The state branches that are known here."""
        return self._states([self.seen, *([] if self.mirrored is None else [self.mirrored])])

    @functools.cached_property
    def own_states(self) -> StateRefs:
        """The state branches as the clone itself has them, whatever the mirror knows."""
        return self._states([self.seen])

    def _states(self, known: Sequence[SeenRefs]) -> StateRefs:
        first = self.policy.project.record_branch or refs.STATE
        counts = None if self.trusting is None else self.trusting.ends(self.reader, first)
        return clone_states(self.reader, known, self.policy.watched, first, counts)

    @functools.cached_property
    def trusting(self) -> Trusting | None:
        """What the trust file says of recorded states; reading commands remember nothing of it."""
        if self.trust is None:
            return None
        from runner.wiring.trust import Trusting  # imported late: start-up

        return Trusting(self.trust, self.home, self.cache, remembers=False)

    def state(self, rev: str | None = None) -> State | None:
        """The recorded state that counts for `rev`, None where none is known."""
        return self._opened(aimed(self.reader, self.states, rev, self.policy.watched).state)

    def own_ref(self) -> str | None:
        """The state branch that counts for HEAD; None where none is known."""
        return self.aim().state

    def aim(self) -> Aim:
        """What a plan of HEAD is for."""
        return aimed(self.reader, self.states, None, self.policy.watched)

    def observation(self, rev: str | None = None) -> Observation:
        """Desired at `rev` (HEAD by default) against what is recorded."""
        return self.observed(rev)[0]

    def observed(self, rev: str | None = None) -> tuple[Observation, Aim]:
        """The same, and what a plan of it is for."""
        aim = aimed(self.reader, self.states, rev, self.policy.watched)
        return self._observed(aim), aim

    def outline(self, rev: str | None = None) -> tuple[Outline, Aim]:
        """The outline of the plan for `rev`, and what it is for; remembered where it depends on git alone."""
        aim = aimed(self.reader, self.states, rev, self.policy.watched)
        if self.trusting is not None:
            return self._outlined(aim, Outside()), aim
        question, cache = self._question(aim), self._parsed(aim)
        known = question.known(cache)
        if known is None:
            outside = Outside()
            known = self._outlined(aim, outside)
            if not outside.asked:
                question.keep(cache, known)
        return known, aim

    @functools.cached_property
    def _used(self) -> list[Observation]:
        """What plans were made from: to take thousands of values apart takes longer than to end with them."""
        return []

    def _outlined(self, aim: Aim, outside: Outside) -> Outline:
        observation = self._observed(aim, outside)
        self._used.append(observation)
        plan, _ = observation.plan()
        work: tuple[Work, ...] = ()
        if not plan.is_empty:
            from runner.wiring.estimates import work_of  # imported late: only where something may run

            work = work_of(plan, observation)
        releases = has_releases(observation)
        return outline_of(plan, observation.desired, work, has_specs=observation.has_specs, releases=releases)

    def _question(self, aim: Aim) -> Question:
        tips = self.states.tips
        others = tuple((name, tips[name]) for name in self.states.others(aim.state, proposals=True) if name in tips)
        state = None if aim.state is None else tips[aim.state]
        return Question(aim.commit, aim.trust, self._policy_for(aim), state, others)

    def told(self, observation: Observation, *more: str) -> Observation:
        """The observation with a notice for all that a trust file does not let count, as far as it was asked for.

        `more` are texts of other notices that a reconcile would give.
        """
        notices = self._notices(more)
        if not notices:
            return observation
        return replace(observation, desired=replace(observation.desired, notices=observation.desired.notices + notices))

    def told_of(self, outline: Outline, *more: str) -> Outline:
        """The outline with the same notices."""
        notices = self._notices(more)
        return replace(outline, notices=outline.notices + notices) if notices else outline

    def _notices(self, more: Sequence[str]) -> tuple[Notice, ...]:
        texts = [*more, *(self.trusting.notices() if self.trusting is not None else [])]
        return tuple(Notice(text, NOWHERE) for text in texts)

    def state_age(self, commit: str | None) -> str | None:
        """How long ago the state at this commit was recorded, in words."""
        return None if commit is None else self._age(commit)

    def proposals(self) -> list[tuple[str, str, str]]:
        """Branches with runs of proposals, the newest first: name, commit, and how long ago, in words."""
        rows = [(name, self.states.tips[name]) for name in self.states.proposals()]
        rows.sort(key=lambda row: self.reader.commit(row[1]).committed_at, reverse=True)
        return [(name, tip, self._age(tip)) for name, tip in rows]

    def claims(self) -> list[Claim]:
        """What runners ran when this clone, or the mirror of it, was fetched last; without those that are gone."""
        from runner.record.claims import known_claims  # imported late: start-up

        found: dict[str, Claim] = {}
        for place in (self.reader, self.mirror):
            if place is not None:
                found |= {name: row.claim for name, row in known_claims(place, place.refs(*CLAIMS.places)).items()}
        alive = (claim for claim in found.values() if not claim_is_gone(claim, self.home))
        return sorted(alive, key=lambda claim: (claim.since, claim.id))

    def waiting_runs(self) -> list[RunFacts]:
        """Runs that finished on this host and are not published yet, for whichever branch."""
        from runner.record.journal import waiting_runs  # imported late: start-up
        from runner.record.journal_folder import DiskFolder

        folder = self.home.journal("x").parent
        branches = sorted(folder.iterdir()) if folder.is_dir() else []
        return [run for branch in branches for run in waiting_runs(DiskFolder(branch))]

    def _observed(self, aim: Aim, outside: Outside | None = None) -> Observation:
        from runner.observe.observation import observe  # imported late: start-up

        outside = outside or Outside()
        own = self._counting(aim)
        others = opened(self.reader, self.states, self.states.others(aim.state, proposals=True), self.cache)
        if self.trusting is not None:
            others = self.trusting.others(self.reader, others, own, self._lines(aim))
        observed = observe(
            self.reader,
            aim.commit,
            state=own,
            others=others,
            trust=aim.trust,
            policy=self._policy_for(aim),
            cache=self._parsed(aim),
            memo=self.memo if aim.trust is Trust.TRUSTED else self.memo_apart,
            object_bytes=outside.noting(cached_bytes(self._readable_cache)),
            limits=outside.noting(host_limits),
        )
        if observed.desired.project.reuse_proposed:
            return observed
        watched = tuple(state for state in observed.others if not state.ref.startswith(refs.PROPOSED))
        return replace(observed, others=watched)

    def _policy_for(self, aim: Aim) -> Project | None:
        return self.policy.project if aim.trust is not Trust.TRUSTED else None

    def _parsed(self, aim: Aim) -> ParseCache:
        return self.cache if aim.trust is Trust.TRUSTED else self.apart

    def _counting(self, aim: Aim) -> State | None:
        """The state that counts for a plan, as a reconcile would look at it."""
        if self.trusting is None or aim.state is None:
            return self._opened(aim.state)
        tip = self.states.tips[aim.state]
        return self.trusting.seen_through(self.reader, tip, aim.state, self.cache, self._lines(aim))

    def _lines(self, aim: Aim) -> list[str]:
        tip = watched_tip(self.seen, aim.watched)
        return [aim.commit] if tip is None else [tip, aim.commit]

    def _project_of(self, branch: str | None) -> Project:
        tip = watched_tip(self.seen, branch)
        if tip is None:
            return Project()
        try:
            return project_at(self.reader, desired_at(self.reader, tip), self.cache)
        except SpecError:
            return Project()  # whoever plans or reconciles that commit is told; another one may mend it

    def _opened(self, branch: str | None) -> State | None:
        if branch is None:
            return None
        from runner.ledger.state import State  # imported late: start-up

        return State(self.reader, self.states.tips[branch], memo=self.cache)

    def _age(self, commit: str) -> str:
        return f"{duration(max(0.0, time.time() - self.reader.commit(commit).committed_at))} ago"

    def _readable_cache(self) -> Path:
        """The DVC cache, or the runner's own where a commit says that it lies elsewhere on this host."""
        from runner.wiring.data import dvc_folder_of, readable_cache_of  # imported late: start-up

        folder = dvc_folder_of(self.reader)
        return self.home.cache if folder is None else readable_cache_of(self.reader, folder)

    def dvc_cache(self) -> Path:
        """The DVC cache of this clone if it is a DVC repository, else the runner's own for it."""
        from runner.wiring.data import dvc_cache_of, dvc_folder_of  # imported late: start-up

        folder = dvc_folder_of(self.reader)
        return self.home.cache if folder is None else dvc_cache_of(folder)


@functools.cache
def host_limits() -> HostLimits:
    """What this host has to give."""
    from runner.observe.checks import HostLimits  # imported late: start-up
    from runner.process.host import host_resources

    return HostLimits(*host_resources())


def open_clone(
    start: Path, environ: Mapping[str, str], trust: str | None = None, *, reader: Reader | None = None
) -> Clone:
    """The repository that a folder lies in; raises InputError where there is none.

    `trust` is the trust file that an option names, `reader` reads the repository where it was found already.
    """
    reader = Reader.discover(start) if reader is None else reader
    remote = reader.remote_url()
    url = remote or own_place(reader)
    home_root = home_folder(environ)
    home = repository_home(home_root, url)
    mirror: Reader | None = None
    if home.mirror.is_dir():
        mirror = Reader(home.mirror)
        reader = Reader(reader.git_dir, [home.mirror / "objects"], reader.worktree)
    parsed, digests = ParseCache(home_root / "parsed"), DigestMemo(home_root / "digests.sqlite")
    return Clone(
        reader,
        url,
        remote is not None,
        home,
        mirror,
        parsed,
        ParseCache(home_root / "apart" / "parsed", bound_bytes=_APART_BYTES, reads=parsed),
        digests,
        DigestMemo(home_root / "apart" / "digests.sqlite", bound_rows=_APART_ROWS, reads=digests),
        trust_file(start, environ, trust),
    )


def own_place(reader: Reader) -> str:
    """Where a repository without a remote is found, the same from each of its worktrees."""
    if reader.common_dir == reader.git_dir:
        return str(reader.worktree or reader.git_dir)
    return str(reader.common_dir.parent if reader.common_dir.name == ".git" else reader.common_dir)


def cached_bytes(root: Path | Callable[[], Path]) -> Callable[[str], bytes | None]:
    """Small objects from a DVC cache, hashed before they are believed; None where they are missing or damaged."""

    @functools.cache
    def folder() -> Path:
        return root() if callable(root) else root

    def read(md5: str) -> bytes | None:
        if not _MD5.fullmatch(md5):
            return None  # it may come from anybody's lock file, and would be a path
        data = small_file(folder() / "files" / "md5" / md5[:2] / md5[2:], _LISTING_LIMIT_BYTES)
        return data if data and md5_hex(data) == md5.removesuffix(".dir") else None

    return read


def working_folder(folder: str | None) -> Path:
    """The folder a command works in; raises InputError where there is none."""
    path = Path(folder or os.getcwd())
    if not path.is_dir():
        what = "not a folder" if path.exists() else "no such folder"
        raise InputError(f"{path}: {what}", "say another one with -C")
    return path


def has_releases(observation: Observation) -> bool:
    """Whether there is anything to say of releases: only of what is recorded for the watched branch."""
    if observation.state is None or observation.trust is not Trust.TRUSTED:
        return False
    return bool(observation.desired.deployments) or observation.state.has_releases()
