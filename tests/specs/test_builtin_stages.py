"""Stages of the library in specs: what they turn into, for the runner and for DVC, and what is in their run keys."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.nouns import Stage
from runner.core.runkey import differences, material_of, run_key
from runner.specs.builtin_stages import BUILTINS, command_of, inputs_of, problems_of, schema_of, text_of, value_of
from runner.specs.places import Locator
from runner.specs.schemas import check
from tests.repositories import GitRepo
from tests.specs.readings import DVC_PROJECT, desired_of, findings_of, seen_by_runner
from tests.specs.test_render import HEAD, as_dvc_sees_the_rendered

SPEC = """\
  stages:
    split:
      uses: split
      with: {parts: "${parts}", data: "${paths.raw}", stratify: "it's $HOME \\\\${escaped}"}
      outs: [a.csv, b.csv: {cache: false}]
    each:
      matrix:
        by: [id, "it's ${paths.raw}"]
        seed: [1, 2]
      wdir: sub
      uses: split
      with: {data: ../raw.csv, parts: [0.5, 0.5], groups: "${item.by}"}
      outs: ["${item.by}-${item.seed}-a.csv", "${item.by}-${item.seed}-b.csv": {push: false}]
      seed: ${item.seed}
    list:
      foreach: ["1", "2"]
      do:
        uses: split
        with: {data: raw.csv, parts: "${parts}"}
        outs: ["l${item}.csv", "m.${item}.csv"]
    plain: {cmd: "cat ${paths.raw} > plain", deps: ["${paths.raw}"], outs: [plain]}
