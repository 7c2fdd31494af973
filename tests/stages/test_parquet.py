"""Tables as .parquet: every stage reads and writes them, types stay, and equal tables are equal bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest

from runner import artefacts
from runner.stages import evaluate, explain, fairness, fetch, profile, robustness, split, train, tune, validate
from runner.stages.contracts.infer import inferred
from runner.stages.tables import read_table
from tests.stages.data import customers

pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")


def typed(rows: int = 240) -> pandas.DataFrame:
    """A column of each type that text files do not have."""
    table = customers(rows)
    return table.assign(
        when=pandas.date_range("2026-01-01", periods=rows, freq="h", tz="UTC"),
        day=pandas.Series(pandas.date_range("2026-01-01", periods=rows, freq="D")).dt.date,
        plan=pandas.Categorical(table["city"].fillna("none")),
        visits=table["orders"].astype("Int64").where(table["orders"] > 3),
        vip=table["paid"].astype("boolean").where(table["orders"] > 3),
        small=table["orders"].astype("int8"),
    )


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pandas.DataFrame:
    monkeypatch.chdir(tmp_path)
    made = typed()
    made.to_parquet("t.parquet", index=False)
    return made


def test_parts_and_good_rows_keep_their_types_and_are_equal_bytes(table: pandas.DataFrame) -> None:
    words = ["--data=t.parquet", "--parts=[0.7, 0.3]", "--stratify=plan"]
    for folder in ("a", "b"):
        assert split.main([*words, f"--out={folder}/one.parquet", f"--out={folder}/two.parquet"]) == 0
    one, two = read_table("a/one.parquet"), read_table("a/two.parquet")
    assert one.dtypes.equals(pandas.read_parquet("t.parquet").dtypes)
    both = pandas.concat([one, two]).sort_values("when").reset_index(drop=True)
    pandas.testing.assert_frame_equal(both, pandas.read_parquet("t.parquet"))
    assert Path("a/one.parquet").read_bytes() == Path("b/one.parquet").read_bytes()
    assert (
        split.main(["--data=t.parquet", "--parts=[0.5, 0.5]", "--time=when", "--out=c.parquet", "--out=d.parquet"]) == 0
    )
    assert read_table("c.parquet")["when"].max() < read_table("d.parquet")["when"].min()
    Path("c.yaml").write_text(inferred("t.parquet"))
    table.assign(orders=table["orders"].where(table.index != 5, -900)).to_parquet("bad.parquet", index=False)
    checked = [
        "--data=bad.parquet",
        "--contract=c.yaml",
        "--on_fail=quarantine",
        "--out=good.parquet",
        "--out=rest.parquet",
    ]
    assert validate.main(checked) == 0
    assert read_table("good.parquet").dtypes.equals(pandas.read_parquet("bad.parquet").dtypes)
    assert read_table("rest.parquet")["_row"].tolist() == [6]
    assert validate.main(["--data=t.parquet", "--contract=c.yaml", "--out=same.parquet"]) == 0
    assert Path("same.parquet").read_bytes() == Path("t.parquet").read_bytes()


def test_models_are_trained_with_them_and_judged_by_them(table: pandas.DataFrame) -> None:
    given = ["--data=t.parquet", "--target=left", '--columns={"spent": "drop", "month": "drop", "day": "drop"}']
    line = "sklearn.linear_model.LogisticRegression"
    assert (
        train.main([*given, f"--estimator={line}", '--cv={"time": "when", "folds": 2}', "--out=m", "--metrics=t.json"])
        == 0
    )
    found = artefacts.read(Path("m"))
    kinds = {name: told["type"] for name, told in found.signature["input"]["properties"].items()}
    assert kinds["visits"] == ["integer", "null"]
    assert (kinds["small"], kinds["plan"]) == ("integer", "string")
    table.drop(columns="when").to_csv("t.csv", index=False)
    assert found.predict(pandas.read_csv("t.csv").assign(when=0)).tolist() == found.predict(table).tolist()
    space = json.dumps([{"estimator": line, "space": {"C": [0.1, 1.0]}}])
    searched = [
        '--cv={"folds": 2}',
        "--search=grid",
        f"--candidates={space}",
        '--features=["age", "plan"]',
        "--columns={}",
    ]
    assert tune.main(["--data=t.parquet", "--target=left", *searched, "--out=n", "--out=trials.parquet"]) == 0
    assert len(read_table("trials.parquet")) == 2
    judged = ["--model=m", "--data=t.parquet"]
    slices = json.dumps(["plan", {"name": "late", "where": {"when": {"min": "2026-01-05"}}}])
    assert evaluate.main([*judged, f"--slices={slices}", "--samples=9", "--metrics=e.json", "--out=p.parquet"]) == 0
    assert json.loads(Path("e.json").read_text())["slices"]["where"]["late"]["support"] == 240 - 4 * 24
    assert len(read_table("p.parquet")) == 240
    assert fairness.main([*judged, '--sensitive=["plan"]', "--samples=9", "--metrics=f.json"]) == 0
    assert explain.main([*judged, "--repeats=1", "--grid=3", "--out=x.json", "--plots=i.parquet"]) == 0
    assert robustness.main([*judged, "--repeats=1", "--metrics=r.json"]) == 0


def test_they_are_fetched_counted_and_described(table: pandas.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.main(["--file=t.parquet", "--out=f/t.parquet", "--metrics=f.json"]) == 0
    assert json.loads(Path("f.json").read_text())["rows"] == 240
    assert profile.main(["--data=t.parquet", "--out=p.json", "--out=p.html"]) == 0
    columns = json.loads(Path("p.json").read_text())["columns"]
    assert columns["visits"]["missing"] == int(table["visits"].isna().sum())
    Path("broken.parquet").write_bytes(Path("t.parquet").read_bytes()[:-9])
    assert profile.main(["--data=broken.parquet", "--out=p.json"]) == 1
    assert "profile: broken.parquet: it cannot be read as a table" in capsys.readouterr().err
