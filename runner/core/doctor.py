"""The nouns of `runner doctor`: facts of a project and its host, and advice of what is lacking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from runner.core.nouns import Desired
from runner.core.remedies import Lines, Place
from runner.values import dataclass, field

if TYPE_CHECKING:
    from runner.core.purpose import Purpose


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a project and of the host."""

    desired: Desired | None = None
    """What the specs ask for, as far as they can be read; None where there is no repository."""
    mistakes: int = 0
    """Findings in the specs."""
    has_project: bool = False
    """Whether there is a Project document."""
    git_remote: bool = False
    storage: bool = False
    """Whether there is a default DVC remote."""
    state: bool = False
    """Whether a state branch is known."""
    is_signed: bool = False
    """Whether its newest record is."""
    signs: bool = False
    """Whether this host has a key to sign with."""
    trusts: bool = False
    """Whether this host has a trust file."""
    lock_files: tuple[str, ...] = ()
    """Files of the repository that look like the lock file of a Python environment."""
    groups: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    """Groups of stages by pipeline and name: whether their fields stand below `do`, as for `foreach`."""
    missing_secrets: tuple[str, ...] = ()
    host_lacks: tuple[str, ...] = ()
    """What this host lacks, a sentence each."""
    builtins: frozenset[str] = frozenset()
    """Names of the stages that this version of the runner has."""

    @property
    def purpose(self) -> Purpose | None:
        """What the project says that it is for."""
        return None if self.desired is None else self.desired.project.purpose


@dataclass(frozen=True, slots=True)
class Remedy:
    """What is lacking, and what would add it."""

    message: str
    why: str
    commands: tuple[str, ...] = ()
    """To be typed, before the lines are added."""
    lines: tuple[Lines, ...] = ()


@dataclass(frozen=True, slots=True)
class Advice:
    """Something that a project lacks."""

    practice: str
    """By this name it is declined."""
    page: str
    """Where the documentation has more."""
    remedy: Remedy


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that a project lacks, the most valuable first, and what it does without on purpose."""

    advice: tuple[Advice, ...]
    declined: tuple[tuple[str, str], ...] = field(default=())
    """Practices with the reasons."""


@dataclass(frozen=True, slots=True)
class Practice:
    """Something that projects do well to have."""

    name: str
    page: str
    look: Callable[[Facts, Place], Remedy | None]
