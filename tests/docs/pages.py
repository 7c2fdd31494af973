"""The pages of the documentation, and the pieces in them that tests hold against the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_FENCE = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, and the comment that stands right before it."""

    language: str
    mark: str
    text: str


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    return [Block(found["language"], found["mark"] or "", found["text"]) for found in _FENCE.finditer(text)]


def block(name: str, mark: str) -> str:
    """The one block of a page that has this mark."""
    (found,) = [block.text for block in blocks(page(name)) if block.mark.startswith(mark)]
    return found


def without_blocks(text: str) -> str:
    return _FENCE.sub("", text)


def shell_lines(text: str) -> list[str]:
    """Commands of a console block: what stands behind `$ `."""
    return [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]


def sections(text: str) -> dict[str, str]:
    """Headings of the second level to what stands below them."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def anchors(text: str) -> set[str]:
    """Anchors of headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> Iterator[str]:
    yield from re.findall(r"\]\(([^)\s]+)\)", without_blocks(text))
