"""What a project lacks: every line of advice is right where it is put, and what it was about is gone afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.core.practices import PRACTICES
from tests.cli.command import Answer, call
from tests.docs.pages import ROOT, anchors, page
from tests.repositories import GitRepo, git, new_repository

LIBRARY = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: churn}
spec:
  stages:
    train:
      uses: train
      with: {data: data/raw.csv, target: churned, estimator: sklearn.svm.SVC, format: joblib}
      outs: [models/churn]
"""
EVALUATE = """\
    evaluate:
      uses: evaluate
      with: {model: models/churn, data: d.csv, allow_pickle: true}
      metrics: [m.json]
"""
OWN = """\
stages:
  prepare: {cmd: prepare, deps: [data/raw.csv], outs: [data/train.csv, data/test.csv]}
  train: {cmd: train, deps: [data/train.csv], outs: [model.onnx]}
  evaluate: {cmd: evaluate, deps: [model.onnx, data/test.csv], outs: [report.txt]}
"""
TABLE = "age,city,churned\n" + "".join(f"{20 + row % 40},{'ab'[row % 2]},{'yn'[row % 3 == 0]}\n" for row in range(60))
FOUND_HERE = {"secrets", "remote", "recorded", "host", "signing", "trust"}
"""Practices that no line of a file adds."""


def doctor(folder: Path, *words: str) -> list[dict[str, Any]]:
    answer = call(folder, "doctor", "--json", *words)
    assert answer.code == 0, answer.err
    findings: list[dict[str, Any]] = answer.json["findings"]
    return findings


def practices(folder: Path, *words: str) -> list[str]:
    return [row["practice"] for row in doctor(folder, *words)]


def follow(repo: GitRepo, row: dict[str, Any]) -> None:
    """Do what a finding says, as a person would."""
    for command in row["commands"]:
        words = command.split()
        if words[:2] == ["runner", "contract"]:
            (repo.path / words[-1]).parent.mkdir(exist_ok=True)
            assert call(repo.path, *words[1:]).code == 0
        elif words[:2] == ["pip", "freeze"]:
            (repo.path / words[-1]).write_text("numpy==2.4.0\n")
        else:
            assert words == ["dvc", "init"]  # which makes the folder that the lines go into
    for lines in row["lines"]:
        file = repo.path / lines["file"]
        file.parent.mkdir(exist_ok=True)
        before = file.read_text() if file.exists() else ""
        file.write_text(
            before + lines["text"] if lines["isNew"] or lines["kind"] == "dvc config" else joined(before, lines)
        )


def joined(before: str, lines: dict[str, Any]) -> str:
    """The file with lines in one of its documents."""
    documents = list(yaml.safe_load_all(before))
    is_it = [
        lines["kind"] == "dvc.yaml"
        or (row["kind"] == lines["kind"] and lines["name"] in ("", row.get("metadata", {}).get("name")))
        for row in documents
    ]
    index = is_it.index(True)
    documents[index] = merged(documents[index], yaml.safe_load(lines["text"]))
    return yaml.safe_dump_all(documents, sort_keys=False)


def merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {key: merged(one[key], value) if key in one else value for key, value in other.items()}
    return one + other if isinstance(one, list) and isinstance(other, list) else other


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            {"runner.yaml": LIBRARY, "data/raw.csv": TABLE},
            {*("storage", "contract", "holdout", "metrics", "gates", "objective", "owners", "environment", "format")}
            | {*("fairness", "kpis", "card")},
            id="library",
        ),
        pytest.param(
            {"dvc.yaml": OWN, "data/raw.csv": TABLE, ".dvc/config": ""},
            {*("storage", "contract", "holdout", "metrics", "gates", "objective", "owners", "environment", "seed")}
            | {"kpis"},
            id="adopted",
        ),
    ],
)
def test_each_finding_is_gone_once_its_lines_are_added_and_the_specs_are_valid(
    files: dict[str, str], expected: set[str], tmp_path: Path
) -> None:
    repo = new_repository(tmp_path / "p", files)
    seen = set()
    while True:
        rows = [row for row in doctor(repo.path) if row["practice"] not in FOUND_HERE]
        if not rows:
            break
        practice = rows[0]["practice"]
        assert practice not in seen, rows[0]
        seen.add(practice)
        follow(repo, rows[0])
        answer = call(repo.path, "validate")
        assert answer.code == 0, answer.out + answer.err
    assert seen == expected


def test_all_lines_of_one_report_can_be_added_from_top_to_bottom(tmp_path: Path) -> None:
    repo = new_repository(tmp_path / "p", {"dvc.yaml": OWN, "data/raw.csv": TABLE, ".dvc/config": ""})
    for row in doctor(repo.path):
        if row["practice"] not in FOUND_HERE:
            follow(repo, row)
    answer = call(repo.path, "validate")
    assert answer.code == 0, answer.out + answer.err
    new = {"environment"}  # of the pipeline that these lines begin
    assert set(practices(repo.path)) <= FOUND_HERE | new


def test_what_is_asked_of_groups_of_stages_is_done_by_the_lines_that_are_shown(tmp_path: Path) -> None:
    fields = "cmd: 'x ${item}', deps: [d.csv], outs: ['${item}.onnx']"
    loop = f"    foreach: [a, b]\n    do: {{{fields}}}\n"
    grid = f"    {{matrix: {{n: [1, 2]}}, {fields.replace('item', 'item.n')}}}\n"
    document = "apiVersion: runner/v1\nkind: Pipeline\nmetadata: {name: %s}\nspec:\n  stages:\n    train:\n%s"
    own = document % ("own", "".join(f"  {line}\n" for line in loop.replace("onnx", "pt").splitlines()))
    files = {"dvc.yaml": f"stages:\n  train:\n{loop}  grid:\n{grid}", "runner.yaml": own, "d.csv": TABLE}
    repo = new_repository(tmp_path / "p", {**files, ".dvc/config": ""})
    rows = {row["practice"]: row for row in doctor(repo.path)}
    assert rows["environment"]["message"].startswith("6 stages say")
    for practice, count in (("environment", 3), ("seed", 3)):
        assert len(rows[practice]["lines"]) == count
        follow(repo, rows[practice])
        assert call(repo.path, "validate").code == 0
        assert practice not in practices(repo.path)


