"""`split`: the parts are a partition of the rows, cut as they were asked to be, and the same ones every time."""

from __future__ import annotations

import random
from pathlib import Path

import pandas
import pytest

from runner.stages.split import main

ROWS = 997


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pandas.DataFrame:
    """A table in raw.csv, with values that a reader might change: it is the working folder's."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(1)
    rows = [
        {
            "id": f"{number:04d}",
            "group": f"g{chance.randrange(40)}",
            "when": f"2026-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}",
            "y": "NA" if chance.random() < 0.1 else "",
            "x": chance.choice(["1.10", "1e3", "007", 'a "b", c', "ü\nv"]),
        }
        for number in range(ROWS)
    ]
    made = pandas.DataFrame(rows)
    made.to_csv("raw.csv", index=False, lineterminator="\n")
    return made


def cut(*words: str, parts: str = "[0.7, 0.2, 0.1]", seed: int = 0) -> list[pandas.DataFrame]:
    """The parts that a call writes, as text."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNNER_SEED", str(seed))
        outs = [f"out/{letter}.csv" for letter in "abc"]
        assert main(["--data=raw.csv", f"--parts={parts}", *words, *(f"--out={out}" for out in outs)]) == 0
    return [pandas.read_csv(out, dtype=str, keep_default_na=False) for out in outs]


@pytest.mark.parametrize("words", [(), ("--stratify=y",), ("--groups=group",), ("--time=when",), ("--time=id",)])
def test_each_row_is_in_one_part_as_it_was_written_and_in_its_order(
    words: tuple[str, ...], table: pandas.DataFrame
) -> None:
    parts = cut(*words)
    whole = pandas.concat(parts).sort_values("id", ignore_index=True)
    pandas.testing.assert_frame_equal(whole, table.astype(whole.dtypes.to_dict()))
    assert all(part["id"].is_monotonic_increasing for part in parts)
    shares = [len(part) / ROWS for part in parts]
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.05 if "--groups=group" in words else 0.001)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(table: pandas.DataFrame) -> None:
    first = [part["id"].tolist() for part in cut()]
    assert [part["id"].tolist() for part in cut()] == first
    assert [part["id"].tolist() for part in cut(seed=1)] != first


def test_strata_have_their_shares_in_every_part(table: pandas.DataFrame) -> None:
    for part, share in zip(cut("--stratify=y"), (0.7, 0.2, 0.1), strict=True):
        assert (part["y"] == "NA").sum() == pytest.approx((table["y"] == "NA").sum() * share, abs=2)


