"""`tune`: a search that was killed ends as one left alone, a grid is scikit-learn's, and errors come early."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas
import pytest
from sklearn import model_selection

from runner import artefacts
from runner.stages.tune import main
from tests.stages.data import words_of
from tests.stages.test_train import DROPPED, LOGISTIC, by_hand

TREE = "sklearn.tree.DecisionTreeClassifier"
STRENGTH = {"low": 0.001, "high": 10.0, "log": True}
LINE: dict[str, Any] = {"name": "line", "estimator": LOGISTIC, "space": {"C": STRENGTH}}
BAYES = {"estimator": "sklearn.naive_bayes.GaussianNB", "space": {"var_smoothing": STRENGTH}}
TREES: dict[str, Any] = {
    "name": "tree",
    "estimator": TREE,
    "space": {"max_depth": {"low": 1, "high": 6}, "criterion": ["gini", "entropy"]},
}
GRID = {"candidates": [{**TREES, "space": {"max_depth": {"low": 1, "high": 5}, "min_samples_leaf": [1, 5, 9]}}]}
QUICK: dict[str, Any] = {
    "target": "left",
    "columns": DROPPED,
    "cv": {"folds": 3},
    "candidates": [LINE, TREES],
    "trials": 13,
}
OUTPUTS = ["--out=m", "--out=trials.csv", "--metrics=m.json", "--plots=importance.json", "--plots=history.json"]


@pytest.fixture(autouse=True)
def table(customers_here: pandas.DataFrame) -> pandas.DataFrame:
    return customers_here


def tune(given: dict[str, Any]) -> int:
    return main([*words_of({"data": "t.csv"} | given), *OUTPUTS])


def results() -> dict[str, bytes]:
    """All that a search wrote."""
    files = [*Path("m").iterdir(), *map(Path, ("trials.csv", "m.json", "importance.json", "history.json"))]
    return {str(path): path.read_bytes() for path in files}


@pytest.mark.parametrize("search", [{"search": "tpe"}, {"search": "halving"}, {"search": "grid", **GRID}], ids=str)
def test_a_search_that_goes_on_from_any_trial_ends_as_one_left_alone(search: dict[str, Any]) -> None:
    quick = {"candidates": [BAYES, TREES], "features": ["age", "orders", "paid"], "columns": {}}
    given = QUICK | quick | search | {"journal": "j"}
    assert tune(given) == 0
    alone = results()
    (journal,) = Path("j").iterdir()
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 13
    for count in (1, 10, 12):
        # What a kill leaves: the lines of finished trials, and perhaps a part of the next one.
        journal.write_bytes(b"".join(lines[:count]) + lines[count][: 7 * count])
        assert tune(given) == 0
        assert results() == alone
        strip = [json.loads(line) | {"seconds": 0} for line in journal.read_bytes().splitlines()]
        assert strip == [json.loads(line) | {"seconds": 0} for line in lines]


FRAGILE = """\
import os, signal
from pathlib import Path
from sklearn.naive_bayes import GaussianNB

class Fragile(GaussianNB):
    def fit(self, X, y):
        count = Path(os.environ["FITS"])
        number = int(count.read_text()) + 1 if count.exists() else 1
        count.write_text(str(number))
        if str(number) in os.environ["KILLED_AT"].split():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)
"""


LIVES = """\
import json, os, sys
from pathlib import Path
from runner.stages.tune import main

for name, words in json.loads(sys.argv[1]).items():
    Path(name).mkdir()
    Path(name, "fragile.py").write_bytes(Path("fragile.py").read_bytes())
    codes = []
    while not codes or codes[-1] < 0:
        child = os.fork()
        if child == 0:
            os.chdir(name)
            os._exit(main(words))
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        assert Path(name, "m").exists() == (codes[-1] == 0)
    print(json.dumps(codes))
