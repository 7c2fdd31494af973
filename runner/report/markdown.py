"""Summaries in Markdown for pull requests and job pages, rendered from the same JSON that programs read.

What a repository says (names, paths, reasons, logs) may come from a stranger's pull request, so the environment
escapes every value on its way out; a template cannot forget it and none may switch it off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.core.leaves import leaves
from runner.report.style import short_names, without_unseen
from runner.resources import template_file, templates_folder

if TYPE_CHECKING:
    from markupsafe import Markup

_LONGEST_VALUE = 2_000
_SPECIAL = re.compile(r"[&<>\"'`*_\[\]\\!|~#$@{}]")
_BREAK = re.compile(r"\s+")
_ADDRESS = re.compile(r"(?i)(https?|ftp|www|mailto|xmpp)([:.])")


def rendered(template: str, document: Mapping[str, Any]) -> str:
    """A template such as `plan.md.j2`, filled with a JSON document; raises InputError if there is no such template."""
    import jinja2  # imported late: start-up

    template_file(template)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_folder()),
        autoescape=True,
        finalize=escaped,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["preformatted"] = preformatted
    environment.filters["short_names"] = short_names
    environment.filters["leaves"] = _leaves
    text = environment.get_template(template).render(document=document)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def escaped(value: object) -> Markup:
    """A value as it stands in running text or in a table cell, where every character means itself.

    Character references are used because they work in Markdown and in HTML alike. No link, mention, image, formula or
    table border can come out of a value, and no line break.
    """
    from markupsafe import Markup  # imported late: start-up

    if isinstance(value, Markup):
        return value
    text = without_unseen(_BREAK.sub(" ", _short(str(value))), "\ufffd")
    text = _SPECIAL.sub(_reference, text)
    # A reference inside a scheme or a host keeps viewers from making a link of it.
    return Markup(_ADDRESS.sub(lambda found: f"{found[1]}&#{ord(found[2])};", text))


def preformatted(value: object) -> Markup:
    """A value as the content of an HTML `pre` element: Markdown is not read there, lines are kept."""
    from markupsafe import Markup, escape  # imported late: start-up

    lines = str(value).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Markup(escape("\n".join(without_unseen(line.expandtabs(), "\ufffd") for line in lines)))


def _leaves(value: object) -> list[tuple[str, object]]:
    """The values inside nested mappings, each with its dotted name; a value by itself has none."""
    return [(name.removeprefix("."), found) for name, found in leaves("", value)]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]} …"


def _reference(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"
