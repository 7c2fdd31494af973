"""Runs as rows: parameters behind inputs, names of columns, order."""

from __future__ import annotations

from typing import Any

import pytest

from runner.core.experiments import Columns, Lineage, Made, Ran, UnknownColumn, metrics_of, own_params, sorted_rows
from runner.core.nouns import Address
from runner.core.records import RunFacts
from runner.report.experiments_view import fitting_columns, list_text, usual_columns
from runner.report.pictures import history_pictures
from runner.report.style import Style
from runner.values import replace


def _run(stage: str, material: dict[str, Any], metrics: dict[str, Any] | None = None) -> RunFacts:
    return RunFacts(
        run_id=stage,
        address=Address("p", stage),
        key="a" * 64,
        material=material,
        succeeded=True,
        reason="ok",
        message="",
        desired="c" * 40,
        started_at="2026-11-01T10:00:00Z",
        seconds=1.0,
        metrics=metrics or {},
    )


def _row(record: int, params: dict[str, Any], metrics: dict[str, Any]) -> Ran:
    run = _run("train", {}, metrics)
    return Ran("runner/state", "main", record, str(record), run, params, metrics_of(run))


ROWS = (
    _row(1, {"params.yaml:train.depth": 3, "params.yaml:rate": 0.1}, {"m.json": {"auc": 0.8, "us": {"f1": 0.5}}}),
    _row(2, {"params.yaml:train.depth": 4, "params.yaml:rate": 0.1}, {"m.json": {"auc": 0.9}, "n.json": {"loss": 2}}),
    _row(3, {"other.yaml:train.depth": "deep"}, {"n.json": {"loss": 1}}),
)


def test_parameters_of_the_runs_that_made_an_input_stand_beside_a_runs_own() -> None:
    lineage = Lineage()
    prepared = {"param": {"params.yaml:rows": 10, "params.yaml:near": "far"}}
    lineage.add(Made(Address("p", "prepare"), prepared), [("a.csv", "1")])
    for data, depth, model in (("1", 3, "2"), ("9", 7, "3")):
        trained = {"dep": {"a.csv": data}, "param": {"params.yaml:train": {"depth": depth}}}
        lineage.add(Made(Address("p", "train"), trained), [("m", model)])
    own = {"dep": {"m": "2", "x": "0"}, "param": {"params.yaml:near": "here"}}
    assert lineage.params(Made(Address("p", "evaluate"), own)) == {
        "params.yaml:near": "here",
        "params.yaml:train.depth": 3,
        "params.yaml:rows": 10,
    }


def test_of_runs_that_left_the_same_bytes_the_one_for_the_same_commit_counts() -> None:
    lineage = Lineage()
    for depth, commit, at in ((3, "one", "2026-01-01"), (4, "two", "2026-01-02"), (5, "three", "2026-01-04")):
        lineage.add(Made(Address("p", "train"), {"param": {"p:depth": depth}}, commit, at), [("m", "1")])

    def depth_behind(commit: str, at: str) -> int:
        return int(lineage.params(Made(Address("p", "evaluate"), {"dep": {"m": "1"}}, commit, at))["p:depth"])

    assert [depth_behind(commit, "2026-01-05") for commit in ("one", "two", "three")] == [3, 4, 5]
    assert depth_behind("another", "2026-01-03") == 4
    assert depth_behind("another", "2025-01-01") == 3


def test_arguments_of_a_stage_of_the_library_are_parameters() -> None:
    material = {"with": {"folds": "5", "estimator": "sklearn.svm.SVC", "params": '{"C": 0.1}'}, "seed": 7}
    assert own_params(Address("p", "train"), material) == {
        "train:with.folds": 5,
        "train:with.estimator": "sklearn.svm.SVC",
        "train:with.params.C": 0.1,
        "train:seed": 7,
    }


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("stage", "stage"),
        ("metrics.m.json:auc", "metrics.m.json:auc"),
        ("metrics.auc", "metrics.m.json:auc"),
        ("auc", "metrics.m.json:auc"),
        ("f1", "metrics.m.json:us.f1"),
        ("metrics.us.f1", "metrics.m.json:us.f1"),
        ("rate", "params.params.yaml:rate"),
        ("params.params.yaml:train.depth", "params.params.yaml:train.depth"),
    ],
)
def test_a_column_is_found_by_as_much_of_its_name_as_is_clear(name: str, column: str) -> None:
    assert Columns(ROWS).find(name) == column


def test_a_name_that_is_not_clear_or_not_there_is_refused_with_what_there_is() -> None:
    columns = Columns(ROWS)
    with pytest.raises(UnknownColumn) as error:
        columns.find("depth")
    assert error.value.hint == "say params.params.yaml:train.depth, or params.other.yaml:train.depth"
    with pytest.raises(UnknownColumn) as error:
        columns.find("metrics.auk")
    assert error.value.hint == "did you mean `metrics.m.json:auc`?"


def test_a_guess_at_a_column_goes_by_the_last_part_of_its_name() -> None:
    metrics = {"tune.json:metric": "roc_auc", "metrics.json:accuracy": 0.9, "metrics.json:roc_auc": 0.9}
    columns = Columns([replace(ROWS[0], metrics=metrics)])
    for name in ("metrics.auc", "metrics.roc_auk", "metrics.us.roc_auc_score"):
        with pytest.raises(UnknownColumn) as error:
            columns.find(name)
        assert error.value.hint == "did you mean `metrics.metrics.json:roc_auc`?"


