"""Secrets of the stage `fetch`: taken from the environment by name, and taken out of every message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from runner.errors import InputError
from runner.specs.builtin_stages import secrets_of
from runner.values import dataclass

_SHORTEST = 3
"""Parts of an address that are shorter stay: nobody can tell them from chance."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """The values of secrets, by name."""

    values: Mapping[str, str]

    @classmethod
    def of(cls, given: Mapping[str, Any], environ: Mapping[str, str]) -> Hidden:
        """Those that `with` names; raises InputError that names the missing ones."""
        names = sorted({name for _, name in secrets_of(given)})
        missing = [name for name in names if not environ.get(name)]
        if missing:
            message = f"the environment has no {', '.join(missing)}"
            raise InputError(message, f"name it in `secrets` of the stage; by hand, set {missing[0]}")
        return cls({name: environ[name] for name in names})

    def clean(self, text: str) -> str:
        """A message without the values, in whichever way an address writes them, and without parts of an address."""
        found = {form: name for name, value in self.values.items() for part in _parts(value) for form in _forms(part)}
        for form in sorted(found, key=len, reverse=True):
            text = text.replace(form, f"[{found[form]}]")
        return text


def _parts(value: str) -> set[str]:
    """The value, and what stands between the signs of an address (user, password, host, path, arguments) or spaces."""
    between = re.split(r"[/@:?&=#,;]+", value.split("://", 1)[1]) if "://" in value else value.split()
    return {value} | {part for part in between if len(part) >= _SHORTEST}


def _forms(part: str) -> set[str]:
    return {part, unquote(part), quote(part, safe=""), quote(part), quote_plus(part), repr(part)[1:-1]} - {""}
