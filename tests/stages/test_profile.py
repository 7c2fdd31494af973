"""A profile holds what pandas says of the same columns, as JSON and as a page that shows every value as text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from runner.stages.profile import main
from tests.stages.customers import customers, text_of


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pandas.DataFrame:
    """A table in raw.csv, in the working folder."""
    monkeypatch.chdir(tmp_path)
    made = customers(0, 400)
    made.loc[0, "city"] = "<script>alert(1)</script>"
    made["income"] = made["income"].astype(object)
    made.loc[1, "income"] = "NA"
    made["twice"] = (pandas.to_numeric(made["height"]) * 2).round(2).astype(str)
    made["same"] = "5"
    Path("raw.csv").write_bytes(text_of(made))
    return made


def profiled(*words: str) -> Any:
    assert main(["--data=raw.csv", "--out=p.json", "--out=p.html", "--metrics=m.json", *words]) == 0
    return json.loads(Path("p.json").read_text())


def test_statistics_are_those_of_pandas(table: pandas.DataFrame) -> None:
    profile = profiled()
    income = pandas.to_numeric(table["income"], errors="coerce")
    found = profile["columns"]["income"]
    told = [found[word] for word in ("min", "max", "mean", "std", "missing", "distinct")]
    wanted = [income.min(), income.max(), income.mean(), income.std(), 1, income.nunique()]
    assert told == pytest.approx(wanted)
    assert found["quantiles"]["0.25"] == pytest.approx(income.quantile(0.25))
    assert found["histogram"]["counts"] == numpy.histogram(income.dropna(), bins=20)[0].tolist()
    assert profile["columns"]["score"]["missing"] == (table["score"] == "").sum()
    counts = table["plan"].value_counts()
    top = [(row["value"], row["count"]) for row in profile["columns"]["plan"]["top"]]
    assert top == list(counts.items())
    assert sum(profile["columns"]["when"]["histogram"]["counts"]) == 400
    assert json.loads(Path("m.json").read_text())["rows"] == 400


def test_columns_that_go_together_are_found_and_a_constant_one_has_no_correlation() -> None:
    profile = profiled()
    names = profile["correlations"]["columns"]
    row = profile["correlations"]["pearson"][names.index("height")]
    assert row[names.index("twice")] == pytest.approx(1, abs=1e-4)
    assert row[names.index("same")] is None
    assert ">twice<" in Path("p.html").read_text()


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_page_needs_nothing_from_elsewhere_and_fits_a_phone() -> None:
    profiled()
    text = Path("p.html").read_text()
    page = _Tags()
    page.feed(text)
    assert not {"script", "link", "img", "iframe"} & page.tags
    assert not {"src", "href", "onclick"} & page.attributes
    assert "width=device-width" in text
    assert "&lt;script&gt;" in text
    assert len(text) < 100_000


def test_hidden_columns_show_no_value_and_the_same_table_gives_the_same_bytes() -> None:
    hidden = profiled('--hidden=["city", "income"]')["columns"]
    assert set(hidden["city"]) == set(hidden["income"]) == {"kind", "missing", "missing_share", "distinct"}
    assert "Genève" not in Path("p.html").read_text() + Path("p.json").read_text()
    before = Path("p.html").read_bytes(), Path("p.json").read_bytes()
    profiled('--hidden=["city", "income"]')
    assert (Path("p.html").read_bytes(), Path("p.json").read_bytes()) == before


@pytest.mark.parametrize(
    "text", ["a,b\n", "a\n1\n", "a,b\n,\n,\n", "a\ninf\n1e308\n-1e308\n", "a\n1e16\n10000000000000002\n"]
)
def test_odd_tables_have_a_profile(text: str) -> None:
    Path("raw.csv").write_text(text)
    assert profiled()["rows"] == text.count("\n") - 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out=p.pdf"], "p.pdf: a profile is written as .json or .html"),
        (['--hidden=["x"]', "--out=p.json"], "no column `x`"),
    ],
)
def test_what_is_wrong_is_told(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data=raw.csv", *words]) == 1
    assert told in capsys.readouterr().err
