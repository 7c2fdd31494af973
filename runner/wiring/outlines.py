"""Outlines of plans that were made before, by all that they depend on: the same question again costs a look-up.

What a plan reads lies in git objects, whose names say what is in them. A plan that also read what may change (bytes of
a DVC cache, what this host has to give) is not kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from runner.core.canonical import canonical_digest
from runner.core.nouns import Project, Trust
from runner.core.outline import Outline
from runner.specs.parse_cache import ParseCache
from runner.values import dataclass, field

_NAMESPACE = "outline"


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that a plan depends on, as long as it reads git alone."""

    commit: str
    trust: Trust
    policy: Project | None
    """The project as the watched branch has it, where that decides about another commit."""
    state: str | None
    """The commit of the state that counts."""
    others: tuple[tuple[str, str], ...]
    """States whose runs may be taken over: branch and commit."""

    def known(self, cache: ParseCache) -> Outline | None:
        """The answer that was kept; None without one."""
        row = cache.get(_NAMESPACE, self._digest())
        try:
            return None if row is None else Outline.from_json(row)
        except (ValueError, TypeError, KeyError):
            return None  # a cache may hold anything; the plan is then made again

    def keep(self, cache: ParseCache, answer: Outline) -> None:
        """Keep the answer for the next time."""
        cache.put(_NAMESPACE, self._digest(), answer.as_json(), plain=True)

    def _digest(self) -> str:
        # A stage whose environment names no interpreter depends on the one that the runner runs on.
        facts = [self.commit, self.trust.value, repr(self.policy), self.state, self.others, sys.version_info[:2]]
        return canonical_digest(facts)


@dataclass
class Outside:
    """Notes whether a plan asked for anything that is not in git."""

    asked: bool = field(default=False)

    def noting(self, source: Callable[..., Any]) -> Callable[..., Any]:
        """The same source, whose use is noted."""

        def noted(*arguments: Any) -> Any:
            self.asked = True
            return source(*arguments)

        return noted