def test_strata_that_are_too_small_are_told(table: pandas.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    cut("--stratify=y")
    assert "notice" not in capsys.readouterr().err
    cut("--stratify=id")
    assert f"{ROWS} of {ROWS} values of `id` have too few rows" in capsys.readouterr().err


def test_no_group_is_in_two_parts(table: pandas.DataFrame) -> None:
    groups = [set(part["group"]) for part in cut("--groups=group")]
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_the_last_part_by_time_has_the_latest_rows(table: pandas.DataFrame) -> None:
    parts = cut("--time=when")
    assert parts[0]["when"].max() <= parts[1]["when"].min()
    assert parts[1]["when"].max() <= parts[2]["when"].min()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--data=nowhere.csv"], "nowhere.csv: there is no such file"),
        (
            ["--data=raw.xlsx"],
            "raw.xlsx: no table is known by the ending `.xlsx`\n  use .csv, .tsv, .jsonl or .parquet",
        ),
        (["--data=broken.csv"], "broken.csv: it cannot be read as a table: "),
        (["--stratify=grup"], "raw.csv: there is no column `grup`\n  did you mean `group`?"),
        (["--time=x"], "raw.csv: the column `x` holds no time in row "),
        (["--stratify=y", "--time=when"], "`stratify` and `time` exclude each other"),
        (["--parts=[0.5, 0.2, 0.1]"], "the parts add up to 0.8, not to 1"),
        (["--parts=[0.5, 0.5]"], "there are 2 parts and 3 outputs"),
        (["--parts=x"], "`parts` must be a list, not the text `x`"),
        (["--part=[1]"], "--part is no argument of this stage\n  did you mean --parts?"),
        (["raw.csv"], "`raw.csv` is no argument"),
        (["--time"], "--time needs a value"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    words: list[str], told: str, table: pandas.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.csv").write_text("a,b\n1,2,3\n4\n1,2,3,4\n")
    assert main(["--data=raw.csv", "--parts=[0.7, 0.2, 0.1]", *(f"--out={name}.csv" for name in "abc"), *words]) == 1
    assert capsys.readouterr().err.startswith(f"split: {told}")
    assert not Path("a.csv").exists()


ODD = {
    "quoted lines.csv": 'a,b\n1,"x\ny"\n2,"p\rq"\n3,"say ""so"", z"\n4,plain\n',
    "windows.csv": "\ufeffa,b\r\n1,x\r\n2,y\r\n3,z\r\n4,w\r\n",
    "no line at the end.tsv": "a\tb\n1\tx\n2\t\n3\t\n4\tw",
    "one column with nothing in it.csv": "a\n1\n\n3\n4\n",
    "doubled names.csv": "a,a,b\n1,2,x\n3,4,y\n5,6,z\n7,8,w\n",
    "short rows.csv": "a,b\n1,x\n2\n3,\n4,w\n",
    "numbers.jsonl": '{"id":"00123","f":0.12345678901234567,"ok":true}\n{"id":"1e5","f":1e-12,"ok":null}\n'
    '{"updated_at": 1600000000}\n{"id": 1.0}\n',
}


@pytest.mark.parametrize("name", ODD)
def test_no_byte_of_a_row_is_changed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = ODD[name]
    Path(name).write_bytes(text.encode())
    ending = Path(name).suffix
    outs = [f"one{ending}", f"two{ending}"]
    assert main([f"--data={name}", "--parts=[0.5, 0.5]", *(f"--out={out}" for out in outs)]) == 0
    header = "" if ending == ".jsonl" else text[: text.index("\n") + 1]
    parts = [Path(out).read_bytes().decode() for out in outs]
    assert all(part.startswith(header) for part in parts)
    rows = sorted("".join(part.removeprefix(header) for part in parts))
    assert rows == sorted(text.removeprefix(header) + ("" if text.endswith("\n") else "\n"))


@pytest.mark.parametrize(
    ("text", "words", "told"),
    [
        ("a,b\n1,2\n1,2,3\n", [], "row 2 has 3 values, and the header 2 names"),
        ("", [], "it is empty"),
        ("a\n1\n2\n3\n4\n", ["--parts=[0.99, 0.01]"], "of its 4 rows part 2 would have none"),
        ("a\n1\n1\n1\n1\n2\n", ["--groups=a", "--parts=[0.99, 0.01]"], "of its 5 rows part 2 would have none"),
        ("a,a\n1,2\n3,4\n", ["--stratify=a"], "there are two columns `a`"),
        ("a\n\udcff\n", [], "byte 2 is not UTF-8"),
    ],
)
def test_what_cannot_be_cut_without_a_loss_is_refused(
    text: str, words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("raw.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert main(["--data=raw.csv", "--parts=[0.5, 0.5]", "--out=a.csv", "--out=b.csv", *words]) == 1
    assert told in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw.csv"]


def test_a_seed_that_is_none_is_told(
    table: pandas.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNNER_SEED", "-1")
    assert main(["--data=raw.csv", "--parts=[1]", "--out=a.csv"]) == 1
    assert "RUNNER_SEED is `-1`, which is no seed" in capsys.readouterr().err


def test_help_lists_every_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"--{name}=" in said for name in ("data", "parts", "stratify", "groups", "time", "out"))
    assert "--metrics" not in said
