"""`card`: figures are those of the inputs, each with file and digest; nothing hidden or hostile is in it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas
import pytest
from markdown_it import MarkdownIt

from runner.core.digests import folder_digest, md5_hex
from runner.stages.card import main as card
from runner.stages.cards.curves import curves_of
from runner.stages.cards.figures import share
from runner.stages.cards.parts import Curves, Text
from runner.stages.evaluate import main as evaluate
from runner.stages.explain import main as explain
from runner.stages.fairness import main as fairness
from runner.stages.profile import main as profile
from runner.stages.robustness import main as robustness
from tests.stages.models import made_models

HOSTILE = "<script>alert(1)</script> | `x` [a](javascript:b) *c* \x1b[31m\u202e"
ALL: dict[str, Any] = {
    "model": "two",
    "data": "t.csv",
    "contract": "contract.yaml",
    "evaluation": ["m.json"],
    "fairness": ["f.json"],
    "robustness": ["r.json"],
    "explain": "e.json",
    "curves": [{"file": "roc.json", "x": "fpr", "y": "tpr"}],
    "intended_use": "To call customers.\n\nBefore they leave.",
    "limitations": ["New customers.", "- none"],
    "objective": "Fewer customers leave.",
    "kpis": [{"name": "churn", "target": 0.04, "direction": "down"}],
    "owners": ["@alice"],
}
CARDS = ("--out=c.md", "--out=c.html", "--out=d.md", "--out=d.html")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with everything that the library says of it."""
    folder = tmp_path_factory.mktemp("card")
    made_models(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        of_two = ("--model=two", "--data=t.csv")
        fast = ("--repeats=2", "--rows=100")
        assert evaluate([*of_two, "--samples=20", '--slices=["city"]', "--metrics=m.json", "--plots=roc.json"]) == 0
        assert fairness([*of_two, '--sensitive=["city"]', "--min_group=5", "--metrics=f.json"]) == 0
        assert robustness([*of_two, *fast, "--metrics=r.json"]) == 0
        assert explain([*of_two, *fast, "--out=e.json"]) == 0
        assert profile(["--data=t.csv", "--out=p.json"]) == 0
    columns = "".join(f"  {name}: {{type: any}}\n" for name in pandas.read_csv(folder / "t.csv").columns[1:])
    age = "  age: {type: number, personal: true, unit: years}\n"
    (folder / "contract.yaml").write_text(f"contract: 1\ncolumns:\n{age}{columns}", encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def place(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(inputs)
    for name in "cd":
        for ending in ("md", "html"):
            Path(f"{name}.{ending}").unlink(missing_ok=True)
    return inputs


def _write(given: dict[str, Any], *outs: str) -> int:
    return card([*(f"--{key}={json.dumps(value)}" for key, value in given.items()), *outs])


class _Read(HTMLParser):
    """The tables and the texts of a page, as a browser reads them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._cell = tag in ("td", "th")
        if tag == "tr":
            self.rows.append([])
        elif self._cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._cell:
            self.rows[-1][-1] += data


def _page(name: str) -> _Read:
    """A card as people see it, whichever way it is written."""
    text = Path(name).read_text(encoding="utf-8")
    return _Read(text if name.endswith(".html") else MarkdownIt("gfm-like", {"linkify": False}).render(text))


def _leaves(value: Any) -> Iterator[tuple[str, float]]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        if isinstance(inner, (int, float)) and not isinstance(inner, bool):
            yield key, inner
        yield from _leaves(inner)


@pytest.mark.parametrize("ending", ["md", "html"])
def test_every_figure_is_one_of_the_inputs_and_none_is_left_out(ending: str) -> None:
    assert _write(ALL, *CARDS) == 0
    rows = {row[0]: row[1:] for row in _page(f"c.{ending}").rows}
    told, compared = json.loads(Path("m.json").read_text()), json.loads(Path("f.json").read_text())
    measures = {key: value for key, value in told.items() if isinstance(value, float)}
    assert len(measures) > 8
    for key, value in measures.items():
        assert float(rows[key][0]) == pytest.approx(value, rel=1e-5)
        low, high = re.findall(r"[\d.e-]+(?= to |  ?\()", rows[key][1])[:2]
        assert (float(low), float(high)) == pytest.approx(
            (told["intervals"][key]["low"], told["intervals"][key]["high"]), rel=1e-5
        )
    for key in ("demographic_parity_difference", "equalized_odds_difference"):
        assert float(rows[key][0]) == pytest.approx(compared[key], rel=1e-5)
    supports = [row[1] for row in _page(f"c.{ending}").rows if row[0] == "support"]
    assert {str(told["support"]), str(compared["support"])} <= set(supports)
    spoilt = json.loads(Path("r.json").read_text())
    assert float(rows["noise"][0]) == pytest.approx(spoilt["noise"]["value"], rel=1e-5)
    importance = json.loads(Path("e.json").read_text())["importance"]
    numbers = {
        float(cell) for row in _page(f"c.{ending}").rows for cell in row if re.fullmatch(r"-?\d+(\.\d+)?(e-\d+)?", cell)
    }
    wanted = [row[key] for row in importance.values() for key in ("mean", "low", "high")]
    wanted += [slice_["f1"] for slice_ in told["slices"]["city"].values()]
    assert all(any(abs(value - number) <= 1e-5 * abs(value) for number in numbers) for value in wanted)
    known = [
        value for name in ("m", "f", "r", "e") for _, value in _leaves(json.loads(Path(f"{name}.json").read_text()))
    ]
    judged = [row for row in _page(f"c.{ending}").rows if row[0] in measures]
    assert all(any(float(row[1]) == pytest.approx(value, rel=1e-5) for value in known) for row in judged)


def test_each_input_stands_with_the_digests_by_which_dvc_and_the_records_name_it() -> None:
    assert _write(ALL, *CARDS) == 0
    for name in ("c.md", "c.html", "d.md"):
        named = {row[2]: row[3:] for row in _page(name).rows if len(row) == 5 and row[0].isdigit()}
        for path in ("m.json", "f.json", "r.json", "e.json", "t.csv", "contract.yaml", "roc.json"):
            data = Path(path).read_bytes()
            assert named[path] == [md5_hex(data), hashlib.sha256(data).hexdigest()]
        files = [(file.name, md5_hex(file.read_bytes())) for file in Path("two").iterdir()]
        manifest = hashlib.sha256(Path("two/manifest.json").read_bytes()).hexdigest()
        assert named["two"] == [folder_digest(files), manifest]
    text = Path("c.md").read_text(encoding="utf-8")
    assert "From [3](#sources)" in text or "From [2](#sources)" in text


def test_the_same_inputs_are_the_same_bytes_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    def written() -> list[bytes]:
        assert _write(ALL, *CARDS) == 0
        return [Path(out.removeprefix("--out=")).read_bytes() for out in CARDS]

    first = written()
    shutil.copytree(".", tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert written() == first
    assert str(tmp_path).encode() not in b"".join(first)


def test_values_of_hidden_and_personal_columns_are_nowhere() -> None:
    points = [{"feature": name, "value": value, "fall": 1} for name, value in (("age", 67.25), ("orders", 3.5))]
    Path("dependence.json").write_text(json.dumps([*points, {"feature": "orders", "value": 4.5, "fall": 2}]))
    curves = [{"file": "dependence.json", "x": "value", "y": "fall", "by": "feature"}]
    given = ALL | {"hidden": ["city"], "curves": [*ALL["curves"], *curves]}
    assert _write(given, *CARDS) == 0
    table = pandas.read_csv("t.csv")
    for name in ("c.md", "c.html", "d.md", "d.html"):
        page = _page(name)
        cells = [cell for row in page.rows for cell in row]
        assert not [city for city in ("Bonn", "Köln", "Ulm") if city in "".join(page.texts)]
        assert not {str(table["age"].max()), f"{table['age'].max():g}"} & set(cells)
        assert cells.count("hidden") == 2
        assert "67.25" not in "".join(page.texts)
    assert "over value from 3.5 to 4.5" in "".join(_page("c.html").texts)
    assert _write({key: value for key, value in ALL.items() if key != "contract"}, *CARDS) == 0
    assert all(city in "".join(_page(name).texts) for city in ("Bonn", "Ulm") for name in ("c.md", "d.html"))


def test_the_profile_of_a_stage_says_the_same_as_the_table() -> None:
    assert _write(ALL | {"data": "p.json", "hidden": ["orders"]}, *CARDS) == 0
    of_profile = [row for row in _page("d.md").rows if row[0] in ("rows", "city", "age", "orders")]
    assert _write(ALL | {"hidden": ["orders"]}, *CARDS) == 0
    assert [row for row in _page("d.md").rows if row[0] in ("rows", "city", "age", "orders")] == of_profile


def test_a_text_of_which_each_row_has_its_own_is_counted_and_not_shown(tmp_path: Path) -> None:
    table = pandas.read_csv("t.csv").assign(note=[f"Mrs {n} called" for n in range(len(pandas.read_csv("t.csv")))])
    table.to_csv(tmp_path / "n.csv", index=False)
    assert _write(ALL | {"data": str(tmp_path / "n.csv")}, *CARDS) == 0
    for name in ("d.md", "d.html"):
        assert "called" not in "".join(_page(name).texts)
        assert "nearly every row has its own" in "".join(_page(name).texts)


def test_the_data_card_names_all_that_a_contract_asks_for(tmp_path: Path) -> None:
    asked = "order: true\nfinal_newline: true\nleakage: {target: city}\nduplicates: false\n"
    contract = tmp_path / "whole.yaml"
    contract.write_text(asked + Path("contract.yaml").read_text())
    assert _write(ALL | {"contract": str(contract)}, *CARDS) == 0
    told = "no extra columns, no duplicates, order of columns, final newline, leakage"
    assert told in "".join(_page("d.html").texts)


def test_what_is_missing_is_said_in_plain_words() -> None:
    assert _write({"model": "number"}, "--out=c.md") == 0
    text = "".join(_page("c.md").texts)
    for words in (
        "No objective is stated", "No KPIs are stated", "No owners are stated", "No intended use is stated",
        "No training data was given", "No data contract was given", "No evaluation was given",
        "No evaluation of fairness was given", "No explanation was given",
    ):  # fmt: skip
        assert words in text
    assert _write(ALL, "--out=c.html") == 0
    assert "No " not in "".join(_page("c.html").texts).replace("No value is shown", "")


def test_text_of_others_means_itself_in_both_forms(place: Path) -> None:
    own = {HOSTILE: 0.5, "nested": {"a|b": {HOSTILE: 1}}, "intervals": "none", "undefined": {HOSTILE: HOSTILE}}
    Path("own.json").write_text(json.dumps(own), encoding="utf-8")
    texts = dict.fromkeys(("title", "description", "intended_use", "out_of_scope", "objective"), HOSTILE)
    many = {"owners": [HOSTILE], "limitations": [f"1. {HOSTILE}"], "kpis": [{"name": HOSTILE, "source": "# a"}]}
    assert _write({"model": "two", "data": "t.csv", "evaluation": ["own.json"], **texts, **many}, *CARDS) == 0
    for name in ("c.md", "c.html", "d.md", "d.html"):
        page = _page(name)
        assert not page.tags & {"script", "img", "em", "s"}
        source = Path(name).read_text(encoding="utf-8")
        assert not {"\x1b", "\u202e"} & set(source)
        assert "javascript:" not in "".join(re.findall(r'href="([^"]*)"', MarkdownIt().render(source)))
        assert not [word for word in ("<script", 'http-equiv="refresh', " src=") if word in source]
    rows = {row[0]: row[1:] for row in _page("c.md").rows}
    shown = HOSTILE.replace("\x1b", "\ufffd").replace("\u202e", "\ufffd")
    assert rows[shown][0] in ("0.5", "")
    assert "".join(_page("c.md").texts).count("<script>alert(1)</script>") > 5


@pytest.mark.parametrize(
    ("given", "outs", "message"),
    [
        ({}, ["--out=c.pdf"], "`c.pdf`: a card is written as .md or .html"),
        ({}, ["--out=c.md", "--out=d.md"], "`d.md` would be the data card, and there is no `data`"),
        ({"evaluation": ["none.json"]}, ["--out=c.md"], "none.json: there is no such file"),
        ({"evaluation": ["t.csv"]}, ["--out=c.md"], "t.csv: it is no JSON"),
        ({"data": "m.json"}, ["--out=c.md"], "m.json: it is no profile"),
        ({"curves": [{"file": "roc.json", "x": "a", "y": "tpr"}]}, ["--out=c.html"], "no points with numbers in `a`"),
        ({"model": "nowhere"}, ["--out=c.md"], "nowhere: there is no such folder"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    given: dict[str, Any], outs: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _write({"model": "two"} | given, *outs) == 1
    assert message in capsys.readouterr().err
    assert not Path("c.md").exists()


def test_whole_numbers_of_any_length_are_no_crash(tmp_path: Path) -> None:
    file = tmp_path / "points.json"
    file.write_text(json.dumps([{"x": 10**400, "y": 1}, {"x": 1, "y": 2}, {"x": 2, "y": True}, {"x": 3, "y": 1}]))
    told, curves = curves_of({"file": str(file), "x": "x", "y": "y"}, (), "target")
    assert told == Text("y from 1 to 2, over x from 1 to 3.")
    assert isinstance(curves, Curves)
    assert share(10**400) == "none"