def test_columns_may_be_chosen_by_patterns_and_those_that_vary_are_known() -> None:
    columns = Columns(ROWS)
    assert columns.select(["record", "metrics.*", "params.rate"]) == [
        "record",
        "metrics.m.json:auc",
        "metrics.m.json:us.f1",
        "metrics.n.json:loss",
        "params.params.yaml:rate",
    ]
    assert columns.varying("params.") == ["params.params.yaml:train.depth"]
    assert columns.labels(["record", "metrics.m.json:auc"]) == ["record", "auc"]
    both = ["params.params.yaml:train.depth", "params.other.yaml:train.depth"]
    assert columns.labels(both) == ["params.yaml:train.depth", "other.yaml:train.depth"]
    assert columns.labels(both[:1]) == ["params.yaml:train.depth"]  # there is another one, which is not shown


def test_an_argument_that_only_some_runs_were_given_differs() -> None:
    given = [{"train:with.data": "a.csv"}, {"train:with.data": "a.csv", "train:with.params.C": 1}, {"p.yaml:x": 1}]
    columns = Columns([_row(number, params, {}) for number, params in enumerate(given)])
    assert columns.varying("params.") == ["params.train:with.params.C"]


def test_plain_metrics_that_differ_and_most_runs_have_come_first_and_those_for_gates_and_nested_ones_last() -> None:
    values = (
        {"m.json": {"a": {"b": 1, "c": 1}, "same": 1, "few": 1, "z": 1}},
        {"m.json": {"a": {"b": 2, "c": 1}, "same": 1, "z": 2, "few": 2}},
        {"m.json": {"a": {"b": 2, "c": 1}, "z": 2}},
    )
    rows = [_row(number, {}, metrics) for number, metrics in enumerate(values)]
    for number, groups in enumerate(({"f": {"rate": 1}}, {"f": {"rate": 2}})):
        row = _row(9, {}, {"evidence.json": {"mismatches": number, "groups": groups}})
        rows.insert(0, replace(row, run=replace(row.run, address=Address("api-evidence", "skew"))))
    names = ["m.json:z", "m.json:few", "m.json:same", "evidence.json:mismatches", "m.json:a.b", "m.json:a.c"]
    assert Columns(rows).metrics() == [f"metrics.{name}" for name in [*names, "evidence.json:groups.f.rate"]]


def test_rows_are_sorted_by_value_and_what_is_missing_comes_last_either_way() -> None:
    def order(column: str, down: bool) -> list[int]:
        return [row.record for row in sorted_rows(ROWS, [(column, down)])]

    assert order("metrics.m.json:auc", False) == [1, 2, 3]
    assert order("metrics.m.json:auc", True) == [2, 1, 3]
    assert [row.record for row in sorted_rows(ROWS, [("stage", False), ("record", True)])] == [3, 2, 1]


def test_metrics_of_one_name_in_two_files_have_their_turns_and_are_told_apart() -> None:
    names = ("accuracy", "f1", "recall")
    rows = [_row(n, {}, {file: dict.fromkeys(names, n) for file in ("a/one.json", "a/two.json")}) for n in range(2)]
    columns = Columns([*rows, _row(3, {}, {"a/two.json": {"accuracy": 3, "loss": 1}})])
    assert columns.labels(columns.metrics()) == [
        *("a/two.json:accuracy", "a/one.json:accuracy", "a/one.json:f1", "a/two.json:f1", "a/one.json:recall"),
        *("a/two.json:recall", "loss"),
    ]
    assert columns.labels(["metrics.a/one.json:accuracy"]) == ["a/one.json:accuracy"]
    assert columns.find("a/one.json:accuracy") == "metrics.a/one.json:accuracy"
    picture = history_pictures(rows, columns, ["metrics.a/two.json:f1"], "time")[0]
    assert picture.title == picture.y_label == "a/two.json:f1"


def _wide(pipelines: tuple[str, ...]) -> list[Ran]:
    values = {f"quite-a-long-name-{number}": number / 7 for number in range(12)}
    rows = []
    for number, pipeline in enumerate(pipelines):
        row = _row(number, {"p.yaml:depth": number, "p.yaml:rate": "x" * number}, {"m.json": values | {"few": number}})
        rows.append(replace(row, run=replace(row.run, address=Address(pipeline, f"evaluate-{pipeline}"), seconds=70.0)))
    return rows


@pytest.mark.parametrize("pipelines", [("churn", "churn"), ("churn", "churn-api-evidence")])
def test_a_narrow_terminal_gets_fewer_columns_and_each_of_them_whole(pipelines: tuple[str, ...]) -> None:
    rows = _wide(pipelines)
    columns = Columns(rows)
    usual, hidden = usual_columns(rows, columns)
    for width in range(80, 340, 10):
        kept = fitting_columns(rows, columns, usual, Style(False, width))
        shown = list_text(rows, columns, kept, Style(False, width), hidden=hidden + len(usual) - len(kept))
        assert max(map(len, shown.splitlines())) <= width
        assert "…" not in shown
        assert "2026-11-01 10:00" in shown
        assert "cccccccc" in shown
        assert f"and {hidden + len(usual) - len(kept)} more column" in shown
    assert kept == fitting_columns(rows, columns, usual, Style(False)) == usual
    some = fitting_columns(rows, columns, usual, Style(False, 100))
    assert "metrics.m.json:few" in some
    assert "params.p.yaml:depth" in some


def test_where_names_alone_are_too_wide_the_widest_are_cut_and_no_time() -> None:
    rows = [replace(row, run=replace(row.run, address=Address("p", "s" * 90))) for row in ROWS]
    columns = Columns(rows)
    narrow = Style(False, 80)
    shown = list_text(rows, columns, fitting_columns(rows, columns, usual_columns(rows, columns)[0], narrow), narrow)
    assert "2026-11-01 10:00" in shown
    assert "cccccccc" in shown
