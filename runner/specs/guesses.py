"""Guesses at what was meant, at a price that a stranger cannot drive up."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

GUESSES = 25
"""A guess costs a comparison with everything there is: the first findings get one."""
_LONGEST = 200
_MOST = 2_000


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that is most like this one, None where none is; only short ones are compared, and not too many."""
    if len(word) > _LONGEST:
        return None
    import difflib  # imported late: only for what is wrong

    candidates = islice((other for other in known if len(other) <= _LONGEST), _MOST)
    return next(iter(difflib.get_close_matches(word, candidates, n=1, cutoff=cutoff)), None)
