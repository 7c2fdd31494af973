"""`train`: scores are scikit-learn's, leakage is told, the same seed gives the same folder, and errors come early."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from sklearn import model_selection
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from runner import artefacts
from runner.core import measures
from runner.errors import InputError
from runner.stages import folds
from runner.stages.tables import read_table
from runner.stages.train import main
from tests.repositories import GitRepo
from tests.specs.readings import DVC_PROJECT, findings_of
from tests.stages.data import words_of

LOGISTIC, TREES = "sklearn.linear_model.LogisticRegression", "sklearn.ensemble.HistGradientBoostingClassifier"
DROPPED = {"spent": "drop", "owner": "drop", "month": "drop"}
QUICK: dict[str, Any] = {"target": "left", "estimator": LOGISTIC, "columns": DROPPED, "cv": {"kind": "none"}}


@pytest.fixture(autouse=True)
def table(customers_here: pandas.DataFrame) -> pandas.DataFrame:
    return customers_here


def train(given: dict[str, Any], seed: int = 0, out: str = "m") -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNNER_SEED", str(seed))
        return main([*words_of({"data": "t.csv"} | given), f"--out={out}", "--metrics=m.json"])


def metrics() -> Any:
    return json.loads(Path("m.json").read_text())


def by_hand(table: pandas.DataFrame) -> tuple[Any, pandas.DataFrame]:
    """The model that `QUICK` stands for, as a person would write it down."""
    features = table[["age", "orders", "city", "paid"]].astype({"paid": float, "city": object})
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer(
        [("n", numbers, ["age", "orders", "paid"]), ("c", OneHotEncoder(handle_unknown="ignore"), ["city"])]
    )
    return make_pipeline(columns, LogisticRegression(random_state=3)), features


@pytest.mark.parametrize(
    ("cv", "splitter", "column"),
    [
        ({"folds": 4}, model_selection.StratifiedKFold(4, shuffle=True, random_state=3), None),
        (
            {"kind": "stratified", "folds": 3, "repeats": 2},
            model_selection.RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=3),
            None,
        ),
        ({"kind": "kfold"}, model_selection.KFold(5, shuffle=True, random_state=3), None),
        ({"groups": "owner"}, model_selection.GroupKFold(5, shuffle=True, random_state=3), "owner"),
        (
            {"kind": "stratified_group", "groups": "owner", "folds": 3},
            model_selection.StratifiedGroupKFold(3, shuffle=True, random_state=3),
            "owner",
        ),
        ({"time": "month", "folds": 3, "gap": 2}, model_selection.TimeSeriesSplit(3, gap=2), "month"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_the_scores_are_those_of_cross_validate_on_the_same_folds(
    cv: dict[str, Any], splitter: Any, column: str | None, table: pandas.DataFrame
) -> None:
    assert train(QUICK | {"cv": cv}, seed=3) == 0
    rows = table.sort_values("month", kind="stable") if column == "month" else table
    model, features = by_hand(rows)
    groups = rows["owner"] if column == "owner" else None
    names = ["accuracy", "balanced_accuracy", "f1_macro", "neg_log_loss", "roc_auc"]
    wanted = model_selection.cross_validate(model, features, rows["left"], groups=groups, cv=splitter, scoring=names)
    found = metrics()
    assert {name: found["folds"][name] for name in names} == {
        name: pytest.approx(wanted[f"test_{name}"].tolist(), abs=1e-9) for name in names
    }
    for name in names:
        told = found["cv"][name]
        assert told["mean"] == pytest.approx(wanted[f"test_{name}"].mean())
        assert told["low"] < told["mean"] < told["high"]


def test_the_noise_of_the_seed_is_what_other_seeds_come_to_and_a_gate_finds_it() -> None:
    given = QUICK | {"cv": {"folds": 3}, "scoring": ["roc_auc"]}
    means = []
    for seed in (4, 5, 6):
        assert train(given, seed) == 0
        means.append(metrics()["cv"]["roc_auc"]["mean"])
    assert train(given | {"seeds": 3}, seed=4) == 0
    found = metrics()
    assert found["seeds"] == {"roc_auc": pytest.approx(means)}
    assert len(set(means)) == 3
    assert (
        measures.numbers({"train.json": found}, measures.MetricName("train.json", ("seeds", "roc_auc")))
        == found["seeds"]["roc_auc"]
    )
    assert found["cv"]["roc_auc"]["level"] == 0.95


def test_the_interval_is_students_with_the_variance_of_folds_that_share_rows() -> None:
    splits = [(numpy.arange(20), numpy.arange(10))] * 3
    found = folds.interval_of([-0.9, -0.8, -0.7], splits, 0.95, "r2")
    reach = 4.302652729696142 * 0.1 * math.sqrt(1 / 3 + 1 / 2)  # the quantile of two degrees of freedom, from a table
    assert found == {
        name: pytest.approx(value)
        for name, value in zip(found, (-0.8, 0.1, -0.8 - reach, -0.8 + reach, 0.95), strict=True)
    }
    assert set(folds.interval_of([0.7, math.nan], splits[:2], 0.95, "r2").values()) == {None, 0.95}


@pytest.mark.parametrize(
    ("scorer", "scores", "least", "most"),
    [
        ("roc_auc", [0.1, 0.5, 1.0], 0, 1),
        ("matthews_corrcoef", [-1.0, 0.0, 1.0], -1, 1),
        ("neg_log_loss", [-0.9, -0.1, -0.1], None, 0),
        ("r2", [0.1, 0.9, 0.9], None, 1),
    ],
)
def test_an_interval_ends_where_the_range_of_its_score_does(
    scorer: str, scores: list[float], least: float | None, most: float
) -> None:
    found = folds.interval_of(scores, [(numpy.arange(20), numpy.arange(10))] * 3, 0.95, scorer)
    assert found["high"] == most
    assert found["low"] is not None
    assert found["low"] == least if least is not None else found["low"] < min(scores)


def test_the_model_takes_tables_as_they_are_with_gaps_and_with_what_it_never_saw(table: pandas.DataFrame) -> None:
    assert train(QUICK) == 0
    model, features = by_hand(table)
    model.fit(features, table["left"])
    found = artefacts.read(Path("m"))
    assert found.predict(pandas.read_csv("t.csv")).tolist() == model.predict(features).tolist()
    assert found.facts["kept"][-4:] == [f"onehot_1__city_{name}" for name in ("Bonn", "Köln", "Ulm", "nan")]
    new = pandas.DataFrame([{"age": None, "orders": 1e9, "city": "Rom", "paid": None}])
    assert found.predict(new)[0] in ("yes", "no")
    assert set(found.features) == {"age", "orders", "city", "paid"}


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(table: pandas.DataFrame) -> None:
    given = QUICK | {
        "estimator": "sklearn.ensemble.RandomForestClassifier",
        "params": {"n_estimators": 3},
        "reduce": {"by": "model", "keep": 3},
        "cv": {"folds": 2},
    }

    def written(out: str, seed: int) -> dict[str, bytes]:
        assert train(given, seed, out) == 0
        return {path.name: path.read_bytes() for path in [*Path(out).iterdir(), Path("m.json")]}

    first, again, other = written("a", 1), written("b", 1), written("c", 2)
    assert first == again
    assert first["model.skops"] != other["model.skops"]
    assert first["m.json"] != other["m.json"]
    assert metrics()["features"]["kept"] == 3


def test_estimators_stand_in_estimators_and_all_of_them_have_the_seed() -> None:
    voting = {
        "estimators": [
            ["trees", {"estimator": "sklearn.ensemble.ExtraTreesClassifier", "params": {"n_estimators": 2}}],
            [
                "line",
                {
                    "estimator": "sklearn.pipeline.Pipeline",
                    "params": {
                        "steps": [
                            ["scale", {"estimator": "sklearn.preprocessing.StandardScaler"}],
                            ["model", {"estimator": LOGISTIC, "params": {"C": 0.5, "random_state": 9}}],
                        ]
                    },
                },
            ],
        ]
    }
    assert train(QUICK | {"estimator": "sklearn.ensemble.VotingClassifier", "params": voting}, seed=5) == 0
    model = artefacts.read(Path("m")).model.named_steps["model"]
    assert model.named_estimators_["trees"].random_state == 5
    line = model.named_estimators_["line"].named_steps["model"]
    assert (line.C, line.random_state) == (0.5, 9)


def test_columns_are_prepared_as_the_spec_says(table: pandas.DataFrame) -> None:
    words = [" ".join(f"w{(row * step) % 13}" for step in (1, 5, 7)) for row in range(len(table))]
    table.assign(note=words).to_csv("t.csv", index=False)
    columns = {
        **DROPPED,
        "age": {"as": "number", "impute": "constant", "fill": -1, "scale": "minmax"},
        "city": {"as": "ordinal"},
        "note": {"as": "text", "most": 4},
        "orders": {"as": "onehot", "most": 5},
        "paid": "keep",
    }
    assert train(QUICK | {"columns": columns}) == 0
    found = artefacts.read(Path("m"))
    prepared = found.model.named_steps["columns"]
    numbers = prepared.transform(found.aligned(pandas.read_csv("t.csv")))
    values = dict(zip(prepared.get_feature_names_out(), numpy.asarray(numbers).T, strict=True))
    ages = table["age"].fillna(-1)
    assert next(iter(values.values())).tolist() == pytest.approx(((ages + 1) / (ages.max() + 1)).tolist())
    assert len(values) == 1 + 5 + 1 + 1 + 4


def _copied(table: pandas.DataFrame) -> pandas.DataFrame:
    return table.assign(status=table["left"].map({"yes": 17, "no": 4}))


def _nearly(table: pandas.DataFrame) -> pandas.DataFrame:
    chance = numpy.random.default_rng(0)
    return table.assign(status=numpy.where(table["left"] == "yes", 5.0, 1.0) + chance.normal(0, 0.1, len(table)))


def _missing(table: pandas.DataFrame) -> pandas.DataFrame:
    chance = numpy.random.default_rng(0)
    return table.assign(status=numpy.where(table["left"] == "yes", numpy.nan, chance.normal(size=len(table)).round(3)))


def _through_a_category(table: pandas.DataFrame) -> pandas.DataFrame:
    """Codes of a hundred reasons, each of one class alone."""
    chance = numpy.random.default_rng(0)
    reasons = chance.permutation(20)
    return table.assign(
        status=[f"R{reasons[2 * (row % 10) + (left == 'yes')]:02d}" for row, left in enumerate(table["left"])]
    )


def _in_words(table: pandas.DataFrame) -> pandas.DataFrame:
    told = table["left"].map({"yes": "account closed on request", "no": "called about the invoice"})
    return table.assign(status=[f"case {row * 7919 % 1000} of {row}: {text}, done" for row, text in enumerate(told)])


@pytest.mark.parametrize(
    ("hide", "told"),
    [
        (_through_a_category, "`status` alone predicts the target (1.0000 of 1)"),
        (_in_words, "the target stands in the text of `status`"),
        (_copied, "`status` is a copy of the target, by another name or coding"),
        (_nearly, "`status` alone predicts the target (1.0000 of 1)"),
        (_missing, "`status` alone predicts the target"),
    ],
)
def test_a_feature_that_gives_the_target_away_is_reported(
    hide: Callable[[pandas.DataFrame], pandas.DataFrame],
    told: str,
    table: pandas.DataFrame,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hide(table).to_csv("t.csv", index=False)
    assert train(QUICK) == 1
    said = capsys.readouterr().err
    assert f"train: t.csv: leakage:\n  {told}" in said
    assert "drop it: `columns: {status: drop}`; or say `leakage: warn`" in said
    assert not Path("m").exists()
    assert train(QUICK | {"leakage": "warn"}) == 0
    assert f"train: leakage: {told}" in capsys.readouterr().err
    assert metrics()["leakage"] == {"leaks": 1, "notices": 0}
    assert [found["column"] for found in artefacts.read(Path("m")).facts["leakage"]] == ["status"]


def test_a_copy_of_a_number_is_reported_and_honest_tables_are_not(
    table: pandas.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "target": "spent",
        "estimator": "sklearn.linear_model.Ridge",
        "columns": {"left": "drop", "month": "drop"},
        "cv": {"folds": 3},
    }
    assert train(given) == 0
    assert capsys.readouterr().err == ""
    assert metrics()["cv"]["r2"]["mean"] > 0.2
    noise = numpy.random.default_rng(0).normal(size=len(table))
    copies: dict[str, Any] = {
        "is a copy of the target": table["spent"] * 100 + 7,
        "is a copy of the target, by": numpy.exp(-table["spent"] / 20),
        "alone predicts the target": table["spent"] + noise / 50,
        "the target stands in the text of `hidden`": table["spent"].map("paid {:.2f} EUR in all".format),
    }
    for told, hidden in copies.items():
        table.assign(hidden=hidden).to_csv("t.csv", index=False)
        assert train(given) == 1
        assert told in capsys.readouterr().err


def test_rows_that_are_numbered_or_in_two_places_are_reported(
    table: pandas.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    numbered = table.assign(customer=[f"c{row}" for row in range(len(table))])
    numbered.to_csv("t.csv", index=False)
    assert train(QUICK) == 0
    assert capsys.readouterr().err == "train: notice: `customer` has another value in every row: it names rows\n"
    pandas.concat([table, table.head(40)]).to_csv("t.csv", index=False)
    table.tail(9).assign(owner=-1).to_csv("test.csv", index=False)
    assert train(QUICK | {"cv": {"folds": 3}, "unseen": "test.csv"}) == 1
    said = capsys.readouterr().err
    assert "test rows of the folds are also in the part that the model was trained with" in said
    assert "train: leakage: 9 of 9 rows of test.csv are in the training table" in said


MODELS = """\
from sklearn.linear_model import LogisticRegression
from src.more import STRENGTH

