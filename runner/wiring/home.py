"""The runner's own folder: mirrors, journals, logs, worktrees and caches, a sub-folder for each repository.

`RUNNER_HOME`, else `$XDG_CACHE_HOME/gitops-runner`, else `~/.cache/gitops-runner`. Everything in it can be made again,
except the journal (results that are not published yet) and, where there is no DVC remote, the cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import Held, RunnerError
from runner.observe.refs import flat
from runner.values import dataclass

if TYPE_CHECKING:
    from runner.core.claims import Claim


@dataclass(frozen=True, slots=True)
class RepositoryHome:
    """Where one repository's things lie."""

    root: Path

    @property
    def mirror(self) -> Path:
        """The runner's own bare copy of the repository."""
        return self.root / "mirror.git"

    @property
    def cache(self) -> Path:
        """The DVC cache that is used where the user's clone has none."""
        return self.root / "cache"

    @property
    def damage(self) -> Path:
        """Objects of DVC remotes that are known to be damaged there."""
        return self.root / "damaged.json"

    @property
    def kept(self) -> Path:
        """The files of the last commit that stages ran on."""
        return self.root / "kept"

    @property
    def kept_note(self) -> Path:
        """What they were when they were written; beside what this host has seen, where stages cannot write."""
        return self.root / "seen" / ".kept"

    @property
    def logs(self) -> Path:
        """Logs of stages, a file for each run that printed anything."""
        return self.root / "logs"

    def seen(self, branch: str) -> Path:
        """The newest commit of a watched branch that this host has seen."""
        return self.root / "seen" / flat(branch)

    @property
    def watched(self) -> Path:
        """Name of the branch that is watched in a repository without a remote, once something was reconciled."""
        return self.root / "seen" / ".watched"

    def seen_state(self, branch: str) -> Path:
        """The newest commit of the runner that this host has seen on a branch that results go to."""
        return self.root / "seen-states" / flat(branch)

    def verified(self, branch: str) -> Path:
        """How far this host has verified the ledger of a branch that results go to."""
        return self.root / "verified" / flat(branch)

    def tagged(self, branch: str) -> Path:
        """The newest release of a state branch that this host has made tags for."""
        return self.root / "tagged" / flat(branch)

    @property
    def claims(self) -> Path:
        """A file for each reconcile under way, locked by its process."""
        return self.root / "claims"

    def journal(self, branch: str) -> Path:
        """Finished runs that are not on the state branch yet."""
        return self.root / "journal" / flat(branch)

    def notes(self) -> list[Path]:
        """Folders of what the runner believes later, made where they are not there: no stage needs any of them."""
        made = [self.root / name for name in ("journal", "seen", "seen-states", "verified", "claims")]
        for folder in made:
            folder.mkdir(parents=True, exist_ok=True)
        return [*made, self.mirror]


class Place:
    """Folders of the runner as they were when it began: a stage runs as the same user and could put others there."""

    def __init__(self, *folders: Path) -> None:
        """Remember which folders these are."""
        self._ids = {folder: _identity(folder) for folder in folders}

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Check at the end, also of what failed: without its folders much fails that has no fault of its own."""
        try:
            yield
        except (OSError, RunnerError) as error:
            try:
                self.check()
            except Held as held:
                raise held from error
            raise
        self.check()

    def check(self) -> None:
        """Raise Held where one is not the folder that it was."""
        for folder, identity in self._ids.items():
            if _identity(folder) != identity:
                raise Held(
                    f"{folder} is not the folder that it was when this reconcile began, so nothing in it is believed",
                    "a stage may have moved it away: look at what ran, put the old folder back, or remove the new one "
                    "and begin anew",
                )


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(folder)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


_FEW_LOGS = 32
"""So many logs, each within its bound, are never too much."""


def caches(home: Path) -> list[Path]:
    """What the runner remembers of files and of specs, for all repositories."""
    tables = [f"{name}.sqlite{part}" for name in ("digests", "hashes") for part in ("", "-wal", "-shm")]
    return [home / name for name in ("parsed", "apart", *tables)]


def prune_environments(folder: Path) -> None:
    """Remove environments of stages that nobody has used for long; raises HostError where that is not possible."""
    if folder.is_dir():
        from runner.process.environments import prune  # imported late: few stages have an environment

        prune(folder)


def prune_logs(folder: Path, kept: int = 2_000, kept_bytes: int = 4 << 30) -> None:
    """Remove the oldest logs: all but the newest `kept`, once there are a quarter more, and what exceeds `kept_bytes`.

    The newest stays, whatever its size.
    """
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        logs = [entry for entry in entries if entry.name.endswith(".log")]
        if len(logs) <= _FEW_LOGS:
            return
        found = sorted(((entry.stat(), entry.path) for entry in logs), key=lambda one: one[0].st_mtime_ns, reverse=True)
        most = kept if len(found) > kept * 1.25 else len(found)
        size_bytes = 0
        for number, (status, path) in enumerate(found):
            size_bytes += status.st_size
            if number >= most or (number and size_bytes > kept_bytes):
                Path(path).unlink(missing_ok=True)


def home_folder(environ: Mapping[str, str]) -> Path:
    """The runner's folder on this host."""
    if environ.get("RUNNER_HOME"):
        return Path(environ["RUNNER_HOME"]).expanduser().absolute()
    caches = Path(environ.get("XDG_CACHE_HOME") or "")
    # The rule of XDG: a relative path there counts as none, or each folder that one works in would get caches.
    return (caches if caches.is_absolute() else Path.home() / ".cache") / "gitops-runner"


def home_name(home: Path) -> str:
    """A name for this folder that no other has, on whichever host; the same as long as the folder exists."""
    file = home / "name"
    if not file.exists():
        name = os.urandom(16).hex()
        part = home / f".name.{name}"
        part.write_text(name)
        with contextlib.suppress(FileExistsError):
            os.link(part, file)
        part.unlink()
    return file.read_text()


def claim_is_gone(claim: Claim, repository: RepositoryHome) -> bool:
    """Whether a runner of this same home said so, and has ended: the kernel gave its lock back."""
    from runner.record.liveness import HomeLocks  # imported late: only where somebody claims something

    try:
        name = (repository.root.parent.parent / "name").read_text()
    except OSError:
        return False  # nobody has claimed anything from here
    return claim.home == name and HomeLocks(repository.claims).is_free(claim.id)


def repository_homes(home: Path) -> list[RepositoryHome]:
    """The folders of all repositories that this host works on."""
    folder = home / "r"
    return [RepositoryHome(path) for path in sorted(folder.iterdir())] if folder.is_dir() else []


def repository_home(home: Path, url: str) -> RepositoryHome:
    """The folder of a repository, by the URL of its remote."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", url.rstrip("/").removesuffix(".git").rpartition("/")[2]).strip("-")
    # Short, since stages put sockets below it, whose paths may have 108 bytes.
    name = f"{words[:16] or 'repository'}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    return RepositoryHome(home / "r" / name)
