"""Plain and coloured text: colours only where a terminal reads, and no foreign control characters anywhere."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from runner.patterns import regex

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "magenta": "35",
    "cyan": "36",
}
_ESCAPE = regex(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
"""Colours and other orders to a terminal (ECMA-48: CSI and OSC sequences, and single ones)."""
_OBJECT_NAME = regex(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40})(?:\+[0-9a-f]{32})?\b")
"""A commit, and behind it the reconcile that was forced to run for it once more."""
SHORTEST_NAME = 40
"""Characters of the shortest name of a commit."""
_ORDER = regex(r"#(?=#\[)|^\s*:(?=:)")
"""`::...::` at the beginning of a line and `##[...]` anywhere in it are orders to a runner of GitHub's."""

_GAP = 2
_NARROWEST = 12
"""A text is not wrapped into less than this."""
_NARROWEST_COLUMN = 5
_NARROWEST_READABLE = 7
"""A column that would be narrower is left out, the last one first."""
_LEFT_OUT = 3
"""Columns of the mark for it."""


class Style:
    """Paints when `colour` is set; otherwise every method returns its text.

    `width` is the number of columns that text has to fit into; None where it may be as long as it likes.
    """

    def __init__(self, colour: bool, width: int | None = None) -> None:
        self.colour = colour
        self.width = width

    def paint(self, name: str, text: str) -> str:
        """The text in a colour or weight by name."""
        return f"\x1b[{_CODES[name]}m{text}\x1b[0m" if self.colour and text else text

    def bold(self, text: str) -> str:
        """Bold text."""
        return self.paint("bold", text)

    def dim(self, text: str) -> str:
        """Text of less weight."""
        return self.paint("dim", text)

    def red(self, text: str) -> str:
        """Red text."""
        return self.paint("red", text)

    def green(self, text: str) -> str:
        """Green text."""
        return self.paint("green", text)

    def yellow(self, text: str) -> str:
        """Yellow text."""
        return self.paint("yellow", text)

    def cyan(self, text: str) -> str:
        """Cyan text."""
        return self.paint("cyan", text)

    @staticmethod
    def safe(text: str) -> str:
        """Text from a repository as one line that is only text: it redraws no terminal and is no order to CI."""
        seen = without_unseen(text.replace("\t", " "), "�")
        return _ORDER.sub(r"\g<0> ", seen) if "::" in seen or "##[" in seen else seen

    @staticmethod
    def safe_lines(text: str) -> list[str]:
        """The same of a text of several lines."""
        return [Style.safe(line.expandtabs()) for line in text.rstrip("\n").split("\n")]


def without_unseen(text: str, shown: str | Callable[[re.Match[str]], str]) -> str:
    """The text with `shown` for whatever moves a cursor, ends a line, turns the direction of text or cannot be seen.

    These are Unicode's categories Cc, Cf (but the soft hyphen), Zl, Zp and Cs, none of which Python calls printable.
    """
    return text if text.isprintable() else _unseen().sub(shown, text)


@functools.cache
def _unseen() -> re.Pattern[str]:
    # Made when it is first needed: a class as wide as this one takes milliseconds to compile.
    return re.compile(
        "[\x00-\x1f\x7f-\x9f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
        "\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
        "\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
    )


def command_lines(commands: Iterable[str]) -> list[str]:
    """Commands as they are written, each of their lines moved in."""
    return [f"    {Style.safe(line)}".rstrip() for command in commands for line in command.rstrip("\n").split("\n")]


def reason_text(text: str) -> str:
    """A reason of a plan for people."""
    return Style.safe(short_names(text))


def are_plain(texts: Iterable[str]) -> bool:
    """Whether `Style.safe` leaves all of these as they are; asked of thousands at once, where each is short."""
    whole = " ".join(texts)
    return whole.isprintable() and "::" not in whole and "##[" not in whole


def short_names(text: str) -> str:
    """A text with the names of commits in it short, as long as that leaves different ones different."""
    if len(text) < SHORTEST_NAME:
        return text
    names = {found[0] for found in _OBJECT_NAME.finditer(text)}
    is_clear = len({_short_name(name) for name in names}) == len(names)
    return _OBJECT_NAME.sub(lambda found: _short_name(found[0]), text) if is_clear else text


def _short_name(name: str) -> str:
    commit, plus, forced = name.partition("+")
    return commit[:12] + plus + forced[:8]


def plural(count: int, noun: str) -> str:
    """`1 stage`, `2 stages`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """Seconds as people write them: `20 ms`, `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, lower, lower_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // lower_size
            return f"{whole // size} {unit}" + (f" {rest} {lower}" if rest else "")
    return f"{whole} s"


def size(count: float) -> str:
    """Bytes in binary units: `512 B`, `3.4 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def change(delta: float) -> str:
    """How far a number has moved: whole ones to the unit, others in four digits."""
    return f"{delta:+d}" if isinstance(delta, int) else f"{delta:+.4g}"


