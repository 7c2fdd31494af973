"""Plain and coloured text: colours only where a terminal reads, and no foreign control characters anywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "magenta": "35",
    "cyan": "36",
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Style:
    """Paints when `colour` is set; otherwise every method returns its text."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour

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

    @staticmethod
    def safe(text: str) -> str:
        """Text from a repository without control and direction characters, which could redraw a terminal."""
        return _CONTROL.sub("�", text)


def plural(count: int, noun: str) -> str:
    """`1 stage`, `2 stages`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """Seconds as people write them: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
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


def table(header: Sequence[str], rows: Sequence[Sequence[str]], style: Style) -> str:
    """Columns aligned with spaces; the header dim."""
    cells = [[style.safe(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    lines = [style.dim("  ".join(name.ljust(width) for name, width in zip(header, widths, strict=True)).rstrip())]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines) + "\n"


def shown_value(value: object) -> str:
    """A number or text of a metric in few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
