"""Pictures of numbers as SVG: lines over time, points against a parameter, parallel axes. Without a script.

A picture is text that browsers draw in the colours of the reader, light or dark. Each point says in a `<title>` what it
is, so that a mouse, a finger and a screen reader find it. Everything that comes from a repository is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from runner.core.runkey import shown
from runner.report.style import without_unseen
from runner.values import dataclass

WIDTH, HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 14, 30, 46
_MOST_COLOURS = 8
_MOST_TICKS = 7
_MARKS_OF_LINE = 6
"""On a line of many points."""
_LONGEST_LABEL = 22
_LEGEND_ROW = 16
_LARGEST = 1e100
_LETTER = 6.2
"""About how wide a letter is."""

STYLE = """\
.chart { --ink: #1b1f24; --soft: #5b6570; --line: #d5dae0; --paper: #ffffff;
  --c0: #0060a8; --c1: #b34700; --c2: #00704f; --c3: #9c2f74;
  --c4: #6b5b00; --c5: #0b7285; --c6: #5a3fc0; --c7: #a4161a;
  background: var(--paper); color: var(--ink); font: 11px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  .chart { --ink: #e8eaed; --soft: #a8b0ba; --line: #3a424c; --paper: #15191e;
    --c0: #6cb6ff; --c1: #ff9d5c; --c2: #56d3a2; --c3: #f39ac7;
    --c4: #e3c44c; --c5: #5fd0e0; --c6: #b6a2ff; --c7: #ff8a8a; } }
.chart text { fill: var(--ink); } .chart .soft { fill: var(--soft); }
.chart .over { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
.chart .title { font-size: 13px; font-weight: 600; }
.chart .grid { stroke: var(--line); stroke-width: 1; } .chart .way { fill: none; stroke-width: 1.8; }
.chart .mark { stroke: var(--paper); stroke-width: 1; } .chart .faint { stroke-opacity: .75; }
.chart .mark:hover, .chart .way:hover { stroke: var(--ink); stroke-width: 2.5; }
"""
"""Of all pictures; colours keep a contrast of 4.5 to 1 on either paper."""


@dataclass(frozen=True, slots=True)
class Point:
    """A value at a place."""

    x: Any
    """A number, or a text for axes that have texts."""
    y: float
    title: str
    """What it is, for whoever asks."""


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture with two axes."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    lines: bool = True
    """Whether points of a series are joined."""
    marks: bool = True
    """Whether each point is marked."""
    is_time: bool = False
    """Whether x is seconds since 1970."""
    powers: bool = False
    """Whether both axes hold decimal logarithms; their labels are the powers of ten."""


@dataclass(frozen=True, slots=True)
class Way:
    """One line through parallel axes."""

    values: tuple[Any, ...]
    """One for each axis; None where it has none there."""
    title: str


@dataclass(frozen=True, slots=True)
class Parallel:
    """A picture with an axis for each of several values, side by side; the last one gives the colour."""

    title: str
    axes: tuple[str, ...]
    ways: tuple[Way, ...]


def svg(picture: Chart | Parallel, *, alone: bool = True) -> str:
    """The picture as an SVG element; `alone` for a file of its own, with its own style."""
    body, height = _parallel(picture) if isinstance(picture, Parallel) else _chart(picture)
    said = _said(picture)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{_text(said)}"'
    )
    size = f' width="{WIDTH * 2}" height="{height * 2}" style="max-width:100%;height:auto"' if alone else ""
    style = f"<style>{STYLE}</style>\n" if alone else ""
    title = f'<text class="title" x="{_LEFT}" y="17">{_text(_cut(picture.title, 54))}</text>'
    return f"{head}{size}>\n<title>{_text(picture.title)}</title>\n<desc>{_text(said)}</desc>\n{style}" + (
        "\n".join([f'<rect width="{WIDTH}" height="{height}" fill="var(--paper)"/>', title, *body]) + "\n</svg>\n"
    )


_Placed = tuple[float, float, Point]


class _Axis:
    """Places values between two ends of the paper."""

    def __init__(
        self, values: Sequence[Any], start: float, end: float, *, is_time: bool = False, powers: bool = False
    ) -> None:
        self._start, self._end = start, end
        self.words: list[str] = []
        numbers = [float(value) for value in values if is_number(value)]
        if len(numbers) < len(values) or not values:  # texts, or a mixture of both: each has its place
            self.words = list(dict.fromkeys(shown(value) for value in _ordered(values)))
            self.low, self.high = -0.5, max(0.5, len(self.words) - 0.5)
            ticks = [(float(number), word) for number, word in enumerate(self.words)]
            self.ticks = ticks[:: math.ceil(len(ticks) / _MOST_TICKS)] if ticks else []
        else:
            self.low, self.high, self.ticks = _scale(min(numbers), max(numbers), is_time=is_time)
            if powers:
                low, high = math.floor(min(numbers)), math.ceil(max(numbers))
                self.low, self.high = float(low), float(max(high, low + 1))
                self.ticks = [(float(power), f"{10.0**power:,g}") for power in range(low, max(high, low + 1) + 1)]

    def at(self, value: Any) -> float:
        """Where a value stands."""
        number = float(self.words.index(shown(value))) if self.words else float(value)
        part = (number - self.low) / (self.high - self.low)
        return round(self._start + part * (self._end - self._start), 2)

    def marks(self) -> list[tuple[float, str]]:
        """Places with their labels."""
        span = self.high - self.low
        return [
            (round(self._start + (value - self.low) / span * (self._end - self._start), 2), label)
            for value, label in self.ticks
        ]


def _chart(chart: Chart) -> tuple[list[str], float]:
    points = [point for series in chart.series for point in series.points]
    named = [(number, series) for number, series in enumerate(chart.series) if series.name]
    legend, rows = _legend(named, HEIGHT + 4) if len(named) > 1 else ([], 0)
    across = _Axis([point.x for point in points], _LEFT, WIDTH - _RIGHT, is_time=chart.is_time, powers=chart.powers)
    up = _Axis([point.y for point in points], HEIGHT - _BOTTOM, _TOP, powers=chart.powers)
    body = [*_frame(across, up, chart)]
    for number, series in enumerate(chart.series):
        colour = f"var(--c{number % _MOST_COLOURS})"
        dash = f' stroke-dasharray="{_dash(number)}"' if number >= _MOST_COLOURS else ""
        places = [(across.at(point.x), up.at(point.y), point) for point in series.points]
        if chart.lines and len(places) > 1:
            path = " ".join(f"{x:g},{y:g}" for x, y, _ in places)
            title = f"<title>{_text(series.name)}</title>" if series.name else ""
            body.append(f'<polyline class="way" stroke="{colour}"{dash} points="{path}">{title}</polyline>')
        marked = places if chart.marks else _some(places, number, len(chart.series))
        body += [_mark(number, x, y, colour, point.title) for x, y, point in marked]
    if not points:
        body.append(f'<text class="soft" x="{WIDTH / 2:g}" y="{HEIGHT / 2:g}" text-anchor="middle">no values</text>')
    return [*body, *legend], HEIGHT + rows * _LEGEND_ROW


def _some(places: Sequence[_Placed], number: int, count: int) -> Sequence[_Placed]:
    """A few places along a line, so that its marks tell it from others; at other places than theirs."""
    step = max(1, len(places) // _MARKS_OF_LINE)
    return places[number * step // max(1, count) :: step]


def _dash(number: int) -> str:
    """The dashes of a series whose colour another one has as well."""
    return _DASHES[number // _MOST_COLOURS % len(_DASHES)]


def _frame(across: _Axis, up: _Axis, chart: Chart) -> Iterable[str]:
    floor = HEIGHT - _BOTTOM
    for y, label in up.marks():
        yield f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:g}" y2="{y:g}"/>'
        yield f'<text class="soft" x="{_LEFT - 6}" y="{y + 4:g}" text-anchor="end">{_text(_cut(label, 8))}</text>'
    marks = across.marks()
    room = (WIDTH - _LEFT - _RIGHT) / max(1, len(marks))
    for x, label in marks:
        yield f'<line class="grid" x1="{x:g}" x2="{x:g}" y1="{floor}" y2="{floor + 4}"/>'
        text = _text(_cut(label, max(3, int(room / _LETTER))))
        anchor = "end" if x > WIDTH - _RIGHT - len(label) * _LETTER / 2 else "middle"
        yield f'<text class="soft" x="{x:g}" y="{floor + 17}" text-anchor="{anchor}">{text}</text>'
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    yield f'<text x="{middle:g}" y="{HEIGHT - 10}" text-anchor="middle">{_text(_cut(chart.x_label, 60))}</text>'
    yield (
        f'<text transform="translate(11 {(_TOP + floor) / 2:g}) rotate(-90)" text-anchor="middle">'
        f"{_text(_cut(chart.y_label, 36))}</text>"
    )


def _parallel(picture: Parallel) -> tuple[list[str], float]:
    count = len(picture.axes)
    step = (WIDTH - 2 * _LEFT) / max(1, count - 1)
    floor = HEIGHT - _BOTTOM
    columns = [[way.values[at] for way in picture.ways if way.values[at] is not None] for at in range(count)]
    axes = [_Axis(column, floor, _TOP + 18) for column in columns]
    body = []
    last = [float(value) for value in columns[-1] if is_number(value)] if count else []
    for way in picture.ways:
        places = [
            f"{_LEFT + at * step:g},{axes[at].at(value):g}" for at, value in enumerate(way.values) if value is not None
        ]
        if len(places) > 1:
            colour = _shade(way.values[-1], last)
            line = f'<polyline class="way faint" style="stroke:{colour}" points="{" ".join(places)}">'
            body.append(f"{line}<title>{_text(way.title)}</title></polyline>")
    letters = max(4, int(step / _LETTER))
    for at, (name, axis) in enumerate(zip(picture.axes, axes, strict=True)):
        x = _LEFT + at * step
        ends = f'x1="{x:g}" x2="{x:g}" y1="{_TOP + 18}" y2="{floor}"'
        body.append(f'<line class="grid" style="stroke:var(--soft)" {ends}/>')
        y = floor + (16 if at % 2 == 0 or count <= 4 else 32)
        anchor = "start" if at == 0 else "end" if at == count - 1 and count > 1 else "middle"
        shift = -_LEFT + 6 if at == 0 else _LEFT - 6 if anchor == "end" else 0
        room = letters * 2 if count > 4 else letters
        body.append(f'<text x="{x + shift:g}" y="{y}" text-anchor="{anchor}">{_text(_cut(name, room))}</text>')
        for place, label in axis.marks():
            text = _text(_cut(label, max(4, letters - 2)))
            body.append(f'<text class="soft over" x="{x + 4:g}" y="{place + 4:g}">{text}</text>')
    return body, HEIGHT


def _legend(named: Sequence[tuple[int, Series]], top: float) -> tuple[list[str], int]:
    found, x, row = [], float(_LEFT), 0
    for number, series in named:
        label = _cut(series.name, _LONGEST_LABEL)
        width = 18 + len(label) * _LETTER + 10
        if x + width > WIDTH and x > _LEFT:
            x, row = float(_LEFT), row + 1
        y = top + row * _LEGEND_ROW
        found.append(_mark(number, x + 4, y, f"var(--c{number % _MOST_COLOURS})", series.name))
        found.append(f'<text x="{x + 14:g}" y="{y + 4:g}">{_text(label)}</text>')
        x += width
    return found, row + 1


def _mark(number: int, x: float, y: float, colour: str, title: str) -> str:
    """The mark of a series: a shape and a colour, so that either tells it from others."""
    said = f"<title>{_text(title)}</title>"
    match number % 4:
        case 0:
            return f'<circle class="mark" cx="{x:g}" cy="{y:g}" r="4" fill="{colour}">{said}</circle>'
        case 1:
            size = f'x="{x - 3.5:g}" y="{y - 3.5:g}" width="7" height="7"'
            return f'<rect class="mark" {size} fill="{colour}">{said}</rect>'
        case 2:
            corners = f"{x:g},{y - 4.5:g} {x + 4.5:g},{y + 3.5:g} {x - 4.5:g},{y + 3.5:g}"
        case _:
            corners = f"{x:g},{y - 4.8:g} {x + 4.8:g},{y:g} {x:g},{y + 4.8:g} {x - 4.8:g},{y:g}"
    return f'<polygon class="mark" points="{corners}" fill="{colour}">{said}</polygon>'


def _shade(value: Any, values: Sequence[float]) -> str:
    """A colour between two of the palette, by how high a value is among all."""
    if not is_number(value) or not values:
        return "var(--soft)"
    low, high = min(values), max(values)
    part = 100 if high == low else round(100 * (float(value) - low) / (high - low))
    return f"color-mix(in oklab, var(--c0) {part}%, var(--c1))"


def _scale(low: float, high: float, *, is_time: bool) -> tuple[float, float, list[tuple[float, str]]]:
    """The ends of an axis of numbers with a little air, and its ticks."""
    if high - low <= max(abs(high), abs(low)) * 1e-12 or high - low < 1e-150:
        air = 60.0 if is_time else abs(low) * 0.1 if abs(low) > 1e-100 else 1.0
        low, high = low - air, high + air
    else:
        air = (high - low) * 0.04
        low, high = low - air, high + air
    ticks = _times(low, high) if is_time else _round_ones(low, high)
    return low, high, ticks


def _round_ones(low: float, high: float) -> list[tuple[float, str]]:
    raw = (high - low) / _MOST_TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    count = min(20, math.floor(high / step + 1e-9) - first + 1)
    is_large = max(abs(low), abs(high)) >= 1e6 or (step < 1e-4)
    values = [(first + number) * step for number in range(count)]
    return [(value, f"{value:.3g}" if is_large else f"{value:.{digits}f}") for value in values]


def _times(low: float, high: float) -> list[tuple[float, str]]:
    import datetime  # imported late: start-up

    day = 86400
    steps = (
        1,
        5,
        15,
        60,
        300,
        900,
        3600,
        3 * 3600,
        6 * 3600,
        12 * 3600,
        day,
        2 * day,
        3 * day,
        7 * day,
        14 * day,
        30 * day,
    )
    wanted = (high - low) / (_MOST_TICKS - 1)
    step = next((step for step in steps if step >= wanted), math.ceil(wanted / (30 * day)) * 30 * day)
    if step >= 30 * day:
        form = "%b %Y"
    elif step >= day:
        form = "%d %b"
    else:
        form = "%d %b %H:%M" if high - low >= day else "%H:%M" if step >= 60 else "%H:%M:%S"
    first = math.ceil(low / step) * step
    values = [first + number * step for number in range(20) if first + number * step <= high]
    utc = datetime.UTC
    return [(float(value), datetime.datetime.fromtimestamp(value, utc).strftime(form)) for value in values]


def _ordered(values: Sequence[Any]) -> list[Any]:
    """As they come; where all but a few are numbers these first, by size."""
    numbers = sorted(value for value in values if is_number(value))
    return [*numbers, *(value for value in values if not is_number(value))]


def _said(picture: Chart | Parallel) -> str:
    """The picture in words."""
    if isinstance(picture, Parallel):
        return f"{picture.title}: {len(picture.ways)} runs on {len(picture.axes)} axes: {', '.join(picture.axes)}"
    values = [10.0**point.y if picture.powers else point.y for series in picture.series for point in series.points]
    ends = f", from {min(values):.6g} to {max(values):.6g}" if values else ""
    return f"{picture.title}: {picture.y_label} by {picture.x_label}, {len(values)} values{ends}"


def is_number(value: Any) -> bool:
    """Whether something is a number that can be drawn: finite, and none that another one vanishes beside."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: max(1, letters - 1)]}…"


def _text(text: str) -> str:
    """A text that means itself in XML and HTML."""
    seen = without_unseen(" ".join(text.split()), "\ufffd")
    return escape(
        seen.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd"), quote=True
    )  # which XML has no place for


_DASHES = ("5 3", "1 3", "8 3 2 3")