"""
PARAMS = "parts: [0.8, 0.2]\npaths: {raw: raw.csv}\n"
Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _stages(make: Callable[..., GitRepo], spec: str = SPEC, name: str = "repo") -> tuple[GitRepo, dict[str, Stage]]:
    files = {"runner.yaml": HEAD + spec, "params.yaml": PARAMS, "raw.csv": "a\n1\n", "sub/x": ""}
    repo = make({**DVC_PROJECT, **files}, name=name)
    return repo, {stage.address.stage: stage for stage in desired_of(repo).stages()}


def _key(stage: Stage) -> dict[str, Any]:
    return material_of(stage, shell="sh", deps=dict.fromkeys(stage.deps, "0"), params={}).as_json()


def test_what_with_says_becomes_a_command_and_its_inputs_dependencies(git_repo: Callable[..., GitRepo]) -> None:
    _, stages = _stages(git_repo)
    split = stages["split"]
    assert shlex.split(split.cmd[0]) == [
        *("runner", "stage", "split", "--data=raw.csv", "--parts=[0.8, 0.2]"),
        "--stratify=it's $HOME ${escaped}",
        *("--out=a.csv", "--out=b.csv"),
    ]
    assert (split.deps, split.uses, stages["plain"].uses) == (("raw.csv",), "split@1", "")
    assert stages["each@id-1"].deps == ("raw.csv",)
    assert stages["each@id-1"].cmd[0].startswith("runner stage split --data=../raw.csv --groups=id ")


def test_dvc_reads_the_rendered_file_to_the_same_stages(git_repo: Callable[..., GitRepo]) -> None:
    repo, stages = _stages(git_repo)
    rendered = desired_of(repo).pipelines[0].rendered
    assert rendered is not None
    assert len(stages) == 8
    assert as_dvc_sees_the_rendered(repo, rendered) == {name: seen_by_runner(stage) for name, stage in stages.items()}


def test_name_version_and_each_argument_are_in_the_key_and_the_order_they_are_written_in_is_not(
    git_repo: Callable[..., GitRepo],
) -> None:
    one, other, third = (
        _key(
            _stages(git_repo, f"  stages:\n    s: {{uses: split, with: {{{given}}}, outs: [o.csv, p.csv]}}\n", given)[
                1
            ]["s"]
        )
        for given in (
            "data: raw.csv, parts: [0.8, 0.2]",
            "parts: [0.8, 0.2], data: raw.csv",
            "data: raw.csv, parts: [0.5, 0.5], time: when",
        )
    )
    assert one == other
    assert differences(one, third) == ["with parts: [0.8, 0.2] → [0.5, 0.5]", "with time added: when"]
    assert differences({**one, "uses": "split@0"}, one) == ["uses split@0 → split@1"]


def test_a_command_of_the_teams_own_has_the_key_that_it_had_before_there_was_a_library(
    git_repo: Callable[..., GitRepo],
) -> None:
    _, stages = _stages(git_repo)
    material = material_of(stages["plain"], shell="/bin/sh", deps={"raw.csv": "0" * 32}, params={})
    assert not {"uses", "with"} & material.as_json().keys()
    assert run_key(material) == "291894ffeeb9fdde9db0ed0b828acddbde05ed79775964d63ef06065200f12f2"


def test_a_stage_that_asks_the_clock_has_to_run_for_each_commit() -> None:
    stage = {"uses": "validate", "with": {"data": "d", "contract": "c", "as_of": "now"}}
    [(path, message, _)] = problems_of("validate", stage)
    assert (path, "asks the clock" in message) == (("with", "as_of"), True)
    assert [*problems_of("validate", {**stage, "always_changed": True})] == []


def test_a_date_among_arguments_is_the_text_that_it_looks_like(git_repo: Callable[..., GitRepo]) -> None:
    given = "{data: raw.csv, contract: sub/x, as_of: 2026-06-01}"
    stages = _stages(git_repo, f"  stages:\n    s: {{uses: validate, with: {given}, outs: [o]}}\n")[1]
    assert "--as_of=2026-06-01" in stages["s"].cmd[0]


def test_outputs_that_cannot_be_are_told_before_anything_runs() -> None:
    given = {"data": "d", "contract": "c", "on_fail": "quarantine"}
    stage = {"uses": "validate", "with": given, "outs": ["good.csv", "page.html"]}
    assert [path for path, _, _ in problems_of("validate", stage)] == [("with", "on_fail")]
    assert [*problems_of("validate", {**stage, "outs": ["good.csv", {"bad.csv": {"cache": False}}]})] == []
    profile = {"with": {"data": "d"}, "outs": ["p.json", "p.pdf"]}
    assert [path for path, _, _ in problems_of("profile", profile)] == [("outs", 1)]


@given(Json)
def test_a_value_comes_out_of_an_argument_as_it_went_in(value: Any) -> None:
    assert json.dumps(value_of(text_of(value)), sort_keys=True) == json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("name", BUILTINS)
def test_the_example_of_each_schema_is_right_and_each_argument_explained(name: str) -> None:
    schema = schema_of(name)
    assert schema["examples"]
    for example in schema["examples"]:
        assert check(BUILTINS[name].kind, example, Locator("", lambda: "")) == []
        assert shlex.split(command_of({"uses": name, "with": example}))[:3] == ["runner", "stage", name]
    assert any([*inputs_of(name, example)] for example in schema["examples"])
    assert [key for key, inner in schema["properties"].items() if not inner.get("description")] == []
    assert not {"out", "metrics", "plots", "help"} & schema["properties"].keys()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("1: a", "the key `1` in `with` is not text"),
        ("true: a", "the key `True` in `with` is not text"),
        ("null: a", "the key `None` in `with` is not text"),
        ("stratify: {1: a, b: c}", "the key `1` in `with` is not text"),
        ("stratify: !!binary aGVsbG8=", "a value in `with` is a bytes, which no argument can be"),
        ("stratify: !!set {a, b}", "a value in `with` is a set, which no argument can be"),
        ("stratify: {a: b}", "`stratify` must be text, not a mapping"),
        (f'stratify: "{chr(39) * 50_000}"', "the command that `split` stands for has "),
    ],
    ids=lambda value: value[:40],
)
def test_what_no_argument_can_say_is_a_finding(given: str, told: str, git_repo: Callable[..., GitRepo]) -> None:
    said = f"{{data: raw.csv, parts: [0.5, 0.5], {given}}}"
    spec = f"  stages:\n    s: {{uses: split, with: {said}, outs: [o.csv, p.csv]}}\n"
    repo = git_repo({"runner.yaml": HEAD + spec, "raw.csv": "a\n1\n"})
    findings = findings_of(repo)
    assert any(told in found for found in findings), findings
    assert all(found.startswith("runner.yaml:") for found in findings)


def test_an_input_that_with_and_deps_spell_otherwise_is_one_to_dvc_as_well(git_repo: Callable[..., GitRepo]) -> None:
    spec = """\
  stages:
    s: {uses: split, deps: [./raw.csv, sub/x], with: {data: raw.csv, parts: [0.5, 0.5]}, outs: [o.csv, p.csv]}
