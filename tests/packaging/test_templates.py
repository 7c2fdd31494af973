"""Summaries say what the JSON says, and nothing of a repository can become markup."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from runner.errors import InputError
from runner.report.markdown import escaped, preformatted, rendered

HOSTILE = [
    "a|b",
    "<script>alert(1)</script>",
    "[click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "`code` *bold* __under__ ~~gone~~",
    "https://evil.example www.evil.example ada@evil.example @ada #12",
    "line one\nline two\r\n# heading",
    "</code></td></table><img src=x onerror=alert(1)>",
    "$\\sqrt{x}$ &amp; &#x3c;",
    "\u202egnp.exe \x1b[31mred",
    "\\",
]


def plan_document(**changes: Any) -> dict[str, Any]:
    return {
        "desired": "a" * 40,
        "state": "b" * 40,
        "stages": [step("prepare", "keep"), step("train", "run", "params.yaml: train.max_depth 1 → 2")],
        "summary": {"keep": 1, "run": 1},
        "notices": [],
        "notHandled": [],
    } | changes


def step(stage: str, action: str, *reasons: str) -> dict[str, Any]:
    row = {"pipeline": "tumour", "stage": stage, "action": action, "reasons": list(reasons), "key": None}
    return row | {"reformed": False}


def run(stage: str, *, succeeded: bool = True, message: str = "", **changes: Any) -> dict[str, Any]:
    return {
        "pipeline": "tumour",
        "stage": stage,
        "seconds": 1.25,
        "outcome": "ok" if succeeded else "failed",
        "succeeded": succeeded,
        "message": message,
        "metrics": {},
    } | changes


def result_document(**changes: Any) -> dict[str, Any]:
    return {
        "desired": "a" * 40,
        "state": "b" * 40,
        "commit": "c" * 40,
        "stages": [step("prepare", "keep")],
        "runs": [],
        "hostErrors": [],
    } | changes


class _Page(HTMLParser):
    """What a reader sees: elements, and the text of the cells."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._cell = False
        self.feed(MarkdownIt("gfm-like", {"linkify": False}).render(markdown))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._cell:
            self.rows[-1][-1] += data


def test_a_plan_lists_what_changes_with_its_reasons_and_folds_what_stays() -> None:
    page = _Page(rendered("plan.md.j2", plan_document()))
    assert page.rows == [["action", "stage", "why"], ["▶️ run", "tumour:train", "params.yaml: train.max_depth 1 → 2"]]
    assert "1 to keep, 1 to run." in page.text
    assert "1 kept as recorded" in page.text
    assert "details" in page.elements


def test_names_of_commits_in_reasons_are_short() -> None:
    text = rendered("plan.md.j2", plan_document(stages=[step("train", "run", f"{'a1' * 20} → {'b2' * 20}")]))
    assert "a1a1a1a1a1a1 → b2b2b2b2b2b2" in text


def test_a_plan_with_nothing_to_do_says_so() -> None:
    page = _Page(rendered("plan.md.j2", plan_document(stages=[step("prepare", "keep")], summary={"keep": 1})))
    assert "Nothing to do: 1 stage, all as recorded." in page.text
    assert page.rows == []


def test_a_plan_without_a_state_says_that_nothing_is_recorded() -> None:
    assert "Nothing is recorded yet." in rendered("plan.md.j2", plan_document(state=None))


def test_a_plan_names_what_is_not_handled_and_where() -> None:
    note = {"message": "kind Monitor", "file": "runner.yaml", "line": 12}
    page = _Page(rendered("plan.md.j2", plan_document(notHandled=[note], notices=[note | {"line": 0}])))
    assert "not handled yet: runner.yaml:12: kind Monitor" in page.text
    assert "notice: runner.yaml: kind Monitor" in page.text


def test_a_plan_of_many_stages_stays_within_what_a_job_summary_takes() -> None:
    many = [step(f"stage-{number}", "run", *["a reason " * 40] * 50) for number in range(5_000)]
    text = rendered("plan.md.j2", plan_document(stages=many, summary={"run": 5_000}))
    assert len(text.encode()) < 1 << 20
    assert "4700 more" in _Page(text).text


def test_a_reconcile_tells_runs_metrics_and_the_end_of_the_log_of_a_failure() -> None:
    document = result_document(
        runs=[
            run("train", metrics={"metrics.json": {"roc_auc": 0.99, "test": {"accuracy": 0.95}}}),
            run("evaluate", succeeded=False, message="exit code 1", logTail="first\n\n  last <line>"),
        ]
    )
    page = _Page(rendered("reconcile.md.j2", document))
    assert ["✅ done", "tumour:train", "1.2", ""] in page.rows
    assert ["❌ failed", "tumour:evaluate", "1.2", "exit code 1"] in page.rows
    assert ["tumour:train", "metrics.json", "roc_auc = 0.99, test.accuracy = 0.95"] in page.rows
    assert "first\n\n  last <line>" in page.text
    assert "1 ran, 1 failed." in page.text