"""
"""One process that has imported everything, and has a child for each life of a search."""


def test_a_search_that_is_killed_in_any_trial_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    Path("fragile.py").write_text(FRAGILE)
    given = QUICK | {
        "data": "../t.csv",
        "candidates": [BAYES | {"estimator": "fragile.Fragile"}, {**TREES, "space": GRID["candidates"][0]["space"]}],
        "features": ["age", "orders"],
        "columns": {},
        "code": ["fragile.py"],
        "journal": "j",
    }
    words = {}
    for search in ("tpe", "halving", "grid"):
        own = given | {"search": search}
        if search == "grid":
            own["candidates"] = [
                {**given["candidates"][0], "space": {"var_smoothing": [0.001, 0.01, 0.1, 1.0]}},
                given["candidates"][1],
            ]
        for name in (f"{search}-alone", f"{search}-killed"):
            words[name] = [*words_of(own), *OUTPUTS]
    kills = [1, 9, 12]

    def lives(chosen: str, killed_at: str) -> list[list[int]]:
        environ = {**os.environ, "FITS": "fits", "KILLED_AT": killed_at, "PYTHONPATH": os.pathsep.join(sys.path)}
        asked = json.dumps({name: told for name, told in words.items() if name.endswith(chosen)})
        done = subprocess.run([sys.executable, "-P", "-c", LIVES, asked], env=environ, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return [json.loads(line) for line in done.stdout.splitlines()]

    assert lives("alone", "") == [[0]] * 3
    for codes in lives("killed", " ".join(map(str, kills))):
        assert codes == [*[-signal.SIGKILL] * len(kills), 0]
    for search in ("tpe", "halving", "grid"):
        alone, killed = (tmp_path / f"{search}-{how}" for how in ("alone", "killed"))
        for name in ("trials.csv", "m.json", "importance.json", "history.json", "m/manifest.json"):
            assert (alone / name).read_bytes() == (killed / name).read_bytes(), (search, name)


def test_a_grid_has_the_scores_of_scikit_learn_on_the_same_folds(table: pandas.DataFrame) -> None:
    values = {"C": [0.01, 0.1, 1.0], "class_weight": [None, "balanced", {"yes": 3}]}
    given = QUICK | {"candidates": [{"estimator": LOGISTIC, "space": values}], "search": "grid"}
    assert tune({name: value for name, value in given.items() if name != "trials"}) == 0
    model, features = by_hand(table)
    model.set_params(logisticregression__random_state=0)
    space = {f"logisticregression__{name}": tried for name, tried in values.items()}
    folds = model_selection.StratifiedKFold(3, shuffle=True, random_state=0)
    wanted = model_selection.GridSearchCV(model, space, scoring="roc_auc", cv=folds, refit=False)
    wanted.fit(features, table["left"])
    rows = pandas.read_csv("trials.csv")
    assert rows["mean"].tolist() == pytest.approx(wanted.cv_results_["mean_test_score"].tolist(), abs=1e-9)
    told = json.loads(Path("m.json").read_text())
    assert told["best"]["params"]["C"] == wanted.best_params_["logisticregression__C"]
    assert told["cv"]["roc_auc"]["mean"] == pytest.approx(wanted.best_score_, abs=1e-9)
    assert told["best"]["params"]["C"] == artefacts.read(Path("m")).model.named_steps["model"].C


def test_candidates_are_ranked_with_intervals_and_trials_and_importance_are_tables() -> None:
    broken = {"name": "broken", "estimator": LOGISTIC, "space": {"C": [-1.0, -2.0]}}
    assert tune(QUICK | {"candidates": [LINE, broken], "trials": 14, "search": "random"}) == 0
    told, rows = json.loads(Path("m.json").read_text()), pandas.read_csv("trials.csv")
    assert list(told["candidates"]) == ["line", "broken"]
    line = told["candidates"]["line"]
    assert line["low"] < line["mean"] < line["high"]
    assert told["candidates"]["broken"] == {"trials": told["trials"]["failed"]}
    assert told["best"]["candidate"] == "line"
    assert told["trials"]["complete"] + told["trials"]["pruned"] + told["trials"]["failed"] == len(rows) == 14
    assert rows[rows["state"] == "failed"]["told"].str.contains("The 'C' parameter of LogisticRegression must be").all()
    assert rows["mean"].max() == told["cv"]["roc_auc"]["mean"] == line["mean"]
    importance = json.loads(Path("importance.json").read_text())
    assert [(row["candidate"], row["parameter"]) for row in importance] == [("line", "C")]
    best = [row["best"] for row in json.loads(Path("history.json").read_text())]
    assert best == sorted(best)
    assert best[-1] == rows["mean"].max()


def test_more_trials_go_on_where_fewer_ended_and_other_data_begins_anew(
    table: pandas.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    given = QUICK | {"journal": "j", "candidates": [LINE]}
    assert tune(given | {"trials": 2}) == 0
    assert tune(given | {"trials": 3}) == 0
    assert "tune: the journal has 2 trials already\ntune: trial 2 of 3: " in capsys.readouterr().err
    assert tune(given | {"time": "1ms"}) == 0
    assert "tune: the time is up after 3 of 13 trials" in capsys.readouterr().err
    table.tail(100).to_csv("t.csv", index=False)
    assert tune(given | {"trials": 1}) == 0
    assert "already" not in capsys.readouterr().err
    assert len(list(Path("j").iterdir())) == 2


def test_a_journal_that_says_what_is_not_so_is_told_and_one_in_use_is_left_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stepped = LINE | {"space": {"C": {"low": 0.1, "high": 1.0, "step": 0.3}}}  # 1.0 is the last, but not in floats
    given = QUICK | {"journal": "j", "candidates": [stepped], "trials": 1}
    assert tune(given) == 0
    (journal,) = Path("j").iterdir()
    line = json.loads(journal.read_text())
    journal.write_text(json.dumps(line | {"value": 0.99}) + "\n")
    assert tune(given) == 1
    assert "tune: trial 0 had roc_auc 0.99, and has " in capsys.readouterr().err
    with journal.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert tune(given) == 4
    assert "`journal`: another process does the same search" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"candidates": [LINE, LINE]}, "two of `candidates` are called `line`"),
        ({"candidates": [LINE | {"space": {"c": [1]}}]}, f"`{LOGISTIC}` has no parameter `c`\n  did you mean `C`?"),
        ({"candidates": [LINE | {"params": {"C": 1}}]}, "`space` of line: `C` stands in `params`, too"),
        ({"candidates": [LINE | {"space": {"C": {"low": 2, "high": 1}}}]}, "`C`: low is 2, and high 1"),
        (
            {"candidates": [LINE | {"space": {"C": STRENGTH | {"low": 0}}}]},
            "`log` goes with a range above 0",
        ),
        ({"candidates": [LINE], "search": "grid"}, "`space` of line: `C` has no end of values in a grid"),
        ({"candidates": [LINE, {"estimator": "sklearn.linear_model.Ridge"}]}, "are for different tasks: line is for"),
        ({"candidates": [LINE | {"space": {"C": 3}}]}, "`C` must be a list or a mapping, not the number 3"),
        ({"candidates": [LINE | {"space": {"C": [-1]}}], "trials": 2}, "none of 2 trials was finished: "),
        ({"cv": {"kind": "none"}}, "`kind` must be one of kfold, stratified"),
        ({"journal": "t.csv"}, "`journal`: "),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    given: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(QUICK | given) == 1
    assert told in capsys.readouterr().err
    assert not Path("m").exists()