class Careful(LogisticRegression):
    def __init__(self, C=STRENGTH):
        super().__init__(C=C)

def plain(C=1.0):
    return LogisticRegression(C=C)
"""


def test_estimators_of_the_repository_are_imported_where_code_names_them_and_nowhere_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("src").mkdir()
    Path("src/models.py").write_text(MODELS)
    Path("src/more.py").write_text("STRENGTH = 0.25\n")
    Path("json.py").write_text("")
    given = QUICK | {"estimator": "src.models.Careful"}
    assert train(given) == 1
    assert "`src.models.Careful`: the module src.models cannot be imported" in capsys.readouterr().err
    assert train(given | {"code": ["json.py"]}) == 1
    assert "`code`: json.py has the name of an installed module, `json`" in capsys.readouterr().err
    assert train(given | {"code": ["../models.py"]}) == 1
    assert train(given | {"code": ["src/more.py", "src/models.py"]}) == 0
    with pytest.raises(InputError, match=r"types that nobody allowed: src\.models\.Careful"):
        artefacts.read(Path("m"))
    assert artefacts.read(Path("m"), trusted=["src.models.Careful"]).model.named_steps["model"].C == 0.25
    assert "# the module src is in no package" in Path("m/environment.txt").read_text()
    made_by = {"estimator": "src.models.plain", "params": {"C": 0.5}, "code": ["src/more.py", "src/models.py"]}
    assert train(QUICK | made_by, out="n") == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"estimator": LOGISTIC[:-1]}, f"did you mean `{LOGISTIC}`?"),
        ({"estimator": "sklearm.linear_model.Ridge"}, "the module sklearm.linear_model cannot be imported"),
        ({"estimator": "os.path.join"}, "`os.path.join` is no class, and no function of a file that `code` names"),
        ({"estimator": "os.mkdir", "params": {"path": "m"}}, "`os.mkdir` is no class"),
        ({"estimator": "subprocess.Popen", "params": {"args": ["mkdir", "m"]}}, "is no estimator"),
        (
            {"params": {"C": {"estimator": "subprocess.Popen", "params": {"args": ["mkdir", "m"]}}}},
            "`subprocess.Popen` is no class of an estimator",
        ),
        ({"estimator": "sklearn.preprocessing.StandardScaler"}, "is no estimator: it has no `fit` and `predict`"),
        ({"params": {"c": 1}}, f"`{LOGISTIC}` has no parameter `c`\n  did you mean `C`?"),
        ({"params": {"C": -1}}, "cannot be made: The 'C' parameter of LogisticRegression must be"),
        ({"task": "regression"}, "`task` is regression, and a LogisticRegression is for classification"),
        ({"target": "lefd"}, "t.csv: there is no column `lefd`\n  did you mean `left`?"),
        ({"target": "age"}, "t.csv: the target `age` is missing in 7 rows, first in row 4"),
        ({"target": "spent"}, "the target `spent` holds fractions, and the estimator classifies"),
        ({"features": ["age", "left"]}, "`features` names the target `left`"),
        ({"features": ["age"], "columns": {"city": "onehot"}}, "`columns` prepares `city`, which is no feature"),
        ({"columns": {"city": "number"}}, "`columns`: `city` holds text and cannot be a number"),
        ({"columns": {"cty": "number"}}, "t.csv: there is no column `cty`"),
        ({"columns": {"city": "onehott"}}, "must be one of number, onehot, ordinal, text, keep, drop, not `onehott`"),
        ({"cv": {"kind": "kfold", "groups": "owner"}}, "`cv`: kfold and `groups` do not go together"),
        ({"cv": {"kind": "time"}}, "the key `time` is missing in `cv` (The column by which rows are sorted)"),
        ({"cv": {"folds": 140}}, "has 75 rows, too few for 140 folds"),
        ({"cv": {"folds": 3}, "scoring": ["r2"]}, "the cross-validation failed"),
        ({"scoring": ["auc"]}, "item 1 of `scoring` must be one of accuracy"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    given: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(QUICK | given) == 1
    assert told in capsys.readouterr().err
    assert not Path("m").exists()


def test_odd_tables_are_trained_with_or_told(table: pandas.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    odd = table.assign(empty=None, tags=[["a", row % 3] for row in range(len(table))])
    odd.to_json("t.jsonl", orient="records", lines=True)
    assert train(QUICK | {"data": "t.jsonl", "estimator": TREES}) == 0
    found = artefacts.read(Path("m"))
    assert found.predict(read_table("t.jsonl")).shape == (len(table),)
    assert found.facts["columns"]["empty"]["as"] == "drop"
    assert "notice: the column `empty` is empty" in capsys.readouterr().err
    assert train(QUICK | {"data": "t.jsonl", "target": "tags"}, out="n") == 0
    assert artefacts.read(Path("n")).classes == ("['a', 0]", "['a', 1]", "['a', 2]")
    capsys.readouterr()
    table.assign(orders=numpy.inf).to_csv("t.csv", index=False)
    assert train(QUICK) == 1
    assert "t.csv: the column `orders` holds no finite number in row 1: `inf`" in capsys.readouterr().err
    table.head(0).to_csv("t.csv", index=False)
    assert train(QUICK) == 1
    assert "t.csv: the table has no rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("inf", "the column `left` holds no finite number in row 2: `inf`"),
        ("1e20", "the target `left` holds `1e+20` in row 2, too large to be a class"),
        ("18446744073709551615", "the target `left` holds `18446744073709551615` in row 2, too large"),
    ],
)
def test_a_class_that_is_no_exact_number_is_told_with_its_row(
    value: str, told: str, table: pandas.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    table.assign(left=[value if row % 3 == 1 else "0" for row in range(len(table))]).to_csv("t.csv", index=False)
    assert train(QUICK) == 1
    assert f"t.csv: {told}" in capsys.readouterr().err


def test_values_that_are_wrong_are_found_before_anything_runs_with_line_and_column(
    git_repo: Callable[..., GitRepo],
) -> None:
    spec = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
    train:
      uses: train
      with:
        data: t.csv
        target: left
        estimator: sklearn
        columns: {age: {as: nunber, impute: meen}, city: onehott}
        cv: {kind: grup, folds: 1}
        scoring: [roc]
        leakage: ignore
      outs: [m]
      metrics: [a.json, b.json]
    other:
      uses: train
      with: {data: t.csv, target: left, estimator: a.B, cv: {kind: time}}
      outs: [n]
"""
    found = findings_of(git_repo({**DVC_PROJECT, "runner.yaml": spec, "t.csv": "left\n"}))
    assert [line.partition(" (")[0].partition(" must be one of")[0] for line in found] == [
        "runner.yaml:11:9: `estimator` cannot be `sklearn`",
        "runner.yaml:12:25: `as`",
        "runner.yaml:12:37: `impute`",
        "runner.yaml:12:52: `city`",
        "runner.yaml:13:14: `kind`",
        "runner.yaml:13:26: `folds` must be at least 2, not 1",
        "runner.yaml:14:19: item 1 of `scoring`",
        "runner.yaml:15:9: `leakage`",
        "runner.yaml:17:7: `train` writes at most 1 of `metrics`, and 2 are named",
        "runner.yaml:20:57: the key `time` is missing in `cv`",
    ]


def test_it_runs_as_a_command_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "--estimator=STRING" in said
    assert "--columns=OBJECT" in said
    assert "--data=PATH" in said
    assert shlex.split("--cv=OBJECT")[0] in said