def test_of_many_metrics_the_first_are_shown_and_the_others_counted() -> None:
    values = {f"m{number}": number for number in range(200)}
    page = _Page(rendered("reconcile.md.j2", result_document(runs=[run("train", metrics={"m.json": values})])))
    shown = ", ".join(f"m{number} = {number}" for number in range(12))
    assert ["tumour:train", "m.json", f"{shown} and 188 more"] in page.rows


def test_a_reconcile_lists_what_waits_and_not_a_failure_twice() -> None:
    stages = [step("train", "failed", "exit code 1"), step("evaluate", "wait", "train failed")]
    page = _Page(rendered("reconcile.md.j2", result_document(stages=stages, runs=[run("train", succeeded=False)])))
    assert [row[1] for row in page.rows] == ["stage", "tumour:train", "stage", "tumour:evaluate"]


def test_a_reconcile_tells_of_stops_of_races_and_of_bytes_that_moved() -> None:
    assert "Stopped before anything ran." in rendered("reconcile.md.j2", result_document(exitCode=130))
    document = result_document(
        dropped=[{"stage": "tumour:train", "key": "k", "runId": "r", "acceptedRecord": 7}],
        sent=[{"remote": "store", "objects": 2, "sizeBytes": 10}],
        notices=[{"message": "train did not fail", "file": "", "line": 0}],
    )
    text = " ".join(_Page(rendered("reconcile.md.j2", document)).text.split())
    assert "2 objects went to the DVC remote store." in text
    assert "dropped tumour:train: the same work is record 7 already; this run was not recorded" in text
    assert "notice: train did not fail" in text


def test_a_reconcile_that_did_nothing_says_so() -> None:
    page = _Page(rendered("reconcile.md.j2", result_document(stages=[step("a", "keep")], runs=[])))
    assert "Nothing to do: 1 stage, all as recorded." in page.text


def test_a_reconcile_names_what_this_host_could_not_run() -> None:
    errors = [{"stage": "tumour:train", "message": "the disk is full"}]
    page = _Page(rendered("reconcile.md.j2", result_document(commit=None, hostErrors=errors)))
    assert "Nothing ran." in page.text
    assert "this host could not run tumour:train: the disk is full" in page.text
    assert "The record stays at bbbbbbbbbbbb." in page.text


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_stays_text_wherever_it_stands(value: str) -> None:
    row = {"pipeline": value, "stage": value, "reasons": [value, value], "action": "run", "key": value}
    document = plan_document(
        stages=[row],
        commit=None,
        hostErrors=[{"stage": value, "message": value}],
        notices=[{"message": value, "file": value, "line": 1}],
        runs=[run(value, succeeded=False, message=value, metrics={value: {value: value}}, logTail=value)],
    )
    calm = {"pipeline": "p", "stage": "s", "reasons": ["r", "r"], "action": "run", "key": "k"}
    innocent = plan_document(
        stages=[calm],
        commit=None,
        hostErrors=[{"stage": "s", "message": "m"}],
        notices=[{"message": "m", "file": "f", "line": 1}],
        runs=[run("s", succeeded=False, message="m", metrics={"f": {"k": 1}}, logTail="t")],
    )
    for template in ("plan.md.j2", "reconcile.md.j2"):
        assert _Page(rendered(template, document)).elements == _Page(rendered(template, innocent)).elements


@given(st.text())
def test_an_escaped_value_reads_as_it_was_but_for_what_is_not_seen(value: str) -> None:
    markdown = f"x{escaped(value)}x"
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)
    inline = [child.type for token in tokens for child in token.children or []]
    assert set(inline) <= {"text", "text_special"}
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]


def test_an_address_in_a_value_does_not_become_a_link() -> None:
    html = MarkdownIt("commonmark").render(str(escaped("see https://evil.example and www.evil.example")))
    assert "<a" not in html
    assert "://" not in str(escaped("https://evil.example"))
    assert "www." not in str(escaped("www.evil.example"))


def test_a_preformatted_value_keeps_lines_and_escapes_elements() -> None:
    assert preformatted("a\r\n<b>\n") == "a\n&lt;b&gt;\n"


def test_a_template_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(InputError, match=r"'\.\./secret' is not a template") as caught:
        rendered("../secret", {})
    assert "plan.md.j2" in caught.value.hint


@pytest.mark.parametrize("template", ["plan.md.j2", "reconcile.md.j2"])
def test_releases_are_told_with_what_became_of_them(template: str) -> None:
    target = {"kind": "command", "state": "failed", "version": 3, "why": "exit code 9", "servers": []}
    row = {"deployment": "api", "environment": "production", "outcome": "rolledBack", "why": "v2 failed", "version": 3}
    made = plan_document if template == "plan.md.j2" else result_document
    page = _Page(rendered(template, made(releases=[{**row, "replaces": 2, "target": target}])))
    assert page.rows[-2:] == [
        ["↩️ rolledBack", "api v3 in production", "v2 failed"],
        ["❌ failed", "api v3 in production", "exit code 9"],
    ]