"""
    repo, stages = _stages(git_repo, spec)
    rendered = desired_of(repo).pipelines[0].rendered
    assert stages["s"].deps == ("raw.csv", "sub/x")
    assert rendered is not None
    assert rendered.count("raw.csv") == 2  # in the command, and among the deps


def test_items_of_a_group_that_are_equal_and_not_the_same_stay_apart(git_repo: Callable[..., GitRepo]) -> None:
    spec = """\
  stages:
    s:
      foreach: {a: {x: 1}, b: {x: true}, c: {x: "1"}}
      do: {uses: split, with: {data: raw.csv, parts: [1], stratify: "${item.x}"}, outs: ["${key}.csv"]}
"""
    repo = git_repo({"runner.yaml": HEAD + spec, "raw.csv": "a\n"})
    assert {found.split("`stratify` ")[1].split(" (")[0] for found in findings_of(repo)} == {
        "must be text, not the number 1", "must be text, not true",
    }  # fmt: skip


def test_a_card_has_the_words_of_the_project_where_it_says_none(git_repo: Callable[..., GitRepo]) -> None:
    pipeline = """\
  stages:
    one: {uses: card, with: {model: m}, outs: [c.md]}
    two: {uses: card, with: {model: m, owners: ["@bob"]}, outs: [d.md]}
    three:
      foreach: [a, b]
      do: {uses: card, with: {model: m, title: "${item}"}, outs: ["${item}.md"]}
"""
    project = """\
---
apiVersion: runner/v1
kind: Project
spec:
  objective: {statement: %s, metric: "m.json:a"}
  owners: [{name: "@alice", role: model}, "@eve"]
  kpis: [{name: churn, target: 0.5, direction: down, source: {file: k.csv}, guard: 1}]
"""

    def stages(objective: str, name: str) -> dict[str, Stage]:
        files = {"runner.yaml": HEAD + pipeline + project % json.dumps(objective), "m/x": "1"}
        repo = git_repo({**DVC_PROJECT, **files}, name=name)
        desired = desired_of(repo)
        assert as_dvc_sees_the_rendered(repo, str(desired.pipelines[0].rendered)) == {
            stage.address.stage: seen_by_runner(stage) for stage in desired.stages()
        }
        return {stage.address.stage: stage for stage in desired.stages()}

    first = stages("save ${money}", "first")
    given = {name: value_of(text) for name, text in first["one"].given}
    assert given == {
        "model": "m",
        "objective": "save ${money} (m.json:a)",
        "owners": ["@alice (model)", "@eve"],
        "kpis": [{"name": "churn", "target": 0.5, "direction": "down", "source": "k.csv"}],
    }
    assert dict(first["two"].given)["owners"] == '["@bob"]'
    assert dict(first["three@b"].given)["objective"] == "save ${money} (m.json:a)"
    other = stages("save time", "other")
    assert differences(_key(first["one"]), _key(other["one"])) == [
        "with objective: save ${money} (m.json:a) → save time (m.json:a)"
    ]


def test_a_card_without_a_project_has_no_words_of_one(git_repo: Callable[..., GitRepo]) -> None:
    spec = "  stages:\n    one: {uses: card, with: {model: m}, outs: [c.md, d.md, e.txt]}\n"
    repo = git_repo({"runner.yaml": HEAD + spec, "m/x": "1"})
    found = findings_of(repo)
    assert [word in line for word, line in zip(("the data card", ".md or .html"), found, strict=True)] == [True, True]


def test_inputs_come_in_the_order_of_the_spec_in_every_process() -> None:
    inputs = {f"name_{number}": f"data/{number}.csv" for number in range(20, 0, -1)}
    assert list(inputs_of("python", {"call": "a:b", "inputs": inputs})) == list(inputs.values())
