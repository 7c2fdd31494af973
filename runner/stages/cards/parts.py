"""What a card is made of: sections of text, lists, tables and curves, with the inputs that figures come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.stages.cards.sources import Source
from runner.values import dataclass

MOST_ROWS = 100
"""Of one table of a card; the file that it comes from has the others."""


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Commands, in our own words."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table, its values as people read them."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0
    """How many rows there are beside those."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Lines that only a page shows, each as the `points` of an SVG polyline of 100 by 60."""

    lines: tuple[tuple[str, str], ...]
    """The name of each line, and its points."""
    across: str
    """What goes from left to right, and from where to where."""
    up: str


Part = Text | Code | Items | Table | Curves


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a card under a heading."""

    title: str
    parts: tuple[Part, ...] = ()
    sources: tuple[Source, ...] = ()
    """The inputs that its figures come from."""
    folded: bool = False
    """Whether it is long, so that people open it by hand; one with sections inside it is not."""
    inner: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """A card: its title, what comes before the first section, and the sections."""

    title: str
    about: tuple[Part, ...]
    sections: tuple[Section, ...]

    def walk(self) -> Iterator[tuple[tuple[str, ...], Section]]:
        """Every section with the titles of those around it, in the order of the card."""
        waiting: list[tuple[tuple[str, ...], Section]] = [((), section) for section in reversed(self.sections)]
        while waiting:
            around, section = waiting.pop()
            yield around, section
            waiting += [((*around, section.title), inner) for inner in reversed(section.inner)]


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    """A table of the first rows, which says how many there are beside them."""
    return Table(head, tuple(rows[:MOST_ROWS]), max(0, len(rows) - MOST_ROWS))
