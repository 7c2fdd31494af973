"""Cards as Markdown, in the sections of skops' model cards, and as a page of one file without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.stages.cards.parts import Card, Code, Curves, Items, Part, Section, Table, Text
from runner.stages.cards.sources import Source
from runner.stages.pages import in_markdown, rendered

_STARTS = re.compile(r"^(?:[-+=]|\d+[.)])")
"""What begins a list, a line or a heading where a line of Markdown begins with it."""
_SOURCES = "Sources"


def write_card(card: Card, sources: tuple[Source, ...], out: Path) -> None:
    """Write a card by the ending of its name, `.md` or `.html`."""
    whole = Card(card.title, card.about, (*card.sections, _section_of(sources)))
    text = markdown(whole) if out.suffix.lower() == ".md" else rendered("card.html.j2", {"card": _page(whole)})
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")


def _section_of(sources: tuple[Source, ...]) -> Section:
    """Where the figures come from, and how to find the runs that wrote them."""
    rows = [(str(one.number), one.role, one.path, one.md5, one.sha256) for one in sources]
    told = (
        "Every figure was read from one of these files, and is rounded here to six digits. The record of the run that "
        "wrote a file names its MD5. These commands lead to the stage that wrote it, to the number of its record, and "
        "to the record; data that no stage made is named by its .dvc file, or by git. In a repository without a remote "
        "write runner/state in place of origin/runner/state."
    )
    how = "git grep -l MD5 origin/runner/state -- .runner/recorded\nrunner explain STAGE\nrunner runs show NUMBER"
    return Section(_SOURCES, (Text(told), Code(how), Table(("number", "what", "file", "MD5", "SHA-256"), tuple(rows))))


# ----- Markdown


def markdown(card: Card) -> str:
    """A card as Markdown; every value means itself."""
    from skops.card import Card as Made  # imported late: start-up

    made = Made(None, template=None, model_diagram=False)
    top = _heading(card.title)
    made.add(**{top: _joined(card.about)})
    for around, section in card.walk():
        key = "/".join([top, *map(_heading, around), _heading(section.title)])
        content = [*_from(section), _joined(section.parts)]
        made.add(folded=section.folded, **{key: "\n\n".join(filter(None, content))})
    return str(made.render()).strip() + "\n"


def _heading(title: str) -> str:
    """A title that is one name to skops, which parts names at slashes."""
    return (in_markdown(title).strip() or "none").replace("/", "\\/")


def _number(source: Source) -> int:
    return source.number


def _from(section: Section) -> list[str]:
    named = (
        []
        if not section.parts
        else [f"[{source.number}](#{_SOURCES.lower()})" for source in sorted(section.sources, key=_number)]
    )
    return [f"From {', '.join(named)}."] if named else []


def _joined(parts: tuple[Part, ...]) -> str:
    return "\n\n".join(block for part in parts for block in _blocks(part))


def _blocks(part: Part) -> Iterator[str]:
    if isinstance(part, Text):
        yield from (_line(text) for text in _paragraphs(part.text))
    elif isinstance(part, Code):
        yield f"```\n{part.text}\n```"
    elif isinstance(part, Items):
        yield "\n".join(f"- {_line(item)}" for item in part.items)
    elif isinstance(part, Table):
        head, *rows = (f"| {' | '.join(map(in_markdown, row))} |" for row in (part.head, *part.rows))
        yield "\n".join([head, f"|{'---|' * len(part.head)}", *rows])
        if part.left_out:
            yield f"... and {part.left_out} more."


def _line(text: str) -> str:
    """Text where a line begins, so that it begins nothing but itself."""
    found = _STARTS.match(text.strip())
    if not found:
        return in_markdown(text).strip()
    first = text.strip()
    place = found.end() - 1
    return f"{first[:place]}&#{ord(first[place])};{in_markdown(first[place + 1 :])}"


def _paragraphs(text: str) -> list[str]:
    return [part for part in re.split(r"\n\s*\n", text) if part.strip()]


# ----- a page


def _page(card: Card) -> dict[str, Any]:
    """A card as the template wants it: one list of sections, each with the level of its heading."""
    sections = [
        {
            "level": 2 + len(around),
            "title": section.title,
            "anchor": _SOURCES.lower() if section.title == _SOURCES and not around else "",
            "folded": section.folded,
            "sources": sorted(source.number for source in section.sources if section.parts),
            "parts": [_shown(part) for part in section.parts],
        }
        for around, section in card.walk()
    ]
    return {"title": card.title, "about": [_shown(part) for part in card.about], "sections": sections}


def _shown(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"kind": "text", "paragraphs": _paragraphs(part.text)}
    if isinstance(part, Code):
        return {"kind": "code", "text": part.text}
    if isinstance(part, Items):
        return {"kind": "items", "lines": part.items}
    if isinstance(part, Curves):
        return {"kind": "curves", "lines": part.lines, "across": part.across, "up": part.up}
    return {"kind": "table", "head": part.head, "rows": part.rows, "left_out": part.left_out}
