"""What a person chose for one reconcile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runner.core.claims import EXPIRY_SECONDS, Watch
from runner.core.own_refs import Refusal
from runner.core.variables import seconds_of
from runner.values import dataclass, field
from runner.wiring.looked import Looked


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person chose for this reconcile."""

    jobs: int | None = None
    """Stages at once; None for the number of cores."""
    branch: str | None = None
    """Watched branch; None for the project's, else the remote's default."""
    isolate: bool = True
    trigger: str = "command"
    run_cache: bool = True
    """Whether DVC's run-cache may stand for a run."""
    accepted_state: str | None = None
    """A rewritten state branch's commit that a person accepted."""
    claims: bool = True
    """Whether others' claims count, and what runs is claimed."""
    wait: bool = True
    """Whether to wait for what other runners run; else it is left to the next reconcile."""
    watch: Watch = field(default_factory=Watch)
    """What this process has seen of others' claims."""
    refusal: Refusal = field(default_factory=Refusal)
    """What this process has seen of whether the remote takes turns, and lets them be removed."""
    looked: Looked = field(default_factory=Looked)
    """What this process found the last time."""
    trust: Path | None = None
    """The trust file; None where nobody says whom to trust."""
    budget_seconds: float | None = None
    """How long what runs may take by estimate; None for what the Project says."""
    over_budget: bool = False
    """Whether a person said that it may take longer."""


def watch_of(environ: Mapping[str, str]) -> Watch:
    """The watch over others' claims; `RUNNER_CLAIM_EXPIRY` says after how many seconds one is over.

    All runners of a repository need the same, since it also says how often a claim is renewed. Raises InputError.
    """
    return Watch(seconds_of("RUNNER_CLAIM_EXPIRY", environ.get("RUNNER_CLAIM_EXPIRY"), EXPIRY_SECONDS))
