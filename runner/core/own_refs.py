"""Refs of the runner's own on a remote: a kind of them has a place beside all branches, and one among the branches.

Some hosts take no refs but branches and tags. Claims and turns are advice, so where both places are refused work goes
on without them; an approval that cannot be placed is an error.
"""

from __future__ import annotations

from collections.abc import Iterable

from runner.values import dataclass

_PEELED = "^{}"
"""Ends a row of `git ls-remote` that is no ref, but what an annotated tag is of."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of them."""

    name: str

    @property
    def places(self) -> tuple[str, str]:
        """Where they are, and where on a remote that takes branches alone; each with a slash at its end."""
        return f"refs/runner/{self.name}/", f"refs/heads/runner/{self.name}/"

    def patterns(self, name: str = "*") -> list[str]:
        """What to list for those of a name, wherever they are."""
        return [place + name for place in self.places]

    def found(self, listed: Iterable[str], below: str = "") -> dict[str, str]:
        """Of what was listed, name to full name of the ref: those of this kind, below a folder of it."""
        starts = [place + below for place in self.places]
        refs = [ref for ref in listed if not ref.endswith(_PEELED)]
        return {ref.removeprefix(start): ref for start in starts for ref in refs if ref.startswith(start)}


CLAIMS, TURNS, APPROVALS = Kind("claims"), Kind("turns"), Kind("approvals")
BRANCHES = tuple(kind.places[1] for kind in (CLAIMS, TURNS, APPROVALS))
"""Branches that are no states, and nobody's work."""


@dataclass
class Refusal:
    """What was learned of a remote: which places it refuses for one kind, the first ones first."""

    places: int = 0
    """How many."""

    @property
    def is_known(self) -> bool:
        """Whether it takes none at all, or does not let them be removed."""
        return self.places >= len(CLAIMS.places)

    def is_of_all(self) -> None:
        """Ask no more."""
        self.places = len(CLAIMS.places)
