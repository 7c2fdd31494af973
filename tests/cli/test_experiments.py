"""Recorded runs as experiments: tables over branches, comparisons of several, pictures."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.cli.command import Answer, call, reconciled
from tests.cli.worlds import Team, copy_of
from tests.repositories import GitRepo

SVG = "{http://www.w3.org/2000/svg}"


def _listed(team: Team, *words: str) -> list[dict[str, Any]]:
    answer = call(team.path, "runs", "list", "--json", *words)
    assert answer.code == 0, answer.err
    rows: list[dict[str, Any]] = answer.json["runs"]
    return rows


def test_runs_of_all_branches_are_in_one_table_each_once(team: Team) -> None:
    rows = _listed(team)
    assert len({row["runId"] for row in rows}) == len(rows)
    proposed = [row["name"] for row in rows if row["branch"] == "feature"]
    assert proposed
    assert all(name.startswith("feature@") for name in proposed)
    assert [row["name"] for row in _listed(team, "--branch", "feature")] == proposed
    assert {row["ref"] for row in _listed(team, "--branch", "main")} == {"runner/state"}
    # What the proposal began with is on its state branch as well, and is not its own.
    assert len(_listed(team, "--ref", "runner/proposed/feature")) > len(proposed)
    assert rows == sorted(rows, key=lambda row: str(row["startedAt"]), reverse=True)
    shown = call(team.path, "runs", "show", proposed[0], "--json")
    assert shown.json["record"] == int(proposed[0].partition("@")[2])


def test_a_run_shows_the_parameters_of_what_made_its_inputs(team: Team) -> None:
    rows = {row["name"]: row["params"] for row in _listed(team, "--stage", "evaluate")}
    assert rows["4"] == {
        "params.yaml:evaluate.threshold": 81,
        "params.yaml:train.depth": 3,
        "params.yaml:train.rate": 0.1,
    }
    assert rows["9"]["params.yaml:train.depth"] == 4
    # It builds on a run that was taken over, since one with another depth left the same bytes later.
    assert rows["feature@14"]["params.yaml:train.depth"] == 3


def test_filters_sorting_and_columns_choose_what_is_shown(team: Team) -> None:
    def names(*words: str) -> list[str]:
        return [row["name"] for row in _listed(team, *words)]

    assert names("--where", "metrics.auc > 0.8 and branch = main", "--sort", "metrics.auc") == ["4", "9"]
    assert names("--where", "metrics.auc > 0.8 and branch = main", "--sort=-auc") == ["9", "4"]
    assert names("--stage", "evaluate", "--branch", "main", "--sort", "auc", "--reverse") == ["9", "4"]
    assert names("--where", "subject ~ 'deeper' and stage == train") == ["8", "7"]
    assert names("--where", f"commit == {team.first[:8]} and stage in (prepare, report)") == ["5", "1"]
    assert names("--where", "metrics.auc > 7") == []
    shown = call(team.path, "runs", "list", "--columns", "record,started").out.splitlines()[1].split(maxsplit=1)[1]
    assert names("--where", f"started == '{shown.strip()}'") == names("--where", f"started >= '{shown.strip()}'")
    assert names("--where", "started > '2999-01-01 17:00'") == []
    told = call(team.path, "runs", "list", "--where", "auc > 0.8 and branch = main", "--columns", "record,depth,auc")
    assert [line.split() for line in told.out.splitlines()] == [
        ["record", "train.depth", "auc"],
        ["9", "4", "0.85"],
        ["4", "3", "0.81"],
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--where", "auc >"], "--where, character 6: it ends where a value should be"),
        (["--where", "metrics.auk > 1"], "--where, character 1: no run has a column `metrics.auk`"),
        (["--where", "started > yesterday"], "--where, character 11: `yesterday` is no time"),
        (["--where", "metrics.auc > abc"], "--where, character 15: `abc` is no number, as `metrics.auc` is"),
        (["--sort", "nothing"], "--sort: no run has a column `nothing`"),
        (["--columns", "record,metrics.acc"], "--columns: no run has a column `metrics.acc`"),
        (["--branch", "nowhere"], "there is no state branch nowhere here"),
        (["--csv", "--json"], "--csv and --json are two forms of the result"),
        (["--same-as", "6"], "record 6 is of no run"),
        (["--same-as", "nothing"], "there is no stage nothing"),
        (["--stage", "nothing"], "there is no stage nothing"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(words: list[str], said: str, team: Team) -> None:
    answer = call(team.path, "runs", "list", *words)
    assert (answer.code, "Traceback" in answer.err) == (1, False)
    assert said in answer.err or "--json" in words


def test_where_the_same_work_already_ran_is_told(team: Team) -> None:
    assert [row["name"] for row in _listed(team, "--same-as", "evaluate")] == ["9"]
    assert [row["name"] for row in _listed(team, "--same-as", "2")] == ["2"]
    explained = call(team.path, "explain", "evaluate")
    assert re.search(
        r"metrics +acc.us 0.5, acc.de 0.75, auc 0.85|metrics +acc.de 0.75, acc.us 0.5, auc 0.85", explained.out
    )
    assert f"for commit  {team.deeper[:12]}" in explained.out


def test_a_table_is_csv_for_spreadsheets(team: Team) -> None:
    answer = call(team.path, "runs", "list", "--csv", "--stage", "evaluate", "--branch", "main")
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert [row["metrics.metrics.json:auc"] for row in rows] == ["0.85", "0.81"]
    assert rows[0]["params.params.yaml:train.depth"] == "4"
    assert rows[0]["subject"] == "Deeper trees"


def test_any_number_of_sides_are_compared(team: Team) -> None:
    answer = call(team.path, "runs", "compare", "4", "9", "4", "--json")
    (auc,) = [row for row in answer.json["metrics"] if row["name"] == "metrics.json:auc"]
    assert (auc["values"], auc["delta"], auc["percent"]) == ([0.81, 0.85, 0.81], 0.0, 0.0)
    told = call(team.path, "runs", "compare", "4", "9", "4")
    assert re.search(r"metrics.json:auc +0.81 +0.85 \(\+0.04\) +0.81", told.out)
    rows = list(csv.DictReader(io.StringIO(call(team.path, "runs", "compare", "4", "9", "--csv").out)))
    (row,) = [row for row in rows if row["name"] == "metrics.json:auc"]
    assert (row["record 4"], row["record 9"], row["delta"], row["percent"]) == ("0.81", "0.85", "0.04", "4.938272")
    assert call(team.path, "runs", "compare", "4", "HEAD").code == 1


def test_a_proposal_that_anybody_damaged_hides_no_other_runs(team: Team, tmp_path: Path) -> None:
    team = copy_of(team, tmp_path)
    git = team.repo.git
    before = call(team.path, "runs", "list").out
    for number, odd in enumerate(['{"payload": 1}\n', "[]", "\x00"]):
        (tmp_path / "odd").write_text(odd)
        blob = git("hash-object", "-w", str(tmp_path / "odd"))
        git("read-tree", "refs/remotes/origin/runner/proposed/feature")
        git("update-index", "--add", "--cacheinfo", f"100644,{blob},.runner/ledger/records/000000099.json")
        parents = ("-p", "refs/remotes/origin/runner/proposed/feature")
        commit = git("commit-tree", git("write-tree"), *parents, "-m", "evil")
        git("update-ref", f"refs/remotes/origin/runner/proposed/evil{number}", commit)
    git("read-tree", "HEAD")
    answer = call(team.path, "runs", "list")
    assert answer.code == 0
    assert answer.out == before
    assert answer.err.count("is left out from where it cannot be read") == 3
    assert call(team.path, "plan").code == 2


# ----- pictures


@pytest.fixture(scope="module")
def drawn(own_world: object, tmp_path_factory: pytest.TempPathFactory) -> GitRepo:
    """Two runs with curves: one in git, one in the cache, and one within a folder."""
    made = reconciled(tmp_path_factory.mktemp("drawn") / "p", _files("0.1"))
    made.commit({"params.yaml": "rate: 0.2\n"}, "<b>Rate & more</b>")
    made.push()
    assert call(made.path, "reconcile").code == 0
    return made


def _files(rate: str) -> dict[str, str]:
    stages = """\
  train:
    cmd: bash train.sh
    deps: [train.sh]
    params: [rate]
    outs: [curves]
    metrics: [m.json: {cache: false}]
    plots: [roc.csv: {cache: false, x: fpr, y: tpr}, loss.json]
