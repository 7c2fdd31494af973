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
        (["--parts=x"], "`parts` must be a list, not `x`"),
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
