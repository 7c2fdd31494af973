"""Pictures with fixed values: well-formed whatever they hold, and each point where it belongs."""

from __future__ import annotations

import random
import sys
from xml.etree import ElementTree

import pytest

from runner.report.charts import Chart, Parallel, Point, Series, Way, svg
from runner.report.experiments_view import csv_text
from runner.report.runs_page import pictures_svg

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = ["</svg><script>alert(1)</script>", '" onload="alert(1)', "&amp;<!--", "\x00\x1b[31m\ufffe\udcff", "x" * 500]


def _drawn(picture: Chart | Parallel) -> ElementTree.Element:
    text = svg(picture)
    text.encode()  # no half of a surrogate
    root = ElementTree.fromstring(text)
    allowed = {"svg", "title", "desc", "style", "rect", "text", "line", "polyline", "circle", "polygon"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= allowed
    assert not any(name.startswith("on") or "href" in name for element in root.iter() for name in element.attrib)
    return root


def _chart(*values: tuple[object, float], **changes: bool) -> Chart:
    points = tuple(Point(x, y, f"{x} {y}") for x, y in values)
    return Chart("t", "x", "y", (Series("one", points),), **changes)


def _places(root: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(mark.attrib["cx"]), float(mark.attrib["cy"])) for mark in root.iter(f"{SVG}circle")]


def _labels(root: ElementTree.Element) -> list[str]:
    return [str(text.text) for text in root.iter(f"{SVG}text") if text.get("class") == "soft"]


def test_higher_values_stand_higher_and_later_ones_further_to_the_right() -> None:
    (a, b, c) = _places(_drawn(_chart((1, 0.5), (2, 0.9), (3, 0.7))))
    assert a[0] < b[0] < c[0]
    assert b[1] < c[1] < a[1]
    assert _labels(_drawn(_chart((0, 0.0), (10, 1.0))))[:6] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]


def test_texts_have_a_place_each_in_the_order_in_which_they_come() -> None:
    root = _drawn(_chart(("b", 1.0), ("a", 2.0), ("b", 3.0)))
    (first, second, third) = _places(root)
    assert first[0] == third[0] < second[0]
    assert _labels(root)[-2:] == ["b", "a"]


@pytest.mark.parametrize("days", [0.00001, 0.01, 0.5, 3, 40, 400, 8000])
def test_times_have_labels_that_tell_them_apart(days: float) -> None:
    start = 1_700_000_000.0
    labels = _labels(_drawn(_chart((start, 1.0), (start + days * 86400, 2.0), is_time=True)))
    times = [label for label in labels if not label.replace(".", "").isdecimal()]
    assert len(times) == len(set(times)) or days > 4000
    assert len(labels) < 40


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_run_says_is_text_in_a_picture(text: str) -> None:
    series = tuple(Series(text + str(number), (Point(text, 1.0, text), Point("b", 2.0, text))) for number in range(30))
    _drawn(Chart(text, text, text, series))
    _drawn(Parallel(text, (text, "b"), (Way((text, 1.0), text), Way((None, 2.0), text))))
    ElementTree.fromstring(pictures_svg([Chart(text, text, text, series)] * 2))


def test_any_numbers_can_be_drawn() -> None:
    chooser = random.Random(3)
    odd = [0.0, -0.0, 5e-324, 1e99, -1e99, 1e-99, 1.0, 1.0 + sys.float_info.epsilon, 123456789.0, -3.0, 0.1]
    for _ in range(300):
        values = [(chooser.choice(odd), chooser.choice(odd)) for _ in range(chooser.randrange(5))]
        for is_time in (False, True):
            kept = [(x % 2e9 if is_time else x, y) for x, y in values]
            _drawn(_chart(*kept, is_time=is_time))
        ways = tuple(Way((x, y, None), "w") for x, y in values)
        _drawn(Parallel("p", ("a", "b", "c"), ways))


def test_a_text_is_no_formula_in_a_spreadsheet() -> None:
    rows = [["=HYPERLINK(1)", -1.5, None, True, 'a,"b"\nc']]
    assert csv_text(["@a", "b"], rows).splitlines() == ["'@a,b", '\'=HYPERLINK(1),-1.5,,true,"a,""b""�c"']
    assert csv_text(["a"], [[{"!float": "-inf"}]]) == "a\n-inf\n", "a number is none"
