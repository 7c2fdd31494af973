"""Pages of the built-in stages for people: one file each, without a script and without anything from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.resources import template_file, templates_folder
from runner.specs.builtin_stages import PAGES

_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufeff]")
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_SPECIAL = re.compile(r"[&<>\"'`*_\[\]\\|~#]")


def without_controls(text: str) -> str:
    """Text of others for a terminal or a log: without colours, and without what is not seen."""
    return _UNSEEN.sub("\ufffd", _COLOURS.sub("", text))


def in_markdown(text: str) -> str:
    """Text that means itself wherever it stands in a line of Markdown, also in the cell of a table."""
    plain = re.sub(r"\s+", " ", _UNSEEN.sub("\ufffd", text))
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", plain)


def rendered(template: str, document: Mapping[str, Any]) -> str:
    """A template such as `validation.html.j2`, filled; every value means itself, in HTML as in Markdown."""
    import jinja2  # imported late: start-up
    from markupsafe import Markup

    template_file(template)
    is_markdown = ".md" in template

    def escaped(value: object) -> object:
        if isinstance(value, (Markup, jinja2.Undefined)):
            return value
        return Markup(in_markdown(str(value))) if is_markdown else _UNSEEN.sub("\ufffd", str(value))

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_folder()), autoescape=True, finalize=escaped,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(document=document).strip() + "\n"


def write_page(name: str, document: Mapping[str, Any], out: Path) -> None:
    """Write the page of a stage, as Markdown or HTML by the ending of its name."""
    ending = "md" if out.suffix.lower() == ".md" else "html"
    text = rendered(f"{name}.{ending}.j2", document)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")


def is_page(path: Path) -> bool:
    """Whether a name is that of a page."""
    return path.suffix.lower() in PAGES
