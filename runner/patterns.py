"""Regular expressions that are compiled when they are first used: a command imports dozens of them and uses a few.

For the type checker, and to whoever uses one, `regex` is `re.compile`; what it gives cannot be handed to functions of
the module `re`. A wrong expression is found at its first use, so a test compiles all of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

__all__ = ["regex"]


class _Pattern:
    """Becomes what `re.compile` gives, method by method."""

    def __init__(self, text: Any, flags: int = 0) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what copies and pickles ask for
            raise AttributeError(name)
        found = getattr(re.compile(self._text, self._flags), name)
        setattr(self, name, found)
        return found


if TYPE_CHECKING:
    from re import compile as regex
else:
    regex = _Pattern
