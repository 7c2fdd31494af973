"""Opening a repository for work: the mirror, the cache and the parts of a reconcile, from a clone or from a URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from runner.core.own_refs import BRANCHES
from runner.core.plan import Plan
from runner.errors import HostError, InputError
from runner.execute.context import Event
from runner.git.mirror import Mirror
from runner.git.network import network_config
from runner.git.read import Reader
from runner.observe import refs
from runner.observe.observation import Observation
from runner.process.signing import Signing
from runner.values import dataclass
from runner.wiring.clone import Clone, open_clone
from runner.wiring.data import dvc_cache_of, dvc_folder_of
from runner.wiring.home import RepositoryHome, home_folder, repository_home
from runner.wiring.parts import RealParts, Settings
from runner.wiring.watched import is_worked_in


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository that is worked on, and the clone it was named by, if it was one."""

    url: str
    home: RepositoryHome
    home_root: Path
    mirror: Mirror
    clone: Clone | None

    @property
    def dvc_folder(self) -> Path | None:
        """`.dvc` of the user's clone, where there is one."""
        return None if self.clone is None else dvc_folder_of(self.clone.reader)

    def cache_root(self) -> Path:
        """The DVC cache: the clone's own, where it is a DVC repository, else the runner's."""
        if self.dvc_folder is None:
            return self.home.cache
        return dvc_cache_of(self.dvc_folder)

    def parts(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        on_event: Callable[[Event], None],
        on_plan: Callable[[Plan, Observation], None],
        signing: Signing | None = None,
    ) -> RealParts:
        """The parts of one reconcile; `signing` is closed by whoever opened it."""
        return RealParts(
            self.mirror,
            self.home,
            self.home_root,
            self.cache_root(),
            self.dvc_folder,
            settings,
            environ,
            on_event,
            on_plan,
            signing,
        )

    def share_states(self) -> None:
        """Let the clone's remote-tracking branches know the state branches as new as the mirror does."""
        if self.clone is None or not self.clone.has_remote:
            return
        # Where results are on the watched branch itself, the clone has it at the next `git pull`.
        policy = self.clone.policy
        first = policy.project.record_branch or refs.STATE
        shared = [refs.OWN_PREFIX] + ([first] if first not in (refs.STATE, policy.watched) else [])
        known = self.clone.reader.refs(*(f"refs/remotes/origin/{name}" for name in shared))
        for name, tip in self.mirror.reader.refs(*(f"refs/heads/{name}" for name in shared)).items():
            branch = name.removeprefix("refs/heads/")
            if known.get(f"refs/remotes/origin/{branch}") != tip and not name.startswith(BRANCHES):
                self.mirror.update_tracking(self.clone.reader, branch)


def open_repository(folder: Path, url: str | None, environ: Mapping[str, str]) -> Repository:
    """The repository at `url`, or else the one that `folder` lies in."""
    home_root = home_folder(environ)
    try:
        home_root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "set RUNNER_HOME to a folder that can be written"
        raise HostError(f"{home_root}: the runner's own folder cannot be made: {error.strerror}", hint) from error
    if url is not None:
        place = folder / url
        located = str(place.absolute()) if place.exists() else url
        home = repository_home(home_root, located)
        mirror = Mirror.open(home.mirror, located, network_config(None))
        mirror.is_worked_in = is_worked_in(located) and Reader.discover(place).remote_url() is None
        return Repository(located, home, home_root, mirror, None)
    reader = Reader.discover(folder)
    network = network_config(reader)
    clone = open_clone(folder, environ, reader=reader)
    if clone.reader.is_shallow() and not clone.has_remote:
        raise InputError("this clone is shallow and has no remote", "fetch its whole history first")
    mirror = Mirror.open(clone.home.mirror, clone.url, network)
    mirror.is_worked_in = clone.is_alone
    return Repository(clone.url, clone.home, home_root, mirror, clone)


def refresh(folder: Path, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Fetch the remote into the runner's mirror, so that a plan knows the newest state.

    Returns the state branches with the newest commits that were known until then.
    """
    repository = open_repository(folder, None, environ)
    before = dict(repository.clone.states.tips) if repository.clone is not None else {}
    repository.mirror.catch_up()
    repository.share_states()
    return before
