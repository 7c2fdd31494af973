"""The environments of a Deployment: what its spec says of each, once the overlay is merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.core.releases import Freeze, digest_of
from runner.core.targets import ServerTarget, Target
from runner.values import dataclass, field

if TYPE_CHECKING:
    from runner.core.approvals import Required
    from runner.core.budgets import Budget
    from runner.core.gates import Gate


@dataclass(frozen=True, slots=True)
class Environment:
    """One place where a model is served."""

    name: str
    source: str = ""
    """The environment whose release comes here; empty: the newest accepted model does."""
    gates: tuple[Gate, ...] = ()
    accept_evidence: bool = False
    approvals: tuple[Required, ...] = ()
    """Who has to sign."""
    soak_seconds: float = 0.0
    """How long a release has to have stood in `source` before it comes here."""
    budget: Budget | None = None
    """What may fail before nothing new is released."""
    freezes: tuple[Freeze, ...] = ()
    formats: tuple[str, ...] = ()
    """Formats that the model may have; empty for all that run no code when they are read."""
    version: int | None = None
    """The released version that is asked for by name."""
    strategy: str = ""
    """How a new version takes over, where that is not all at once."""
    serving: Mapping[str, Any] = field(default_factory=dict)
    """What the servers are told."""
    target: Target = field(default_factory=ServerTarget)
    """Where it is put to use."""
    rolls_back: bool = True
    """Whether a version that cannot be put to use is replaced by the one before without anybody's word."""
    stated: Mapping[str, Any] = field(default_factory=dict)
    """What is said of the gates, and of all else that holds a release, as the document says it."""

    @property
    def settings(self) -> str:
        """The digest of what the servers are told."""
        return digest_of(self.serving)

    @property
    def lifted_by(self) -> str:
        """What would have a model tried again that was taken back, for people."""
        command = self.serving.get("target", {}).get("command")
        files = ", ".join(f"`{name}`" for name in (command or {}).get("deps", {}))
        if files:
            return f"another model, another spec, or a change of {files}"
        if command is not None:
            return (
                "another model or another spec; a change of files that its command uses counts once `deps` names them"
            )
        return "another model or another spec"

    @property
    def spec(self) -> str:
        """The digest of all that decides about a model here, without the calendar, which moves by itself."""
        roles = [row.role for row in self.approvals]
        return digest_of({"serving": self.serving, "roles": roles, "version": self.version, **self.stated})
