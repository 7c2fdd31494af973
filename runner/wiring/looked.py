"""What a process that looks again and again found the last time: as long as nothing moved, it need not look anew."""

from __future__ import annotations

from runner.core.plan import Plan, Wishes
from runner.observe.observation import Observation
from runner.values import dataclass, field
from runner.wiring.outlines import Outside, Question


@dataclass
class Looked:
    """The last observation from which there was nothing to do."""

    _question: Question | None = None
    _observation: Observation | None = None
    outside: Outside = field(default_factory=Outside)
    """What notes whether that observation asks for anything outside git, now or later."""

    def again(self, question: Question | None) -> Observation | None:
        """The observation that answered the same question."""
        return self._observation if question is not None and question == self._question else None

    def found(self, question: Question | None, seen: Observation, wishes: Wishes, plan: Plan, outside: Outside) -> None:
        """Keep an observation if nothing is to be done, and if all that was read for it lies in git."""
        is_settled = plan.is_empty and not plan.changes_state and not outside.asked
        self._question = question if is_settled else None
        self._observation = seen if is_settled else None
        self.outside = outside
        if is_settled:
            seen.settled[wishes] = plan

    def close(self) -> None:
        """End the processes that were opened for what is kept."""
        if self._observation is not None:
            self._observation.reader.close()
