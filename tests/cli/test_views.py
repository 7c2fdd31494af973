"""Text with fixed values: columns, widths and words."""

from __future__ import annotations

from typing import Any

import pytest

from runner.core.actions import Action
from runner.core.nouns import Address
from runner.core.outline import Line, Outline
from runner.core.records import RunFacts
from runner.errors import HostError
from runner.parts import Result as Reconciled
from runner.report.compare_view import Result, Side, compare_json, compare_text
from runner.report.plan_view import Ground, plan_text
from runner.report.result_view import metric_lines, result_line
from runner.report.style import (
    Style,
    cell_width,
    change,
    command_lines,
    cut,
    duration,
    fields,
    log_text,
    plural,
    reason_text,
    size,
    table,
    wrapped,
)

PLAIN = Style(False)


def test_columns_stand_below_each_other_and_numbers_to_the_right() -> None:
    rows = [["train", "1", "ok"], ["evaluate@us", "12", "failed"]]
    assert table(("stage", "record", "outcome"), rows, PLAIN, numbers=(1,)).splitlines() == [
        "stage        record  outcome",
        "train             1  ok",
        "evaluate@us      12  failed",
    ]


def test_columns_are_as_wide_as_a_terminal_shows_their_letters() -> None:
    rows = [["訓練", "a"], ["e\u0301tude", "b"]]
    lines = table(("stage", "x"), rows, PLAIN).splitlines()
    assert [line[: -len(mark)] for line, mark in zip(lines, ["x", "a", "b"], strict=True)] == [
        "stage  ",
        "訓練   ",
        "e\u0301tude  ",
    ]
    assert cell_width("訓練") == 4


def test_the_widest_columns_are_cut_until_a_table_fits() -> None:
    rows = [["a", "x" * 50, "y" * 10]]
    lines = table(("s", "long", "short"), rows, Style(False, 40)).splitlines()
    assert max(map(len, lines)) == 40
    assert lines[1] == "a  " + "x" * 24 + "…  " + "y" * 10


def test_columns_that_would_say_nothing_are_left_out() -> None:
    rows = [["record-12", "prepare", "2026-01-01", "x" * 50]]
    lines = table(("record", "stage", "started", "metrics"), rows, Style(False, 30)).splitlines()
    assert lines == ["record    stage    started  …", "record-…  prepare  2026-01…"]


def test_colours_do_not_move_columns() -> None:
    painted = table(("a", "b"), [["x", "y"]], Style(True), colours={(0, 0): "red"})
    assert painted.splitlines()[1] == "\x1b[31mx\x1b[0m  y"


def test_orders_to_the_terminal_are_taken_out_of_names() -> None:
    assert table(("a",), [["\x1b[2J\u202eevil"]], PLAIN).splitlines()[1] == "�[2J�evil"
    assert fields([("na\x07me", "va\x1blue")], PLAIN) == ["    na�me  va�lue"]


def test_a_log_is_itself_for_programs_and_tame_on_a_terminal() -> None:
    text = "10%\r20%\r\n\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b(B\n"
    assert log_text(text, PLAIN) == text
    assert log_text(text, Style(False, 80)) == "10%\n20%\nred link �(B\n"


def test_all_lines_of_a_command_are_moved_in() -> None:
    assert command_lines(["echo a\n\n::error::b\n", "c\x1b"]) == ["    echo a", "", "    : :error::b", "    c�"]


