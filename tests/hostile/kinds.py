"""What a hostile case is: files of a commit or a prepared clone, what may come out, and the list of all mechanisms."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.hostile.store import Content, Files

if TYPE_CHECKING:
    from tests.hostile.ground import Ground

FINDING = frozenset({1})
PLAN = frozenset({0, 2})
EITHER = FINDING | PLAN
HELD = frozenset({6})
REFUSED = frozenset({1, 4, 6})
"""A finding, a damaged repository, or a state that a person has to look at."""


@dataclass(frozen=True)
class Case:
    """One hostile commit or clone."""

    name: str
    files: Files = field(default_factory=dict)
    """Of the commit that is planned; a Pipeline with one harmless stage where they bring no runner.yaml."""
    ends: frozenset[int] = FINDING
    """Exit codes that `runner plan` may have."""
    validates: frozenset[int] | None = None
    """Those of `runner validate`, where they are others."""
    prepare: Callable[[Ground], str | None] | None = None
    """Changes the clone; may return another revision to plan."""
    says: str = ""
    """Something that must be among what is said."""
    message: bytes = b"Change\n"
    author: bytes = b"Ada <ada@example.com> 1700000000 +0000"
    looks_into_cache: bool = False
    """Objects may be looked for in a cache that the user's own `config.local` names, wherever it is."""
    git_follows: bool = False
    """Git itself reads a file outside that the clone's own data points to, as it does for everybody."""
    plain: bool = False
    """The files are all there is: no harmless runner.yaml is added."""


Variants = Callable[[], Iterable[Case]]


@dataclass(frozen=True)
class Mechanism:
    """One way to do harm."""

    name: str
    about: str
    variants: Variants

    def cases(self) -> list[Case]:
        """All variants."""
        return list(self.variants())

    def traced(self) -> list[Case]:
        """Those that are looked at from the kernel's side; more where it is git that could be led astray."""
        cases = [case for case in self.cases() if not case.looks_into_cache]
        if self.name != "programs that are named elsewhere":  # of those git reads other files, and nothing else
            cases = [case for case in cases if not case.git_follows]
        count = 3 if self.variants.__module__.endswith(".clones") else 1
        return [cases[number * len(cases) // count] for number in range(min(count, len(cases)))]

    def chosen(self) -> list[Case]:
        """Those that every run of the tests goes through; all of them where `HOSTILE=all` is said."""
        cases = self.cases()
        count = len(cases) if os.environ.get("HOSTILE") == "all" else _FEW if self.name in _HEAVY else _MANY
        return [cases[number * len(cases) // count] for number in range(count)] if len(cases) > count else cases


_MANY, _FEW = 12, 3
_HEAVY = (
    "lists that are too long", "groups that multiply", "blobs that grow", "texts that are too long",
    "trees that multiply",
    "rules of what to overlook", "keys with one hash",
)  # fmt: skip
"""A case of these takes the better part of a second."""

MECHANISMS: dict[str, Mechanism] = {}


def mechanism(variants: Variants) -> Variants:
    """Register a generator of variants under the name of its function."""
    name = variants.__name__.replace("_", " ")
    assert name not in MECHANISMS
    MECHANISMS[name] = Mechanism(name, (variants.__doc__ or "").strip(), variants)
    return variants


def every_case() -> Iterator[tuple[Mechanism, Case]]:
    """All cases of all mechanisms."""
    for found in MECHANISMS.values():
        for case in found.cases():
            yield found, case


HEAD = "apiVersion: runner/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n"
OWNED = "@OWNED@"
"""Stands in files for a command that leaves a trace where it is run."""
OUTSIDE = "@OUTSIDE@"
"""Stands in files for a folder beside the repository, with a file `secret` that nothing may read."""


def stages(text: str) -> dict[str | bytes, Content]:
    """A runner.yaml with these lines below `stages:`."""
    return {"runner.yaml": f"{HEAD}  stages:\n" + "".join(f"    {line}\n" for line in text.splitlines())}


def spec(value: str) -> dict[str | bytes, Content]:
    """A runner.yaml with a Pipeline whose `spec` is this."""
    return {"runner.yaml": HEAD + value}


READ_FILES = ("runner.yaml", "dvc.yaml", "dvc.lock", "x.dvc", ".dvcignore", ".gitignore", ".dvc/config")
"""Files that a plan reads, whoever wrote them."""
