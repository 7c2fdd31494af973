"""The nouns of the domain as the specs state them: project, pipeline, stage and what a stage reads and writes.

Paths are POSIX, relative to the root of the git repository and normalised (no `.`, no `..`, no trailing slash),
unless a field says otherwise. A path outside the repository (absolute, or with a scheme such as `s3://`) is kept
as written and `is_external` tells it apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.errors import NOWHERE, Place
from runner.values import dataclass, field

if TYPE_CHECKING:
    from runner.core.gates import Deployment
    from runner.core.purpose import Purpose


class OutKind(Enum):
    """What an output is for, beside being an output."""

    OUT = "out"
    """Data or a model: cached by DVC unless told otherwise."""
    METRIC = "metric"
    """A file of numbers that people compare."""
    PLOT = "plot"
    """A file of points that people look at."""


class Address(NamedTuple):
    """The name of a stage within a repository: `pipeline:stage`.

    The pipeline of an adopted file is the file's path (`dvc.yaml`, `sub/dvc.yaml`), as in DVC's own addressing.
    """

    pipeline: str
    stage: str

    def __str__(self) -> str:
        return f"{self.pipeline}:{self.stage}"


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter that a stage reads: a key of a file, or (`key` None) the whole file."""

    file: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Out:
    """One output of a stage."""

    path: str
    kind: OutKind = OutKind.OUT
    cache: bool = True
    """False: the bytes are committed to the state branch instead of going to DVC's cache."""
    persist: bool = False
    """True: the stage starts from the version that is there."""
    push: bool = True
    """False: the bytes never go to a DVC remote."""
    remote: str | None = None
    """The DVC remote these bytes go to; None means the default one."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a stage occupies while it runs."""

    cpu: float = 0.0
    """Cores; 0 means not stated, then only the number of jobs limits it."""
    memory_bytes: int = 0
    """Bytes; 0 means not stated."""


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """The Python environment of a stage: one virtual environment for each digest of a lock file."""

    lock: str
    """Path of a requirements file in the repository."""
    python: str | None = None
    """Interpreter version such as `3.12`; None means the one the runner runs on."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A node of a pipeline, with templates resolved and groups expanded."""

    address: Address
    cmd: tuple[str, ...]
    """Commands, run one after the other by the shell."""
    cmd_is_list: bool = False
    """Whether the spec gave a list; DVC's lock file keeps the difference."""
    wdir: str = "."
    """Folder the commands run in, `.` for the root of the repository."""
    deps: tuple[str, ...] = ()
    params: tuple[Param, ...] = ()
    outs: tuple[Out, ...] = ()
    frozen: bool = False
    always_changed: bool = False
    """As DVC has it: also true of a callback stage, one that has neither deps nor outs nor params."""
    desc: str = ""
    env: tuple[tuple[str, str], ...] = ()
    """Sorted pairs that enter the run key and the environment of the commands."""
    secrets: tuple[str, ...] = ()
    """Sorted names; never in the key, never in a record's values."""
    resources: Resources = Resources()
    timeout_seconds: float | None = None
    retries: int = 0
    mutex: tuple[str, ...] = ()
    """Names that at most one running stage holds at a time."""
    environment: EnvironmentSpec | None = None
    seed: int | None = None
    not_handled: tuple[str, ...] = ()
    """Fields that were stated and that this version does not act on yet (`image`, `executor`)."""
    place: Place = NOWHERE
    spelled: tuple[tuple[str, str], ...] = ()
    """Deps and outs, with what the file says where that is not the plain relative path (`./a`, `data/`): DVC tells
    entries of `dvc.lock` apart by spelling. A dep that is named several times is here with each of its spellings."""
    deterministic: bool = True
    """False: the spec says that the same inputs may give other outputs."""
    uses: str = ""
    """Name and version of the stage of the library that `cmd` runs (`train@1`); empty for a command of the team's."""
    given: tuple[tuple[str, str], ...] = ()
    """What `with` says: sorted names, and values as the arguments of `cmd` have them."""
    training: bool = False
    """The spec says that it trains, so that a sealed hold-out is not for it."""
    meanings: tuple[tuple[str, str], ...] = ()
    """Deps that count by what they say where git holds them, with what they are: `code` or `notebook`."""

    @property
    def is_beyond_dvc(self) -> bool:
        """Whether its result depends on what DVC's keys do not hold, so that DVC's word counts neither way."""
        return self.environment is not None or bool(self.env) or self.seed is not None or bool(self.uses)

    @property
    def out_paths(self) -> tuple[str, ...]:
        """Paths of all outputs in the order stated."""
        return tuple(out.path for out in self.outs)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A set of stages that came from one document, and the DVC file that stands for it."""

    name: str
    """`metadata.name`, or the path of an adopted `dvc.yaml`."""
    file: str
    """Where the document is in the repository."""
    dvc_file: str
    """The `dvc.yaml` that DVC reads: the adopted file, or where the rendered one goes on the state branch."""
    rendered: str | None
    """Text of the rendered `dvc.yaml`; None for an adopted file, which stays as it is."""
    stages: tuple[Stage, ...]
    extra_metrics: tuple[str, ...] = ()
    """Metrics files named at the top level, beside those of stages."""
    place: Place = NOWHERE

    @property
    def lock_file(self) -> str:
        """Path of the `dvc.lock` beside the `dvc.yaml`."""
        return self.dvc_file.removesuffix("dvc.yaml") + "dvc.lock"

    @property
    def folder(self) -> str:
        """Folder of the `dvc.yaml`, `.` for the root."""
        return self.dvc_file.removesuffix("dvc.yaml").rstrip("/") or "."


@dataclass(frozen=True, slots=True)
class Holdout:
    """A sealed test set: what trains, and what that builds on, may not read it."""

    pipeline: str
    """Whose spec says so; it holds for all of them."""
    paths: tuple[str, ...]
    max_uses: int | None = None
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class TrackedData:
    """A file or folder that a `.dvc` file stands for (`dvc add`, or a frozen import)."""

    path: str
    md5: str
    """Lower-case hex, with `.dir` for a folder."""
    dvc_file: str
    size: int | None = None
    nfiles: int | None = None
    legacy: bool = False
    """True for md5-dos2unix entries of DVC before 3.0, whose bytes live in the old cache layout."""
    remote: str | None = None

    @property
    def is_dir(self) -> bool:
        """Whether a folder is tracked."""
        return self.md5.endswith(".dir")


@dataclass(frozen=True, slots=True)
class LockOut:
    """One output as a committed `dvc.lock` states it."""

    path: str
    md5: str
    size: int | None = None
    nfiles: int | None = None
    isexec: bool = False
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class LockEntry:
    """What a committed `dvc.lock` says of one stage: evidence that somebody ran it."""

    cmd: tuple[str, ...]
    cmd_is_list: bool
    deps: Mapping[str, str]
    """Root-relative path to digest: `md5:…`, `md5-dos2unix:…`, `etag:…` or `checksum:…`."""
    params: Mapping[str, Mapping[str, Any]]
    """File to key to value; a whole file has its top-level mapping."""
    outs: tuple[LockOut, ...]
    raw: Mapping[str, Any] = field(default_factory=dict)
    """The entry as it stood in the file, for writing it back unchanged."""
    before_two: bool = False
    """Whether the file has the layout of a DVC before 2.0, which DVC 3 refuses."""


class Trust(Enum):
    """How far a commit is trusted; policy always comes from the base commit."""

    UNTRUSTED = "untrusted"
    """Parse and compare only: no code, template, hook or filter of the repository runs."""
    PROPOSED = "proposed"
    """A branch of somebody who may write: stages run, without secrets, and the results stay apart."""
    TRUSTED = "trusted"
    """A commit reachable from the watched branch."""


@dataclass(frozen=True, slots=True)
class Project:
    """The repository's own settings, all of them with a default."""

    name: str = ""
    branch: str | None = None
    """Watched branch; None means the remote's default branch."""
    record_every_seconds: float = 60.0
    record_branch: str | None = None
    """Where results of the watched branch are recorded, which may be that branch itself; None means `runner/state`."""
    accept_dvc_lock: bool = True
    """`trust.dvcLock: accept`: a committed lock entry counts as evidence."""
    reuse_proposed: bool = True
    """`trust.reuse: members`: results recorded for a pull request count at its merge."""
    accept_nondeterministic: bool = True
    """`trust.nondeterministic: accept`: what is not deterministic is taken over as anything else is; else only results
    of the branch's own runs count for it."""
    strict: bool = False
    """A stage that writes to undeclared places fails."""
    shell: str | None = None
    """Shell of every command; None means `bash`, whatever the host's user prefers."""
    protect: bool = False
    """Hold when the watched branch is rewound."""
    purpose: Purpose | None = None
    """What it is for and who answers for it; None where nothing of that is declared."""
    declined: tuple[tuple[str, str], ...] = ()
    """Practices that `runner doctor` need not ask for, each with the reason."""
    budget_seconds: float | None = None
    """How long what one reconcile runs may take by estimate; None for as long as it does."""
    allow_removal: bool = False
    """`release.allowRemoval`: more than half of all Deployments may go at once."""
    release_tags: bool = True
    """`release.tags`: releases get tags on the remote."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know that stops nothing."""

    message: str
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything the specs at one commit ask for."""

    commit: str
    project: Project
    pipelines: tuple[Pipeline, ...]
    tracked: Mapping[str, TrackedData]
    """By path."""
    locks: Mapping[Address, LockEntry]
    """Evidence of committed lock files."""
    dvc_root: str = "."
    """Folder that holds `.dvc`, `.` also when there is none yet."""
    has_dvc: bool = False
    not_handled: tuple[Notice, ...] = ()
    """Monitors and fields that are understood but not acted on yet."""
    notices: tuple[Notice, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    holdouts: tuple[Holdout, ...] = ()

    def stages(self) -> tuple[Stage, ...]:
        """Every stage of every pipeline."""
        return tuple(stage for pipeline in self.pipelines for stage in pipeline.stages)


def is_external(path: str) -> bool:
    """Whether a dep lies outside the repository: absolute, in a home folder, or behind a scheme."""
    return path.startswith(("/", "~")) or "://" in path