"""
    script = """\
rate=$(sed 's/.*: *//' params.yaml)
mkdir curves
printf 'label,tpr,fpr\\na,0,0\\na,%s,0.5\\nb,0,0\\nb,1,1\\n' $rate | tee curves/in.csv > roc.csv
echo '{"loss": [{"step": 0, "loss": 3}, {"step": 1, "loss": 2}]}' > loss.json
echo "{\\"<script>alert(1)</script>\\": $rate, \\"auc\\": $rate}" > m.json
"""
    head = "apiVersion: runner/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  stages:\n"
    text = "".join(f"  {line}\n" for line in stages.splitlines())
    return {"runner.yaml": head + text, "train.sh": script, "params.yaml": f"rate: {rate}\n"}


def _svg(answer: Answer) -> ElementTree.Element:
    assert answer.code == 0, answer.err
    return ElementTree.fromstring(answer.out)


def _titles(root: ElementTree.Element, *names: str) -> list[str]:
    return [
        str(title.text) for name in names for shape in root.iter(SVG + name) for title in shape.findall(f"{SVG}title")
    ]


def test_a_metric_is_drawn_over_time_or_against_a_parameter(drawn: GitRepo) -> None:
    root = _svg(call(drawn.path, "runs", "plot", "--y", "auc"))
    assert "auc" in root.attrib["aria-label"]
    assert len(list(root.iter(f"{SVG}polyline"))) == 1
    (first, second) = _titles(root, "circle")
    assert first.startswith("record 1, train of main, auc 0.1, ")
    assert second.endswith("<b>Rate & more</b>")
    points = _svg(call(drawn.path, "runs", "plot", "--y", "auc", "--x", "params.rate"))
    assert not list(points.iter(f"{SVG}polyline"))
    assert ", rate 0.2," in _titles(points, "circle")[1]
    axes = _svg(call(drawn.path, "runs", "plot", "--parallel"))
    assert len(list(axes.iter(f"{SVG}polyline"))) == 2


def test_curves_that_runs_recorded_are_drawn_side_by_side(drawn: GitRepo) -> None:
    numbers = [row["name"] for row in call(drawn.path, "runs", "list", "--json", "--reverse").json["runs"]]
    for path in ("roc.csv", "curves/in.csv"):
        words = ["--x", "fpr", "--y", "tpr"] if path == "curves/in.csv" else []  # as the specs say of the other one
        root = _svg(call(drawn.path, "runs", "plot", *numbers, "--plot", path, *words))
        assert "tpr by fpr" in root.attrib["aria-label"]
        assert set(_titles(root, "polyline")) == {f"record {n} · {label}" for n in numbers for label in "ab"}
    loss = _svg(call(drawn.path, "runs", "plot", *numbers, "--plot", "loss.json"))
    assert "loss by step" in loss.attrib["aria-label"]


def test_a_page_has_pictures_and_a_table_and_nothing_that_a_run_said_is_markup(drawn: GitRepo, tmp_path: Path) -> None:
    page = tmp_path / "runs.html"
    answer = call(drawn.path, "runs", "plot", "--out", str(page), "--json")
    assert answer.json["pictures"] == ["auc", "<script>alert(1)</script>"] or len(answer.json["pictures"]) == 2
    text = page.read_text()
    assert text.count("<script>") == 1
    assert "alert(1)</script>" not in text
    assert text.count("<svg ") == 2
    policy = re.search(r'content="default-src \'none\'; ([^"]*)"', text)
    assert policy is not None
    assert "script-src 'sha256-" in policy[1]
    assert _digest_of_script(text) in policy[1]


def test_what_is_not_drawn_is_counted_and_pictures_of_one_metric_in_two_files_say_which(tmp_path: Path) -> None:
    outs = "metrics: [one.json: {cache: false}, two.json: {cache: false}]"
    values = ", ".join(f'"m{number}": 1' for number in range(7))
    script = f"echo '{{{values}}}' | tee one.json > two.json\n"
    made = reconciled(
        tmp_path / "p",
        {"dvc.yaml": f"stages:\n  s: {{cmd: bash s.sh, deps: [s.sh], {outs}}}\n", "s.sh": script, ".dvc/config": ""},
    )
    page = tmp_path / "runs.html"
    answer = call(made.path, "runs", "plot", "--out", str(page), "--json")
    titles = answer.json["pictures"]
    assert (len(titles), {title.partition(":")[0] for title in titles}) == (12, {"one.json", "two.json"})
    assert answer.json["notes"] == ["12 of 14 metrics; --y names others"]
    assert "12 of 14 metrics; --y names others" in answer.err
    assert "<p>12 of 14 metrics; --y names others</p>" in page.read_text()
    (row, *_) = call(made.path, "runs", "list", "--columns", "record,one.json:m0,two.json:m0").out.splitlines()
    assert row.split() == ["record", "one.json:m0", "two.json:m0"]
    few = call(made.path, "runs", "plot", "--y", "one.json:m0,two.json:m0", "--json")
    assert (few.json["pictures"], few.json["notes"]) == (["one.json:m0", "two.json:m0"], [])


def _digest_of_script(text: str) -> str:
    import base64
    import hashlib

    script = text.partition("<script>")[2].partition("</script>")[0]
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--y", "nothing"], 1, "no run has a column `nothing`"),
        (["--plot", "roc.csv"], 1, "--plot needs records"),
        (["1", "--plot", "nothing.csv"], 1, "record 1 has no nothing.csv"),
        (["1", "--plot", "roc.csv", "--x", "fp"], 1, "roc.csv has no column fp"),
        (["1", "--plot", "m.json"], 1, "m.json of record 1 is no table"),
        (["--out", "picture.png"], 1, "is neither a picture nor a page"),
        (["--out", "nowhere/p.svg"], 1, "No such file or directory"),
        (["--where", "auc > 5"], 1, "there are no such recorded runs"),
    ],
)
def test_what_cannot_be_drawn_is_told(words: list[str], code: int, said: str, drawn: GitRepo) -> None:
    answer = call(drawn.path, "runs", "plot", *words)
    assert answer.code == code
    assert said in answer.err


def test_bytes_that_are_not_here_are_told_with_how_to_get_them(drawn: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_HOME", str(drawn.path.parent / "another home"))
    answer = call(drawn.path, "runs", "plot", "1", "--plot", "loss.json")
    assert answer.code == 4
    assert "its bytes are not on this host" in answer.err
    assert "runner pull train" in answer.err
    assert call(drawn.path, "runs", "plot", "1", "--plot", "roc.csv").code == 0