def log_text(text: str, style: Style) -> str:
    """The log of a stage: byte for byte for programs; on a terminal nothing in it can move the cursor."""
    if style.width is None:
        return text
    lines = _ESCAPE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join([*style.safe_lines(lines), ""])


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    style: Style,
    *,
    numbers: Sequence[int] = (),
    colours: Mapping[tuple[int, int], str] | None = None,
    indent: int = 0,
) -> str:
    """Columns aligned with spaces, the header dim, with no line end; columns of `numbers` stand to the right.

    `colours` names a colour by row and column.
    On a terminal that is too narrow the widest columns are cut, each cut marked with `…`; where even that is not
    enough the last ones are left out, and `…` stands for them.
    """
    cells = [[style.safe(cell) for cell in row] for row in rows]
    widths = _widths(header, cells)
    left_out = ""
    if style.width is not None:
        room = style.width - indent
        kept = _columns_kept(widths, room)
        left_out = "  …" if kept < len(widths) else ""
        widths = _fitting(widths[:kept], room - cell_width(left_out) - _GAP * (kept - 1))

    def texts(row: Sequence[str]) -> list[str]:
        both = zip(row, widths, strict=False)
        return [padded(cut(cell, width), width, right=i in numbers) for i, (cell, width) in enumerate(both)]

    def painted(number: int, row: Sequence[str]) -> list[str]:
        named = colours or {}
        found = enumerate(texts(row))
        return [style.paint(named[number, i], text) if (number, i) in named else text for i, text in found]

    gap = " " * _GAP
    lines = [style.dim(gap.join(texts(header)).rstrip() + left_out)]
    lines += [gap.join(painted(number, row)).rstrip() for number, row in enumerate(cells)]
    return "\n".join(" " * indent + line for line in lines)


def table_width(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How wide a table is of which nothing is cut."""
    return sum(_widths(header, [[Style.safe(cell) for cell in row] for row in rows])) + _GAP * (len(header) - 1)


def fields(rows: Sequence[tuple[str, str]], style: Style, *, indent: int = 4) -> list[str]:
    """Names and values as two columns, the values dim and where they are long wrapped below themselves."""
    names = [(style.safe(name), style.safe(value)) for name, value in rows]
    width = min(max((cell_width(name) for name, _ in names), default=0), 48)
    lines: list[str] = []
    for name, value in names:
        first, *rest = wrapped(value, style, indent + width + _GAP)
        lines.append((" " * indent + padded(name, width) + " " * _GAP + style.dim(first)).rstrip())
        lines += [" " * (indent + width + _GAP) + style.dim(text) for text in rest]
    return lines


def wrapped(text: str, style: Style, start: int) -> list[str]:
    """The text in lines that fit behind column `start`; one line where there is no width to keep to."""
    room = None if style.width is None else style.width - start
    if room is None or cell_width(text) <= room or room < _NARROWEST:
        return [text]
    import textwrap  # imported late: start-up

    return textwrap.wrap(text, room, break_on_hyphens=False) or [""]


def cell_width(text: str) -> int:
    """Columns that a terminal gives to a text: two for wide characters, none for those that combine."""
    if text.isascii():
        return len(text)
    import unicodedata  # imported late: start-up

    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def padded(text: str, width: int, *, right: bool = False) -> str:
    """The text with spaces up to a width."""
    space = " " * max(0, width - cell_width(text))
    return space + text if right else text + space


def cut(text: str, width: int) -> str:
    """The text, or as much of it as fits, with `…` for the rest."""
    if cell_width(text) <= width:
        return text
    kept = text[: max(0, width - 1)]
    while kept and cell_width(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…"


def _widths(header: Sequence[str], cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(cell_width(row[i]) for row in (header, *cells)) for i in range(len(header))]


def _columns_kept(widths: Sequence[int], room: int) -> int:
    """How many columns can stand side by side so that each says something."""
    needed = [min(width, _NARROWEST_READABLE) + _GAP for width in widths]
    if sum(needed) - _GAP <= room:
        return len(widths)
    fits = [count for count in range(1, len(widths)) if sum(needed[:count]) - _GAP + _LEFT_OUT <= room]
    return max(fits, default=1)


def _fitting(widths: list[int], room: int) -> list[int]:
    """The widths, the widest made narrower until all fit, but none narrower than is readable."""
    widths = list(widths)
    while sum(widths) > room and max(widths) > _NARROWEST_COLUMN:
        widths[widths.index(max(widths))] -= 1
    return widths


def shown_value(value: object) -> str:
    """A number or text of a metric in few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
