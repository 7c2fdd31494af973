"""A recorded run and its repetition, compared."""

from __future__ import annotations

from runner.core.records import RunFacts
from runner.values import dataclass


@dataclass(frozen=True, slots=True)
class Replay:
    """A recorded run and its repetition."""

    record: int
    before: RunFacts
    after: RunFacts

    @property
    def differences(self) -> list[tuple[str, str, str]]:
        """Path, digest recorded, digest now (empty for none), of outputs that are not the same."""
        now = {out.path: out.md5 for out in self.after.outs}
        return [(o.path, o.md5, now.get(o.path, "")) for o in self.before.outs if now.get(o.path) != o.md5]

    @property
    def same(self) -> bool:
        """Whether it ended alike and left the same bytes."""
        return self.before.succeeded == self.after.succeeded and not self.differences
