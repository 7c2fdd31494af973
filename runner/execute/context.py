"""What a run needs of the world: one value, made by the wiring, handed through as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runner.core.nouns import Address, Desired, Trust
from runner.core.plan import Step
from runner.core.records import RunFacts
from runner.data.cache import Cache
from runner.data.remotes import Remotes
from runner.execute.worktree import Worktrees
from runner.git.read import Reader
from runner.process.hiding import Hidden
from runner.values import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person may want to see while stages run."""

    kind: str
    """`started`, `line`, `finished`, `restored`, `retried`, `published` or `notice`."""
    address: Address | None
    text: str = ""
    run: RunFacts | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """The fixed surroundings of all runs of one reconcile."""

    reader: Reader
    desired: Desired
    cache: Cache
    remotes: Remotes
    worktrees: Worktrees
    logs: Path
    environments: Path
    """Folder of virtual environments, by digest."""
    shell: str
    environ: Mapping[str, str]
    """The allow-listed environment of every stage."""
    secrets: Mapping[str, str]
    trust: Trust
    actor: str
    host: Mapping[str, Any]
    location: str
    run_cache: bool
    """Whether DVC's run-cache is asked and told; not where a command has to run for certain."""
    git_bytes: Callable[[str], bytes | None]
    """Bytes of a blob of the state branch by its id."""
    git_folder: Callable[[str], Mapping[str, bytes] | None]
    """Files of a folder of the state branch by its id."""
    held_elsewhere: Callable[[Step], str | None]
    """Who else runs a step now, in words; None where nobody does, and then it is this runner's to run."""
    on_event: Callable[[Event], None]
    clock: Callable[[], float]
    """Seconds since the epoch."""
    run_ids: Callable[[], str]
    hidden: Hidden = field(default_factory=Hidden)
    """What stages find nothing of, where they have namespaces of their own."""
    outputs: Cache | None = None
    """Where outputs go instead of the cache, for a run that nothing is to be kept of."""
    sizes: dict[str, int] = field(default_factory=dict)
