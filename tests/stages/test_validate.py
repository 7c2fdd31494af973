"""A contract catches every fault that is put into data, and nothing in clean data; rows can be put aside."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy
import pandas
import pytest
import sklearn.datasets

from runner.specs import yaml12
from runner.stages.contracts.infer import inferred
from runner.stages.validate import main
from tests.stages.customers import customers, text_of

AS_OF = "--as_of=2026-06-01"
CONTRACT = "contract.yaml"


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What was inferred from a clean table, and what people said of it in their review: the target."""
    folder = tmp_path_factory.mktemp("contract")
    (folder / "seen.csv").write_bytes(text_of(customers(0)))
    return inferred(folder / "seen.csv") + "leakage: {target: churned}\nfreshness: {column: when, max_age: 200d}\n"


@pytest.fixture(autouse=True)
def here(contract: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(CONTRACT).write_text(contract, encoding="utf-8")


def validated(data: bytes, *words: str) -> tuple[int, dict[str, str]]:
    """The exit code, and what each broken check does by its name."""
    Path("data.csv").write_bytes(data)
    code = main(["--data=data.csv", f"--contract={CONTRACT}", AS_OF, "--metrics=m.json", *words])
    broken = json.loads(Path("m.json").read_text())["broken"] if Path("m.json").exists() else {}
    return code, {name: row["does"] for name, row in broken.items()}


@pytest.mark.parametrize("seed", range(1, 13))
def test_nothing_is_said_of_clean_data(seed: int) -> None:
    assert validated(text_of(customers(seed))) == (0, {})


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes"])
def test_one_half_of_real_data_keeps_the_contract_of_the_other(name: str) -> None:
    table = getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame
    for seed in range(2):
        order = numpy.random.default_rng(seed).permutation(len(table))
        half = len(table) // 2
        table.iloc[order[:half]].to_csv("seen.csv", index=False)
        Path(CONTRACT).write_text(inferred("seen.csv"))
        assert validated(text_of(table.iloc[order[half:]])) == (0, {})


def odd(seed: int, rows: int) -> pandas.DataFrame:
    """Heavy tails, rare values, numbers that are different by chance."""
    chance = numpy.random.default_rng(seed)
    return pandas.DataFrame(
        {
            "paid": chance.lognormal(0, 2, rows),
            "waited": chance.exponential(3, rows),
            "cents": chance.integers(0, 10**9, rows),
            "fraud": numpy.where(chance.random(rows) < 0.004, "yes", "no"),
            "reason": chance.choice(
                [f"r{at}" for at in range(25)], rows, p=1 / numpy.arange(1, 26) / 3.8159581777535074
            ),
            "born": pandas.Timestamp("1980-01-01")
            + pandas.to_timedelta(chance.normal(0, 3000, rows), unit="D").round("D"),
        }
    )


@pytest.mark.parametrize("rows", [800, 6000])
def test_what_is_rare_or_far_out_is_no_fault(rows: int) -> None:
    for seed in range(3):
        Path("seen.csv").write_bytes(text_of(odd(seed, 1500)))
        Path(CONTRACT).write_text(inferred("seen.csv"))
        assert validated(text_of(odd(seed + 100, rows))) == (0, {})
    text = Path(CONTRACT).read_text()
    assert "unique" not in text
    assert "primary_key" not in text
    assert "psi: 0.25" in text


def _with(change: Callable[[pandas.DataFrame], pandas.DataFrame]) -> Callable[[pandas.DataFrame], bytes]:
    return lambda table: text_of(change(table))


def _times(column: str, factor: float, offset: float = 0.0, every: int = 1) -> Callable[[pandas.DataFrame], bytes]:
    """Numbers in another unit, or with a shifted point, in each n-th row."""

    def change(table: pandas.DataFrame) -> pandas.DataFrame:
        numbers = pandas.to_numeric(table[column])
        moved = (numbers * factor + offset).map(lambda value: f"{value:.3f}")
        return table.assign(**{column: table[column].where(numpy.arange(len(table)) % every > 0, moved)})

    return _with(change)


def _some(column: str, change: Callable[[str], str], rows: slice = slice(700, 703)) -> Callable[..., bytes]:
    def changed(table: pandas.DataFrame) -> pandas.DataFrame:
        values = table[column].tolist()
        values[rows] = [change(value) for value in values[rows]]
        return table.assign(**{column: values})

    return _with(changed)


def _misread(text: str) -> str:
    return text.encode().decode("latin-1")


FAULTS: dict[str, tuple[Callable[[pandas.DataFrame], bytes], str]] = {
    "a word in numbers": (_some("visits", lambda _: "many"), "visits.type"),
    "a half of a whole number": (_some("visits", lambda _: "2.5"), "visits.type"),
    "a decimal comma": (_some("income", lambda text: text.replace(".", ",")), "income.type"),
    "dates written otherwise": (_some("birthday", lambda _: "31/01/1990", slice(None)), "birthday.type"),
    "a new word for no value": (_some("income", lambda _: "NULL"), "income.type"),
    "a sign for no value": (_some("income", lambda _: "-999"), "income.range"),
    "a value out of range": (_some("height", lambda _: "999"), "height.range"),
    "a new category": (_some("plan", lambda _: "ultra"), "plan.categories"),
    "spaces at a category": (_some("plan", lambda text: f"{text} "), "plan.categories"),
    "the case of a category": (_some("churned", str.upper), "churned.categories"),
    "swapped values of two columns": (
        _with(lambda table: table.assign(height=table["visits"], visits=table["height"])),
        "visits.type",
    ),
    "swapped columns of one type": (
        _with(lambda table: table.assign(plan=table["city"], city=table["plan"])),
        "city.categories",
    ),
    "columns in another order": (_with(lambda table: table[[*table.columns[::-1]]]), "order"),
    "another unit, far away": (_times("height", 1 / 2.54), "height.distribution"),
    "another unit, near by": (_times("income", 1.4), "income.distribution"),
    "a shifted decimal point": (_times("income", 100, every=200), "income.range"),
    "a shift of the mean": (_times("height", 1, 12), "height.distribution"),
    "rows that come twice": (_with(lambda table: pandas.concat([table, table.tail(5)])), "duplicates"),
    "a key that comes twice": (_some("id", lambda _: "C-000001"), "primary_key"),
    "a key of another form": (_some("id", lambda text: text.lower()), "id.pattern"),
    "a copy of the target beside it": (_with(lambda table: table.assign(left=table["churned"])), "extra"),
    "a copy of the target in a feature": (
        _with(lambda table: table.assign(visits=table["churned"].map({"yes": "9", "no": "4"}))),
        "leakage",
    ),
    "keys that tell the target": (
        _with(lambda table: table.assign(churned=table["churned"].sort_values().to_numpy())),
        "leakage",
    ),
    "a file that was cut off": (lambda table: text_of(table)[:-9], "final_newline"),
    "a file of which half is missing": (lambda table: text_of(table.head(700)), "rows"),
    "a file without rows": (lambda table: text_of(table.head(0)), "rows"),
    "letters of a wrong encoding": (_some("city", _misread, slice(None)), "city.text"),
    "an extra column": (_with(lambda table: table.assign(note="x")), "extra"),
    "a missing column": (_with(lambda table: table.drop(columns="height")), "columns"),
    "a renamed column": (_with(lambda table: table.rename(columns={"height": "Height"})), "columns"),
    "time going backwards": (_some("when", lambda _: "2026-01-01T00:00:00"), "when.increasing"),
    "time in the future": (_some("when", lambda _: "2036-01-01T00:00:00", slice(-1, None)), "when.past"),
    "time at the epoch": (_some("when", lambda _: "1970-01-01T00:00:00", slice(0, 1)), "when.range"),
    "old data": (_some("when", lambda text: text.replace("2026", "2025"), slice(None)), "freshness"),
    "a constant column": (_with(lambda table: table.assign(visits="6")), "visits.distinct"),
    "a constant category": (_with(lambda table: table.assign(plan="basic")), "plan.distinct"),
    "missing values where none may be": (_some("income", lambda _: ""), "income.nullable"),
    "a burst of missing values": (_some("score", lambda _: "", slice(100, 150)), "score.missing"),
    "many missing values": (_some("score", lambda _: "", slice(0, None, 5)), "score.missing"),
    "other shares of categories": (
        _with(lambda table: table.assign(plan=table["plan"].map({"basic": "pro", "plus": "plus", "pro": "basic"}))),
        "plan.distribution",
    ),
    "another separator": (lambda table: text_of(table, ";"), "columns"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_caught(name: str) -> None:
    fault, check = FAULTS[name]
    code, broken = validated(fault(customers(1)))
    assert (code, broken.get(check)) == (1, "fail")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (text_of(customers(1)).decode().encode("latin-1"), "data.csv: it is not in UTF-8: byte 0xe8 stands for no "),
        (b"a,b\n1,2,3\n", "data.csv: it cannot be read as a table: "),
        (b"", "data.csv: it cannot be read as a table: "),
    ],
    ids=["latin-1", "ragged", "empty"],
)  # fmt: skip
def test_a_file_that_is_no_table_is_told(data: bytes, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert validated(data)[0] == 1
    assert capsys.readouterr().err.startswith(f"validate: {told}")


def _spoilt() -> pandas.DataFrame:
    table = customers(1)
    table.loc[3, "visits"], table.loc[3, "plan"], table.loc[9, "plan"] = "many", "", "ultra"
    return table


def test_bad_rows_are_put_aside_with_what_is_wrong_and_good_ones_stay_as_they_are_written() -> None:
    table = _spoilt()
    code, broken = validated(text_of(table), "--on_fail=quarantine", "--out=good.csv", "--out=bad.csv", "--out=r.html")
    assert code == 0
    assert broken == dict.fromkeys(["visits.type", "plan.nullable", "plan.categories"], "quarantine")
    assert Path("good.csv").read_bytes() == text_of(table.drop(index=[3, 9]))
    bad = pandas.read_csv("bad.csv", dtype=str)
    assert bad[["id", "_row", "_reasons"]].to_numpy().tolist() == [
        ["C-000004", "4", "visits.type; plan.nullable"],
        ["C-000010", "10", "plan.categories"],
    ]
    page = Path("r.html").read_text()
    assert "ultra" in page
    assert 'name="viewport"' in page
    assert json.loads(Path("m.json").read_text())["quarantined_rows"] == 2


def test_rows_are_told_apart_where_values_hold_line_breaks_or_lines_are_blank() -> None:
    Path(CONTRACT).write_text("contract: 1\nseverity: quarantine\ncolumns: {a: {type: integer}, b: {type: text}}\n")
    words = ("--out=good.csv", "--out=bad.csv", "--max_quarantined=1")
    for data, good, bad in (
        (b'a,b\n1,"x\ny"\nz,"u\nv"\n', 'a,b\n1,"x\ny"\n', 'a,b,_row,_reasons\nz,"u\nv",2,a.type\n'),
        (b"a,b\r\n\r\n1,x\r\nz,v\r\n2,q", "a,b\r\n1,x\r\n2,q", "a,b,_row,_reasons\nz,v,2,a.type\n"),
    ):
        assert validated(data, *words)[0] == 0
        assert Path("good.csv").read_bytes().decode() == good
        assert Path("bad.csv").read_bytes().decode() == bad


def test_a_clean_table_goes_on_byte_for_byte() -> None:
    validated(text_of(customers(1)), "--out=good.csv", "--out=report.md")
    assert Path("good.csv").read_bytes() == Path("data.csv").read_bytes()
    assert Path("report.md").read_text().startswith("# Validation: valid\n")


def test_too_many_bad_rows_are_not_put_aside_but_fail(capsys: pytest.CaptureFixture[str]) -> None:
    data = text_of(customers(1).assign(plan="ultra"))
    words = ("--on_fail=quarantine", "--out=good.csv", "--out=bad.csv")
    assert validated(data, *words, "--max_quarantined=0.5")[0] == 1
    assert "1500 of 1500 rows would be put aside" in capsys.readouterr().err
    assert not Path("good.csv").exists()


def test_what_fails_names_its_rows_and_says_how_to_get_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    Path(CONTRACT).write_text(
        "contract: 1\nduplicates: false\ncolumns:\n"
        "  a: {type: integer, personal: true}\n  b: {type: integer, nullable: false}\n"
    )
    assert validated(b"a,b\n1,1\n1,1\nx,2\n3,\n")[0] == 1
    said = capsys.readouterr().err
    assert "duplicates: 1 row, the same as one before, row 2\n" in said
    assert "b.nullable: 1 row, no value, row 4" in said
    assert "a.type: 1 row, no integer, row 3\n" in said
    again = said.partition("`runner stage validate ")[2].partition("`")[0].split()
    assert main(again) == 0
    assert "row 4" in Path("page.html").read_text()


def test_a_warning_stops_nothing_and_a_column_has_its_own_severity() -> None:
    assert validated(text_of(_spoilt()), "--on_fail=warn")[0] == 0
    Path(CONTRACT).write_text(
        "contract: 1\nextra: true\nseverity: quarantine\ncolumns:\n"
        "  visits: {type: integer, severity: warn}\n  plan: {type: text, nullable: false, severity: {nullable: fail}}\n"
    )
    code, broken = validated(text_of(_spoilt()), "--out=good.csv", "--out=bad.csv")
    assert (code, broken) == (1, {"visits.type": "warn", "plan.nullable": "fail"})


def test_a_reference_counts_in_place_of_what_the_contract_saw() -> None:
    moved = customers(2).assign(height=[f"{float(value) + 12:.1f}" for value in customers(2)["height"]])
    Path("reference.csv").write_bytes(text_of(moved))
    assert validated(text_of(moved))[0] == 1
    assert validated(text_of(moved), "--reference=reference.csv") == (0, {})
    assert "height.distribution" in validated(text_of(customers(1)), "--reference=reference.csv")[1]


def test_values_are_in_no_metrics_and_those_of_a_personal_column_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    Path(CONTRACT).write_text(
        "contract: 1\nseverity: warn\ncolumns:\n  a: {type: integer, personal: true}\n  b: {type: integer}\n"
    )
    assert validated(b"a,b\nAda,Bob\n", "--out=r.html") == (0, {"a.type": "warn", "b.type": "warn"})
    page, said = Path("r.html").read_text(), capsys.readouterr().err
    assert "Bob" in page
    assert "Bob" in said
    assert "Ada" not in page + said
    assert "Bob" not in Path("m.json").read_text()


def test_dates_in_a_contract_need_no_quotes() -> None:
    Path(CONTRACT).write_text("contract: 1\ncolumns: {a: {type: date, min: 2026-01-01, max: 2026-12-31}}\n")
    assert validated(b"a\n2026-02-01\n") == (0, {})
    assert validated(b"a\n2027-02-01\n") == (1, {"a.range": "fail"})


def test_too_few_rows_to_tell_are_not_compared() -> None:
    Path(CONTRACT).write_text(Path(CONTRACT).read_text().replace("rows: {", "rows: {min: 1} #"))
    assert validated(text_of(customers(1).head(150)))[1].keys() <= {"freshness"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("contract: 1\ncolumns:\n  a: {typ: text}\n", ":3:7: unknown key `typ` in `a` (did you mean `type`?)"),
        ("contract: 1\ncolumns:\n  a: {type: int}\n", "contract.yaml:3:7: `type` must be one of integer, number, text"),
        ("contract: 1\ncolumns: {a: {type: text, min: 1}}\n", "`min` says nothing of the type `text`"),
        ("contract: 1\ncolumns: {a: {type: text, pattern: '('}}\n", "`pattern` is no regular expression"),
        ("contract: 1\ncolumns: {a: {type: date, min: soon}}\n", "`min` is no time: `soon`"),
        ("contract: 1\ncolumns: {a: {type: number, min: 2, max: 1}}\n", "`min` is above `max`"),
        ("contract: 1\nprimary_key: [aa]\ncolumns: {aaa: {type: text}}\n", ":2:15: `aa` is no column of the"),
        ("contract: 1\ncolumns: {a: {type: number, distribution: {edges: [1, 2], shares: [1]}}}\n", "do not fit"),
        ("contract: 1\ncolumns: {a: {type: text, categories: [1]}}\n", "`categories` of texts must be texts"),
        ("a: [\n", "contract.yaml:"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_contract_is_told_with_its_place(
    text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(CONTRACT).write_text(text)
    assert validated(b"a\n1\n")[0] == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--on_fail=quarantine",), ("--as_of=soon",), ("--out=a.csv",) * 3])
def test_a_call_that_cannot_be_is_told(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert validated(text_of(customers(1).head(3)), *words)[0] == 1
    assert capsys.readouterr().err.count("\n") == 2


def test_the_same_table_gives_the_same_contract_and_the_same_bytes(contract: str) -> None:
    Path("seen.csv").write_bytes(text_of(customers(0)))
    assert contract.startswith(inferred("seen.csv"))
    assert "# seen: 1500" in contract
    assert yaml12.load(contract, file="c")["columns"]["plan"]["categories"] == ["basic", "plus", "pro"]
    words = ("--on_fail=quarantine", "--out=good.csv", "--out=bad.csv", "--out=r.html")
    runs = []
    for _ in range(2):
        validated(text_of(_spoilt()), *words)
        runs.append([Path(name).read_bytes() for name in ("m.json", "good.csv", "bad.csv", "r.html")])
    assert runs[0] == runs[1]


@pytest.mark.parametrize("ending", ["jsonl", "tsv"])
def test_other_kinds_of_tables_are_read_by_the_same_contract(ending: str) -> None:
    table = customers(0)
    if ending == "tsv":
        Path("seen.tsv").write_bytes(text_of(table, "\t"))
    else:
        numbers = table.assign(visits=table["visits"].astype(int), active=table["active"] == "true")
        numbers.drop(columns=["income", "height", "score"]).to_json("seen.jsonl", orient="records", lines=True)
    Path(CONTRACT).write_text(inferred(f"seen.{ending}"), encoding="utf-8")
    words = [f"--data=seen.{ending}", f"--contract={CONTRACT}", f"--out=good.{ending}"]
    assert main(words) == 0
    assert Path(f"good.{ending}").read_bytes() == Path(f"seen.{ending}").read_bytes()


_CELLS: list[Callable[[random.Random], object]] = [
    lambda chance: chance.randrange(-5, 5),
    lambda chance: chance.randrange(10**18),
    lambda chance: f"{chance.gauss(0, 1e300):.3g}",
    lambda chance: chance.choice(["True", "FALSE"]),
    lambda chance: f"2026-01-{chance.randrange(1, 29):02d}",
    lambda chance: f"2026-01-{chance.randrange(1, 29):02d}T07:00:00Z",
    lambda chance: "".join(chance.choice("aB1 \t\"',;\néÃ¼\u202e#|{}[]:&*!%@`\\") for _ in range(chance.randrange(6))),
    lambda chance: "",
    lambda chance: chance.choice(["NA", "1", "1.0", "+1"]),
    lambda chance: chance.choice(["yes", "null", "~", "1_000", "0x1F", "1:30", "inf", "007"]),
    lambda chance: f"1.{chance.randrange(10)}e-320",
]


@pytest.mark.parametrize("seed", range(24))
def test_any_table_keeps_the_contract_that_is_inferred_from_it(seed: int) -> None:
    chance = random.Random(seed)
    rows = chance.choice([0, 1, 2, 40, 250])
    names = chance.sample(["a", "b c", "yes", "1", "ü", "_row", "x:y", "#h", "'q'", '"d"', "- x", "{z}"], 4)
    table = pandas.DataFrame(
        {name: [cell(chance) for _ in range(rows)] for name, cell in zip(names, chance.sample(_CELLS, 4), strict=True)},
        dtype=object,
    )
    ending = chance.choice(["csv", "jsonl"]) if rows else "csv"
    data = f"data.{ending}"
    if ending == "csv":
        table.to_csv(data, index=False)
    else:
        table.to_json(data, orient="records", lines=True)
    Path(CONTRACT).write_text(inferred(data), encoding="utf-8")
    assert main([f"--data={data}", f"--contract={CONTRACT}", f"--reference={data}"]) == 0


def test_a_column_of_several_types_is_of_any() -> None:
    Path("data.jsonl").write_text('{"a": 1, "b": [1, 2]}\n{"a": "x", "b": [1, 2]}\n')
    Path(CONTRACT).write_text(inferred("data.jsonl"))
    kinds = {name: said["type"] for name, said in yaml12.load(inferred("data.jsonl"), file="c")["columns"].items()}
    assert kinds == {"a": "any", "b": "text"}
    assert main(["--data=data.jsonl", f"--contract={CONTRACT}"]) == 0