def test_a_group_of_stages_and_a_pickle_are_told_without_lines_that_would_be_wrong(tmp_path: Path) -> None:
    stages = (
        "stages:\n  train:\n    foreach: [a, b]\n    do: {cmd: 'x ${item}', deps: [d.csv], outs: ['${item}.joblib']}\n"
    )
    repo = new_repository(tmp_path / "p", {"dvc.yaml": stages, "d.csv": TABLE, ".dvc/config": ""})
    rows = {row["practice"]: row for row in doctor(repo.path)}
    assert rows["seed"]["message"] == "No seed is stated for `train@a`, `train@b`."
    assert rows["metrics"]["lines"] == rows["format"]["lines"] == []
    repo.commit({"runner.yaml": LIBRARY.replace("data/raw.csv", "d.csv") + EVALUATE})
    rows = {row["practice"]: row for row in doctor(repo.path)}
    texts = "".join(row["text"] for row in rows["format"]["lines"])
    assert "format: skops" in texts
    assert "allow_pickle: false" in texts


def test_what_is_worth_most_stands_first(tmp_path: Path) -> None:
    repo = new_repository(tmp_path / "p", {"runner.yaml": LIBRARY, "data/raw.csv": TABLE})
    order = [practice.name for practice in PRACTICES]
    found = practices(repo.path)
    assert found == sorted(found, key=order.index)
    assert found[:4] == ["remote", "storage", "recorded", "contract"]


def test_it_works_without_a_repository_without_a_commit_and_in_a_bare_clone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert practices(tmp_path / "empty")[0] == "repository"
    git(tmp_path / "empty", "init", "--quiet")
    assert practices(tmp_path / "empty")[:2] == ["specs", "remote"]
    git(tmp_path, "init", "--quiet", "--bare", "bare.git")
    assert practices(tmp_path / "bare.git")[:2] == ["specs", "remote"]
    repo = new_repository(tmp_path / "p", {"runner.yaml": LIBRARY, "data/raw.csv": TABLE})
    git(tmp_path, "clone", "--quiet", "--bare", str(repo.path), "clone.git")
    assert practices(tmp_path / "clone.git") == [name for name in practices(repo.path) if name != "remote"]
    assert call(tmp_path / "clone.git", "doctor", "--json").json["commit"] == repo.head


def test_a_practice_that_is_declined_is_not_asked_for(tmp_path: Path) -> None:
    project = (
        "---\napiVersion: runner/v1\nkind: Project\nspec:\n  doctor: {skip: {fairness: The rows are about pumps.}}\n"
    )
    repo = new_repository(tmp_path / "p", {"runner.yaml": LIBRARY + project, "data/raw.csv": TABLE})
    assert "fairness" not in practices(repo.path)
    assert "declined: fairness: The rows are about pumps." in call(repo.path, "doctor").out
    repo.commit({"runner.yaml": LIBRARY + project.replace("fairness", "fairnes")})
    answer = call(repo.path, "validate")
    assert "unknown key `fairnes` in `skip` (did you mean `fairness`?)" in answer.err + answer.out
    assert practices(repo.path)[0] == "specs"


def test_strict_ends_with_3_where_anything_lacks(tmp_path: Path) -> None:
    answer = call(tmp_path, "doctor", "--strict")
    assert answer.code == 3
    assert "1. repository: There is no git repository here." in answer.out


def test_what_the_host_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_ISOLATION", "group")
    text = LIBRARY.replace("      outs:", "      secrets: [TOKEN_OF_DOCTOR]\n      outs:")
    repo = new_repository(tmp_path / "p", {"runner.yaml": text, "data/raw.csv": TABLE})
    rows = {row["practice"]: row for row in doctor(repo.path)}
    assert rows["secrets"]["commands"] == ["export TOKEN_OF_DOCTOR=..."]
    assert "isolation: group" in rows["host"]["message"]
    monkeypatch.setenv("TOKEN_OF_DOCTOR", "x")
    assert "secrets" not in practices(repo.path)


def test_a_summary_for_a_pull_request_has_the_same_lines(tmp_path: Path) -> None:
    repo = new_repository(tmp_path / "p", {"runner.yaml": LIBRARY, "data/raw.csv": TABLE})
    answer: Answer = call(repo.path, "doctor", "--format", "markdown")
    assert answer.code == 0, answer.err
    assert "<pre>spec:\n  stages:\n    validate:\n      uses: validate" in answer.out


def test_every_practice_has_a_page_a_row_in_the_documentation_and_a_name_to_decline_it_by() -> None:
    names = [practice.name for practice in PRACTICES]
    for practice in PRACTICES:
        file, _, anchor = practice.page.partition("#")
        assert not anchor or anchor in anchors(page(file)), practice.page
    rows = [line.split("`")[1] for line in page("docs/doctor.md").splitlines() if line.startswith("| `")]
    assert rows == ["repository", *names]
    schema = json.loads((ROOT / "schemas/project.schema.json").read_text())
    skip = schema["properties"]["spec"]["properties"]["doctor"]["properties"]["skip"]["properties"]
    assert set(skip) == {*names} - {"specs"}