def test_long_values_go_on_below_themselves() -> None:
    narrow = Style(False, 40)
    assert fields([("name", "one two three four five six seven eight")], narrow) == [
        "    name  one two three four five six",
        "          seven eight",
    ]
    assert wrapped("x" * 100, PLAIN, 4) == ["x" * 100]
    assert wrapped("a b", Style(False, 5), 4) == ["a b"]  # too narrow to be of use


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.1 s"),
        (9.94, "9.9 s"),
        (12.4, "12 s"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations_are_as_people_write_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_names_of_commits_in_reasons_are_short_where_that_is_clear() -> None:
    one, other = "a1" * 20, "b2" * 32
    text = f"runs once for each commit: {one} → {other}+{'c3' * 16}"
    assert reason_text(text) == "runs once for each commit: a1a1a1a1a1a1 → b2b2b2b2b2b2+c3c3c3c3"
    alike = f"{'0' * 39}1 → {'0' * 39}2"
    assert reason_text(alike) == alike


def test_sizes_and_counts_have_their_units() -> None:
    assert [size(count) for count in (0, 1023, 1536, 5 << 30, 3 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 GiB",
        "3.0 TiB",
    ]
    assert (plural(1, "run"), plural(2, "run"), cut("abcdef", 4)) == ("1 run", "2 runs", "abc…")


def _side(name: str, **changes: object) -> Side:
    result = {"record": 1, "provenance": "runner", "material": {"cmd": "x", "param": {"p.yaml:a": 1}}, "outs": {}}
    return Side(name, "c" * 40, "", {"train": Result(**(result | changes))})  # type: ignore[arg-type] # a few of many


def test_two_sides_that_are_alike_say_so() -> None:
    assert "Nothing differs." in compare_text([_side("a"), _side("b")], PLAIN)
    assert compare_json([_side("a"), _side("b")])["differences"] == []


def test_what_differs_is_shown_and_what_does_not_is_counted() -> None:
    one = _side("a", metrics={"m.json": {"auc": 0.5, "n": {"rows": 3}, "same": 1}}, seconds=1.0)
    other = _side(
        "b", metrics={"m.json": {"auc": 0.75, "n": {"rows": 3}, "same": 1}}, seconds=1.01, outs={"o": "1" * 32}
    )
    assert compare_text([one, other], PLAIN).splitlines()[3:] == [
        "metrics       a     b         change",
        "m.json:auc  0.5  0.75  +0.25 (+50 %)",
        "",
        "outputs  a  b",
        "o        -  111111111111",
        "",
        "2 metrics and 1 parameter are the same; `--all` shows everything.",
    ]
    every = compare_text([one, other], PLAIN, everything=True)
    assert "m.json:n.rows    3     3" in every
    assert "p.yaml:a" in every
    assert "--all" not in every
    value = compare_json([one, other])
    assert [row["name"] for row in value["metrics"]] == ["m.json:auc", "m.json:n.rows", "m.json:same"]
    assert [(row["kind"], row["name"], row["delta"]) for row in value["differences"]] == [
        ("metric", "m.json:auc", 0.25),
        ("out", "o", None),
    ]


def test_of_many_metrics_that_differ_the_plain_ones_are_shown() -> None:
    sides = [
        _side(name, metrics={"m.json": {"s": {f"s{n}": n + add for n in range(60)}, "auc": add}})
        for name, add in (("a", 1), ("b", 34))
    ]
    told = compare_text(sides, PLAIN)
    assert "m.json:auc" in told
    assert "s.s38 " in told
    assert "s.s39 " not in told
    assert "and 21 more of train" in told
    assert "+33 (+3,300 %)" in told


def test_what_a_stage_of_the_library_was_given_is_compared_leaf_by_leaf() -> None:
    given = {"estimator": "x.Y", "params": '{"C": 1.0, "tol": 0.1}'}
    changed = given | {"params": '{"C": 10.0, "tol": 0.1}'}
    one, other = (
        _side(name, material={"cmd": str(said), "with": said}) for name, said in (("a", given), ("b", changed))
    )
    told = compare_text([one, other], PLAIN)
    assert "\nwith.params.C  1  10  +9 (+900 %)\n" in told
    assert "cmd" not in told


def test_commands_that_look_alike_are_told_apart() -> None:
    one, other = (_side(name, material={"cmd": cmd}) for name, cmd in (("a", "x y"), ("b", "x  y")))
    assert compare_text([one, other], PLAIN).splitlines()[-1] == 'cmd       "x y"  "x␣␣y"'


def test_a_stage_that_is_recorded_on_one_side_only_is_named() -> None:
    empty = Side("HEAD", "d" * 40, "", {}, {"train": "to run"})
    text = compare_text([_side("HEAD~1"), empty], PLAIN)
    assert "Not recorded for HEAD: train (to run)." in text
    assert compare_json([_side("HEAD~1"), empty])["to"]["missing"] == {"train": "to run"}


def test_a_change_of_whole_numbers_is_shown_to_the_unit() -> None:
    assert (change(9770 - 32157), change(0.123456)) == ("-22387", "+0.1235")


def test_an_error_among_other_words_stands_in_one_line() -> None:
    assert HostError("no room", "is the disk full?\nlook").line == "no room (is the disk full? look)"


def test_a_stop_in_which_no_run_ended_does_not_say_that_none_was_needed() -> None:
    nothing: Any = None
    result = Reconciled(plan=nothing, observation=nothing, steps={}, commits=["a" * 40], cancelled=True)
    said = "recorded what stands now in aaaaaaaaaaaa; no run came to its end; the next reconcile does the rest."
    assert result_line(result, PLAIN) == f"Stopped: {said}"


def test_of_many_files_of_metrics_so_many_are_shown_that_the_last_line_is_seen() -> None:
    metrics = {f"m{number}.json": {"auc": 0.5} for number in range(22)}
    run = RunFacts("r", Address("p", "train"), "ab" * 32, {}, True, "ok", "", "c" * 40, "", 1.0, metrics=metrics)
    told = metric_lines([run], PLAIN)
    assert len(told) == 12
    assert "and 11 files more" in told[-1]


def _outline(*stages: tuple[str, str, Action, int]) -> Outline:
    """A plan with so many stages of each pipeline, name and action, one kind after the other."""
    lines = tuple(
        Line(Address(pipeline, f"{name}{number}"), action, ("why",), None, None)
        for pipeline, name, action, count in stages
        for number in range(count)
    )
    return Outline("d" * 40, None, "", lines, (), (), has_specs=True)


def test_of_many_stages_with_one_action_the_first_are_listed_and_the_others_counted() -> None:
    kinds = [("big", "r", Action.RUN, 30), ("big", "w", Action.WAIT, 900), ("big", "f", Action.FAILED, 40)]
    outline = _outline(*kinds, ("small", "k", Action.KEEP, 3), ("small", "s", Action.RUN, 2))
    text = plan_text(outline, PLAIN, Ground())
    assert [text.count(f" {name}") for name in ("run ", "wait ", "failed ", "keep ")] == [25 + 2, 25, 40, 0]
    assert "    and 5 more to run, 875 more waiting; --all lists them\n  small\n" in text
    assert text.index(" r24 ") < text.index(" w0 ") < text.index(" f39 ") < text.index(" 875 more")
    assert "32 to run, 900 waiting, 40 failed, 3 to keep." in text
    full = plan_text(outline, PLAIN, Ground(), every=True)
    assert full.count(" why\n") == len(outline.lines)
    assert "--all" not in full


def test_a_plan_that_can_be_read_at_once_leaves_nothing_out() -> None:
    text = plan_text(_outline(("p", "r", Action.RUN, 25), ("p", "w", Action.WAIT, 25)), PLAIN, Ground())
    assert text.count(" why\n") == 50
    assert "--all" not in text
